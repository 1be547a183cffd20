"""The laws of the stream on a real broker: one answer a record, offsets, order, memory, starts and stops."""

import time
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.dead_letter import DeadLetterHeaders
from schemas.retraining_hit import RetrainingHit
from schemas.risk import Risk
from schemas.verdict import Verdict
from tests.support.streams import POSTS_MAX_BYTES, StreamUnderTest, text_post
from worker.moderation.outcome import pairs

JITTER: dict[str, Any] = {"settings": {"delay_ms": 5, "jitter_ms": 60}}


def test_law_1_every_record_gets_one_answer(stream: StreamUnderTest) -> None:
    """Posts, broken records, a tombstone, a novel risk: batches finish out of order, answers do not."""
    stream.send(*(text_post(number) for number in range(400)))
    stream.send(text_post(400, "novel:moon dust trade"), text_post(401, "unsafe:C3S1"))
    stream.send_raw([(b"broken", b"{not json"), (b"post-7", None), (None, None), (b"x", b'{"post_id": "x"}')])
    with stream.worker(guard=JITTER, batching={"in_flight": 6}) as worker:
        found = stream.wait(lambda found: len(found.verdicts) == 402 and len(found.dead_letters) == 3 and found.erased)
        assert worker.terminate() == 0
    assert set(found.sources().values()) == {1}
    assert found.reordered() == []
    assert found.erased == [b"post-7"]
    verdicts = [Verdict.model_validate(verdict) for verdict in found.verdicts]
    assert all(
        verdict.verdict_id == f"{stream.topics.posts}-{verdict.source.partition}-{verdict.source.offset}"
        for verdict in verdicts
    )
    assert [Risk.model_validate(risk).name for risk in found.risks] == ["moon dust trade"]
    assert [RetrainingHit.model_validate(hit).post.text for hit in found.hits] == ["novel:moon dust trade"]
    assert found.by_post()["post-401"]["action"] == "remove"


def test_law_7_dead_letters_keep_key_and_bytes(stream: StreamUnderTest) -> None:
    """The original record with Kafka Connect's headers beside it, and no content in them."""
    value = b'{"post_id": "secret-id", "text": 7, "unknown-secret": 1}'
    stream.send_raw([(b"\xff\x00key", value)])
    with stream.worker():
        (letter,) = stream.wait(lambda found: bool(found.dead_letters)).dead_letters
    assert (letter.key(), letter.value()) == (b"\xff\x00key", value)
    headers = {name: str(content, "utf-8") for name, content in pairs(letter.headers()) if isinstance(content, bytes)}
    said = DeadLetterHeaders.model_validate(headers)
    assert (said.topic, said.stage, said.reason) == (stream.topics.posts, "validate", "invalid")
    assert "text" in said.message
    assert "secret" not in str(headers)


def test_law_2_a_clean_restart_judges_nothing_twice(stream: StreamUnderTest) -> None:
    """SIGTERM drains and commits; the next process goes on behind it."""
    stream.send(*(text_post(number) for number in range(200)))
    log = stream.directory / "judged"
    worker = stream.worker(guard={"settings": {"log_file": str(log), "delay_ms": 20}})
    with worker:
        stream.wait(lambda found: bool(found.verdicts))
        assert worker.terminate() == 0
    with worker:
        stream.answers(200)
    assert len(log.read_text().splitlines()) == 200


def test_law_2_recovery_asks_the_guard_nothing_again(stream: StreamUnderTest) -> None:
    """Frozen longer than the broker keeps a transaction open: a new producer publishes the same outcomes."""
    log = stream.directory / "judged"
    settings = {"transaction_timeout_ms": 2000, "commit_interval_ms": 900}
    with stream.worker(kafka=settings, guard={"settings": {"log_file": str(log)}}) as worker:
        worker.wait_for_log("assigned")
        for burst in range(3):
            stream.send(*(text_post(burst * 50 + number) for number in range(50)))
            time.sleep(0.4)  # judged, and its transaction open or about to be
            worker.suspend()
            time.sleep(3.5)  # the broker ends transactions once a second, and a session of a group after 6 s
            worker.resume()
            stream.answers((burst + 1) * 50)
        assert worker.terminate() == 0
        assert worker.log.count("guard: scripted") == 1
    assert len(log.read_text().splitlines()) == 150


