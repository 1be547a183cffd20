"""`retraining.labels = "consensus"`, with the sentence encoder as shipped: what crowds teach, and what they do not."""

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from proguard_core.dataset.items import Item, Origin
from proguard_core.evaluation.rows import Problems
from proguard_core.novelty.novelty import Novelty
from proguard_core.training.registry.champions import Champions
from proguard_core.training.registry.records import Step
from schemas.retraining_hit import RetrainingHit
from schemas.review import Decision
from tests.unit.dataset.builders import BEGAN, POLICY, hit, review
from tests.unit.retraining.test_rounds import Memory, Place
from worker.errors import ConfigurationError
from worker.local import emerging
from worker.retraining import consensus, judging, labels, run, snapshot
from worker.retraining.adapter_trainer import _new_names
from worker.retraining.run import End
from worker.retraining.settings import RetrainingSettings
from worker.retraining.snapshot import Snapshot
from worker.retraining.trainer import Lesson
from worker.settings import load

NAME = "Match fixing in sport"
ON, OFF = RetrainingSettings(labels="consensus"), RetrainingSettings()
TEXTS = emerging.texts(emerging.POSTS, 40, 1)


def crowd(count: int = 20, **fields: str) -> list[RetrainingHit]:
    """Posts of one kind a minute apart, each of its own author."""
    return [
        hit(f"post-{at}", TEXTS[at], **{"name": NAME, **fields}).model_copy(
            update={"observed_at": BEGAN + timedelta(minutes=at)}
        )
        for at in range(count)
    ]


def found_in(hits: Sequence[RetrainingHit], *reviews: object, settings: RetrainingSettings = ON) -> Snapshot:
    return consensus.with_crowds(Snapshot(hits, reviews), settings, POLICY, Novelty(POLICY))  # type: ignore[arg-type]


def items_of(found: Snapshot) -> list[Item]:
    return labels.labelled(found, POLICY, Problems()).items


def test_a_crowd_of_many_authors_with_one_name_is_labelled() -> None:
    found = found_in(crowd())
    items = items_of(found)
    assert len(items) >= 15
    assert {item.origin for item in items} == {Origin.CONSENSUS}
    assert {item.row.ood_name for item in items} == {NAME}
    assert labels.newly_labelled(found, POLICY, Problems()) == len(items)


def test_by_default_it_trains_on_none() -> None:
    problems = Problems()
    found = found_in(crowd(), settings=OFF)
    assert not found.crowds
    assert labels.newly_labelled(found, POLICY, problems) == 0
    assert problems.counts == {"not reviewed (waits)": 20}


def test_a_weak_majority_labels_nothing() -> None:
    hits = [
        each.model_copy(update={"name": "Sports corruption"}) if at % 3 == 0 else each
        for at, each in enumerate(crowd(21))
    ]
    found = found_in(hits)
    assert found.crowds
    assert not items_of(found)


def test_the_flood_of_one_author_labels_nothing_nor_do_posts_of_no_known_author() -> None:
    flood = found_in(crowd(author="one"))
    assert flood.crowds
    assert not items_of(flood)
    assert not found_in([_of(each, None) for each in crowd()]).crowds


def test_four_authors_are_too_few() -> None:
    found = found_in([_of(each, f"author-{at % 4}") for at, each in enumerate(crowd())])
    assert found.crowds
    assert not items_of(found)


def _of(one: RetrainingHit, author: str | None) -> RetrainingHit:
    return one.model_copy(update={"post": one.post.model_copy(update={"author_id": author})})


@pytest.mark.parametrize(
    "said",
    [
        {"decision": Decision.REJECT},
        {"decision": Decision.MERGE, "code": "C6S1"},
        {"decision": Decision.RENAME, "name": "Rigged lotteries"},
        {"decision": Decision.CONFIRM, "name": NAME, "code": "C6S1"},
    ],
)
@pytest.mark.parametrize("target", ["post-3", "cluster 1"])
def test_one_review_that_says_something_else_leaves_a_crowd_to_people(target: str, said: dict[str, Any]) -> None:
    one = review(target, **said, posts=["post-3"] if target == "cluster 1" else [])
    found = found_in(crowd(), one)
    assert not found.crowds
    assert [item.origin for item in items_of(found)] == [Origin.REVIEW]
    taken_back = [one, one.model_copy(update={"review_id": "back", "undoes": one.review_id, "reviewer": "grace"})]
    assert found_in(crowd(), *taken_back).crowds


