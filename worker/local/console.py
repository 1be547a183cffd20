"""The console beside the demo: its pages and its mining process, on a store that is gone with the demo."""

import secrets
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from worker.local.child import Child, free_ports


def open_console(stack: ExitStack, environment: Mapping[str, str], folder: Path) -> str:
    """Start both on the demo's topics; the address of the pages, which answer after some seconds.

    They end with the stack. Where one fails the demo goes on: its log says why.
    """
    (port,) = free_ports(1)
    token = secrets.token_urlsafe(24)
    own = {
        "STORE_PATH": str(folder / "risks.db"),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "TOKEN_SECRET": token,
        # A handful of posts is all there is, and nobody waits an hour.
        "MIN_CLUSTER_SIZE": "2",
        "REFRESH_EVERY_S": "2",
        "RECLUSTER_EVERY_S": "5",
    }
    inherited = {name: value for name, value in environment.items() if not name.startswith("PROGUARD_CONSOLE__")}
    whole = inherited | {f"PROGUARD_CONSOLE__{name}": value for name, value in own.items()}
    whole["PROGUARD_TELEMETRY__PORT"] = "0"  # the demo's worker may have it
    log = folder / "console.log"
    for command in (("console", "mine"), ("console",)):
        stack.enter_context(Child([sys.executable, "-m", "worker.cli", *command], log, whole))
    return f"http://127.0.0.1:{port}/login?token={token}"
