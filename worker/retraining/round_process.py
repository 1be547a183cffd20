"""A round as a process of its own: what it held is given back when it ends, and it can be ended at any moment."""

import json
import sys
from pathlib import Path

from worker.errors import EXIT_FENCED
from worker.local.child import Child
from worker.retraining.schedule import BUSY, FAILED, INTERRUPTED, Ended

# For what it has to put away: temporary files and the lease.
GRACE_S = 20.0


class RoundProcess:
    """`proguard retrain --once` under this process's settings and environment. It dies with the thread that made it.

    Its standard error is ours; its result goes to our standard output as well.
    """

    def __init__(self, config: Path | None) -> None:
        given = [] if config is None else ["--config", str(config)]
        command = [sys.executable, "-m", "worker.cli", *given, "retrain", "--once"]
        self._child = Child(command, read_output=True, share_errors=True)

    def ended(self) -> Ended | None:
        """How it ended, None while it goes on."""
        return None if self._child.returncode is None else self._read()

    def stop(self) -> Ended:
        """SIGTERM, and SIGKILL after GRACE_S. One that has ended meanwhile keeps its end."""
        if (ended := self.ended()) is not None:
            return ended
        self._child.stop(GRACE_S)
        return Ended(INTERRUPTED)

    def _read(self) -> Ended:
        pipe = self._child.process.stdout
        assert pipe is not None
        printed = pipe.read().decode("utf-8", "replace")
        code = self._child.stop()
        print(printed, end="", flush=True)
        if code == EXIT_FENCED:
            return Ended(BUSY, "another round is under way")
        if code != 0:
            return Ended(FAILED, f"it ended with {code}")
        try:
            said = json.loads(printed.splitlines()[-1])
            return Ended(str(said["end"]), str(said["said"]), said["run"])
        except (IndexError, ValueError, KeyError, TypeError):
            return Ended(FAILED, "it did not say how it ended")