def test_beside_posts_that_people_confirmed_the_others_of_a_crowd_are_labelled_and_new_again() -> None:
    alone = found_in(crowd())
    said = [review("post-3", Decision.CONFIRM, who, name=NAME.upper()) for who in ("ada", "grace")]
    both = found_in(crowd(), *said)
    origins = {item.row.id: item.origin for item in items_of(both)}
    assert origins.pop("post-3") is Origin.REVIEW
    assert set(origins.values()) == {Origin.CONSENSUS}
    assert len(origins) == len(items_of(alone)) - 1
    assert labels.approvals(both.reviews, POLICY) == {NAME.upper(): 2}
    known = replace(both, old_hits=frozenset(each.post_id for each in both.hits))
    assert labels.newly_labelled(known, POLICY, Problems()) == len(items_of(both))
    kept = labels.kept(both, POLICY, Novelty(POLICY), Problems())
    assert items_of(kept) == items_of(both)


def test_reviewers_who_disagree_about_a_cluster_leave_it_without_a_label() -> None:
    posts = [each.post_id for each in crowd()]
    disagreeing = [
        review("cluster 1", Decision.CONFIRM, name=NAME, posts=posts),
        review("cluster 1", Decision.REJECT, "grace", posts=posts),
    ]
    others = [hit(f"other-{at}", text, name="Ticket touting") for at, text in enumerate(TEXTS[20:])]
    both = found_in(crowd(), *disagreeing)
    assert not items_of(both)
    forced = Snapshot([*crowd(), *others], disagreeing, crowds={"\x1f0": [each.post_id for each in others]})
    assert {item.row.ood_name for item in items_of(forced)} == {"Ticket touting"}


def test_nothing_near_to_minors_is_even_looked_at() -> None:
    novelty = Novelty(POLICY)
    assert not consensus.crowds(Snapshot(crowd(nearest="C11S1"), []), POLICY, novelty)
    assert not consensus.crowds(Snapshot(crowd(name="Sexual images of children"), []), POLICY, novelty)


def test_the_same_hits_give_the_same_crowds_in_any_order_and_no_review_can_name_one() -> None:
    hits = crowd()
    found = found_in(hits).crowds
    assert found == found_in(hits[::-1]).crowds
    (name,) = found
    with pytest.raises(ValueError, match="cluster"):
        review("cluster 1", Decision.REJECT).model_validate(
            review("cluster 1", Decision.REJECT).model_dump() | {"cluster": name}
        )


def test_what_is_kept_of_a_snapshot_has_the_same_labels(tmp_path: Path) -> None:
    found = found_in([*crowd(), *(hit(f"stray-{at}") for at in range(5))])
    kept = labels.kept(found, POLICY, Novelty(POLICY), Problems())
    kept.write(tmp_path)
    again = snapshot.load(tmp_path)
    assert items_of(again) == items_of(found)
    assert again.crowds == kept.crowds


def test_the_gate_keeps_no_row_that_nobody_reviewed() -> None:
    parted = labels.part(found_in(crowd()), POLICY, 0.4, Problems())
    assert not parted.gate
    assert not parted.approvals
    assert not parted.additions
    assert len(parted.train) >= 15


def test_the_gate_refuses_a_new_name_that_no_person_confirmed(tmp_path: Path) -> None:
    topics = Memory()
    place = Place(tmp_path / "one", topics)
    assert place.round().end is End.NOTHING
    done = place.round(labels="consensus")
    assert done.end is End.REFUSED, done
    assert "confirmed by 0, 2 people are needed" in done.said
    assert [each.cause for each in Champions(place.registry).history()] == ["release"]
    (begun,) = place.begun
    assert begun.record.config["labels"] == "consensus"
    gate = begun.finished(Step.DATASET).facts["gate_rows"]
    assert gate == 0


def test_what_was_held_out_of_consensus_judges_nobody(tmp_path: Path) -> None:
    row = {"source": "stream", "request": "Bet on the keeper.", "request_label": "unsafe", "ood_name": NAME}
    rows = [{**row, "id": origin, "origin": origin} for origin in Origin]
    (tmp_path / "held_out.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    found = judging._rows(tmp_path / "held_out.jsonl", "held out", Origin.BASE, POLICY)
    assert {item.row.id for item in found} == {"held out: review", "held out: own", "held out: base"}


def test_a_chat_models_new_names_are_those_of_consensus_too(tmp_path: Path) -> None:
    row = {"ood_name": NAME, "request_label": "unsafe"}
    rows = [{**row, "origin": origin, "ood_name": f"{NAME} {origin}"} for origin in Origin]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    names = _new_names(Lesson("run", tmp_path, tmp_path, tmp_path))
    assert names == [f"{NAME} consensus", f"{NAME} review"]


def test_without_scikit_learn_it_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "sklearn" else there(name))
    consensus.check(OFF)
    tables = {
        "guard": {"engine": "embedded"},
        "retraining": {"registry": str(tmp_path / "registry"), "labels": "consensus"},
    }
    with pytest.raises(ConfigurationError, match=r"scikit-learn: .*pip install -e '\.\[console\]'"):
        run.once(load(None, tables), POLICY)
    assert not (tmp_path / "registry").exists()
