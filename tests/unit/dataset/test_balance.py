"""The paper's ratio holds at any size after replay; nothing is duplicated to fill; nobody floods."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proguard_core.dataset.balance import PAPER_RATIO, SURPLUS_FRESH, BalanceSettings, balanced, beyond_cap, quotas
from proguard_core.dataset.items import Item, Origin
from proguard_core.evaluation.rows import Problems
from schemas.common import Modality
from tests.unit.dataset.builders import item

WHOLE = sum(PAPER_RATIO.values())
COUNTS = st.fixed_dictionaries({modality: st.integers(0, 100_000) for modality in Modality})


def rows(modality: Modality, count: int, prefix: str = "", **fields: object) -> list[Item]:
    text = "" if modality is Modality.IMAGE else "Some words"
    images = () if modality is Modality.TEXT else ("picture",)
    return [
        item(f"{prefix}{modality} {at}", text, None if at % 2 else "C6S1", images=images, **fields)
        for at in range(count)
    ]


def counts(items: list[Item]) -> dict[Modality, int]:
    return dict(Counter(each.modality for each in items))


def test_the_paper_is_reproduced_at_its_size() -> None:
    assert quotas(PAPER_RATIO, PAPER_RATIO) == PAPER_RATIO


@given(COUNTS, COUNTS, st.one_of(st.none(), st.integers(0, 200_000)))
def test_the_ratio_holds_at_any_size(fresh: dict[Modality, int], replay: dict[Modality, int], size: int | None) -> None:
    available = {modality: fresh[modality] + replay[modality] for modality in Modality}
    given_rows = quotas(available, replay, size)
    assert all(given_rows[modality] <= available[modality] for modality in Modality)
    assert size is None or sum(given_rows.values()) <= size
    ruling = [modality for modality in Modality if replay[modality]]
    shares = [given_rows[modality] / PAPER_RATIO[modality] for modality in ruling]
    if shares:
        assert max(shares) - min(shares) <= 1 / min(PAPER_RATIO.values())


@pytest.mark.parametrize("size", [87_024, 8_702, 870, 87])
def test_the_mixture_has_the_ratio(size: int) -> None:
    scale = size / WHOLE
    items = [each for modality in Modality for each in rows(modality, int(PAPER_RATIO[modality] * scale * 1.5))]
    items += rows(Modality.TEXT, int(1000 * scale) + 5, "fresh ", origin=Origin.REVIEW)
    mixture = balanced(items, BalanceSettings(size=size), 0, Problems())
    assert sum(counts(mixture).values()) == pytest.approx(size, abs=3)
    for modality in Modality:
        assert counts(mixture)[modality] == pytest.approx(PAPER_RATIO[modality] * scale, abs=1)


def test_the_scarcest_replayed_modality_decides() -> None:
    items = [*rows(Modality.TEXT, 500), *rows(Modality.TEXT_IMAGE, 500), *rows(Modality.IMAGE, 28)]
    problems = Problems()
    mixture = counts(balanced(items, BalanceSettings(), 0, problems))
    assert mixture == {Modality.TEXT: 29, Modality.TEXT_IMAGE: 30, Modality.IMAGE: 28}
    assert problems.counts["replay beyond what the ratio leaves room for"] == 500 - 29 + 500 - 30


def test_a_modality_without_replay_gives_what_it_has_and_is_not_filled() -> None:
    fresh = rows(Modality.IMAGE, 5, origin=Origin.REVIEW)
    items = [*rows(Modality.TEXT, 300), *rows(Modality.TEXT_IMAGE, 300), *fresh]
    mixture = balanced(items, BalanceSettings(), 0, Problems())
    assert counts(mixture) == {Modality.TEXT: 290, Modality.TEXT_IMAGE: 300, Modality.IMAGE: 5}
    assert len({each.row.id for each in mixture}) == len(mixture)


def test_fresh_rows_are_at_most_their_share_and_replay_keeps_the_share_of_safe_rows() -> None:
    fresh = [item(f"fresh {at}", "Some words", "C6S1", origin=Origin.REVIEW) for at in range(200)]
    mixture = balanced([*rows(Modality.TEXT, 300), *fresh], BalanceSettings(fresh_share=0.25), 0, Problems())
    assert sum(each.fresh for each in mixture) / len(mixture) == pytest.approx(0.25, abs=0.01)
    assert sum(not each.row.unsafe for each in mixture) / len(mixture) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("asked", [None, 0.9])
@pytest.mark.parametrize("safe", [70, 90])
def test_unsafe_fresh_rows_take_no_more_than_the_share_of_unsafe_ones(safe: int, asked: float | None) -> None:
    replay = [item(f"replay {at}", "Some words", "C6S1" if at % 100 >= safe else None) for at in range(1000)]
    fresh = [item(f"fresh {at}", "Some words", "C8S1", origin=Origin.REVIEW) for at in range(1000)]
    problems = Problems()
    mixture = balanced([*replay, *fresh], BalanceSettings(safe_share=asked), 0, problems)
    share = asked or safe / 100
    assert sum(not each.row.unsafe for each in mixture) / len(mixture) == pytest.approx(share, abs=0.001)
    assert problems.counts[SURPLUS_FRESH] == 1000 - sum(each.fresh for each in mixture)


def labelled(safe: int, unsafe: int, prefix: str, **fields: object) -> list[Item]:
    codes = [None] * safe + [f"C{at % 3 + 1}S1" for at in range(unsafe)]
    return [item(f"{prefix} {at}", "Some words", code, **fields) for at, code in enumerate(codes)]


@given(*[st.integers(0, 60)] * 2, *[st.integers(1, 60)] * 2, st.sampled_from([0.0, 0.25, 0.5, 0.9]))
def test_the_share_of_safe_rows_is_that_of_replay(
    fresh_safe: int, fresh_unsafe: int, safe: int, unsafe: int, most: float
) -> None:
    fresh = labelled(fresh_safe, fresh_unsafe, "fresh", origin=Origin.REVIEW)
    items = [*labelled(safe, unsafe, "replay"), *fresh]
    mixture = balanced(items, BalanceSettings(fresh_share=most), 0, Problems())
    wanted = len(mixture) * safe / (safe + unsafe)
    assert sum(not each.row.unsafe for each in mixture) == pytest.approx(wanted, abs=1)
    assert sum(each.fresh for each in mixture) <= most * len(mixture) + 1
    assert len(mixture) >= safe + unsafe - 1  # never less than replay alone


def test_a_replay_of_safe_rows_alone_sets_no_share() -> None:
    items = [*labelled(100, 0, "replay"), *labelled(0, 40, "fresh", origin=Origin.REVIEW)]
    mixture = balanced(items, BalanceSettings(), 0, Problems())
    assert len(mixture) == 140


def test_one_label_takes_not_all_the_room() -> None:
    flood = [item(f"a{at}", code="C6S1", origin=Origin.REVIEW) for at in range(300)]
    few = [item(f"b{at}", code="C8S1", origin=Origin.REVIEW) for at in range(10)]
    mixture = balanced([*flood, *few], BalanceSettings(size=3 * 20), 0, Problems())
    assert Counter(each.stratum for each in mixture)["C8S1"] == 10


def test_an_author_gives_k_rows_at_most_and_a_base_set_is_not_capped() -> None:
    flood = [item(f"a{at}", name="Salad recipes", author="one", origin=Origin.REVIEW) for at in range(5000)]
    others = [item(f"b{at}", name="Salad recipes", author=f"{at}", origin=Origin.REVIEW) for at in range(30)]
    replayed = [item(f"c{at}", code="C6S1", author="set") for at in range(100)]
    problems = Problems()
    items = [*flood, *others, *replayed]
    dropped = beyond_cap(items, 20, 0, problems)
    assert Counter(each.author for at, each in enumerate(items) if at not in dropped)["one"] == 20
    assert len(dropped) == 4980
    assert len(problems.examples["beyond the rows that one author may give (left out)"]) == 20


def test_without_any_rows_there_is_no_mixture() -> None:
    assert balanced([], BalanceSettings(), 0, Problems()) == []