def test_law_2_two_workers_of_one_id_end_with_75(stream: StreamUnderTest) -> None:
    """Each fences the other; the one fenced twice says so instead of fighting on."""
    stream.send(*(text_post(number) for number in range(50)))
    first = stream.worker()
    second = stream.worker()
    second.settings["kafka"]["state_dir"] = str(stream.directory / "other-state")
    with first, second:
        deadline = time.monotonic() + 60
        number = 50
        while first.process.poll() is None and second.process.poll() is None and time.monotonic() < deadline:
            stream.send(*(text_post(number + more) for more in range(8)))
            number += 8
            time.sleep(0.2)
        codes = {first.process.poll(), second.process.poll()}
        assert codes == {75, None}
        assert "two workers share" in first.log
        stream.answers(number)


@pytest.mark.parametrize("start", ["latest", "time"])
def test_law_1_a_new_group_starts_where_the_setting_says(stream: StreamUnderTest, start: str) -> None:
    """And commits that place, so that a restart without any record read begins there again."""
    stream.send(*(text_post(number) for number in range(20)))
    time.sleep(1.1)
    start_from = "latest" if start == "latest" else datetime.now(UTC).isoformat()
    if start == "time":
        stream.send(text_post(20))
    session = {"session.timeout.ms": "6000"}  # the group waits so long for the one that is killed
    worker = stream.worker(kafka={"start_from": start_from, "consumer": session})
    with worker:
        deadline = time.monotonic() + 45
        while len(stream.committed()) < 4:
            assert time.monotonic() < deadline, worker.log[-3000:]
            time.sleep(0.3)
        worker.kill()
    if start == "latest":
        stream.send(text_post(20))
    worker.settings["kafka"]["start_from"] = "earliest"
    with worker:
        found = stream.answers(1)
    assert [verdict["post_id"] for verdict in found.verdicts] == ["post-20"]


def test_law_1_expired_posts_stop_their_partition(stream: StreamUnderTest) -> None:
    """Says how many were never read, judges the other partitions, and goes on only when told to."""
    worker = stream.worker()
    with worker:
        for partition in range(4):
            stream.send(*(text_post(number) for number in range(5)), partition=partition)
        stream.answers(20)
        worker.terminate()
    for partition in range(4):
        stream.send(*(text_post(number) for number in range(10)), partition=partition)
    gone = TopicPartition(stream.topics.posts, 2, 12)
    admin = AdminClient(stream.config)
    admin.delete_records([gone])[gone].result(20)
    with worker:
        worker.wait_for_log("7 posts of")
        stream.answers(50)
        time.sleep(1)
        assert len(stream.found().verdicts) == 50
        worker.terminate()
    worker.settings["kafka"]["on_expired"] = "continue"
    with worker:
        stream.answers(53)


def test_law_2_transaction_markers_leave_gaps_that_do_not_matter(stream: StreamUnderTest) -> None:
    """Posts written in transactions, aborted ones among them: contiguous means contiguous among what is delivered."""
    producer = Producer({**stream.config, "transactional.id": stream.topics.posts + "-writer"})
    producer.init_transactions(20)
    for number in range(30):
        producer.begin_transaction()
        producer.produce(stream.topics.posts, orjson.dumps(text_post(number)), f"post-{number}", partition=0)
        producer.flush(10)
        producer.abort_transaction(10) if number % 3 == 0 else producer.commit_transaction(10)
    with stream.worker() as worker:
        stream.answers(20)
        assert worker.terminate() == 0


