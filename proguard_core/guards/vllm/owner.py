"""Ends the engine when the worker that owns it is gone.

A worker that is killed cannot end its engine, and vLLM's process does not look: it would hold the GPU's memory against
the worker that is started in its place. vLLM imports this module, as its worker extension, wherever the model runs.
"""

import os
import signal
import threading
import time

VARIABLE = "PROGUARD_ENGINE_OWNER"
"""The owner's process id."""

EVERY_S = 1.0


class EndsWithOwner:
    """vLLM mixes it into its worker; there is nothing to call."""


def _watch(owner: int, parent: int) -> None:
    while os.getppid() == parent and _is_alive(owner):
        time.sleep(EVERY_S)
    os.kill(os.getpid(), signal.SIGKILL)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


if (_owner := os.environ.get(VARIABLE, "")).isdecimal() and int(_owner) != os.getpid():
    threading.Thread(target=_watch, args=(int(_owner), os.getppid()), name="owner watch", daemon=True).start()
