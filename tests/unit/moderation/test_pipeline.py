"""Laws 1, 3, 4 and 6 between fetching and judging: one answer a post, suspects alone, nothing for what is gone."""

import asyncio
import json
from collections.abc import Hashable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from proguard_core.guards.protocol import Category, GuardRequest, Judgement, Picture
from proguard_core.policy.loader import load_policy
from schemas.common import CategoryKind
from schemas.common import Outcome as Label
from schemas.post import ImageReference, Post
from tests.unit.moderation.test_judge import SAFE, FakeGuard
from tests.unit.moderation.test_poison import die
from worker.moderation.dependency import Dependency
from worker.moderation.fetch import Decoder, FetchedImage, FetchedPost, not_noted
from worker.moderation.judge import Judge
from worker.moderation.outcome import OutcomeWriter
from worker.moderation.partitions import Outcome
from worker.moderation.pipeline import Pipeline, Work
from worker.moderation.poison import Journal
from worker.settings import BatchingSettings, GuardSettings, TopicSettings

SEXUAL = Judgement(Label.UNSAFE, category=Category(CategoryKind.KNOWN, "C11"))
MINORS = Judgement(Label.UNSAFE, category=Category(CategoryKind.KNOWN, "C11S1"))


class Fetched(FetchedPost):
    released = 0

    def release(self) -> None:
        self.released += 1


class Images:
    """Hands out one picture a reference at once."""

    dependencies: Sequence[Dependency] = ()

    def __init__(self) -> None:
        self.fetched: list[Fetched] = []
        self.closed = 0

    async def start(self) -> None: ...

    async def close(self) -> None:
        self.closed += 1

    async def fetch(
        self, images: Sequence[ImageReference], partition: Hashable, decoder: Decoder = not_noted
    ) -> FetchedPost:
        async with decoder():
            pass
        found = [FetchedImage((Picture(Image.new("RGB", (2, 2)), image.uri),), 1, None) for image in images]
        self.fetched.append(Fetched(found))
        return self.fetched[-1]


class Bench:
    """A pipeline on a guard that answers when `gate` is set. asked: the texts and pictures of each batch."""

    def __init__(self, folder: Path, images: "Images | None" = None, **batching: Any) -> None:
        self.asked: list[list[str]] = []
        self.wanted: dict[str, str | None] = {}
        self.says_revision: str | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.gone: set[int] = set()
        self.delivered: list[tuple[object, Outcome]] = []
        self.arrived = asyncio.Event()
        self.images = images or Images()
        self.journal = Journal(folder, "group.host.0")
        guard, policy = GuardSettings(), load_policy()
        settings = BatchingSettings(**({"max_posts": 4, "max_wait_ms": 1, "in_flight": 2} | batching))
        writer = OutcomeWriter(TopicSettings(), policy, "group", 100_000)
        self.guard = FakeGuard(self._judge)
        judge = Judge(self.guard, guard)
        self.pipeline = Pipeline(judge, self.images, writer, policy, self.journal, settings, guard, self._deliver)

    async def _judge(self, requests: Sequence[GuardRequest]) -> list[Judgement]:
        self.asked.append(
            [request.text + (request.picture.digest[-1] if request.picture else "") for request in requests]
        )
        self.arrived.set()
        await self.gate.wait()
        return [self._answer(request) for request in requests]

    def _answer(self, request: GuardRequest) -> Judgement:
        self.wanted[request.text] = request.revision
        if self.says_revision is not None:
            return replace(SAFE, revision=self.says_revision)
        if request.text.startswith("sexual") and request.picture is not None:
            return SEXUAL
        return SAFE if request.text else MINORS

    def _deliver(self, pairs: list[tuple[object, Outcome]]) -> None:
        self.delivered += pairs
        self.arrived.set()

    def work(self, number: int, text: str | None = None, pictures: int = 0, *, skipped: bool = False) -> Work:
        references = [ImageReference(uri=f"s3://pictures/{index}") for index in range(pictures)]
        post = Post(post_id=str(number), text=text or f"t{number}", images=references)
        return Work(number, ("posts", 0, number), post, None, 0.0, lambda: number in self.gone, skipped)

    async def answers(self, count: int) -> dict[object, dict[str, Any]]:
        while len(self.delivered) < count:
            self.arrived.clear()
            await asyncio.wait_for(self.arrived.wait(), 5)
        await asyncio.sleep(0)
        assert len(self.delivered) == count
        return {token: json.loads(outcome.records[0][2] or b"") for token, outcome in self.delivered}

    async def asked_of(self, batches: int) -> None:
        while len(self.asked) < batches:
            self.arrived.clear()
            await asyncio.wait_for(self.arrived.wait(), 5)


