"""The gate lets through what is shown to be no worse, and nothing else."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from proguard_core.dataset.items import Item, Origin
from proguard_core.evaluation.answers import Answer
from proguard_core.evaluation.rows import Row
from proguard_core.novelty.bank import Bank
from proguard_core.policy.loader import load_policy
from proguard_core.training import marks
from proguard_core.training.gate import arrivals
from proguard_core.training.gate.decide import decide, write
from proguard_core.training.gate.evidence import Arrival, Evidence, EvidenceError, GateSettings, Naming
from proguard_core.training.gate.report import JSON_FILE, TEXT_FILE, Finding, Outcome, Report, Status
from schemas.common import CategoryKind, Modality
from tests.unit.training.gate.builders import (
    SERVED,
    UNSAFE,
    OneHot,
    drawn,
    evidence,
    judged,
    text_items,
    with_answers,
    wrong,
)

TEXT = GateSettings(modalities=(Modality.TEXT,))
ITEMS = text_items(2400)
CHAMPION = judged("champion", ITEMS, drawn(0.1))


def named(found: Evidence) -> Evidence:
    """With names that are scored."""
    return replace(found, naming=Naming(load_policy(), OneHot(), Bank({"C3S1": ("Nuclear smuggling",)})))


def finding(report: Report, subject: str) -> Finding:
    return next(each for each in report.findings if subject in each.subject)


def failed(report: Report) -> list[str]:
    return [each.subject for each in report.findings if each.status is Status.FAILED]


def test_one_that_is_better_passes() -> None:
    report = decide(named(evidence(ITEMS, judged("new", ITEMS, drawn(0.05)), CHAMPION)), TEXT)
    assert (report.outcome, report.reasons) == (Outcome.PASSED, [])
    assert all(each.status is Status.PASSED for each in report.findings)


def test_one_that_is_as_good_passes() -> None:
    report = decide(named(evidence(ITEMS, judged("new", ITEMS, drawn(0.1)), CHAMPION)), TEXT)
    assert report.outcome is Outcome.PASSED


def test_one_that_is_worse_fails_and_is_told_why() -> None:
    report = decide(named(evidence(ITEMS, judged("new", ITEMS, drawn(0.2, "other")), CHAMPION)), TEXT)
    assert report.outcome is Outcome.FAILED
    assert "text, request against the champion" in failed(report)
    assert any("worse by more than 0.02" in reason for reason in report.reasons)


def test_what_cannot_be_shown_is_no_pass() -> None:
    """As good on average, but so different that chance may hide a loss."""
    items = text_items(1600)
    champion, new = (judged(run, items, drawn(0.3, run)) for run in ("champion", "new"))
    report = decide(named(evidence(items, new, champion)), replace(TEXT, margin=0.005))
    assert "text, request against the champion" in failed(report)
    assert "more rows could tell" in finding(report, "text, request").said


def test_few_rows_need_a_person() -> None:
    items = ITEMS[:1499]
    found = named(evidence(items, judged("new", items), judged("champion", items)))
    report = decide(found, replace(TEXT, fewest_novel=100))
    assert report.outcome is Outcome.NEEDS_HUMAN
    assert report.reasons == ["text: 1499 rows, 1500 are needed"]


def test_modalities_without_rows_need_a_person() -> None:
    report = decide(named(evidence(ITEMS, judged("new", ITEMS), CHAMPION)))
    assert report.outcome is Outcome.NEEDS_HUMAN
    assert sorted(report.reasons) == ["image: 0 rows, 1500 are needed", "text-image: 0 rows, 1500 are needed"]


def test_rows_of_one_label_tell_nothing() -> None:
    items = [item for item in text_items(4000) if item.row.safe]
    report = decide(evidence(items, judged("new", items), judged("champion", items)), TEXT)
    assert finding(report, "text").said == "0 unsafe rows, 150 are needed"


def test_a_category_that_is_lost_is_seen_by_itself() -> None:
    """120 rows of 2,400 are too few for the average of many rows to notice; the category's own test does."""
    rare = [item for item in ITEMS if item.row.categories == ("C5S1",)][60:]
    items = [item for item in ITEMS if item not in rare]

    def forgets(row: Row) -> bool:
        return row.categories == ("C5S1",) and drawn(0.6)(row)

    loose = replace(TEXT, margin=0.05, placing_margin=0.1)
    report = decide(named(evidence(items, judged("new", items, forgets), judged("champion", items))), loose)
    assert failed(report) == ["C5 against the champion"]
    assert "of 60 rows" in finding(report, "C5").said


