"""`proguard replay` on the real broker: other verdicts into other topics, while the live worker notices nothing."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.support.command_line import proguard
from tests.support.streams import StreamUnderTest, text_post
from tests.support.topics import read_topic
from tests.support.verdicts import Found

UNSAFE = "unsafe:C8S3"
MINORS = "unsafe:C11S1"
Sections = dict[str, dict[str, Any]]


def settings_of(stream: StreamUnderTest, sections: Sections | None = None) -> Sections:
    """Those of the live worker."""
    return stream.worker(0, **(sections or {})).settings


def replayed(
    stream: StreamUnderTest, *arguments: str, code: int = 0, sections: Sections | None = None
) -> dict[str, Any]:
    done = proguard(settings_of(stream, sections), "replay", "--create-topics", *arguments)
    assert done.returncode == code, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def verdicts_of(stream: StreamUnderTest, suffix: str = ".replay") -> list[dict[str, Any]]:
    return [
        orjson.loads(value)
        for message in read_topic(stream.config, stream.topics.verdicts + suffix)
        if (value := message.value()) is not None
    ]


def committed(stream: StreamUnderTest) -> dict[int, int]:
    """Offsets of the live group."""
    consumer = Consumer({**stream.config, "group.id": stream.topics.posts})
    asked = [TopicPartition(stream.topics.posts, partition) for partition in range(4)]
    try:
        return {each.partition: each.offset for each in consumer.committed(asked, 20)}
    finally:
        consumer.close()


def lenient_policy(folder: Path) -> Path:
    """The policy that is shipped, with every `remove` a `review`."""
    file = folder / "lenient.yaml"
    shipped = resources.files("proguard_core.policy").joinpath("default.yaml").read_text()
    file.write_text(re.sub(r"\bremove\b", "review", shipped))
    return file


def judged_live(stream: StreamUnderTest, *posts: dict[str, Any]) -> Found:
    """Send posts and let a worker answer them."""
    stream.send(*posts)
    with stream.worker() as worker:
        found = stream.answers(len(posts))
        assert worker.terminate() == 0
    return found


def test_another_policy_changes_actions_and_the_live_worker_notices_nothing(
    plain_stream: StreamUnderTest, tmp_path: Path
) -> None:
    posts = [text_post(number, UNSAFE if number % 4 == 0 else None) for number in range(80)]
    posts += [text_post(80, "novel:moon dust trade"), text_post(81, MINORS)]
    plain_stream.send(*posts)
    plain_stream.send_raw([(b"broken", b"{not json")])
    with plain_stream.worker() as worker:
        live = plain_stream.answers(83)
        worker.wait_for_log("assigned")
        assigned = worker.log.count("assigned: ")
        before = committed(plain_stream)
        said = replayed(plain_stream, "--policy", str(lenient_policy(tmp_path)), "--compare")
        assert committed(plain_stream) == before
        assert (worker.log.count("assigned: "), worker.log.count("revoked: ")) == (assigned, 0)
        assert worker.process.poll() is None
        assert plain_stream.answers(83).verdicts == live.verdicts
        plain_stream.send(text_post(900))
        plain_stream.answers(84)
    assert (said["judged"], said["no_posts"], said["unfinished"]) == (82, {"not_json": 1}, None)
    comparison = said["comparison"]
    assert (comparison["compared"], comparison["changed"], comparison["without_live_verdict"]) == (82, 20, 0)
    top = comparison["action"][0]
    assert (top["old"], top["new"], top["count"]) == ("remove", "review", 20)
    assert [row["count"] for row in comparison["outcome"] if row["old"] != row["new"]] == []
    examples = top["examples"]
    assert len(examples) == 5
    assert {example["post_id"] for example in examples} <= {post["post_id"] for post in posts[:80:4]}
    new = {verdict["verdict_id"]: verdict for verdict in verdicts_of(plain_stream)}
    assert set(new) == {verdict["verdict_id"] for verdict in live.verdicts}
    assert {verdict["policy"]["version"] for verdict in new.values()} != {live.verdicts[0]["policy"]["version"]}


def test_hits_and_risks_go_to_topics_of_their_own_and_minors_to_none(plain_stream: StreamUnderTest) -> None:
    live = judged_live(plain_stream, text_post(0, "novel:moon dust trade"), text_post(1, MINORS))
    said = replayed(plain_stream, "--compare", "--topics-suffix", ".trial")
    topics = plain_stream.topics
    assert said["topics"] == [f"{name}.trial" for name in (topics.verdicts, topics.risks, topics.retraining)]
    assert len(plain_stream.found().hits) == len(live.hits) == 1
    for topic in said["topics"][1:]:
        messages = read_topic(plain_stream.config, topic)
        (message,) = [each for each in messages if each.value() is not None]
        assert message.key() == b"post-0"
        assert [each.key() for each in messages if each.value() is None] == [b"post-1"]  # takes back an earlier one
    assert {verdict["action"] for verdict in verdicts_of(plain_stream, ".trial")} == {"review", "escalate"}
    assert said["comparison"]["changed"] == 0


def test_another_guard_changes_outcomes_and_examples_of_minors_name_no_post(
    plain_stream: StreamUnderTest,
) -> None:
    judged_live(plain_stream, text_post(0, MINORS), text_post(1, UNSAFE), text_post(2))
    said = replayed(plain_stream, "--set", "guard.engine=tests.support.quiet_guard:quiet", "--compare")
    comparison = said["comparison"]
    assert {(row["old"], row["new"]): row["count"] for row in comparison["outcome"]} == {
        ("unsafe", "safe"): 2,
        ("safe", "safe"): 1,
    }
    by_category = {row["old"]: row for row in comparison["category"] if row["new"] == "none"}
    assert [example.get("post_id") for example in by_category["C8S3"]["examples"]] == ["post-1"]
    assert [list(example) for example in by_category["C11S1"]["examples"]] == [["source"]]


def test_ranges_by_offsets_partitions_and_times(plain_stream: StreamUnderTest) -> None:
    for partition in range(2):
        plain_stream.send(*(text_post(100 * partition + number) for number in range(30)), partition=partition)
    said = replayed(plain_stream, "--partition", "1", "--from", "10", "--to", "15", "--topics-suffix", ".a")
    assert said["ranges"] == [{"partition": 1, "from": 10, "to": 15}]
    assert {verdict["source"]["offset"] for verdict in verdicts_of(plain_stream, ".a")} == set(range(10, 15))
    time.sleep(0.05)
    middle = datetime.now(UTC).isoformat()
    time.sleep(0.05)
    plain_stream.send(*(text_post(number) for number in range(500, 505)), partition=3)
    said = replayed(plain_stream, "--from", middle, "--topics-suffix", ".b")
    assert said["ranges"] == [{"partition": 3, "from": 0, "to": 5}]
    assert {verdict["post_id"] for verdict in verdicts_of(plain_stream, ".b")} == {f"post-{n}" for n in range(500, 505)}
    said = replayed(plain_stream, "--to", middle, "--dry-run", "--topics-suffix", ".never")
    assert (said["offsets"], [each["partition"] for each in said["ranges"]]) == (60, [0, 1])


def test_what_has_expired_is_said(plain_stream: StreamUnderTest) -> None:
    plain_stream.send(*(text_post(number) for number in range(30)), partition=0)
    admin = AdminClient(plain_stream.config)
    cut = TopicPartition(plain_stream.topics.posts, 0, 12)
    admin.delete_records([cut])[cut].result(20)
    said = replayed(plain_stream, "--from", "5", "--to", "100")
    name = f"{plain_stream.topics.posts}[0]"
    assert f"{name}: 7 records from offset 5 have expired; it begins at 12" in said["notes"]
    assert f"{name}: ends at offset 30, before 100" in said["notes"]
    assert (said["judged"], said["expired"]) == (18, 0)


def test_posts_erased_since_are_left_out(plain_stream: StreamUnderTest) -> None:
    """By their id, whatever key or partition the post had; what was posted again after it counts."""
    novel = "novel:moon dust trade"
    plain_stream.send(*(text_post(number, novel) for number in range(4)), partition=0)
    plain_stream.send_raw([(b"another key", orjson.dumps(text_post(4, novel)))], partition=0)
    plain_stream.send_raw([(b"post-1", None), (b"post-3", None)], partition=0)
    plain_stream.send_raw([(b"post-4", None)], partition=2)
    plain_stream.send(text_post(3, novel), partition=0)
    said = replayed(plain_stream, "--to", "5", "--partition", "0", "--topics-suffix", ".part")
    assert (said["judged"], said["erased"]) == (2, 3)
    assert {verdict["post_id"] for verdict in verdicts_of(plain_stream, ".part")} == {"post-0", "post-2"}
    answers = read_topic(plain_stream.config, plain_stream.topics.verdicts + ".part")
    assert {message.key() for message in answers if message.value() is None} == {b"post-1", b"post-3", b"post-4"}
    said = replayed(plain_stream)
    assert (said["judged"], said["erased"]) == (3, 3)
    assert [verdict["post_id"] for verdict in verdicts_of(plain_stream)].count("post-3") == 1
    hits = read_topic(plain_stream.config, plain_stream.topics.retraining + ".replay")
    assert {message.key() for message in hits if message.value() is not None} == {b"post-0", b"post-2", b"post-3"}


def test_a_crash_in_the_middle_and_the_same_command_again(plain_stream: StreamUnderTest) -> None:
    """The second run goes on where the first was; a reader that drops repeats by verdict_id sees each post once."""
    plain_stream.send(*(text_post(number) for number in range(400)))
    slow: Sections = {"guard": {"settings": {"delay_ms": 150}}, "batching": {"max_posts": 10, "in_flight": 1}}
    plain_stream.send_raw([(b"post-0", b'{"post_id":"post-0","text":"edited"}')])
    killed = start(plain_stream, slow)
    wait_until(lambda: topic_exists(plain_stream) and len(verdicts_of(plain_stream)) >= 60)
    plain_stream.send_raw([(b"post-1", None), (b"post-2", None)])
    killed.send_signal(signal.SIGKILL)
    killed.wait(20)
    first = {verdict["verdict_id"] for verdict in verdicts_of(plain_stream)}
    said = replayed(plain_stream, sections=slow)
    assert 0 < said["done_before"] < 401
    assert said["done_before"] <= len(first)
    ids = Counter(verdict["verdict_id"] for verdict in verdicts_of(plain_stream))
    repeated = sum(count - 1 for count in ids.values())
    assert repeated <= len(first) - said["done_before"]
    said_of = last_by_key(plain_stream)
    assert said_of[b"post-1"] is None
    assert said_of[b"post-2"] is None
    assert {key for key, value in said_of.items() if value} == {b"post-%d" % n for n in range(400) if n not in (1, 2)}
    assert replayed(plain_stream, sections=slow)["judged"] == 0
    assert replayed(plain_stream, "--restart")["judged"] == 399


def test_the_live_topics_are_never_written(plain_stream: StreamUnderTest) -> None:
    settings = settings_of(plain_stream)
    done = proguard(settings, "replay", "--topics-suffix", "")
    assert done.returncode == 78
    assert "never writes to the live topics" in done.stderr
    done = proguard(settings, "replay", "--topics-suffix", ".gone")
    assert done.returncode == 78
    assert f"topic {plain_stream.topics.verdicts}.gone does not exist: --create-topics makes it" in done.stderr
    assert proguard(settings, "replay", "--set", "topics.verdicts=x").returncode == 2
    assert proguard(settings, "replay", "--from", "yesterday").returncode == 2


def test_a_storm_of_failures_stops_it(plain_stream: StreamUnderTest) -> None:
    plain_stream.send(*(text_post(number, "guard:raise") for number in range(20)), partition=0)
    sections: Sections = {"breaker": {"max_run": 5}, "guard": {"max_attempts": 1}}
    said = replayed(plain_stream, code=1, sections=sections)
    assert "breaker.max_run" in said["unfinished"]
    assert len(verdicts_of(plain_stream)) == 5


def start(stream: StreamUnderTest, sections: Sections) -> subprocess.Popen[bytes]:
    given = {
        f"PROGUARD_{section}__{key}".upper(): value if isinstance(value, str) else json.dumps(value)
        for section, table in settings_of(stream, sections).items()
        for key, value in table.items()
    }
    command = [sys.executable, "-m", "worker.cli", "replay", "--create-topics"]
    return subprocess.Popen(command, env={**os.environ, **given}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_until(true: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def topic_exists(stream: StreamUnderTest) -> bool:
    return f"{stream.topics.verdicts}.replay" in AdminClient(stream.config).list_topics(timeout=10).topics


def last_by_key(stream: StreamUnderTest) -> dict[Any, Any]:
    """What compaction would leave."""
    return {message.key(): message.value() for message in read_topic(stream.config, f"{stream.topics.verdicts}.replay")}
