"""Law 11 where a person says it in words alone: by form, by API, on one post, and on another console."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from proguard_core.novelty.encoder import SentenceEncoder
from proguard_core.novelty.novelty import Novelty
from proguard_core.policy.loader import load_policy
from schemas.review import Decision, Review
from tests.support.console_pages import cluster, row_of, visiting
from tests.support.risks import NOW, new_risk
from worker.console.mining.intake import Batch
from worker.console.mining.miner import Miner
from worker.console.settings import ConsoleSettings
from worker.console.store import Store
from worker.console.store.models import ClusterState, ReviewRow, RiskRow

OWN = "Inappropriate Exposure of Minors"


@pytest.mark.parametrize(
    "said",
    [
        {"decision": "confirm", "name": OWN},
        {"decision": "confirm", "name": "Ticket touting", "synonyms": "Undressed children"},
        {"decision": "rename", "name": "CSAM"},
        {"decision": "merge", "code": "C1S2", "synonyms": "Child sexual abuse pictures"},
    ],
)
@pytest.mark.parametrize("two", [False, True])
def test_a_name_of_minors_is_refused_and_the_way_out_is_said(filled: Store, said: dict[str, str], two: bool) -> None:
    with visiting(filled, "rita", two_persons=two) as visitor:
        by_form = visitor.post("/clusters/R2/decide", version="1", **said)
        synonyms = said.get("synonyms")
        body = {**said, "version": 1, "synonyms": [synonyms] if synonyms else []}
        by_api = visitor.send("/api/clusters/R2/decisions", body)
        for answer in (by_form, by_api):
            assert answer.status_code == 422
            assert "merge it into C11S1 instead" in answer.text
        assert visitor.send("/api/clusters/R2/decisions", {"decision": "merge", "code": "C11S1", "version": 1})
    with filled.reading() as session:
        assert [row.code for row in session.scalars(select(ReviewRow))] == ["C11S1"]


def test_a_cluster_that_has_such_a_name_already_is_withheld(filled: Store) -> None:
    with filled.writing() as session:
        row = session.get_one(type(cluster("R2", "")), "R2")
        row.name, row.state = OWN, ClusterState.CONFIRMED
    with visiting(filled, "rita") as visitor:
        pages = [visitor.get(address).text for address in ("/clusters/R2", "/export/clusters/R2.csv", "/search")]
        assert "text of post 20" not in "".join(pages)
        assert OWN not in "".join(pages)
        assert visitor.post("/clusters/R2/decide", version="1", decision="reject").status_code == 422
        assert visitor.post("/clusters/R2/decide", version="1", decision="merge", code="C11S1").status_code == 303
    assert row_of(filled).name == "(withheld)"


def test_another_consoles_words_are_a_merge_into_minors(store: Store) -> None:
    miner = Miner(store, ConsoleSettings(), SentenceEncoder(), Novelty(load_policy(None)), lambda: NOW)
    first, said = Batch(), Batch()
    for number in range(5):
        new = new_risk(number, observed_at=NOW - timedelta(minutes=9))
        first.arrivals.risks[new.risk.risk_id] = new
    miner.take(first)
    whole = {"reviewer": "eve", "reviewed_at": NOW, "cluster": "other-R9"}
    confirmed = Review(review_id="r1", posts=["post-1"], decision=Decision.CONFIRM, name=OWN, **whole)
    said.reviews += [
        confirmed,
        Review(review_id="r2", posts=["post-2"], decision=Decision.RENAME, name="CSAM", **whole),
        Review(
            review_id="r3",
            posts=["post-3"],
            decision=Decision.MERGE,
            code="C1S2",
            synonyms=["Undressed children"],
            **whole,
        ),
        Review(review_id="r4", posts=["post-4"], decision=Decision.CONFIRM, name="Ticket touting", **whole),
        confirmed.model_copy(update={"review_id": "r5", "posts": ["post-0"], "undoes": "r1"}),
    ]
    miner.take(said)
    miner.take(first)  # read again: they do not come back
    with store.reading() as session:
        assert set(session.scalars(select(RiskRow.post_id))) == {"post-0", "post-4"}
        rows = {row.review_id: row for row in session.scalars(select(ReviewRow))}
    for review_id in ("r1", "r2", "r3", "r5"):
        row = rows[review_id]
        assert (row.decision, row.code, row.name, row.synonyms) == ("merge", "C11S1", None, [])
    assert (rows["r4"].decision, rows["r4"].name) == ("confirm", "Ticket touting")
