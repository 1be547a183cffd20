"""Records that cannot be read, or are no posts, and what an operator can do about them."""

import time

import orjson
from confluent_kafka import Producer

from tests.support.streams import StreamUnderTest, text_post

# The least that librdkafka allows beside a fetch of this size.
_FETCH_BYTES = 200_000
_SMALL = {"fetch.max.bytes": str(_FETCH_BYTES), "receive.message.max.bytes": str(_FETCH_BYTES + 512)}
_SMALL |= {"message.max.bytes": str(_FETCH_BYTES), "fetch.message.max.bytes": str(_FETCH_BYTES)}


def test_a_record_that_unpacks_above_the_limit_is_named_with_its_remedy(plain_stream: StreamUnderTest) -> None:
    """Its partition stands still, said once and then with each status line; the others go on."""
    packing = {**plain_stream.config, "compression.type": "zstd", "message.max.bytes": 20_000_000}
    producer = Producer(packing)
    value = orjson.dumps({"post_id": "packed", "text": "a" * 3_000_000})
    producer.produce(plain_stream.topics.posts, value, b"packed", partition=0)
    assert producer.flush(20) == 0
    plain_stream.send(text_post(1), partition=0)
    plain_stream.send(text_post(2), partition=1)
    worker = plain_stream.worker(kafka={"consumer": _SMALL}, telemetry={"status_interval_s": 1})
    with worker:
        worker.wait_for_log("receive.message.max.bytes")
        began = time.monotonic()
        plain_stream.answers(1)
        time.sleep(4)
        lines = [line for line in worker.log.splitlines() if "receive.message.max.bytes" in line]
        assert len(lines) <= 3 + time.monotonic() - began  # one a second: the client tries twice
        assert all(f"{plain_stream.topics.posts}[0]" in line for line in lines)
        assert worker.terminate() == 0
    worker.settings["kafka"]["consumer"] = {}
    with worker:
        plain_stream.answers(3)


def test_law_6_what_is_no_post_can_be_skipped_too(plain_stream: StreamUnderTest) -> None:
    """It is a dead letter all the same, which the breaker does not count."""
    plain_stream.send_raw([(b"bad", b"{")] * 20, partition=0)
    plain_stream.send(text_post(1), partition=0)
    topic = plain_stream.topics.posts
    skip = [f"{topic}:0:{offset}" for offset in range(0, 20, 2)]
    with plain_stream.worker(breaker={"max_run": 2, "max_ratio": 1.0}, kafka={"skip": skip}) as worker:
        found = plain_stream.answers(21)
        assert worker.terminate() == 0
    assert (len(found.dead_letters), len(found.verdicts)) == (20, 1)
    assert "intake is paused" not in worker.log
