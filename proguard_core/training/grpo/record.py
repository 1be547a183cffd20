"""Where a run's numbers go after each update: gauges, and the page in the run's folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from proguard_core.training.grpo.files import write_text
from proguard_core.training.grpo.metrics import Gauges
from proguard_core.training.grpo.page import render

PAGE = "training.html"


class Recorder:
    """facts: what the page says of the run above its plots, in this order."""

    def __init__(self, folder: Path, facts: Mapping[str, str], warnings: Sequence[str], gauges: Gauges) -> None:
        self._folder = folder
        self._facts = facts
        self._warnings = warnings
        self._gauges = gauges

    def record(self, history: Sequence[Mapping[str, Any]], state: str = "under way") -> None:
        """history: of all updates so far, the last one new. Raises OSError where the page cannot be written."""
        if history:
            self._gauges.set(history[-1])
        write_text(self._folder / PAGE, render(self._facts, self._warnings, history, state))
