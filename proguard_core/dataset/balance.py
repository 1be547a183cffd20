"""How many rows of each modality, how many of them fresh, and which: the paper's ratio holds after replay."""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from proguard_core.dataset.items import TRUST, Item
from proguard_core.evaluation.rows import Problems
from schemas.common import Modality

PAPER_RATIO: Mapping[Modality, int] = {Modality.TEXT: 29_070, Modality.TEXT_IMAGE: 30_000, Modality.IMAGE: 27_954}
"""Rows of ProGuard-data (arXiv 2512.23573)."""

SURPLUS_REPLAY = "replay beyond what the ratio leaves room for"
SURPLUS_FRESH = "fresh, beyond what its modality leaves room for"
TOO_MANY_OF_AUTHOR = "beyond the rows that one author may give (left out)"


@dataclass(frozen=True, slots=True)
class BalanceSettings:
    """size: rows at most, None for as many as the ratio allows. fresh_share: of a modality at most, if it has replay.

    rows_per_author: at most, of fresh rows. safe_share: of a modality that has replay; None for the share that its
    replay rows have, where they are both safe and unsafe ones.
    """

    size: int | None = None
    fresh_share: float = 0.5
    rows_per_author: int = 20
    safe_share: float | None = None


def beyond_cap(items: Sequence[Item], most: int, seed: int, problems: Problems) -> set[int]:
    """Places of fresh items beyond that many of one author; which ones the seed decides, the trusted first."""
    order = random.Random(f"authors {seed}").sample(range(len(items)), len(items))
    given: dict[str, int] = defaultdict(int)
    dropped: set[int] = set()
    for at in sorted(order, key=lambda at: TRUST[items[at].origin]):
        author = items[at].author
        if author is None or not items[at].fresh:
            continue
        given[author] += 1
        if given[author] > most:
            dropped.add(at)
            problems.add(TOO_MANY_OF_AUTHOR, items[at].row.id)
    return dropped


def quotas(
    available: Mapping[Modality, int], replayed: Mapping[Modality, int], size: int | None = None
) -> dict[Modality, int]:
    """Rows of each modality. available: fresh ones and replay; replayed: replay alone.

    Modalities with replay keep the ratio among each other, so the scarcest of them decides. One without replay gives
    what it has, at most its share. Where nothing is replayed, the ratio is that of what there is.
    """
    ruling = [modality for modality in Modality if replayed.get(modality)] or [m for m in Modality if available.get(m)]
    if not ruling:
        return dict.fromkeys(Modality, 0)
    scale = min(available[modality] / PAPER_RATIO[modality] for modality in ruling)
    if size is not None:
        scale = min(scale, size / sum(PAPER_RATIO.values()))
    return {m: min(int(scale * PAPER_RATIO[m] + 1e-9), available.get(m, 0)) for m in Modality}


def balanced(items: Sequence[Item], settings: BalanceSettings, seed: int, problems: Problems) -> list[Item]:
    """The mixture, in the order that the items had."""
    fresh, replay = _by_modality(items, fresh=True), _by_modality(items, fresh=False)
    reach = {m: _reach(items, fresh[m], replay[m], settings) for m in Modality}
    wanted = quotas(reach, {m: len(replay[m]) for m in Modality}, settings.size)
    chosen: set[int] = set()
    for modality, quota in wanted.items():
        chosen.update(_mixture(items, fresh[modality], replay[modality], quota, settings, seed))
    for at, item in enumerate(items):
        if at not in chosen:
            problems.add(SURPLUS_FRESH if item.fresh else SURPLUS_REPLAY, item.row.id)
    return [items[at] for at in sorted(chosen)]


def without_replay(items: Sequence[Item]) -> list[Modality]:
    """Modalities that nothing can be replayed of: their share is not kept, and nothing is duplicated to fill it."""
    return [m for m in Modality if not any(item.modality is m and not item.fresh for item in items)]


