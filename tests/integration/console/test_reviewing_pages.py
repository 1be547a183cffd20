"""Decisions by form and API: conflicts are shown and overwrite nothing, undoing is a record, drafts are policies."""

import pytest
from sqlalchemy import select

from proguard_core.policy.loader import load_policy, parse_policy
from schemas.review import Decision, Review
from tests.support.console_pages import row_of, settings_of, visiting
from worker.console.policy_draft import DraftError, draft
from worker.console.store import Store, outbox
from worker.console.store.models import ClusterRow, QueueRow, ReviewRow
from worker.console.web.policies import policy_file

CONFIRM = {"decision": "confirm", "name": "Ticket touting", "version": "1", "synonyms": "Scalping\n\n Touts "}


def records(store: Store) -> list[Review]:
    """What goes to the topic, in its order."""
    with store.reading() as session:
        return outbox.due(session)


def test_two_reviewers_at_once_are_told_and_nothing_is_overwritten(filled: Store) -> None:
    with visiting(filled, "rita") as first, visiting(filled, "ron") as second:
        assert first.post("/clusters/R2/decide", **CONFIRM).status_code == 303
        late = {"decision": "reject", "version": "1", "note": "no risk"}
        conflict = second.post("/clusters/R2/decide", **late)
        assert conflict.status_code == 409
        assert "changed by someone else" in conflict.text
        assert "as it is now" in conflict.text
        by_api = second.send("/api/clusters/R2/decisions", {"decision": "reject", "version": 1})
        assert (by_api.status_code, by_api.json()["cluster"]["version"]) == (409, 2)
    assert row_of(filled).state.value == "confirmed"
    (record,) = records(filled)
    assert (record.decision, record.reviewer, record.synonyms) == (Decision.CONFIRM, "rita", ["Scalping", "Touts"])
    assert set(record.posts) == {"post-20", "post-21", "post-22"}


def test_undoing_is_another_record_and_the_cluster_is_as_before(filled: Store) -> None:
    with visiting(filled, "rita") as visitor:
        visitor.post("/clusters/R2/decide", **CONFIRM)
        review_id = records(filled)[0].review_id
        assert "Undo" in visitor.get("/clusters/R2").text
        assert visitor.post("/reviews/undo", review=review_id).status_code == 303
        assert visitor.post("/reviews/undo", review=review_id).status_code == 409
        assert visitor.post("/reviews/undo", review="unknown").status_code == 409
        assert visitor.send(f"/api/reviews/{review_id}/undo", {}).status_code == 422
    assert row_of(filled).state.value == "open"
    assert {each.undoes for each in records(filled)} == {None, review_id}


def test_a_second_person_makes_it_count(filled: Store) -> None:
    with visiting(filled, "rita", two_persons=True) as first, visiting(filled, "ron", two_persons=True) as second:
        body = {"decision": "confirm", "name": "Ticket touting", "version": 1}
        assert first.send("/api/clusters/R2/decisions", body).json()["counts"] is False
        assert row_of(filled).state.value == "open"
        assert second.send("/api/clusters/R2/decisions", {**body, "version": 2}).json()["counts"] is True
        said = [(each["reviewer"], each["counts"]) for each in first.get("/api/clusters/R2/reviews").json()]
        assert sorted(said) == [("rita", True), ("ron", True)]
    assert row_of(filled).state.value == "confirmed"


def test_one_person_is_one_however_they_are_written(filled: Store) -> None:
    for version, name in enumerate(("rita", "Rita"), 1):
        with visiting(filled, name, two_persons=True, reviewers=["rita", "Rita"]) as visitor:
            said = visitor.send("/api/clusters/R2/decisions", {"decision": "reject", "version": version})
            assert (said.status_code, said.json()["counts"]) == (201, False)
            told = visitor.get("/api/clusters/R2/reviews").json()
            assert [each["counts"] for each in told] == [False] * version
    assert row_of(filled).state.value == "open"


@pytest.mark.parametrize(
    "said",
    [
        {"decision": "rename", "name": "   "},
        {"decision": "confirm", "name": "\u3000"},
        {"decision": "merge", "code": "C3S1", "synonyms": [" "]},
    ],
)
def test_a_name_of_blanks_is_none(filled: Store, said: dict[str, object]) -> None:
    with visiting(filled, "rita") as visitor:
        assert visitor.send("/api/clusters/R2/decisions", {"version": 1, **said}).status_code == 422
    assert records(filled) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"decision": "confirm", "version": "1", "name": ""},
        {"decision": "confirm", "version": "1", "name": "x" * 10_000},
        {"decision": "confirm", "version": "1", "name": "two\nlines"},
        {"decision": "merge", "version": "1", "code": ""},
        {"decision": "merge", "version": "1", "code": "C3; DROP TABLE"},
        {"decision": "confirm", "version": "one", "name": "a"},
        {"decision": "burn", "version": "1"},
        {"decision": "merge", "version": "1", "code": "C3S1", "synonyms": "\n".join(map(str, range(99)))},
    ],
)
def test_wrong_decisions_are_told_what_is_wrong(filled: Store, fields: dict[str, str]) -> None:
    with visiting(filled, "rita") as visitor:
        answer = visitor.post("/clusters/R2/decide", **fields)
        assert answer.status_code == 422
        assert "Nothing was written" in answer.text
    assert records(filled) == []


def test_decisions_on_what_has_just_merged_or_never_was(filled: Store) -> None:
    with visiting(filled, "rita") as visitor:
        gone = visitor.post("/clusters/R3/decide", **CONFIRM)
        assert gone.status_code == 409
        assert "part of R2" in gone.text
        assert visitor.post("/clusters/R999/decide", **CONFIRM).status_code == 404
        assert visitor.send("/api/clusters/R3/snooze", {"days": 1}).status_code == 409


