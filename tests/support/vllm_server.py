"""vLLM's own OpenAI server as a process on a loopback port, killed and started again as an operator's would be.

Runs in the interpreter of the tests, so these have to run where vLLM is installed: `.venv-engines` (`make engines`).
"""

import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2

from tests.support.processes import start_server, tail
from tests.support.scrape import Telemetry
from worker.local.child import Child, free_ports

SERVED_NAME = "guard"
_READY_S = 900.0
_POLL_S = 0.25
# Its level too: an engine that ran in this process has made its own quieter, and tests read what is loaded.
_ENVIRONMENT = {
    "VLLM_LOGGING_LEVEL": "INFO",
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
    # Its addresses that empty caches.
    "VLLM_SERVER_DEV_MODE": "1",
}


class VllmServer:
    """A context manager. Port and log stay the same over kill() and start(); loaded adapters do not, as in life.

    model: folder of a checkpoint. adapters: LoRA may be loaded at run time. more: further arguments of the server.
    """

    def __init__(
        self,
        directory: Path,
        model: Path,
        *,
        adapters: bool = True,
        max_model_len: int = 4096,
        more: Sequence[str] = (),
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.log_file = directory / "vllm.log"
        (self._port,) = free_ports(1)
        self._command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
        self._command += ["--host", "127.0.0.1", "--port", str(self._port)]
        self._command += ["--model", str(model), "--served-model-name", SERVED_NAME]
        self._command += ["--max-model-len", str(max_model_len), "--enforce-eager", "--gpu-memory-utilization", "0.1"]
        self._command += ["--limit-mm-per-prompt", '{"image": 1, "video": 0}']
        # A model without training would fill a prescribed form with line breaks for ever.
        self._command += ["--structured-outputs-config", '{"backend": "xgrammar", "disable_any_whitespace": true}']
        self._command += ["--enable-lora", "--max-lora-rank", "16", "--max-loras", "2"] if adapters else []
        self._command += more
        self._child: Child | None = None

    @property
    def address(self) -> str:
        """http://127.0.0.1:PORT, also while it is down."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def base_url(self) -> str:
        """What goes into guard.base_urls."""
        return f"{self.address}/v1"

    @property
    def pid(self) -> int:
        """Process id of the API server."""
        return self._running().pid

    def launch(self) -> Self:
        """Start it (again) and return at once: it takes a minute until it answers."""
        self._child = start_server(self._command, self.log_file, os.environ | _ENVIRONMENT)
        return self

    def wait_ready(self, timeout_s: float = _READY_S) -> Self:
        """Until it answers; RuntimeError with the end of its log otherwise."""
        deadline = time.monotonic() + timeout_s
        while not self._is_healthy():
            if self._running().returncode is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the vLLM server did not get ready:\n{tail(self.log_file, 5000)}")
            time.sleep(_POLL_S)
        return self

    def start(self) -> Self:
        """Start it (again); returns when it answers."""
        return self.launch().wait_ready()

    def kill(self) -> None:
        """SIGKILL to the API server and the engine process behind it: what is under way breaks off."""
        child, self._child = self._child, None
        if child is not None:
            # Child makes it the leader of a group. The engine is a process of its own and would go on without it.
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.stop(0)

    def models(self) -> list[str]:
        """Names that it serves: the model and its loaded adapters."""
        reply = httpx2.get(f"{self.base_url}/models", timeout=10, trust_env=False)
        return [model["id"] for model in reply.raise_for_status().json()["data"]]

    def counter(self, name: str) -> float:
        """One of its own counters, such as vllm:prefix_cache_hits, over all label sets."""
        return Telemetry(self._port).value(f"{name}_total")

    def forget(self) -> None:
        """Empty its caches of prompts and pictures, so that one measurement does not feed the next. It must be idle."""
        for cache in ("mm", "encoder", "prefix"):
            reply = httpx2.post(f"{self.address}/reset_{cache}_cache", timeout=30, trust_env=False)
            if cache == "prefix" and not reply.raise_for_status().json()["success"]:
                raise RuntimeError("the prefix cache was not emptied: requests are under way")

    def _running(self) -> Child:
        if self._child is None:
            raise RuntimeError("the vLLM server is not running")
        return self._child

    def _is_healthy(self) -> bool:
        try:
            return httpx2.get(f"{self.address}/health", timeout=5, trust_env=False).status_code == httpx2.codes.OK
        except httpx2.HTTPError:
            return False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
