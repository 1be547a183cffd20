"""kill -9 in every step of `proguard retrain`, on a real broker and a real S3: the same result, nothing twice."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from proguard_core.training.registry.champions import Champions
from proguard_core.training.registry.records import Step
from tests.support.rounds import Rounds, confirmations, ended, novel_hits
from tests.support.s3_server import S3Server
from tests.support.streams import StreamUnderTest
from tests.support.trapped_s3 import Moment, Trap, TrappedS3
from tests.unit.training.registry.builders import registry_of
from worker.retraining.registry_store import open_store
from worker.settings import ObjectSettings

POSTS = 45
RELEASE = ("PUT .*/lease.json", "PUT .*/release-[^/]*/train.json", "PUT .*/champion.json")
# Of each step: its first file, and the record that says that it is done.
_RUN = r"PUT .*/runs/\d{8}t[^/]*"
STEPS = (Step.SNAPSHOT, Step.DATASET, Step.TRAIN, Step.EVALUATE, Step.GATE)
TO_THE_GATE = (
    f"{_RUN}/run.json",
    *(f"{_RUN}/{step}{place}" for step in STEPS for place in (r"\.[0-9a-f]+/", r"\.json")),
)
PROMOTION = ("PUT .*/champions/", "PUT .*/champion.json", f"{_RUN}/promote.json")
AWAY = {each: pytest.mark.nightly for each in PROMOTION if not each.endswith("champion.json")}


@pytest.fixture
def way(s3: S3Server) -> Iterator[TrappedS3]:
    with TrappedS3(s3.endpoint_url) as way:
        yield way


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", S3Server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", S3Server.secret_key)
    monkeypatch.delenv("AWS_PROFILE", raising=False)


def killed(rounds: Rounds, way: TrappedS3, what: str, moment: Moment) -> None:
    """A round that is killed at a request of its own."""
    running: list[subprocess.Popen[str]] = []

    def kill() -> None:
        running[0].kill()
        running[0].wait()

    way.lay(Trap(what, moment, kill))
    running.append(rounds.start())
    ended(running[0], code=-9)
    assert not way.is_set, f"{what} was not reached"


def champions_of(rounds: Rounds) -> Champions:
    objects = ObjectSettings(endpoint_url=rounds.endpoint_url, region="us-east-1")
    return Champions(registry_of(open_store(f"s3://{rounds.bucket}/{rounds.prefix}", objects)))


def promoted(rounds: Rounds) -> str:
    """The run that waits is signed; its name."""
    waits = rounds.run()
    assert waits["end"] == "waits for a signature", waits
    rounds.run("sign", waits["run"], "--by", "Ada", "--report", waits["report"])
    return str(waits["run"])


@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_killed_everywhere_it_ends_as_if_it_had_not_been(
    plain_stream: StreamUnderTest, s3: S3Server, way: TrappedS3, bucket: str
) -> None:
    hits = novel_hits(POSTS)
    whole = Rounds(plain_stream, bucket, s3.endpoint_url, "whole")
    rounds = replace(whole, endpoint_url=way.endpoint_url, prefix="killed")
    rounds.hits(hits)
    rounds.reviews(confirmations(hits, "ada", "grace"))
    expected = promoted(whole)
    assert whole.run()["end"] == "promoted"
    for what in (*RELEASE, *TO_THE_GATE):
        for moment in Moment:
            killed(rounds, way, what, moment)
    run = promoted(rounds)
    for what in PROMOTION:
        for moment in Moment:
            killed(rounds, way, what, moment)
    assert rounds.run()["end"] == "nothing to learn"
    registries = {each.prefix: champions_of(each) for each in (whole, rounds)}
    made = {
        prefix: champions.registry.run(name).finished(Step.TRAIN).files
        for (prefix, champions), name in zip(registries.items(), (expected, run), strict=True)
    }
    assert made["killed"]["heads.npy"] == made["whole"]["heads.npy"]
    for champions in registries.values():
        assert [each.cause for each in champions.history()] == ["promotion", "release"]
        begun = [name for name in champions.registry.run_ids() if not name.startswith("release-")]
        assert len(begun) == 1, "a second run was begun"
        assert all(champions.registry.run(begun[0]).step(step) is not None for step in Step)
    assert rounds.committed() == whole.committed()
    assert sum(rounds.committed().values()) == 3 * POSTS


@pytest.mark.timeout(200)
def test_of_two_at_once_one_works_and_the_other_ends_with_75(
    plain_stream: StreamUnderTest, s3: S3Server, way: TrappedS3, bucket: str
) -> None:
    """The second begins while the first is training, and ends before it goes on."""
    rounds = Rounds(plain_stream, bucket, way.endpoint_url)
    hits = novel_hits(POSTS)
    rounds.hits(hits)
    rounds.reviews(confirmations(hits, "ada", "grace"))
    heard: list[str] = []

    def second() -> None:
        heard.append(replace(rounds, endpoint_url=s3.endpoint_url).run(code=75)["said"])

    way.lay(Trap(f"{_RUN}/train.json", Moment.BEFORE, second, cut=False))
    assert rounds.run()["end"] == "waits for a signature"
    assert "is at work, and holds the lease until" in heard[0]
    assert sum(bool(re.match(rf"{_RUN}/train\.json", each)) for each in way.requests) == 1
    assert len([name for name in champions_of(rounds).registry.run_ids() if not name.startswith("release-")]) == 1


@pytest.mark.timeout(200)
@pytest.mark.parametrize("what", [pytest.param(each, marks=AWAY.get(each, ())) for each in PROMOTION])
def test_s3_away_while_promoting(
    what: str, plain_stream: StreamUnderTest, s3: S3Server, way: TrappedS3, bucket: str
) -> None:
    """It was done and the answer never came, and then S3 was away: the round waits and ends once."""
    rounds = Rounds(plain_stream, bucket, way.endpoint_url)
    hits = novel_hits(POSTS)
    rounds.hits(hits)
    rounds.reviews(confirmations(hits, "ada", "grace"))
    promoted(rounds)

    def away() -> None:
        s3.stop()
        s3.start()

    way.lay(Trap(what, Moment.AFTER, away))
    assert rounds.run()["end"] == "promoted"
    assert not way.is_set
    assert [each.cause for each in champions_of(rounds).history()] == ["promotion", "release"]
    assert rounds.run()["end"] == "nothing to learn"