def test_a_slow_slide_is_stopped_at_the_first_release() -> None:
    """Each round no worse than the last by the margin, and all together far below the first."""
    first, champion = judged("first", ITEMS, drawn(0.05)), judged("champion", ITEMS, drawn(0.1))
    report = decide(named(evidence(ITEMS, judged("new", ITEMS, drawn(0.105)), champion, first)), TEXT)
    assert "text, request against the champion" not in failed(report)
    assert "text, request against the first release" in failed(report)


def test_a_guard_that_names_everything_novel_fails() -> None:
    new = judged("new", ITEMS)
    split, answers = new.splits[0]
    everything = {
        key: replace(said, kind=CategoryKind.NOVEL, code=None, name="x") if said.unsafe else said
        for key, said in answers.items()
    }
    report = decide(named(evidence(ITEMS, replace(new, splits=((split, everything),)), CHAMPION)), TEXT)
    assert failed(report) == ["detection against the champion", "description against the champion"]


def test_names_that_say_less_fail() -> None:
    new = judged("new", ITEMS)
    split, answers = new.splits[0]
    vague = {key: replace(said, name="Bad content") if said.novel else said for key, said in answers.items()}
    report = decide(named(evidence(ITEMS, replace(new, splits=((split, vague),)), CHAMPION)), TEXT)
    assert failed(report) == ["description against the champion"]


def test_no_encoder_no_verdict_on_names() -> None:
    report = decide(evidence(ITEMS, judged("new", ITEMS), CHAMPION), TEXT)
    assert report.reasons == ["description: no encoder to score names with"]


@pytest.mark.parametrize("key", ["engine", "quantisation", "prompts", "policy"])
def test_figures_of_another_way_of_serving_count_for_nothing(key: str) -> None:
    new = replace(judged("new", ITEMS), served=replace(SERVED, **{key: "another"}))
    report = decide(named(evidence(ITEMS, new, CHAMPION)), TEXT)
    assert failed(report) == ["how guards were asked"]
    assert f"new was asked with another for {key}" in report.reasons[0]


def test_nothing_trained_is_no_challenger() -> None:
    report = decide(named(evidence(ITEMS, replace(CHAMPION, run="new"), CHAMPION)), TEXT)
    assert failed(report) == ["the challenger's revision"]


def test_rows_that_were_trained_on_are_not_asked() -> None:
    """1,000 of 2,400 were, in other numbers and capitals: what is left is too little."""
    copied = [replace(item, row=replace(item.row, request=item.row.request.upper() + " ")) for item in ITEMS[:1000]]
    found = replace(named(evidence(ITEMS, judged("new", ITEMS), CHAMPION)), trained=marks.of(copied, {}))
    report = decide(found, replace(TEXT, fewest_novel=100))
    assert report.reasons == ["text: 1400 rows, 1500 are needed"]
    assert report.facts["rows_left_out_as_near_to_trained_ones_or_unanswered"] == 1000


def test_guards_must_have_answered_the_same_rows() -> None:
    new = judged("new", ITEMS[:-1])
    with pytest.raises(EvidenceError, match="did not answer the same rows"):
        decide(evidence(ITEMS, new, CHAMPION), TEXT)
    with pytest.raises(EvidenceError, match="same id"):
        decide(evidence([*ITEMS, ITEMS[0]], CHAMPION, CHAMPION), TEXT)


