"""The rights of the console in docs/security.md: enough on a broker that enforces them, and each is needed."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from sqlalchemy import func, select

from schemas.review import Decision, Review
from tests.support.command_line import overrides_for
from tests.support.console_process import PEOPLE, ConsoleProcess, Pages
from tests.support.kafka_cluster import KafkaCluster
from tests.support.kafka_properties import WORKER
from tests.support.risks import hit, verdict
from tests.support.streams import StreamUnderTest, text_post
from tests.support.topics import TopicNames, produce, read_topic
from worker.console.store import Store, reviewing
from worker.console.store.models import QueueRow, RiskRow

_DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "security.md"
_ROW = re.compile(r"^\| topic \| `topics\.(\w+)` \| literal \| (\w+) \| (mining|pages) \| (.+?) \|$", re.M)


@dataclass(frozen=True, slots=True)
class Right:
    """A row of the table."""

    role: str
    operation: str
    process: str
    without: str

    def binding(self, topics: TopicNames) -> AclBinding:
        """The ACL for these topics."""
        name, operation = getattr(topics, self.role), AclOperation[self.operation.upper()]
        literal, allow = ResourcePatternType.LITERAL, AclPermissionType.ALLOW
        return AclBinding(ResourceType.TOPIC, name, literal, f"User:{WORKER}", "*", operation, allow)


RIGHTS = [Right(*row) for row in _ROW.findall(_DOCUMENT.read_text())]
MINING = [each for each in RIGHTS if each.process == "mining"]
(LETTERS,) = (each for each in RIGHTS if each.process == "pages")


@dataclass
class Console:
    """Both processes under a principal whose rights the test gives and takes."""

    stream: StreamUnderTest
    cluster: KafkaCluster
    folder: Path

    def process(self, kind: type[ConsoleProcess], *arguments: str, **console: object) -> ConsoleProcess:
        own = {"store_path": str(self.folder / "risks.db"), "refresh_every_s": 1, "audit_share": 1.0, **console}
        tables = overrides_for(self.cluster.client_config(WORKER), self.stream.topics, console=own)
        return kind(tables, self.folder / "console.log", *arguments)

    def mining(self, **console: object) -> ConsoleProcess:
        return self.process(ConsoleProcess, "mine", **console)

    def grant(self, rights: Iterable[Right]) -> None:
        admin = AdminClient(self.cluster.client_config())
        for future in admin.create_acls([each.binding(self.stream.topics) for each in rights]).values():
            future.result(30)

    def take(self, right: Right) -> None:
        was = right.binding(self.stream.topics)
        here = AclBindingFilter(
            *(was.restype, was.name, was.resource_pattern_type, was.principal),
            *(was.host, was.operation, was.permission_type),
        )
        admin = AdminClient(self.cluster.client_config())
        (future,) = admin.delete_acls([here]).values()
        assert len(future.result(30)) == 1

    def decide(self) -> str:
        """Somebody labels a post; the review's id."""
        store = Store(f"sqlite:///{self.folder / 'risks.db'}", create=True)
        with store.writing() as session:
            said = reviewing.Decided(Decision.CONFIRM, "ada", name="Touting")
            made: str = reviewing.decide_post(session, "post-1", said, datetime.now(UTC)).review.review_id
        store.close()
        return made


@pytest.fixture
def console(kafka_secure: KafkaCluster, topic_names: TopicNames, tmp_path: Path) -> Console:
    """A post, its verdict and a hit, as the administrator writes them."""
    stream = StreamUnderTest(kafka_secure.client_config(), topic_names, tmp_path).create(partitions=1)
    stream.send(text_post(0, "an everyday post"))
    judged = orjson.loads(verdict(0, "post-0", datetime.now(UTC)))
    judged["source"]["topic"] = topic_names.posts
    produce(stream.config, topic_names.verdicts, [(b"post-0", orjson.dumps(judged))])
    produce(stream.config, topic_names.retraining, [(b"post-1", hit(1).model_dump_json().encode())])
    return Console(stream, kafka_secure, tmp_path)


