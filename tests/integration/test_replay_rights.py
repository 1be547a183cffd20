"""The rights of `proguard replay` in docs/security.md: enough on a broker that enforces them, and each is needed."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from tests.support.command_line import overrides_for, proguard
from tests.support.kafka_cluster import KafkaCluster
from tests.support.kafka_properties import WORKER
from tests.support.streams import ENVELOPE_BYTES, POSTS_MAX_BYTES, StreamUnderTest, text_post
from tests.support.topics import TopicNames, create_topics

_DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "security.md"
_ROW = re.compile(r"^\| (topic|group) \| (.+?) \| (literal|prefixed) \| (\w+) \| (?:always|with `--compare`) \|$", re.M)
_POSTS = 12


@dataclass(frozen=True, slots=True)
class Right:
    """A row of the table."""

    resource: str
    name: str
    pattern: str
    operation: str

    def full_name(self, names: TopicNames) -> str:
        """The group of a test is named after its posts topic."""
        setting, _plus, suffix = self.name.replace("`", "").partition(" + ")
        return (names.posts if setting == "kafka.group_id" else getattr(names, setting.split(".")[1])) + suffix

    def binding(self, names: TopicNames) -> AclBinding:
        """The ACL for these topics."""
        pattern = ResourcePatternType.PREFIXED if self.pattern == "prefixed" else ResourcePatternType.LITERAL
        kind, operation = ResourceType[self.resource.upper()], AclOperation[self.operation.upper()]
        name = self.full_name(names)
        return AclBinding(kind, name, pattern, f"User:{WORKER}", "*", operation, AclPermissionType.ALLOW)


RIGHTS = [Right(*row) for row in _ROW.findall(_DOCUMENT.read_text())]


def replay(cluster: KafkaCluster, names: TopicNames, directory: Path, rights: list[Right]) -> tuple[int, str, str]:
    """Twelve posts judged again with these rights and no others: exit code and both outputs."""
    stream = StreamUnderTest(cluster.client_config(), names, directory).create()
    written = [f"{name}.replay" for name in (names.verdicts, names.risks, names.retraining)]
    create_topics(cluster.client_config(), written, max_message_bytes=str(POSTS_MAX_BYTES + ENVELOPE_BYTES))
    admin = AdminClient(cluster.client_config())
    for future in admin.create_acls([each.binding(names) for each in rights]).values():
        future.result(30)
    stream.send(*(text_post(number, "novel:loud drumming" if number == 0 else None) for number in range(_POSTS)))
    kafka: dict[str, Any] = {"state_dir": str(directory)}
    given = overrides_for(cluster.client_config(WORKER), names, kafka=kafka)
    done = proguard(given, "replay", "--compare")
    return done.returncode, done.stdout, done.stderr


@pytest.mark.timeout(180)
def test_the_documented_rights_are_enough(kafka_secure: KafkaCluster, topic_names: TopicNames, tmp_path: Path) -> None:
    assert len(RIGHTS) == 7
    code, said, errors = replay(kafka_secure, topic_names, tmp_path, RIGHTS)
    assert code == 0, errors
    report = json.loads(said)
    assert report["judged"] == _POSTS
    assert report["comparison"]["without_live_verdict"] == _POSTS


@pytest.mark.timeout(180)
@pytest.mark.parametrize("missing", RIGHTS, ids=lambda right: f"{right.operation} {right.name}")
def test_each_right_is_needed_and_named(
    missing: Right, kafka_secure: KafkaCluster, topic_names: TopicNames, tmp_path: Path
) -> None:
    code, _said, errors = replay(kafka_secure, topic_names, tmp_path, [each for each in RIGHTS if each != missing])
    assert code == 78, errors
    assert missing.full_name(topic_names) in errors
    assert "Traceback" not in errors
