"""Starting servers so that they die with this process, whichever of its threads asked for them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from worker.local.child import Child

# The kernel ends a child when the thread that started it ends. A test that restarts a broker from a thread of its own
# would lose the broker with that thread, so one thread that lives as long as the process starts them all.
_LAUNCHER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="launcher")


def start_server(command: list[str], log: Path, environment: dict[str, str] | None = None) -> Child:
    """Start a server with its output appended to log; it is killed when this process ends."""
    return _LAUNCHER.submit(Child, command, log, environment).result()


def tail(log: Path, characters: int = 2000) -> str:
    """The end of a server's log, for error messages."""
    return log.read_text(errors="replace")[-characters:] if log.is_file() else ""
