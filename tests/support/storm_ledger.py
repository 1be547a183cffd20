"""What was written to the posts topic and what an honest reader finds: the promises, and the history of a post."""

import itertools
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from confluent_kafka import Message

from tests.support.kafka_cluster import ClientConfig
from tests.support.topics import TopicNames, read_topic

Source = tuple[int, int]

PICTURES = 40
_EDITED_EVERY = 7  # one post in so many repeats the id of an earlier one
_NOVEL_EVERY = 50
_PICTURE_EVERY = 5
_READ_S = 300.0
_SHOWN = 10
_AROUND_S = 20.0


@dataclass(slots=True)
class Fault:
    """One fault, with wall-clock times to compare with records' times."""

    kind: str
    subject: str
    began: float
    ended: float | None = None

    def __str__(self) -> str:
        ended = "not over" if self.ended is None else _clock(self.ended)
        return f"{_clock(self.began)} to {ended}: {self.kind} ({self.subject})"


@dataclass(frozen=True, slots=True)
class Written:
    """A record of the posts topic; acknowledged: whether its producer was told."""

    post_id: str
    novel: bool
    at: float
    acknowledged: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """One outcome record: where it lies, when it was written, what it says."""

    topic: str
    partition: int
    offset: int
    at: float
    says: str

    def __str__(self) -> str:
        return f"{_clock(self.at)} {self.topic}[{self.partition}]@{self.offset}: {self.says}"


@dataclass(slots=True)
class Findings:
    """Broken promises: how many of each kind, and the source offsets concerned."""

    lost: int = 0
    doubled: int = 0
    reordered: int = 0
    dead_lettered: int = 0
    undetermined: int = 0
    wrong: list[str] = field(default_factory=list)
    concerned: dict[Source, str] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """Whether every promise held."""
        return not (self.concerned or self.wrong)


def storm_posts(seed: int, bucket: str) -> Iterator[dict[str, Any]]:
    """Endless: texts, pictures, novel risks, and ids that repeat."""
    numbers = random.Random(seed)
    for number in itertools.count():
        identity = numbers.randrange(number) if number and number % _EDITED_EVERY == 0 else number
        post: dict[str, Any] = {"post_id": f"post-{identity}", "author_id": f"author-{number % 97}"}
        if number % _PICTURE_EVERY == 1:
            post["images"] = [{"uri": f"s3://{bucket}/{numbers.randrange(PICTURES)}.jpg"}]
        if number % (2 * _PICTURE_EVERY) != 1:
            post["text"] = "novel:strange thing" if number % _NOVEL_EVERY == 0 else f"post number {number}"
        yield post


