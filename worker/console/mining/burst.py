"""Whether a cluster grows beyond its own past, by an exact test on distinct authors per judged post.

A burst is told by the same guard revision where it has judged long enough: a new revision may simply see more. Where it
has not, the burst waits until the revision before it, which judged a part of the same time, sees it too.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from proguard_core.novelty.significance import Bounds, excess, rate_ratio

_DAY = timedelta(days=1)
WINDOWS = (_DAY, 3 * _DAY, 7 * _DAY)
PAST = 14 * _DAY
LOOKS_BACK = PAST + WINDOWS[-1]
Exposure = Mapping[tuple[str, str], int]
"""Verdicts by hour (YYYY-MM-DDTHH) and revision."""


class Finding(StrEnum):
    """calm: as before, or too little is known; held: waits for the revision before; burst: beyond chance."""

    CALM = "calm"
    HELD = "held"
    BURST = "burst"


@dataclass(frozen=True, slots=True)
class Seen:
    """One risk of a cluster. author: the post's id where the platform names none."""

    at: datetime
    author: str
    revision: str


@dataclass(frozen=True, slots=True)
class BurstSettings:
    """p: of one cluster, already divided by their number; authors: in the window.

    hold: a revision tells a burst by itself once it has judged, before the window, what it judges in such a time.
    """

    p: float
    authors: int
    hold: timedelta


@dataclass(frozen=True, slots=True)
class Burst:
    """ratio: rate in the window against the past; None where there is too little past."""

    finding: Finding
    authors: int = 0
    ratio: Bounds | None = None
    p: float | None = None
    revision: str | None = None


@dataclass(slots=True)
class Counts:
    """Authors, an author once a day with the revision that saw him first, and verdicts, by revision."""

    authors: dict[str, int] = field(default_factory=dict)
    verdicts: dict[str, int] = field(default_factory=dict)

    def total(self) -> tuple[int, int]:
        """Of all revisions."""
        return sum(self.authors.values()), sum(self.verdicts.values())

    def of(self, revision: str) -> tuple[int, int]:
        """Of one."""
        return self.authors.get(revision, 0), self.verdicts.get(revision, 0)


def find(seen: Iterable[Seen], exposure: Exposure, now: datetime, settings: BurstSettings) -> Burst:
    """Look at the last day, then at longer times: what begins slowly is seen later. The figures are those of the burst,
    or of the day. seen: risks of one cluster, at least those of LOOKS_BACK.
    """
    kept = sorted(seen, key=lambda each: each.at)
    day = _look(kept, exposure, now, WINDOWS[0], settings)
    if day.finding is Finding.BURST:
        return day
    for window in WINDOWS[1:]:
        found = _look(kept, exposure, now, window, settings)
        if found.finding is Finding.BURST:
            return found
    return day


def _look(seen: Sequence[Seen], exposure: Exposure, now: datetime, window: timedelta, settings: BurstSettings) -> Burst:
    lately, past = _counted(seen, exposure, now, window)
    days, judged = lately.total()
    before, judged_before = past.total()
    authors = len({each.author for each in seen if now - window < each.at <= now})
    if judged == 0 or judged_before < judged:
        return Burst(Finding.CALM, authors)
    ratio = rate_ratio(days, judged, before, judged_before)
    p = excess(days, judged, before, judged_before)
    if authors < settings.authors or p > settings.p / len(WINDOWS):
        return Burst(Finding.CALM, authors, ratio, p)
    main = max(lately.verdicts, key=lambda revision: lately.verdicts[revision])
    said = _by_itself(main, lately, past, window, settings)
    others = (each for each in lately.verdicts if each != main)
    if said is None and not any(_by_itself(each, lately, past, window, settings) for each in others):
        return Burst(Finding.HELD, authors, ratio, p, main)
    return Burst(Finding.CALM if said is False else Finding.BURST, authors, ratio, p, main)


def _by_itself(revision: str, lately: Counts, past: Counts, window: timedelta, settings: BurstSettings) -> bool | None:
    """Whether one revision alone sees a burst in its part of the window; None where it has too little past."""
    days, judged = lately.of(revision)
    before, judged_before = past.of(revision)
    if not judged or judged_before < judged * (settings.hold / window):
        return None
    return excess(days, judged, before, judged_before) <= settings.p / len(WINDOWS)


def _counted(seen: Sequence[Seen], exposure: Exposure, now: datetime, window: timedelta) -> tuple[Counts, Counts]:
    """Lately and before. seen: in the order of their times."""
    lately, past = Counts(), Counts()
    once: set[tuple[int, str]] = set()
    # Where two revisions judge at once, each is the first to see an author as often as it has a share of the verdicts.
    for each in seen:
        back = int((now - each.at) / _DAY)
        if each.at > now or now - each.at >= PAST + window or (back, each.author) in once:
            continue
        once.add((back, each.author))
        counts = (lately if now - each.at < window else past).authors
        counts[each.revision] = counts.get(each.revision, 0) + 1
    begins, ends = (now - window).strftime("%Y-%m-%dT%H"), now.strftime("%Y-%m-%dT%H")
    first = (now - window - PAST).strftime("%Y-%m-%dT%H")
    for (hour, revision), verdicts in exposure.items():
        if first < hour <= ends:
            into = (lately if hour > begins else past).verdicts
            into[revision] = into.get(revision, 0) + verdicts
    return lately, past


def growth(seen: Iterable[Seen], exposure: Exposure, now: datetime) -> Bounds | None:
    """Risks per verdict of the last seven days against the seven before; None where nothing was judged then."""
    week = timedelta(days=7)
    times = [each.at for each in seen]
    latest = sum(now - week < at <= now for at in times)
    earlier = sum(now - 2 * week < at <= now - week for at in times)
    middle, first = ((now - each).strftime("%Y-%m-%dT%H") for each in (week, 2 * week))
    judged = sum(verdicts for (hour, _), verdicts in exposure.items() if hour > middle)
    before = sum(verdicts for (hour, _), verdicts in exposure.items() if first < hour <= middle)
    return rate_ratio(latest, judged, earlier, before) if judged and before else None