def test_what_a_person_merges_into_minors_leaves_the_store(filled: Store) -> None:
    with visiting(filled, "rita") as visitor:
        merged = {"decision": "merge", "code": "C11S1", "version": "1", "synonyms": "words of it"}
        assert visitor.post("/clusters/R5/decide", **merged).status_code == 303
        page = visitor.get("/clusters/R5").text + visitor.get("/export/clusters/R5.json").text
        assert "a hard text" not in page
        assert "words of it" not in page
        assert "words of it" not in visitor.get("/api/clusters/R5/reviews").text
        assert visitor.get("/clusters/R5/policy.diff").status_code == 404


def test_posts_are_labelled_one_after_the_other_without_a_word_of_how_they_came(filled: Store) -> None:
    with visiting(filled, "rita") as visitor:
        page = visitor.get("/review/post").text
        assert "sampled &lt;script&gt;" in page
        assert "stratum" not in page
        assert visitor.post("/review/post", post="1", label="unsafe", code="C3S1").status_code == 303
        assert visitor.post("/review/post", post="1", label="safe").status_code == 409
        assert visitor.post("/review/post", post="1", label="perhaps").status_code == 409
        assert visitor.post("/review/post/undo", post="1").status_code == 303
        assert visitor.post("/review/post", post="1", label="unsafe", code="C99").status_code == 409
    with filled.reading() as session:
        assert session.scalar(select(QueueRow.label)) is None


def test_members_are_decided_on_alone_and_give_a_precision(filled: Store) -> None:
    with visiting(filled, "rita") as visitor:
        for number, said in ((20, "right"), (21, "right"), (22, "wrong")):
            answer = visitor.post("/risk/decide", risk=f"moderation.posts-0-{number}", decision=said)
            assert answer.headers["location"] == "/clusters/R2#members"
        assert "66.7 %" in visitor.get("/clusters/R2").text
        for nothing in ({}, {"decision": "nonsense"}):
            assert visitor.post("/risk/decide", risk="moderation.posts-0-20", **nothing).status_code == 422
    assert sorted(each.post or "" for each in records(filled)) == ["post-20", "post-21", "post-22"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"decision": "confirm", "name": "Scalping"}, (Decision.CONFIRM, "Scalping", None)),
        ({"decision": "rename", "name": "Scalping"}, (Decision.CONFIRM, "Scalping", None)),
        ({"decision": "merge", "code": "C1S2"}, (Decision.MERGE, None, "C1S2")),
        ({"decision": "reject"}, (Decision.CONFIRM, "Ticket touting", None)),
    ],
)
def test_a_member_that_is_a_risk_as_named_is_what_its_cluster_is(
    filled: Store, said: dict[str, str], expected: tuple[Decision, str | None, str | None]
) -> None:
    with visiting(filled, "rita") as visitor:
        visitor.post("/clusters/R2/decide", version="1", **said)
        assert visitor.post("/risk/decide", risk="moderation.posts-0-20", decision="right").status_code == 303
    (record,) = [each for each in records(filled) if each.post]
    assert (record.decision, record.name, record.code) == expected


def test_a_confirmed_category_becomes_a_draft_that_is_a_policy(filled: Store) -> None:
    with visiting(filled, "rita") as visitor:
        assert visitor.get("/clusters/R2/policy.diff").status_code == 409
        visitor.post("/clusters/R2/decide", **CONFIRM)
        diff = visitor.get("/clusters/R2/policy.diff")
        assert diff.headers["content-disposition"] == 'attachment; filename="policy-R2.diff"'
        assert "+  - code: C12" in diff.text
        assert '+      - "Scalping"' in diff.text
    file = policy_file(settings_of())
    with filled.reading() as session:
        reviews = list(session.scalars(select(ReviewRow)))
    text = draft(file.text, file.policy, row_of(filled), reviews)
    drafted = parse_policy(text.encode(), "draft.yaml", "draft")
    assert drafted.categories["C12"].name == "Ticket touting"
    assert drafted.codes - load_policy().codes == {"C12"}
    again = draft(text, drafted, ClusterRow(name="Other", state=row_of(filled).state, code=None), [])
    assert parse_policy(again.encode(), "draft.yaml", "draft").categories["C13"].name == "Other"
    with pytest.raises(DraftError, match="already"):
        draft(text, drafted, row_of(filled), reviews)


def test_a_draft_takes_the_phrases_of_decisions_that_count_for_its_category(filled: Store) -> None:
    decided = (
        ("rita", {"code": "C1S2", "synonyms": ["Of one person"]}),
        ("ron", {"code": "C3S1", "synonyms": ["Good phrase"]}),
        ("zoe", {"code": "C3S1", "synonyms": ["Good phrase"]}),
    )
    for version, (name, said) in enumerate(decided, 1):
        with visiting(filled, name, "safety-leads", two_persons=True) as visitor:
            body = {"decision": "merge", "version": version, **said}
            assert visitor.send("/api/clusters/R2/decisions", body).status_code == 201
            diff = visitor.get("/clusters/R2/policy.diff")
    assert [line.strip("+ ") for line in diff.text.splitlines() if line.startswith("+ ")] == ['- "Good phrase"']
    with visiting(filled, "rita") as visitor:
        body = {"decision": "merge", "version": 4, "code": "C1S2", "synonyms": ["Of the other one"]}
        visitor.send("/api/clusters/R2/decisions", body)
        diff = visitor.get("/clusters/R2/policy.diff")
    assert [line.strip("+ ") for line in diff.text.splitlines() if line.startswith("+ ")] == ['- "Of the other one"']