def test_law_7_a_post_exactly_at_the_limit(plain_stream: StreamUnderTest) -> None:
    """Valid, it is judged and even its retraining hit fits; malformed, its dead letter fits."""
    room = POSTS_MAX_BYTES - 200  # the broker counts the batch's own overhead
    frame = orjson.dumps({"post_id": "big", "text": "novel:odd thing "})
    valid = frame[:-2] + b"x" * (room - len(frame)) + b'"}'
    plain_stream.send_raw([(b"big", valid), (b"bad", b"{" * room)])
    with plain_stream.worker():
        found = plain_stream.wait(lambda found: bool(found.verdicts and found.dead_letters and found.hits))
    assert found.verdicts[0]["outcome"] == "unsafe"
    assert len(found.hits[0]["post"]["text"]) > room - 200
    assert len(found.dead_letters[0].value() or b"") == room


def test_law_1_harm_behind_five_megabytes_is_never_safe(kafka: Any, topic_names: Any, tmp_path: Any) -> None:
    """Text beyond the cap was not looked at: undetermined; harm within the cap is unsafe however far in."""
    stream = StreamUnderTest(kafka.client_config(), topic_names, tmp_path).create(posts_max_bytes=8_000_000)
    harmless = "a walk in the park. " * 262_144
    stream.send(
        text_post(1, harmless + "unsafe:C3S1"),
        text_post(2, harmless[:60_000] + "unsafe:C3S1" + harmless),
        {"post_id": "post-3", "text": "hello", "response": harmless + "unsafe:C3S1"},
    )
    with stream.worker():
        verdicts = stream.answers(3).by_post()
    assert (verdicts["post-1"]["outcome"], verdicts["post-1"]["reason"]) == ("undetermined", "truncated")
    assert (verdicts["post-2"]["outcome"], verdicts["post-2"]["reason"]) == ("unsafe", "truncated")
    assert verdicts["post-3"]["outcome"] == "undetermined"
    assert verdicts["post-1"]["coverage"]["text_bytes_judged"] < verdicts["post-1"]["coverage"]["text_bytes"]


def test_law_3_memory_stays_bounded_while_the_guard_is_slow(plain_stream: StreamUnderTest) -> None:
    """A few posts are held, partitions are paused and resumed, and everything is judged in the end."""
    plain_stream.send(*(text_post(number) for number in range(600)))
    settings = {"max_posts": 40}
    with plain_stream.worker(
        kafka=settings, guard={"settings": {"delay_ms": 20}}, batching={"max_posts": 16}
    ) as worker:
        plain_stream.answers(600)
        assert worker.terminate() == 0


def test_law_1_unknown_fields_and_odd_clocks_are_no_errors(plain_stream: StreamUnderTest) -> None:
    """Fields of others are kept for retraining; a clock in the future is the platform's business; ids may repeat."""
    future = b'{"post_id": "a", "text": "novel:odd thing", "likes": 12345678901234567890123, '
    future += b'"created_at": "2199-01-01T00:00:00Z"}'
    plain_stream.send_raw([(b"a", future), (b"a", b'{"post_id": "a", "text": "an edit"}')])
    with plain_stream.worker():
        found = plain_stream.answers(2)
    assert found.hits[0]["post"]["likes"] == pytest.approx(12345678901234567890123)
    assert {verdict["post_id"] for verdict in found.verdicts} == {"a"}


def test_law_7_records_that_their_producer_packed_or_named_oddly(plain_stream: StreamUnderTest) -> None:
    """A malformed record of 6 MB that its producer packed below the limit, and a header that is not text."""
    packing = {**plain_stream.config, "compression.type": "zstd", "message.max.bytes": 20_000_000}
    producer = Producer(packing)
    producer.produce(plain_stream.topics.posts, b"{not json" + b"a" * 6_000_000, b"packed")
    producer.produce(plain_stream.topics.posts, orjson.dumps(text_post(1)), b"odd", headers=[("bad", b"\xff")])
    assert producer.flush(20) == 0
    with plain_stream.worker() as worker:
        found = plain_stream.answers(2)
        assert worker.terminate() == 0
    assert len(found.dead_letters[0].value() or b"") == 6_000_009
