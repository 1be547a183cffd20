"""The demo's screen: a row a verdict as it arrives, a line of progress below, a summary at the end."""

from collections import Counter
from types import TracebackType
from typing import Self, TypeAlias

from rich.cells import set_cell_size
from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from schemas.common import CategoryKind
from schemas.dead_letter import DeadLetterHeaders
from schemas.verdict import Verdict
from worker.local.outcomes import Arrival, Erasure
from worker.local.tally import Coordinates, Tally

_COLOURS = {"safe": "green", "unsafe": "bold red", "undetermined": "yellow", "dead letter": "magenta", "erased": "cyan"}
# Widths in terminal cells; the text takes what is left.
_COLUMNS = {"post": 6, "parts": 10, "text": 0, "outcome": 12, "category or reason": 30, "action": 8, "ms": 6}
_MIN_TEXT = 16
_PLAIN_WIDTH = 150

Cells: TypeAlias = tuple[str, str, str, str, str, str, str]


class Screen:
    """Rows with colours and a spinner on a terminal; plain lines where output is a file or a pipe."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)
        self._width = self.console.width if self.console.is_terminal else _PLAIN_WIDTH
        self._spinner = Spinner("dots", "starting")
        self._live = Live(self._spinner, console=self.console, transient=True) if self.console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def say(self, line: str, style: str = "") -> None:
        """One line of plain text; markup in it has no meaning."""
        self.console.print(Text(line, style=style))

    def progress(self, line: str) -> None:
        """What is going on, below the rows; on a terminal only."""
        if self._live:
            self._spinner.update(text=Text(line))

    def header(self) -> None:
        """Names of the columns."""
        self.console.print(
            self._line(("post", "parts", "text", "outcome", "category or reason", "action", "ms"), "bold")
        )

    def row(self, arrival: Arrival, shown: dict[Coordinates, tuple[str, str, str]]) -> None:
        """One answer. shown: (key, modality, text) of the records we sent, by partition and offset."""
        self.console.print(self._line(cells(arrival, shown)))

    def _line(self, values: Cells, style: str = "") -> Text:
        room = self._width - sum(_COLUMNS.values()) - len(_COLUMNS) + 1
        line = Text(no_wrap=True, overflow="crop")
        for (name, width), value in zip(_COLUMNS.items(), values, strict=True):
            shaped = set_cell_size(clean(value), width or max(room, _MIN_TEXT))
            line.append(shaped, style or (_COLOURS.get(value, "") if name == "outcome" else ""))
            line.append(" ")
        line.rstrip()
        return line


def cells(arrival: Arrival, shown: dict[Coordinates, tuple[str, str, str]]) -> Cells:
    """The row of one answer."""
    if isinstance(arrival, Erasure):
        return arrival.key, "", "(deleted by its author)", "erased", "", "", ""
    if isinstance(arrival, DeadLetterHeaders):
        _, _, text = shown.get((arrival.partition, arrival.offset), ("", "", ""))
        return "-", "", text, "dead letter", f"{arrival.stage}: {arrival.reason}", "", ""
    _, _, text = shown.get((arrival.source.partition, arrival.source.offset), ("", "", "(not ours)"))
    milliseconds = f"{arrival.timings_ms.total:.0f}".rjust(_COLUMNS["ms"])
    outcome, action = arrival.outcome.value, arrival.action.value
    return arrival.post_id, arrival.modality.value, text, outcome, describe(arrival), action, milliseconds


def describe(verdict: Verdict) -> str:
    """Category and reason in one short text."""
    category = verdict.category
    parts = {
        CategoryKind.NONE: "",
        CategoryKind.KNOWN: f"{category.code} {category.name or ''}".strip(),
        CategoryKind.NOVEL: f"new: {category.name or '?'}",
        CategoryKind.HALLUCINATED: f"unlisted code {category.code or '?'}",
    }[category.kind]
    if verdict.reason is None:
        return parts
    return f"{parts} ({verdict.reason.value})" if parts else verdict.reason.value


def clean(text: str) -> str:
    """Text without control characters, which could move the cursor or colour the terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def summary(tally: Tally) -> list[str]:
    """The end of the story, a line each."""
    median, high = tally.latency_ms()
    lines = [
        f"{tally.answered} of {len(tally.expected) + len(tally.tombstones)} records answered",
        f"  outcomes        {_counts(tally.by_outcome())}",
        f"  actions         {_counts(tally.by_action())}",
    ]
    if reasons := tally.by_reason():
        lines.append(f"  not judged      {_counts(reasons)}")
    names = ", ".join(f"{risk.post_id} '{clean(risk.name)}'" for risk in tally.risks.values())
    lines.append(f"  new risks       {len(tally.risks)}" + (f": {names}" if names else ""))
    lines.append(f"  retraining hits {len(tally.hits)}")
    causes = _counts(Counter(f"{letter.stage}: {letter.reason}" for letter in tally.dead_letters.values()))
    lines.append(f"  dead letters    {len(tally.dead_letters)}" + (f" ({causes})" if causes else ""))
    lines.append(
        f"  erasures        {len(tally.erased)}" + (f": {', '.join(sorted(tally.erased))}" if tally.erased else "")
    )
    lines.append(f"  latency         median {median:.0f} ms, 95 % within {high:.0f} ms, from receipt to verdict")
    return lines


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counter.most_common())
