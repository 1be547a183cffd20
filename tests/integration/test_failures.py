"""Laws 5 and 6 on a real broker: what is down is waited for, what is poisonous is found, a storm stops the stream."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.kafka_cluster import KafkaCluster
from tests.support.pictures import jpeg
from tests.support.s3_server import S3Server
from tests.support.storm import Storm, StormPlan
from tests.support.streams import StreamUnderTest, text_post
from tests.support.topics import TopicNames


def test_law_5_a_guard_that_is_down_is_waited_for(plain_stream: StreamUnderTest) -> None:
    """No verdict, no dead letter, no offset while the canary fails too; then everything is judged."""
    down = plain_stream.directory / "down"
    plain_stream.send(*(text_post(number) for number in range(50)))
    with plain_stream.worker(guard={"settings": {"down_file": str(down)}}) as worker:
        plain_stream.answers(50)
        down.touch()
        plain_stream.send(*(text_post(50 + number) for number in range(50)))
        worker.wait_for_log("guard")
        time.sleep(4)
        assert len(plain_stream.found().verdicts) == 50
        down.unlink()
        found = plain_stream.answers(100)
        assert worker.terminate() == 0
    assert {verdict["outcome"] for verdict in found.verdicts} == {"safe"}


def test_law_6_a_post_that_fails_its_batch_is_found_by_halving(plain_stream: StreamUnderTest) -> None:
    """It alone is undetermined; its batch is judged."""
    posts = [text_post(number, "guard:raise" if number == 17 else None) for number in range(64)]
    plain_stream.send(*posts, partition=0)
    with plain_stream.worker(batching={"max_posts": 64, "max_wait_ms": 500}):
        verdicts = plain_stream.answers(64).by_post()
    assert (verdicts["post-17"]["outcome"], verdicts["post-17"]["reason"]) == ("undetermined", "guard_failed")
    assert {verdict["outcome"] for post, verdict in verdicts.items() if post != "post-17"} == {"safe"}


def test_law_6_a_guard_that_hangs_times_out(plain_stream: StreamUnderTest) -> None:
    """The post at fault is undetermined after its attempts."""
    plain_stream.send(text_post(0), text_post(1, "guard:hang"), text_post(2), partition=0)
    with plain_stream.worker(guard={"timeout_s": 0.5, "max_attempts": 2}):
        verdicts = plain_stream.answers(3).by_post()
    assert verdicts["post-1"]["reason"] == "guard_timeout"
    assert verdicts["post-2"]["outcome"] == "safe"


def test_law_6_a_post_that_kills_the_process_is_convicted(plain_stream: StreamUnderTest) -> None:
    """After an unclean exit suspects run alone; the one that was alone at two deaths is undetermined."""
    posts = [text_post(number, "guard:kill" if number == 9 else None) for number in range(20)]
    plain_stream.send(*posts, partition=0)
    # Static membership gives a restarted worker its partitions back at once.
    worker = plain_stream.worker(kafka={"consumer": {"group.instance.id": "one", "session.timeout.ms": "6000"}})
    deaths = 0
    with worker:
        for _ in range(8):
            try:
                worker.process.wait(25)
            except Exception:
                break
            deaths += 1
            worker.start()
        verdicts = plain_stream.answers(20).by_post()
        assert worker.terminate() == 0
    assert deaths == 3
    assert (verdicts["post-9"]["outcome"], verdicts["post-9"]["reason"]) == ("undetermined", "guard_crashed")
    assert {verdict["outcome"] for post, verdict in verdicts.items() if post != "post-9"} == {"safe"}


def test_law_6_an_operator_may_skip_a_record(plain_stream: StreamUnderTest) -> None:
    """Undetermined, never silence."""
    plain_stream.send(text_post(0), text_post(1, "guard:kill"), text_post(2), partition=0)
    with plain_stream.worker(kafka={"skip": [f"{plain_stream.topics.posts}:0:1"]}):
        verdicts = plain_stream.answers(3).by_post()
    assert verdicts["post-1"]["reason"] == "skipped_by_operator"


def test_law_5_the_breaker_pauses_at_its_limit(plain_stream: StreamUnderTest) -> None:
    """It stays up, publishes nothing beyond the limit, trips again after a restart, and goes on when raised."""
    plain_stream.send_raw([(b"bad", b"{")] * 300, partition=0)
    plain_stream.send(*(text_post(number) for number in range(10)), partition=0)
    worker = plain_stream.worker(breaker={"max_run": 100})
    with worker:
        worker.wait_for_log("intake is paused")
        plain_stream.answers(100)
        time.sleep(1)
        assert worker.process.poll() is None
        assert len(plain_stream.found().dead_letters) == 100
        assert worker.terminate() == 0
    with worker:
        plain_stream.answers(200)
        worker.terminate()
    worker.settings["breaker"]["max_run"] = 1000
    with worker:
        plain_stream.answers(310)


@pytest.mark.timeout(300)
def test_law_1_ten_thousand_malformed_records(plain_stream: StreamUnderTest) -> None:
    """Made by hypothesis: each is a dead letter with a reason, and the worker does not notice."""
    records: list[tuple[bytes | None, bytes | None]] = []
    scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    json_like = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
    malformed = st.binary() | json_like.map(lambda value: repr(value).encode("utf-8", "surrogatepass"))

    @settings(
        max_examples=10_000,
        database=None,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(malformed, st.none() | st.binary(max_size=20))
    def collect(value: bytes, key: bytes | None) -> None:
        records.append((key, value))

    collect()
    records += [(b"k", b'{"post_id": 1}')] * max(0, 10_000 - len(records))
    plain_stream.send_raw(records)
    with plain_stream.worker(breaker={"enabled": False}) as worker:
        found = plain_stream.wait(lambda found: len(found.dead_letters) >= len(records), 120)
        assert worker.terminate() == 0
    assert len(records) >= 10_000
    assert len(found.dead_letters) == len(records)
    assert all(dict(letter.headers() or [])["__connect.errors.exception.class.name"] for letter in found.dead_letters)


def _picture_posts(bucket: str, count: int) -> list[dict[str, Any]]:
    return [
        {"post_id": f"picture-{number}", "images": [{"uri": f"s3://{bucket}/{number % 5}.jpg"}]}
        for number in range(count)
    ]


def _objects(s3: S3Server, bucket: str, **more: Any) -> dict[str, Any]:
    return {"endpoint_url": s3.endpoint_url, "buckets": [bucket], **more}


@pytest.mark.timeout(300)
def test_law_5_s3_down_in_mid_stream(plain_stream: StreamUnderTest, s3: S3Server, bucket: str) -> None:
    """Nothing dead-lettered, nothing undetermined, and then all judged; give_up_s does not run while S3 is down."""
    for number in range(5):
        s3.client().put_object(Bucket=bucket, Key=f"{number}.jpg", Body=jpeg())
    plain_stream.environment = s3.environment
    plain_stream.send(*_picture_posts(bucket, 40))
    with plain_stream.worker(objects=_objects(s3, bucket, give_up_s=2.0)) as worker:
        plain_stream.answers(40)
        s3.stop()
        try:
            posts = _picture_posts(bucket, 100)[40:]
            plain_stream.send(*posts, *(text_post(number) for number in range(40)))
            time.sleep(30)
            held = plain_stream.found()
            assert not held.dead_letters
            assert not [verdict for verdict in held.verdicts if verdict["outcome"] == "undetermined"]
        finally:
            s3.start()
        found = plain_stream.answers(140)
        assert worker.terminate() == 0
    assert {verdict["outcome"] for verdict in found.verdicts} == {"safe"}


@dataclass(slots=True)
class StormPlace:
    """Where a storm rages."""

    cluster: KafkaCluster
    s3: S3Server
    bucket: str
    topics: TopicNames
    directory: Path

    def rage(self, plan: StormPlan) -> None:
        """Every promise has to hold."""
        StreamUnderTest(self.cluster.client_config(), self.topics, self.directory).create(6)
        report = Storm(self.cluster, self.s3, self.bucket, self.topics, self.directory, plan).run()
        assert report.clean, f"seed={plan.seed} {report.line()} exits={report.exits}\n{report.history}"
        assert sum(report.counts.values()) == plan.faults


@pytest.fixture
def storm_place(
    kafka_three: KafkaCluster, s3: S3Server, bucket: str, topic_names: TopicNames, tmp_path: Path
) -> StormPlace:
    """Three brokers behind slow links, and S3."""
    return StormPlace(kafka_three, s3, bucket, topic_names, tmp_path)


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
@pytest.mark.timeout(200)
def test_law_2_the_groups_coordinator_stays_dead(
    kafka_three: KafkaCluster, topic_names: TopicNames, tmp_path: Path, protocol: str
) -> None:
    """Clients strike it off after a while; librdkafka may then wait for it for ever while it sends offsets."""
    stream = StreamUnderTest(kafka_three.client_config(), topic_names, tmp_path, protocol).create()
    with stream.worker(kafka={"transaction_timeout_ms": 6000}) as worker:
        stream.send(*(text_post(number) for number in range(20)))
        stream.answers(20)
        coordinator = _coordinator(stream)
        kafka_three.kill(coordinator)
        try:
            for second in range(1, 16):
                stream.send(*(text_post(20 * second + number) for number in range(20)))
                time.sleep(1)
            stream.answers(320, 60)
        finally:
            kafka_three.restart(coordinator)
        assert worker.terminate() == 0


def _coordinator(stream: StreamUnderTest) -> int:
    group = stream.topics.posts
    admin = AdminClient(stream.config)  # the answer needs it alive
    return int(admin.describe_consumer_groups([group], request_timeout=20)[group].result(20).coordinator.id)


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
@pytest.mark.timeout(400)
def test_laws_2_and_4_hold_in_a_storm(storm_place: StormPlace, protocol: str) -> None:
    """Workers, brokers, S3, guard and network break while posts arrive: the small form of benchmarks/faults.py."""
    storm_place.rage(StormPlan(faults=8, seed=7, group_protocol=protocol))


@pytest.mark.nightly
@pytest.mark.parametrize(("seed", "protocol"), [(2, "classic"), (3, "consumer")])
@pytest.mark.timeout(900)
def test_laws_2_and_4_hold_in_a_long_storm(storm_place: StormPlace, seed: int, protocol: str) -> None:
    """The same for longer, so that faults of all kinds meet."""
    storm_place.rage(StormPlan(faults=50, seed=seed, group_protocol=protocol))


@pytest.mark.timeout(200)
def test_law_5_guards_that_fail_one_after_another(storm_place: StormPlace) -> None:
    """An engine may die while it is waited for because of something else; it has to be started again all the same."""
    kinds = ("guard_raises", "guard_hangs", "guard_dies")
    storm_place.rage(StormPlan(faults=6, seed=5, workers=1, most_workers=1, kinds=kinds))
