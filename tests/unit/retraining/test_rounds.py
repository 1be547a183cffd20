"""Rounds of the loop without a broker: killed before and after every record of the registry, it ends the same."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from proguard_core.dataset.builder import ERASED
from proguard_core.novelty.novelty import Novelty
from proguard_core.policy.loader import load_policy
from proguard_core.policy.policy import Policy
from proguard_core.training.embedded.heads.replay import replay_items
from proguard_core.training.promotion import sign
from proguard_core.training.registry.champions import Champions
from proguard_core.training.registry.folder import FolderStore
from proguard_core.training.registry.records import Step
from proguard_core.training.registry.runs import Registry, Run
from schemas.review import Decision, Review
from tests.unit.dataset.builders import BEGAN, hit
from tests.unit.training.registry.builders import Clock, registry_of
from worker.local import emerging
from worker.retraining.labels import write_items
from worker.retraining.run import End, Round, go_on
from worker.retraining.settings import RetrainingSettings
from worker.retraining.snapshot import Ends, Snapshot, Topics
from worker.retraining.steps import Bench

POLICY = load_policy()
CATEGORY = emerging.category()
POSTS = 45
# The sixth record: run, training, entry and champion.json of the release, then run and snapshot.
SNAPSHOT_KEPT = 6


class Killed(BaseException):
    """No handler of ours catches it, as none would a kill."""


class Dying(FolderStore):
    """Dies at its n-th record, before or after that is written; -1: never."""

    def __init__(self, folder: Path, at: int = -1, *, written: bool = False) -> None:
        super().__init__(folder)
        self._left = at
        self._done_first = written

    def create(self, key: str, body: bytes) -> str:
        return self._counted(lambda: super(Dying, self).create(key, body))

    def replace(self, key: str, body: bytes, tag: str) -> str:
        return self._counted(lambda: super(Dying, self).replace(key, body, tag))

    def _counted(self, write: Callable[[], str]) -> str:
        self._left -= 1
        if self._left == 0 and not self._done_first:
            raise Killed
        tag = write()
        if self._left == 0:
            raise Killed
        return tag


class Memory(Topics):
    """Both topics as lists, and what was committed."""

    def __init__(self) -> None:
        self.hits = [
            hit(f"post-{at}", text).model_copy(update={"observed_at": BEGAN + timedelta(minutes=at)})
            for at, text in enumerate(emerging.texts(emerging.POSTS, POSTS, 1))
        ]
        self.reviews: list[Review] = []
        self.erased: frozenset[str] = frozenset()
        self.committed: Ends = {}

    def review(self, *reviewers: str, posts: int = POSTS) -> None:
        self.reviews += [
            Review(
                review_id=f"{reviewer} {each.post_id}",
                post=each.post_id,
                decision=Decision.CONFIRM,
                name=CATEGORY.name,
                reviewer=reviewer,
                reviewed_at=BEGAN,
            )
            for reviewer in reviewers
            for each in self.hits[:posts]
        ]

    def snapshot(self) -> Snapshot:
        seen = self.committed.get("hits", {}).get(0, 0), self.committed.get("reviews", {}).get(0, 0)
        return Snapshot(
            [each for each in self.hits if each.post_id not in self.erased],
            self.reviews,
            {"hits": {0: len(self.hits)}, "reviews": {0: len(self.reviews)}},
            frozenset(each.post_id for each in self.hits[: seen[0]]),
            frozenset(each.review_id for each in self.reviews[: seen[1]]),
        )

    def erased_since(self, ends: Ends) -> frozenset[str]:
        return self.erased

    def commit(self, ends: Ends) -> None:
        self.committed = ends


class Place:
    """A registry in a folder, and rounds on it."""

    def __init__(self, folder: Path, topics: Memory, policy: Policy = POLICY) -> None:
        self.folder = folder
        self.policy = policy
        self.topics = topics
        self.rounds = 0
        self.clock = Clock()
        self.replay = folder / "replay.jsonl"
        folder.mkdir(parents=True)
        write_items(replay_items(0, 50, 50), self.replay)

    @property
    def registry(self) -> Registry:
        return registry_of(FolderStore(self.folder / "registry"))

    @property
    def begun(self) -> list[Run]:
        """The runs but for the release."""
        return [self.registry.run(run) for run in self.registry.run_ids() if not run.startswith("release-")]

    def round(self, at: int = -1, *, written: bool = False, **settings: object) -> Round:
        self.rounds += 1
        self.clock.move(60)
        work = self.folder / f"work-{self.rounds}"
        work.mkdir(parents=True)
        store = Dying(self.folder / "registry", at, written=written)
        own = RetrainingSettings.model_validate({"min_new": 20, "replay": [self.replay], **settings})
        bench = Bench(own, self.policy, registry_of(store, self.clock), self.topics, work, Novelty(self.policy))
        return go_on(bench, lambda: None, lambda text: None)

    def to_the_end(self) -> Round:
        """Killed before the next record, after it, and after the one behind, until there is none left.

        A promotion begins with an entry of another name each time, so one record at a time would never pass it.
        """
        for _ in range(100):
            for at, written in ((1, False), (1, True)):
                with suppress(Killed):
                    self.round(at, written=written)
            with suppress(Killed):
                return self.round(2, written=True)
        raise AssertionError("it never ended")

    def trained(self, run: str) -> dict[str, str]:
        return {name: file.sha256 for name, file in self.registry.run(run).finished(Step.TRAIN).files.items()}

    def sign(self, done: Round) -> None:
        assert done.run is not None
        sign(self.registry.run(done.run), "Ada")


@pytest.fixture
def topics() -> Memory:
    return Memory()


@pytest.fixture
def place(tmp_path: Path, topics: Memory) -> Place:
    return Place(tmp_path / "one", topics)


def test_killed_at_every_record_it_ends_as_if_it_had_not_been(place: Place, tmp_path: Path) -> None:
    place.topics.review("ada", "grace")
    whole = Place(tmp_path / "whole", Memory())
    whole.topics.review("ada", "grace")
    ends = []
    for each, go in ((whole, whole.round), (place, place.to_the_end)):
        waits = go()
        assert waits.end is End.WAITS, waits
        each.sign(waits)
        promoted = go()
        runs = [run.record.run for run in each.begun]
        assert runs == [waits.run], "a second run was begun"
        champions = Champions(each.registry).history()
        assert [champion.run for champion in champions] == [waits.run, champions[-1].run]
        assert each.registry.run(runs[0]).step(Step.PROMOTE) is not None
        assert each.topics.committed == {"hits": {0: POSTS}, "reviews": {0: 2 * POSTS}}
        ends.append((each.trained(runs[0]), promoted.end in {End.PROMOTED, End.NOTHING}))
    assert ends[0] == ends[1]


def test_too_little_begins_nothing(place: Place) -> None:
    assert place.round().end is End.NOTHING
    place.topics.review("ada", posts=19)
    done = place.round()
    assert done.end is End.NOTHING
    assert "19 newly labelled posts of 45" in done.said
    assert "not reviewed (waits): 26" in done.said
    assert place.topics.committed == {}
    assert len(place.registry.run_ids()) == 1  # the release


def test_one_approval_is_refused_and_the_same_labels_begin_no_other_run_but_a_second_does(place: Place) -> None:
    place.topics.review("ada")
    refused = place.round()
    assert refused.end is End.REFUSED
    assert "confirmed by 1, 2 people are needed" in refused.said
    assert place.round().end is End.NOTHING
    current = Champions(place.registry).current()
    assert current is not None
    assert current.champion.run.startswith("release-")
    place.topics.review("grace")
    with pytest.raises(Killed):
        place.round(1, written=True)
    assert len(place.begun) == 2


def test_erased_posts_are_in_no_dataset(place: Place) -> None:
    place.topics.review("ada", "grace")
    with pytest.raises(Killed):
        place.round(SNAPSHOT_KEPT, written=True)
    gone = place.topics.hits[0]
    place.topics.erased = frozenset({gone.post_id})
    with pytest.raises(Killed):
        place.round(1, written=True)
    (run,) = place.begun
    for name in run.finished(Step.DATASET).files:
        if name.endswith(".jsonl"):
            run.fetch_file(Step.DATASET, name, place.folder / "file")
            assert gone.post_id not in (place.folder / "file").read_text().split('"')


class ErasedLongAgo(Memory):
    """Erasures that lie before any snapshot."""

    def erased_since(self, ends: Ends) -> frozenset[str]:
        return frozenset() if ends else frozenset({"own-7", "post-3"})


def test_rows_to_replay_of_erased_posts_are_left_out_however_long_ago_that_was(tmp_path: Path) -> None:
    """post-3 was written again behind its erasure: the snapshot has it."""
    place = Place(tmp_path / "one", ErasedLongAgo())
    items = replay_items(0, 50, 50)
    kept = [replace(item, post_id=f"own-{at}") for at, item in enumerate(items)]
    write_items(kept, place.replay)
    place.topics.review("ada", "grace")
    with pytest.raises(Killed):
        place.round(SNAPSHOT_KEPT + 1, written=True)
    (run,) = place.begun
    text = ""
    for name in ("train.jsonl", "held_out.jsonl"):
        run.fetch_file(Step.DATASET, name, place.folder / name)
        text += (place.folder / name).read_text()
    assert '"own-7"' not in text
    assert '"own-8"' in text
    assert '"post-3"' in text
    run.fetch_file(Step.DATASET, "datasheet.json", place.folder / "sheet")
    assert json.loads((place.folder / "sheet").read_text())["left_out"][ERASED] == 1


def test_other_settings_leave_the_killed_run_and_begin_another(place: Place) -> None:
    place.topics.review("ada", "grace")
    with pytest.raises(Killed):
        place.round(SNAPSHOT_KEPT, written=True)
    with pytest.raises(Killed):
        place.round(3, written=True, seed=1)
    assert [run.step(Step.DATASET) is None for run in place.begun] == [True, False]


def test_posts_about_minors_are_not_even_in_the_snapshot(place: Place) -> None:
    place.topics.hits[3] = hit("post-3", "something", nearest="C11S1")
    place.topics.review("ada", "grace")
    with pytest.raises(Killed):
        place.round(SNAPSHOT_KEPT, written=True)
    (run,) = place.begun
    run.fetch(Step.SNAPSHOT, place.folder / "snapshot")
    for path in (place.folder / "snapshot").iterdir():
        assert '"post-3"' not in path.read_text()