def mined(console: Console) -> tuple[int, list[str | None]]:
    """Risks in the store, and texts of the audit sample."""
    store = Store(f"sqlite:///{console.folder / 'risks.db'}", create=True)
    try:
        with store.reading() as session:
            return session.scalar(select(func.count()).select_from(RiskRow)) or 0, list(
                session.scalars(select(QueueRow.text))
            )
    finally:
        store.close()


@pytest.mark.timeout(180)
def test_the_documented_rights_are_enough_to_mine(console: Console) -> None:
    assert [(each.role, each.operation) for each in MINING] == [
        ("verdicts", "Read"),
        ("risks", "Read"),
        ("retraining", "Read"),
        ("reviews", "Read"),
        ("reviews", "Write"),
        ("posts", "Read"),
    ]
    console.grant(MINING)
    decided = console.decide()
    with console.mining() as mining:
        mining.until(lambda: mined(console) == (1, ["an everyday post"]))
        mining.until(lambda: read_topic(console.stream.config, console.stream.topics.reviews))
        assert mining.terminate() == 0
    (message,) = read_topic(console.stream.config, console.stream.topics.reviews)
    assert Review.model_validate_json(message.value() or b"").review_id == decided
    assert "uthoriz" not in mining.log


@pytest.mark.timeout(180)
@pytest.mark.parametrize("missing", MINING, ids=lambda right: f"{right.operation} {right.role}")
def test_mining_does_not_begin_without_each_right_and_names_it(missing: Right, console: Console) -> None:
    assert missing.without.startswith("78, at its beginning")
    console.grant(each for each in MINING if each != missing)
    with console.mining() as mining:
        assert mining.wait() == 78, mining.log
    assert getattr(console.stream.topics, missing.role) in mining.log
    assert missing.operation.upper() in mining.log
    assert "Traceback" not in mining.log
    assert mined(console) == (0, [])


@pytest.mark.timeout(180)
def test_without_an_audit_sample_posts_need_not_be_read(console: Console) -> None:
    console.grant(each for each in MINING if each.role != "posts")
    with console.mining(audit_share=0.0) as mining:
        mining.until(lambda: mined(console) == (1, []))
        assert mining.terminate() == 0


@pytest.mark.timeout(180)
@pytest.mark.parametrize("taken", ["Read verdicts", "Write reviews"])
def test_a_right_that_is_taken_from_it_ends_it_and_loses_nothing(taken: str, console: Console) -> None:
    console.grant(MINING)
    (right,) = (each for each in MINING if f"{each.operation} {each.role}" == taken)
    with console.mining() as mining:
        mining.until(lambda: mined(console) == (1, ["an everyday post"]))
        console.take(right)
        decided = console.decide()
        assert mining.wait() == 78, mining.log
    assert getattr(console.stream.topics, right.role) in mining.log
    console.grant([right])
    with console.mining() as mining:
        mining.until(lambda: read_topic(console.stream.config, console.stream.topics.reviews))
        assert mining.terminate() == 0
    written = {message.key() for message in read_topic(console.stream.config, console.stream.topics.reviews)}
    assert written == {decided.encode()}
    assert mined(console) == (1, ["an everyday post"])


@pytest.mark.timeout(180)
def test_the_pages_read_dead_letters_with_their_right_and_say_so_without(console: Console) -> None:
    assert (LETTERS.role, LETTERS.operation) == ("dead_letters", "Read")
    topic = console.stream.topics.dead_letters
    produce(console.stream.config, topic, [(b"post-9", b"{")])
    console.grant([LETTERS])
    pages = console.process(Pages, **PEOPLE)
    assert isinstance(pages, Pages)
    with pages:
        status, text = pages.get("/dead-letters")
        assert (status, f"{topic}:0:0" in text, "alert" in text) == (200, True, False), text
        console.take(LETTERS)
        pages.until(lambda: f"{topic}:0:0" not in pages.get("/dead-letters")[1])
        status, text = pages.get("/dead-letters")
        assert (status, topic in text, "alert" in text) == (200, True, True), text
        assert pages.get("/")[0] == pages.get("/guards")[0] == 200
        assert pages.terminate() == 0