def _reach(items: Sequence[Item], fresh: list[int], replay: list[int], settings: BalanceSettings) -> int:
    """Rows that a modality can give at most with its shares of fresh and of safe rows kept."""
    if not replay:
        return len(fresh)
    count = len(replay) + len(fresh)
    if settings.fresh_share < 1:
        count = min(count, int(len(replay) / (1 - settings.fresh_share)))
    share = _safe_share(items, replay, settings)
    if share is None:
        return count
    unsafe = sum(items[at].row.unsafe for at in (*fresh, *replay))
    safe = len(fresh) + len(replay) - unsafe
    for held, wanted in ((safe, share), (unsafe, 1 - share)):
        if held and wanted > 0:
            count = min(count, int(held / wanted + 1e-9))
    return count


def _safe_share(items: Sequence[Item], replay: list[int], settings: BalanceSettings) -> float | None:
    """None where no share is to be kept: a replay of safe rows alone says nothing of how many unsafe ones there are."""
    if settings.safe_share is not None:
        return settings.safe_share
    safe = sum(not items[at].row.unsafe for at in replay)
    return safe / len(replay) if 0 < safe < len(replay) else None


def _mixture(
    items: Sequence[Item], fresh: list[int], replay: list[int], quota: int, settings: BalanceSettings, seed: int
) -> list[int]:
    """Places of a modality's rows: fresh ones turn by turn over their labels, as many of safe and of unsafe ones as
    the safe share has room for, then replay that fills both up."""
    most = quota if not replay else min(quota, int(quota * settings.fresh_share))
    most = max(most, quota - len(replay))  # what rounding took
    share = _safe_share(items, replay, settings)
    if not replay or share is None:
        taken = _turn_by_turn(items, fresh, most, seed)
        return [*taken, *_drawn(replay, seed)[: quota - len(taken)]]
    wanted_safe = round(share * quota)
    (safe, unsafe), (fresh_safe, fresh_unsafe) = _by_label(items, _drawn(replay, seed)), _by_label(items, fresh)
    # Of each label the fresh ones leave room for what replay lacks of the other.
    room_safe = max(0, min(wanted_safe, most - _lacking(quota - wanted_safe, unsafe, fresh_unsafe)))
    room_unsafe = max(0, min(quota - wanted_safe, most - _lacking(wanted_safe, safe, fresh_safe)))
    some = [*_turn_by_turn(items, fresh_safe, room_safe, seed), *_turn_by_turn(items, fresh_unsafe, room_unsafe, seed)]
    taken = _turn_by_turn(items, some, most, seed)
    room = quota - len(taken)
    wanted_safe -= sum(not items[at].row.unsafe for at in taken)
    count = min(max(wanted_safe, room - len(unsafe), 0), room, len(safe))
    return [*taken, *safe[:count], *unsafe[: room - count]]


def _lacking(wanted: int, replay: list[int], fresh: list[int]) -> int:
    """Rows of a label that replay has not, and fresh rows have."""
    return min(max(wanted - len(replay), 0), len(fresh))


def _by_label(items: Sequence[Item], places: list[int]) -> tuple[list[int], list[int]]:
    """Safe ones and unsafe ones."""
    return [at for at in places if not items[at].row.unsafe], [at for at in places if items[at].row.unsafe]


def _turn_by_turn(items: Sequence[Item], places: list[int], most: int, seed: int) -> list[int]:
    """Of each label its first, then of each its second, the trusted first: no flood of one label takes all the room."""
    by_label: dict[str, list[int]] = defaultdict(list)
    for at in _drawn(places, seed):
        by_label[items[at].stratum].append(at)
    ranked = []
    for members in by_label.values():
        members.sort(key=lambda at: TRUST[items[at].origin])
        ranked += [(rank, at) for rank, at in enumerate(members)]
    return [at for _, at in sorted(ranked)[:most]]


def _by_modality(items: Sequence[Item], *, fresh: bool) -> dict[Modality, list[int]]:
    found: dict[Modality, list[int]] = {modality: [] for modality in Modality}
    for at, item in enumerate(items):
        if item.fresh is fresh:
            found[item.modality].append(at)
    return found


def _drawn(places: list[int], seed: int) -> list[int]:
    return random.Random(f"balance {seed}").sample(places, len(places))
