"""The judge of the fault harness is judged: it sees what is lost, doubled, reordered, undetermined or wrong."""

import time
from typing import Any

import orjson
import pytest
from confluent_kafka import Message, Producer

from tests.support.storm_ledger import Fault, Ledger
from tests.support.streams import StreamUnderTest, text_post
from tests.support.topics import produce

_POSTS = 8


def _written(stream: StreamUnderTest, ledger: Ledger) -> None:
    """Posts 0 to 7 at the offsets of the same numbers in partition 0; post 7 is a novel risk."""
    producer = Producer(stream.config)
    for number in range(_POSTS):
        post = text_post(number, "novel:strange thing" if number == 7 else None)

        def note(error: object, message: Message, post: dict[str, Any] = post) -> None:
            assert error is None
            ledger.note(post, message)

        producer.produce(stream.topics.posts, orjson.dumps(post), partition=0, on_delivery=note)
    assert producer.flush(20) == 0


def _verdict(number: int, outcome: str = "safe", post: int | None = None) -> tuple[bytes, bytes]:
    verdict = {
        "post_id": f"post-{number if post is None else post}",
        "outcome": outcome,
        "source": {"partition": 0, "offset": number},
    }
    return b"key", orjson.dumps(verdict)


def _companion() -> tuple[bytes, bytes]:
    return b"key", orjson.dumps({"source": {"partition": 0, "offset": 7}})


def test_a_ledger_without_a_fault_is_clean(plain_stream: StreamUnderTest) -> None:
    ledger = Ledger()
    _written(plain_stream, ledger)
    topics, config = plain_stream.topics, plain_stream.config
    produce(config, topics.verdicts, [*(_verdict(number) for number in range(7)), _verdict(7, "unsafe")])
    produce(config, topics.risks, [_companion()])
    produce(config, topics.retraining, [_companion()])
    findings = ledger.check(config, topics)
    assert findings.clean
    assert (findings.lost, findings.doubled, findings.reordered) == (0, 0, 0)


def test_an_acknowledgement_that_does_not_say_where_a_post_lies_is_no_place(plain_stream: StreamUnderTest) -> None:
    ledger = Ledger()
    _written(plain_stream, ledger)
    ledger.note(text_post(9), Message(topic=plain_stream.topics.posts, partition=0, offset=-1001, value=b""))
    assert ledger.written[0, 0].post_id == "post-0"
    assert len(ledger.written) == _POSTS


def test_records_that_nobody_was_told_of_count_too(plain_stream: StreamUnderTest) -> None:
    ledger = Ledger()
    _written(plain_stream, ledger)
    topics, config = plain_stream.topics, plain_stream.config
    produce(config, topics.posts, [(None, orjson.dumps(text_post(8)))], partition=0)
    assert ledger.take_stock(config, topics.posts) == _POSTS + 1
    assert ledger.unacknowledged == 1
    produce(config, topics.verdicts, [*(_verdict(number) for number in range(7)), _verdict(7, "unsafe")])
    assert ledger.check(config, topics).concerned[0, 8] == "lost its verdict"


def test_posts_that_the_brokers_lost_are_no_finding_about_workers(plain_stream: StreamUnderTest) -> None:
    ledger = Ledger()
    _written(plain_stream, ledger)
    ledger.written[0, _POSTS] = ledger.written[0, 0]
    with pytest.raises(RuntimeError, match="lost 1 acknowledged posts"):
        ledger.take_stock(plain_stream.config, plain_stream.topics.posts)


def test_a_ledger_sees_every_broken_promise(plain_stream: StreamUnderTest) -> None:
    """Post 1 lost, 2 doubled (and so out of order), 3 undetermined, 4 after 5, 6 as another post, 7 without its hit."""
    ledger = Ledger()
    _written(plain_stream, ledger)
    topics, config = plain_stream.topics, plain_stream.config
    said = [_verdict(0), _verdict(2), _verdict(2), _verdict(3, "undetermined"), _verdict(5), _verdict(4)]
    produce(config, topics.verdicts, [*said, _verdict(6, post=9), _verdict(7, "unsafe")], partition=1)
    produce(config, topics.risks, [_companion()])
    findings = ledger.check(config, topics)
    assert (findings.lost, findings.doubled, findings.reordered) == (2, 1, 2)
    assert (findings.dead_lettered, findings.undetermined) == (0, 1)
    assert len(findings.wrong) == 1
    assert {offset for _partition, offset in findings.concerned} == {1, 2, 3, 4, 7}
    history = ledger.history(config, topics, [Fault("kill_worker", "worker 1", time.time())])
    assert "posts[0]@1 lost its verdict: post-1" in history
    assert "verdicts[1]@1: safe" in history
    assert "kill_worker (worker 1)" in history
