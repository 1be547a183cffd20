"""What a stranger or a careless reviewer may try: around the law on minors, past each other, and out of order."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, select

from schemas.review import Decision
from tests.support.console_pages import cluster, row_of, seed, visiting
from tests.support.risks import NOW
from worker.console.store import Store, erasing, reviewing
from worker.console.store.models import ClusterState, QueueRow, ReviewRow
from worker.console.store.reviewing import Decided, ReviewError

_SECRET = "a name that tells it"


def decide(store: Store, minute: int, decision: Decision, *, two: bool = False, **said: Any) -> str:
    """Of rita on R2 as it is; the id of the review."""
    decided = Decided(decision, "rita", version=row_of(store).version, **said)
    with store.writing() as session:
        at = NOW + timedelta(minutes=minute)
        return reviewing.decide(session, "R2", decided, at, two_persons=two).review.review_id


def undo(store: Store, review_id: str) -> None:
    with store.writing() as session:
        reviewing.undo(session, review_id, "ron", NOW + timedelta(hours=1))


def test_what_was_withheld_stays_so_with_all_that_became_part_of_it(filled: Store) -> None:
    with filled.writing() as session:
        session.add(cluster("R8", _SECRET, state=ClusterState.GONE, successor="R3"))
    named = decide(filled, 1, Decision.RENAME, name=_SECRET)
    decide(filled, 2, Decision.MERGE, code="C11S1")
    with visiting(filled, "rita") as visitor:
        for decision in ({"decision": "reject"}, {"decision": "rename", "name": "harmless"}):
            body = {**decision, "version": row_of(filled).version}
            assert visitor.send("/api/clusters/R2/decisions", body).status_code == 422
        assert visitor.send(f"/api/reviews/{named}/undo", None).status_code in (415, 422)
        for address in ("/clusters/R2", "/api/clusters/R2/reviews", "/api/clusters/R2/history", "/api/clusters/R8"):
            assert _SECRET not in visitor.get(address).text
        assert "Old name" not in visitor.get("/api/clusters/R3").text
        assert "/reviews/undo" not in visitor.get("/clusters/R2").text
    with pytest.raises(ReviewError, match="for good"):
        undo(filled, named)
    assert {row_of(filled, each).name for each in ("R2", "R3", "R8")} == {"(withheld)"}


def test_on_what_is_near_to_minors_nothing_is_decided_but_that_it_goes(filled: Store) -> None:
    with visiting(filled, "rita") as visitor:
        renaming = {"decision": "rename", "version": 1, "name": "harmless"}
        assert visitor.send("/api/clusters/R4/decisions", renaming).status_code == 422
        for query in ("not to be read", "not to"):
            for page in ("/search", "/clusters"):
                assert "R4" not in visitor.get(f"{page}?q={query}").text
        merging = {"decision": "merge", "version": 1, "code": "C11"}
        assert visitor.send("/api/clusters/R4/decisions", merging).status_code == 201
    assert row_of(filled, "R4").code == "C11"


def test_a_first_of_two_that_speaks_of_minors_can_be_withdrawn_while_it_does_not_count(filled: Store) -> None:
    first = decide(filled, 1, Decision.MERGE, two=True, code="C11S1")
    undo(filled, first)
    assert row_of(filled).state is ClusterState.OPEN


@pytest.mark.parametrize("backwards", [True, False])
def test_decisions_may_be_withdrawn_in_any_order(filled: Store, backwards: bool) -> None:
    confirmed = decide(filled, 1, Decision.CONFIRM, name="First", code="C12")
    renamed = decide(filled, 2, Decision.RENAME, name="Second")
    undo(filled, renamed if backwards else confirmed)
    found = row_of(filled)
    assert (found.state.value, found.name) == (("confirmed", "First") if backwards else ("open", "Second"))
    undo(filled, confirmed if backwards else renamed)
    found = row_of(filled)
    assert (found.state.value, found.name, found.named_by, found.code) == ("open", "Ticket touting", None, None)


def test_a_decision_of_another_console_is_withdrawn_without_changing_ours(filled: Store) -> None:
    with filled.writing() as session:
        facts: dict[str, Any] = {"decision": "reject", "reviewer": "elsewhere", "reviewed_at": NOW, "published_at": NOW}
        session.add(ReviewRow(review_id="theirs", cluster_id="R2", **facts))
    decide(filled, 1, Decision.CONFIRM, name="Ours")
    undo(filled, "theirs")
    assert row_of(filled).name == "Ours"


def test_a_plan_made_meanwhile_is_not_overwritten(filled: Store) -> None:
    with visiting(filled, "rita") as first, visiting(filled, "ron") as second:
        made = {"version": "1", "severity": "high", "action": "watch", "owner": "rita", "due": ""}
        assert first.post("/clusters/R2/plan", **made).status_code == 303
        late = second.post("/clusters/R2/plan", **{**made, "severity": "low", "owner": "ron-himself"})
        assert late.status_code == 409
        assert 'value="ron-himself"' in late.text
        by_api = second.send("/api/clusters/R2/plan", {"severity": "low", "version": 1}, "PUT")
        assert by_api.status_code == 409
        assert second.send("/api/clusters/R2/plan", {"severity": "low", "version": 2}, "PUT").status_code == 200
    assert (row_of(filled).severity, row_of(filled).owner) == ("low", None)


@pytest.mark.parametrize(
    "body",
    [
        {"decision": "merge", "code": "C77"},
        {"decision": "reject", "code": "C11S1"},
        {"decision": "rename", "name": "x", "synonyms": ["y"]},
    ],
)
def test_decisions_that_would_say_what_nobody_means_are_refused(filled: Store, body: dict[str, Any]) -> None:
    with visiting(filled, "rita") as visitor:
        assert visitor.send("/api/clusters/R2/decisions", {**body, "version": 1}).status_code == 422
    assert row_of(filled).state is ClusterState.OPEN


def test_a_post_that_is_safe_has_no_category(filled: Store) -> None:
    with visiting(filled, "rita") as visitor:
        assert visitor.send("/api/queue/1/label", {"label": "safe", "code": "C11S1"}).status_code == 422
        assert visitor.send("/api/queue/1/label", {"label": "safe"}).status_code == 200


def test_pictures_of_sampled_posts_are_for_those_who_label_them(filled: Store) -> None:
    with visiting(filled, "vera") as viewer, visiting(filled, "rita") as reviewer:
        assert viewer.get("/picture?post=1").status_code == 403
        assert reviewer.get("/picture?post=1").status_code == 404


def test_erasing_a_post_by_the_api_is_in_the_audit_log(filled: Store) -> None:
    with visiting(filled, "ada", groups="safety-leads") as admin:
        assert admin.send("/api/erase", {"post_id": "post-20"}).json()["risks"] == 1
        said = admin.get("/audit").text
        assert "erase_post" in said
        assert erasing.post_hash("post-20") in said
        assert "post-20" not in said


def test_age_forgets_pictures_of_sampled_posts_that_have_nothing_else(filled: Store) -> None:
    with filled.writing() as session:
        row = session.scalars(select(QueueRow)).one()
        row.text, row.author_id, row.label = None, None, "safe"
        row.images = [{"uri": "s3://pictures/a.png"}]
    with filled.writing() as session:
        erasing.sweep(session, NOW + timedelta(days=91), 90)
    with filled.reading() as session:
        assert session.scalars(select(QueueRow)).one().images == []


def test_a_page_beyond_the_last_says_so(filled: Store) -> None:
    with visiting(filled) as visitor:
        assert "None here, 12 before" in visitor.get("/clusters?offset=5000").text


def test_a_store_that_is_full_says_so_reads_on_and_keeps_nothing_by_half(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'risks.db'}", create=True)
    seed(store)

    @event.listens_for(store.engine, "begin")
    def bounded(connection: Connection) -> None:
        # SQLite takes the pages that it has for the least that it may have.
        connection.exec_driver_sql("PRAGMA max_page_count = 1")

    with visiting(store, "rita") as visitor:
        said = {"decision": "confirm", "version": "1"}
        for at in range(200):
            note = {"name": f"{at} ".ljust(100, "x"), "note": "y" * 2000}
            refused = visitor.post("/clusters/R2/decide", **{**said, **note, "version": str(at + 1)})
            if refused.status_code != 303:
                break
        assert (refused.status_code, "is full, nothing was written" in refused.text) == (503, True)
        assert visitor.get("/clusters/R2").status_code == 200
        assert visitor.get("/export/clusters.csv").status_code == 200
    assert row_of(store).version == at + 1
    with store.reading() as session:
        assert len(reviewing.reviews_of(session, "R2")) == at
    store.close()
