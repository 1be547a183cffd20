"""The rights of `proguard retrain` in docs/security.md: enough on a broker that enforces them, and each is needed."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from tests.support.kafka_cluster import KafkaCluster
from tests.support.kafka_properties import WORKER
from tests.support.rounds import Rounds, confirmations, novel_hits
from tests.support.streams import StreamUnderTest
from tests.support.topics import TopicNames

_DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "security.md"
_ROW = re.compile(r"^\| (topic|group) \| `(.+?)` \| (literal) \| (\w+) \| 78, at its beginning \|$", re.M)
POSTS = 45


@dataclass(frozen=True, slots=True)
class Right:
    """A row of the table."""

    resource: str
    setting: str
    pattern: str
    operation: str

    def name(self, rounds: Rounds) -> str:
        """Of the topic or group in this test."""
        section, _, key = self.setting.partition(".")
        return str(rounds.tables()[section][key])


RIGHTS = [Right(*row) for row in _ROW.findall(_DOCUMENT.read_text())]


@pytest.fixture
def administered(kafka_secure: KafkaCluster, topic_names: TopicNames, tmp_path: Path) -> Rounds:
    """Hits and reviews, as the administrator writes them."""
    stream = StreamUnderTest(kafka_secure.client_config(), topic_names, tmp_path).create()
    rounds = Rounds(stream, "none", "http://127.0.0.1:1", settings={"registry": str(tmp_path / "registry")})
    hits = novel_hits(POSTS)
    rounds.hits(hits)
    rounds.reviews(confirmations(hits, "ada", "grace"))
    return rounds


def as_worker(cluster: KafkaCluster, rounds: Rounds, rights: list[Right]) -> Rounds:
    """The same rounds by a principal that has these rights and no others."""
    granted = [
        AclBinding(
            ResourceType[each.resource.upper()],
            each.name(rounds),
            ResourcePatternType.LITERAL,
            f"User:{WORKER}",
            "*",
            AclOperation[each.operation.upper()],
            AclPermissionType.ALLOW,
        )
        for each in rights
    ]
    admin = AdminClient(cluster.client_config())
    for future in admin.create_acls(granted).values():
        future.result(30)
    return replace(rounds, stream=replace(rounds.stream, config=cluster.client_config(WORKER)))


@pytest.mark.timeout(300)
def test_the_documented_rights_are_enough(kafka_secure: KafkaCluster, administered: Rounds) -> None:
    assert [(each.resource, each.setting, each.operation) for each in RIGHTS] == [
        ("topic", "topics.retraining", "Read"),
        ("topic", "topics.reviews", "Read"),
        ("topic", "topics.verdicts", "Read"),
        ("topic", "topics.posts", "Read"),
        ("group", "retraining.group_id", "Read"),
    ]
    done = as_worker(kafka_secure, administered, RIGHTS).run()
    assert done["end"] == "waits for a signature", done
    assert sum(administered.committed().values()) == 3 * POSTS


@pytest.mark.timeout(300)
@pytest.mark.parametrize("missing", RIGHTS, ids=lambda right: f"{right.operation} {right.setting}")
def test_each_right_is_needed_and_named(missing: Right, kafka_secure: KafkaCluster, administered: Rounds) -> None:
    rounds = as_worker(kafka_secure, administered, [each for each in RIGHTS if each != missing])
    said = rounds.run(code=78)["said"]
    assert missing.name(rounds) in said
    assert missing.operation.upper() in said
    assert administered.committed() == {}