class Ledger:
    """Notes each acknowledged post; check() reads the outcome topics and compares."""

    def __init__(self) -> None:
        self.written: dict[Source, Written] = {}
        self._answers: dict[Source, list[Answer]] = defaultdict(list)
        self.findings = Findings()

    def note(self, post: dict[str, Any], message: Message) -> None:
        """The broker acknowledged this post.

        Where it had written a batch already whose answer was lost, it acknowledges the second try without saying where
        the posts lie: take_stock() finds them. Found by seed 3 with three brokers.
        """
        if message.offset() is None:
            return
        self._note(post, message, acknowledged=True)

    def take_stock(self, config: ClientConfig, topic: str) -> int:
        """Read the posts topic, so that records nobody was told of count too; returns how many there are in all.

        An idempotent producer may still write a batch twice around a broker's death. That is no fault of the workers:
        each record is a post of its own to them. RuntimeError where the brokers lost what they had acknowledged.
        """
        seen = set()
        for message in read_topic(config, topic, timeout_s=_READ_S):
            seen.add((message.partition() or 0, message.offset() or 0))
            if (message.partition() or 0, message.offset() or 0) not in self.written:
                self._note(orjson.loads(message.value() or b""), message, acknowledged=False)
        if missing := self.written.keys() - seen:
            raise RuntimeError(f"the brokers lost {len(missing)} acknowledged posts, such as {min(missing)}")
        return len(seen)

    @property
    def unacknowledged(self) -> int:
        """Records that take_stock() found."""
        return sum(not written.acknowledged for written in self.written.values())

    def check(self, config: ClientConfig, topics: TopicNames) -> Findings:
        """Read everything that a read_committed reader sees. A verdict, its risk and its hit come together or not."""
        found = self.findings
        answered = self._read_verdicts(config, topics.verdicts)
        for message in read_topic(config, topics.dead_letters, timeout_s=_READ_S):
            headers = dict(message.headers() or [])
            source = int(headers["__connect.errors.partition"] or b""), int(headers["__connect.errors.offset"] or b"")
            self._add(source, message, "dead letter")
            answered[source] += 1
            found.dead_lettered += 1
            found.concerned[source] = "dead-lettered"
        self._compare(answered, set(self.written), "verdict")
        novel = {source for source, written in self.written.items() if written.novel}
        for topic, name in ((topics.risks, "risk"), (topics.retraining, "retraining hit")):
            self._compare(self._read_companions(config, topic, name), novel, name)
        return found

    def history(self, config: ClientConfig, topics: TopicNames, faults: Sequence[Fault]) -> str:
        """Of the first few posts concerned: when written, every answer to be seen, aborted ones too, faults around."""
        shown = dict(itertools.islice(self.findings.concerned.items(), _SHOWN))
        uncommitted: dict[Source, list[str]] = defaultdict(list)
        for message in read_topic(config, topics.verdicts, "read_uncommitted", _READ_S):
            source = _source(orjson.loads(message.value() or b"{}"))
            if source in shown:
                uncommitted[source].append(str(_answer(message, "verdict, aborted ones included")))
        lines = [*self.findings.wrong[:_SHOWN]]
        for source, what in shown.items():
            lines += self._history(source, what, uncommitted[source], faults)
        return "\n".join(lines)

    def _history(self, source: Source, what: str, uncommitted: list[str], faults: Sequence[Fault]) -> list[str]:
        written = self.written.get(source)
        name = f"posts[{source[0]}]@{source[1]}"
        if written is None:
            return [f"{name} {what}, but it is not on the posts topic"]
        answers = self._answers.get(source, [])
        times = [written.at, *(answer.at for answer in answers)]
        around = [
            str(fault)
            for fault in faults
            if fault.began <= max(times) + _AROUND_S and (fault.ended or fault.began) >= min(times) - _AROUND_S
        ]
        told = "acknowledged" if written.acknowledged else "found"
        return [
            f"{name} {what}: {written.post_id}, {told} {_clock(written.at)}",
            *(f"    {answer}" for answer in answers),
            *(f"    {line}" for line in uncommitted),
            *(f"        {line}" for line in around),
        ]

    def _read_verdicts(self, config: ClientConfig, topic: str) -> Counter[Source]:
        found, answered = self.findings, Counter[Source]()
        last: dict[tuple[int, int], int] = {}
        for message in read_topic(config, topic, timeout_s=_READ_S):
            verdict = orjson.loads(message.value() or b"")
            source = _source(verdict)
            self._add(source, message, f"{verdict['outcome']} {verdict.get('reason') or ''}".strip())
            answered[source] += 1
            place = (message.partition() or 0, source[0])
            if source[1] <= last.get(place, -1):
                found.reordered += 1
                found.concerned[source] = f"after offset {last[place]} of its partition"
            last[place] = source[1]
            if verdict["outcome"] == "undetermined":
                found.undetermined += 1
                found.concerned[source] = "undetermined"
            elif (written := self.written.get(source)) is not None:
                self._compare_content(source, written, verdict)
        return answered

    def _compare_content(self, source: Source, written: Written, verdict: dict[str, Any]) -> None:
        expected = (written.post_id, "unsafe" if written.novel else "safe")
        said = (verdict["post_id"], verdict["outcome"])
        if said != expected:
            self.findings.wrong.append(f"posts[{source[0]}]@{source[1]} is {expected}, its verdict says {said}")

    def _read_companions(self, config: ClientConfig, topic: str, name: str) -> Counter[Source]:
        answered = Counter[Source]()
        for message in read_topic(config, topic, timeout_s=_READ_S):
            source = _source(orjson.loads(message.value() or b""))
            self._add(source, message, name)
            answered[source] += 1
        return answered

    def _compare(self, answered: Counter[Source], expected: set[Source], name: str) -> None:
        found = self.findings
        for source in expected - answered.keys():
            found.lost += 1
            found.concerned[source] = f"lost its {name}"
        for source, count in answered.items():
            if count > 1:
                found.doubled += count - 1
                found.concerned[source] = f"got {count} times a {name}"
            if source not in expected:
                found.wrong.append(f"posts[{source[0]}]@{source[1]} got a {name} that nobody asked for")

    def _note(self, post: dict[str, Any], message: Message, *, acknowledged: bool) -> None:
        place = (message.partition() or 0, message.offset() or 0)
        novel = post.get("text", "").startswith("novel:")
        self.written[place] = Written(post["post_id"], novel, time.time(), acknowledged)

    def _add(self, source: Source, message: Message, says: str) -> None:
        self._answers[source].append(_answer(message, says))


def _answer(message: Message, says: str) -> Answer:
    topic = (message.topic() or "").rsplit(".", 1)[-1]
    return Answer(topic, message.partition() or 0, message.offset() or 0, message.timestamp()[1] / 1000, says)


def _source(record: dict[str, Any]) -> Source:
    return record["source"]["partition"], record["source"]["offset"]


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at)) + f".{int(at * 1000) % 1000:03d}"