def test_a_signature_can_be_asked_for() -> None:
    found = named(evidence(ITEMS, judged("new", ITEMS), CHAMPION))
    report = decide(found, replace(TEXT, sign_off=True))
    assert report.outcome is Outcome.NEEDS_HUMAN
    assert report.reasons == ["the settings ask for a person's signature"]


def test_a_report_of_nothing_passes_nobody() -> None:
    assert Report({}, []).outcome is Outcome.FAILED


def test_the_report_is_written_for_both(tmp_path: Path) -> None:
    report = decide(named(evidence(ITEMS, judged("new", ITEMS, drawn(0.2, "other")), CHAMPION)), TEXT)
    again = decide(named(evidence(ITEMS, judged("new", ITEMS, drawn(0.2, "other")), CHAMPION)), TEXT)
    assert report.digest == again.digest
    write(report, tmp_path)
    said = json.loads((tmp_path / JSON_FILE).read_text())
    assert (said["outcome"], said["challenger"]["run"], said["rows"]) == ("failed", "new", {"text": 2400})
    text = (tmp_path / TEXT_FILE).read_text()
    assert text.startswith("# Gate: failed")
    assert report.digest in text
    assert all(item.row.request not in text for item in ITEMS)


def test_names_bring_no_markup_into_the_report() -> None:
    report = Report({}, [Finding("new category", "<b>x|y</b>`\n# z", Status.FAILED, "no")])
    line = next(line for line in report.as_markdown().splitlines() if "new category" in line)
    assert "<b>" not in line
    assert "\\|" in line
    assert line.endswith("| no |")


NAME = "Ghost gun kits"


def own_items(count: int, prefix: str = "n", when: str = "2026-11-20T00:00:00Z") -> list[Item]:
    rows = [item.row for item in text_items(2 * count, prefix) if item.row.unsafe]
    return [
        Item(
            replace(row, categories=(), ood_name=NAME),
            Origin.REVIEW,
            author=f"author of {row.id}",
            post_id=row.id,
            observed_at=when,
        )
        for row in rows
    ]


def with_arrival(items: list[Item], reviewers: int = 2, missed: float = 0.1, taken: float = 0.0) -> Evidence:
    """A challenger that finds most of a new category, which the champion calls something else."""
    new, champion = judged("new", ITEMS), CHAMPION
    says = Answer(UNSAFE, kind=CategoryKind.NOVEL, name="ghost GUN kits")
    misses = drawn(missed)
    found = {item.row.id: wrong(item.row) if misses(item.row) else says for item in items}
    before = {item.row.id: Answer(UNSAFE, kind=CategoryKind.KNOWN, code="C4S1") for item in items}
    others = {item.row.id: says for item in ITEMS if drawn(taken, "taken")(item.row)}
    made = named(evidence(ITEMS, with_answers(new, {**found, **others}), with_answers(champion, before)))
    arrival = Arrival(NAME, reviewers, items=tuple(items))
    trained = marks.of(own_items(80, "old", "2026-11-10T00:00:00Z"), {})
    return replace(made, arrivals=(arrival,), trained=trained)


def test_a_new_category_that_is_found_again_passes() -> None:
    report = decide(with_arrival(own_items(80)), TEXT)
    assert (report.outcome, report.reasons) == (Outcome.PASSED, [])
    assert "of 80 are found and named" in finding(report, "its own rows").said


@pytest.mark.parametrize("reviewers", [0, 1])
def test_a_new_category_needs_two_people(reviewers: int) -> None:
    report = decide(with_arrival(own_items(80), reviewers), TEXT)
    assert failed(report) == [f"{NAME}: approvals"]
    assert "To sign this report" not in report.as_markdown()  # no signature mends it
    assert report.reasons == [f"{NAME}: approvals: confirmed by {reviewers}, 2 people are needed"]


def test_a_new_category_that_is_not_found_again_fails() -> None:
    assert failed(decide(with_arrival(own_items(80), missed=0.6), TEXT)) == [f"{NAME}: its own rows"]


def test_a_new_category_that_takes_other_rows_fails() -> None:
    assert f"{NAME}: everything else" in failed(decide(with_arrival(own_items(80), taken=0.02), TEXT))


