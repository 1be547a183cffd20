"""A burst is more authors than the cluster's own past, by a guard that was there before it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from worker.console.mining.burst import BurstSettings, Finding, Seen, find, growth

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
SETTINGS = BurstSettings(p=1e-4, authors=5, hold=timedelta(days=1))


def judged(days: float = 15, swap_h: float = -1.0, each: int = 1000) -> dict[tuple[str, str], int]:
    """Verdicts an hour; `new` judges from swap_h hours ago on."""
    hours = (NOW - timedelta(hours=back) for back in range(int(days * 24)))
    return {(at.strftime("%Y-%m-%dT%H"), "new" if NOW - at < timedelta(hours=swap_h) else "old"): each for at in hours}


def seen(per_day: int, first_h: float, last_h: float, revision: str = "old", authors: str = "a") -> Iterator[Seen]:
    """So many risks a day between two numbers of hours ago, each of an author of its own."""
    step = 24 / per_day
    back = first_h
    while back > last_h:
        yield Seen(NOW - timedelta(hours=back), f"{authors}-{back:.3f}", revision)
        back -= step


def test_as_before_is_calm_and_beyond_chance_is_a_burst() -> None:
    steady = list(seen(20, 15 * 24, 0.01))
    assert find(steady, judged(), NOW, SETTINGS).finding is Finding.CALM
    found = find([*steady, *seen(60, 24, 0.01, authors="b")], judged(), NOW, SETTINGS)
    assert found.finding is Finding.BURST
    assert found.ratio is not None
    assert 2.9 < found.ratio.low < found.ratio.value < found.ratio.high < 6


def test_what_never_was_before_is_a_burst() -> None:
    assert find(seen(30, 10, 0.01), judged(), NOW, SETTINGS).finding is Finding.BURST


def test_one_author_is_no_burst_however_many_posts() -> None:
    flood = [Seen(NOW - timedelta(minutes=at), "one", "old") for at in range(900)]
    found = find(flood, judged(), NOW, SETTINGS)
    assert found.finding is Finding.CALM
    assert found.authors == 1


def test_twice_as_many_posts_of_which_twice_as_many_were_judged_is_calm() -> None:
    rates = {key: 2000 if key[0] > (NOW - timedelta(days=1)).strftime("%Y-%m-%dT%H") else 1000 for key in judged()}
    risks = [*seen(20, 15 * 24, 24), *seen(40, 24, 0.01, authors="b")]
    assert find(risks, rates, NOW, SETTINGS).finding is Finding.CALM


def test_the_same_authors_seen_by_two_revisions_at_once_are_as_many_as_before() -> None:
    """Each posts all day, so that both revisions see him: a slow roll-out is no burst."""
    day = timedelta(days=1)
    rates = {key: 1000 for key in judged() if key[0] <= (NOW - day).strftime("%Y-%m-%dT%H")}
    lately = [hour for hour, _ in judged() if hour > (NOW - day).strftime("%Y-%m-%dT%H")]
    rates |= {(hour, revision): 500 for hour in lately for revision in ("old", "new")}
    risks = [
        Seen(
            NOW - back * day - timedelta(hours=2 * post + 1),
            f"a-{author}",
            ("old", "new")[(author + post) % 2] if not back else "old",
        )
        for back in range(15)
        for author in range(80)
        for post in range(10)
    ]
    found = find(risks, rates, NOW, SETTINGS)
    assert found.finding is Finding.CALM
    assert found.ratio is not None
    assert 0.9 < found.ratio.value < 1.1


def test_without_a_past_nothing_is_told() -> None:
    found = find(seen(50, 10, 0.01), judged(days=0.5), NOW, SETTINGS)
    assert (found.finding, found.ratio) == (Finding.CALM, None)


def test_a_burst_that_begins_with_a_revision_is_held() -> None:
    risks = [*seen(20, 15 * 24, 20), *seen(80, 20, 0.01, revision="new", authors="b")]
    found = find(risks, judged(swap_h=20), NOW, SETTINGS)
    assert (found.finding, found.revision) == (Finding.HELD, "new")


def test_and_the_revision_before_confirms_it_where_it_sees_it_too() -> None:
    both = judged(swap_h=20) | {(hour, "old"): 400 for hour, _ in judged(days=1)}
    risks = [*seen(20, 15 * 24, 20), *seen(80, 20, 0.01, "new", "b"), *seen(40, 20, 0.01, "old", "c")]
    assert find(risks, both, NOW, SETTINGS).finding is Finding.BURST


def test_once_the_revision_has_a_past_it_says_by_itself() -> None:
    eager = [*seen(20, 15 * 24, 60), *seen(80, 60, 0.01, revision="new", authors="b")]
    assert find(eager, judged(swap_h=60), NOW, SETTINGS).finding is Finding.CALM
    real = [*eager, *seen(200, 24, 0.01, revision="new", authors="c")]
    assert find(real, judged(swap_h=60), NOW, SETTINGS).finding is Finding.BURST


def test_growth_is_by_verdicts_and_has_an_interval() -> None:
    risks = [*seen(10, 14 * 24, 7 * 24), *seen(20, 7 * 24, 0.01)]
    found = growth(risks, judged(), NOW)
    assert found is not None
    assert 1.4 < found.low < found.value < found.high < 2.9
    assert growth(risks, judged(days=5), NOW) is None