async def test_batches_by_size_then_by_deadline(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.pipeline.submit([bench.work(number) for number in range(6)])
    answers = await bench.answers(6)
    assert [len(batch) for batch in bench.asked] == [4, 2]
    assert {answer["outcome"] for answer in answers.values()} == {"safe"}


class SlowImages(Images):
    """A picture comes when `gate` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()

    async def fetch(
        self, images: Sequence[ImageReference], partition: Hashable, decoder: Decoder = not_noted
    ) -> FetchedPost:
        await self.gate.wait()
        return await super().fetch(images, partition, decoder)


async def test_a_post_whose_picture_comes_late_is_judged_as_those_behind_it_were(tmp_path: Path) -> None:
    images = SlowImages()
    bench = Bench(tmp_path, images)
    bench.pipeline.submit([bench.work(0, pictures=1), bench.work(1)])
    await bench.answers(1)
    bench.guard.revision = "r2"
    bench.pipeline.submit([bench.work(2)])
    await bench.answers(2)
    images.gate.set()
    answers = await bench.answers(3)
    assert bench.wanted == {"t0": "r1", "t1": "r1", "t2": "r2"}
    # A guard that serves one revision only judged by the one it has: that is what the verdict says.
    assert [answers[number]["guard"]["revision"] for number in range(3)] == ["r2", "r1", "r2"]


async def test_what_waits_when_the_revision_changes_is_judged_by_the_new_one(tmp_path: Path) -> None:
    bench = Bench(tmp_path, max_posts=1, in_flight=1)
    bench.gate.clear()
    bench.pipeline.submit([bench.work(number) for number in range(3)])
    await bench.asked_of(1)
    bench.guard.revision = "r2"
    bench.gate.set()
    answers = await bench.answers(3)
    assert bench.wanted == {"t0": "r1", "t1": "r2", "t2": "r2"}
    assert [answers[number]["guard"]["revision"] for number in range(3)] == ["r1", "r2", "r2"]


async def test_a_guard_that_says_which_revision_judged_is_believed(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.says_revision = "r0"
    bench.pipeline.submit([bench.work(0)])
    answers = await bench.answers(1)
    assert answers[0]["guard"]["revision"] == "r0"


async def test_batches_by_cost(tmp_path: Path) -> None:
    bench = Bench(tmp_path, max_cost=30, max_posts=100)
    bench.pipeline.submit([bench.work(number, "a" * 40) for number in range(6)])
    await bench.answers(6)
    assert [len(batch) for batch in bench.asked] == [2, 2, 2]


async def test_no_more_batches_at_once_than_allowed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, max_posts=1)
    bench.gate.clear()
    bench.pipeline.submit([bench.work(number) for number in range(5)])
    await bench.asked_of(2)
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(bench.asked) == 2
    bench.gate.set()
    await bench.answers(5)


async def test_law_1_questions_of_one_post_are_gathered_over_batches(tmp_path: Path) -> None:
    bench = Bench(tmp_path, max_posts=2)
    bench.pipeline.submit([bench.work(0, pictures=5)])
    answers = await bench.answers(1)
    assert sorted(chain.from_iterable(bench.asked)) == ["t00", "t01", "t02", "t03", "t04"]
    assert answers[0]["coverage"]["images_judged"] == 5
    assert bench.images.fetched[0].released == 1


async def test_law_1_and_11_a_follow_up_is_no_answer_to_another_question(tmp_path: Path) -> None:
    """Each picture is judged before the post has its answer, which comes once, though follow-ups came between."""
    bench = Bench(tmp_path, max_posts=1, in_flight=1)
    bench.pipeline.submit([bench.work(0, "sexual", pictures=3)])
    answers = await bench.answers(1)
    assert bench.asked == [["sexual0"], ["0"], ["sexual1"], ["1"], ["sexual2"], ["2"]]
    assert answers[0]["category"]["code"] == "C11S1"
    assert answers[0]["action"] == "escalate"
    values = [value for _, _, value, _ in bench.delivered[0][1].records]
    assert [value is None for value in values] == [False, True, True], "the verdict, and what takes earlier ones back"


async def test_law_4_what_is_gone_is_not_asked_and_gives_its_pictures_back(tmp_path: Path) -> None:
    bench = Bench(tmp_path, max_posts=1, in_flight=1)
    bench.gate.clear()
    bench.pipeline.submit([bench.work(0)])
    await bench.asked_of(1)
    bench.pipeline.submit([bench.work(1, pictures=2), bench.work(2)])
    for _ in range(10):
        await asyncio.sleep(0)
    bench.gone = {1}
    bench.gate.set()
    answers = await bench.answers(2)
    assert set(answers) == {0, 2}
    assert bench.asked == [["t0"], ["t2"]]
    assert bench.images.fetched[0].released == 1


async def test_law_4_what_goes_while_it_is_judged_is_not_delivered(tmp_path: Path) -> None:
    bench = Bench(tmp_path, max_posts=2, max_wait_ms=5000)  # both in one batch, however slow the machine
    bench.gate.clear()
    bench.pipeline.submit([bench.work(0, pictures=1), bench.work(1)])
    await bench.asked_of(1)
    bench.gone = {0}
    bench.gate.set()
    assert set(await bench.answers(1)) == {1}
    assert bench.images.fetched[0].released == 1


async def test_law_6_suspects_run_alone_and_are_acquitted(tmp_path: Path) -> None:
    die(tmp_path, (("posts", 0, 1), ("posts", 0, 2), ("posts", 0, 9)))
    bench = Bench(tmp_path)
    bench.gone = {9}
    bench.pipeline.submit([bench.work(number) for number in (0, 1, 2, 3, 9)])
    await bench.answers(4)
    assert bench.asked == [["t1"], ["t2"], ["t0", "t3"]]
    assert not bench.journal.suspects


async def test_law_6_the_convicted_and_the_skipped_are_not_asked(tmp_path: Path) -> None:
    for _death in range(2):
        die(tmp_path, (("posts", 0, 1),), alone=True)
    bench = Bench(tmp_path)
    bench.pipeline.submit([bench.work(0, skipped=True), bench.work(1, pictures=2)])
    answers = await bench.answers(2)
    assert (answers[0]["reason"], answers[1]["reason"]) == ("skipped_by_operator", "guard_crashed")
    assert {answer["outcome"] for answer in answers.values()} == {"undetermined"}
    assert answers[1]["coverage"]["text_bytes_judged"] == 0
    assert answers[1]["coverage"]["images"] == 2
    assert bench.asked == []
    assert bench.images.fetched == []


@pytest.mark.parametrize("running", [0, 1, 3])
async def test_a_closed_pipeline_starts_nothing(tmp_path: Path, running: int) -> None:
    bench = Bench(tmp_path, max_posts=1)
    bench.gate.clear()
    bench.pipeline.submit([bench.work(number) for number in range(running)])
    await bench.asked_of(min(running, 2))
    asked = len(bench.asked)
    await bench.pipeline.close()
    bench.gate.set()
    bench.journal.close()
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(bench.asked) == asked
    assert bench.delivered == []
    assert (bench.guard.lifecycle, bench.images.closed) == (["close"], 1)
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


async def test_law_3_what_is_gone_is_let_go_while_the_guard_is_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every rebalance of a long outage would leave its posts and pictures behind otherwise."""
    monkeypatch.setattr("worker.moderation.pipeline._WATCH_S", 0.01)
    bench = Bench(tmp_path, max_posts=1, in_flight=1)
    bench.gate.clear()
    bench.pipeline.submit([bench.work(0)])
    await bench.asked_of(1)
    bench.pipeline.submit([bench.work(1, pictures=1), bench.work(2), bench.work(3)])
    await asyncio.sleep(0.05)
    bench.gone = {1, 2}
    await asyncio.sleep(0.05)
    assert bench.images.fetched[0].released == 1
    assert len(bench.pipeline._batcher) == 1
    bench.gate.set()
    assert set(await bench.answers(2)) == {0, 3}