@pytest.mark.parametrize(
    ("spoilt", "reason"),
    [
        ({"origin": Origin.CONSENSUS}, "not reviewed"),
        ({"observed_at": "2026-11-10T00:00:00Z"}, "not later than what was trained on"),
        ({"observed_at": None}, "not later than what was trained on"),
        ({"author": "author of old0"}, "of an author that was trained on"),
        ({"author": "one and the same"}, "another one of the same author"),
        ({"author": None}, "of no known author"),
    ],
)
def test_rows_that_cannot_judge_a_new_category(spoilt: dict[str, object], reason: str) -> None:
    items = [replace(item, **spoilt) for item in own_items(80)]  # type: ignore[arg-type]
    report = decide(with_arrival(items), TEXT)
    assert report.outcome is Outcome.NEEDS_HUMAN
    assert reason in report.reasons[0]


def test_copies_of_trained_rows_cannot_judge_a_new_category() -> None:
    old = [item.row.request for item in own_items(80, "old")]
    items = [replace(item, row=replace(item.row, request=text)) for item, text in zip(own_items(80), old, strict=True)]
    report = decide(with_arrival(items), TEXT)
    assert "80 near to a row that was trained on" in report.reasons[0]


def test_copies_of_one_post_by_many_authors_judge_as_one() -> None:
    """Accounts of a campaign, later than all that was learned from, and near to none of it."""
    items = own_items(80)
    copies = [replace(each, row=replace(each.row, request=f"{items[0].row.request}!")) for each in items[30:]]
    report = decide(with_arrival([*items[:30], *copies]), TEXT)
    found = finding(report, "its own rows")
    assert (report.outcome, found.status) == (Outcome.NEEDS_HUMAN, Status.NOT_JUDGED)
    assert found.said == "30 fit rows, 50 are needed; 50 near to another one of them"


def test_pictures_that_are_gone_since_judge_no_new_category() -> None:
    items = own_items(80)
    shown = [replace(each, row=replace(each.row, images=("gone",))) for each in items[:10]]
    found = finding(decide(with_arrival([*shown, *items[10:]]), TEXT), "its own rows")
    assert found.figures["left_out"] == {"its picture is gone": 10}


def test_a_new_category_may_have_a_code() -> None:
    arrival = Arrival(NAME, 2, codes=("C12S1",))
    assert arrival.is_named(Answer(UNSAFE, kind=CategoryKind.KNOWN, code="C12S1"))
    assert not arrival.is_named(Answer(UNSAFE, kind=CategoryKind.KNOWN, code="C4S1"))
    assert not arrival.is_named(Answer(UNSAFE, kind=CategoryKind.HALLUCINATED, name=NAME))


def binomial(most: int, of: int, share: float) -> float:
    """P(X <= most)."""
    return sum(math.comb(of, hits) * share**hits * (1 - share) ** (of - hits) for hits in range(most + 1))


@pytest.mark.parametrize("rows", [1500, 2000])
def test_no_more_is_taken_for_a_new_category_than_is_promised_with_confidence(rows: int) -> None:
    passing = max(taken for taken in range(rows // 50) if arrivals._exact(taken, rows).high <= 0.01)
    assert binomial(passing, rows, 0.01) <= 0.025


@pytest.mark.parametrize("rows", [50, 60, 100])
def test_no_less_is_found_of_a_new_category_than_is_promised_with_confidence(rows: int) -> None:
    passing = min(found for found in range(rows) if arrivals._exact(found, rows).low >= 0.5)
    assert 1 - binomial(passing - 1, rows, 0.5) <= 0.025


def test_both_questions_about_a_new_category_are_judged_by_exact_intervals() -> None:
    report = decide(with_arrival(own_items(80)), TEXT)
    found, apart = finding(report, "its own rows"), finding(report, "everything else")
    hits = int(found.said.split()[0])
    assert found.figures["found"] == arrivals._exact(hits, 80).as_json()
    assert apart.figures["taken_for_it"] == arrivals._exact(0, len(ITEMS)).as_json()
