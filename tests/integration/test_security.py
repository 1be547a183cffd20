"""Logins and ACLs on a broker that enforces them: the documented rights are enough, and each of them is needed."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from tests.support.command_line import overrides_for, proguard
from tests.support.kafka_cluster import ClientConfig, KafkaCluster
from tests.support.kafka_properties import STORE_PASSWORD, WORKER
from tests.support.streams import StreamUnderTest, text_post
from tests.support.topics import TopicNames
from worker.settings import TopicSettings

_DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "security.md"
_ROW = re.compile(r"^\| (topic|group|transactional id) \| (.+?) \| (literal|prefixed) \| (\w+) \| 78 \|$", re.MULTILINE)
_TYPES = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional id": ResourceType.TRANSACTIONAL_ID,
}


@dataclass(frozen=True, slots=True)
class Right:
    """A row of the table in docs/security.md."""

    resource: str
    setting: str
    pattern: str
    operation: str

    def binding(self, names: TopicNames) -> AclBinding:
        """The ACL for these topics; the group of a test is named after its posts topic."""
        key = self.setting.strip("`")
        group = {"kafka.group_id": names.posts, "kafka.group_id` + `.": f"{names.posts}."}
        name = getattr(names, key.removeprefix("topics.")) if key.startswith("topics.") else group[key]
        pattern = ResourcePatternType.PREFIXED if self.pattern == "prefixed" else ResourcePatternType.LITERAL
        operation = AclOperation[self.operation.upper()]
        principal = f"User:{WORKER}"
        return AclBinding(_TYPES[self.resource], name, pattern, principal, "*", operation, AclPermissionType.ALLOW)


RIGHTS = [Right(*row) for row in _ROW.findall(_DOCUMENT.read_text())]


def test_the_document_names_every_topic_that_the_worker_uses() -> None:
    topics = {right.setting.strip("`") for right in RIGHTS if right.resource == "topic"}
    assert topics == {f"topics.{role}" for role in TopicSettings.model_fields if role != "reviews"}
    assert len(RIGHTS) == len(topics) + 2


def grant(cluster: KafkaCluster, names: TopicNames, rights: list[Right]) -> None:
    """Give the user `worker` these rights."""
    admin = AdminClient(cluster.client_config())
    for future in admin.create_acls([right.binding(names) for right in rights]).values():
        future.result(30)


def revoke(cluster: KafkaCluster, names: TopicNames, right: Right) -> None:
    """Take one right away again."""
    granted = right.binding(names)
    wanted = AclBindingFilter(
        granted.restype,
        granted.name,
        granted.resource_pattern_type,
        granted.principal,
        granted.host,
        granted.operation,
        granted.permission_type,
    )
    admin = AdminClient(cluster.client_config())
    for future in admin.delete_acls([wanted]).values():
        assert len(future.result(30)) == 1


def login(cluster: KafkaCluster, kind: str) -> ClientConfig:
    """The settings of `[kafka.client]` for the user `worker`."""
    folder = cluster.directory
    trust: ClientConfig = {"bootstrap.servers": cluster.bootstrap_servers, "ssl.ca.location": str(folder / "ca.pem")}
    if kind == "OAUTHBEARER":
        token = {"enable.sasl.oauthbearer.unsecure.jwt": "true", "sasl.oauthbearer.config": f"principal={WORKER}"}
        return trust | {"security.protocol": "SASL_SSL", "sasl.mechanism": kind} | token
    if kind in ("mTLS", "stranger"):
        name = "client" if kind == "mTLS" else "stranger"
        return trust | {
            "bootstrap.servers": cluster.mtls_servers,
            "security.protocol": "SSL",
            "ssl.certificate.location": str(folder / f"{name}.pem"),
            "ssl.key.location": str(folder / f"{name}.key"),
            "ssl.key.password": STORE_PASSWORD,
        }
    return cluster.client_config(WORKER) | {"sasl.mechanism": kind}


@pytest.fixture
def secured(kafka_secure: KafkaCluster, topic_names: TopicNames, tmp_path: Path) -> StreamUnderTest:
    return StreamUnderTest(kafka_secure.client_config(), topic_names, tmp_path).create()


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
@pytest.mark.parametrize("kind", ["SCRAM-SHA-256", "PLAIN", "OAUTHBEARER", "mTLS"])
def test_the_documented_rights_are_enough(
    kind: str, protocol: str, kafka_secure: KafkaCluster, secured: StreamUnderTest
) -> None:
    grant(kafka_secure, secured.topics, RIGHTS)
    secured.send(*(text_post(number) for number in range(20)))
    secured.send_raw([(b"key", b"no json")])
    secured.send(text_post(20, "novel:loud drumming"))
    config = {name: value for name, value in login(kafka_secure, kind).items() if name != "bootstrap.servers"}
    servers = login(kafka_secure, kind)["bootstrap.servers"]
    kafka: dict[str, Any] = {"client": config, "bootstrap_servers": servers, "group_protocol": protocol}
    with secured.worker(kafka=kafka) as worker:
        found = secured.answers(22)
        assert worker.terminate() == 0
    assert len(found.verdicts) == 21
    assert len(found.dead_letters) == 1
    for secret in ("worker-secret", STORE_PASSWORD):
        assert secret not in worker.log


@pytest.mark.parametrize("missing", RIGHTS, ids=lambda right: f"{right.operation} {right.setting}")
def test_each_right_is_needed_and_named(
    missing: Right, kafka_secure: KafkaCluster, secured: StreamUnderTest, tmp_path: Path
) -> None:
    grant(kafka_secure, secured.topics, [right for right in RIGHTS if right != missing])
    given = overrides_for(kafka_secure.client_config(WORKER), secured.topics, kafka={"state_dir": str(tmp_path)})
    done = proguard(given, "moderate")
    assert done.returncode == 78, done.stderr
    assert missing.operation.upper() in done.stderr
    assert missing.binding(secured.topics).name in done.stderr
    assert "Traceback" not in done.stderr
    lacking = re.findall(r"(?:topic|group) (\S+) \([\w.]+\): the principal lacks", done.stderr)
    assert set(lacking) <= {missing.binding(secured.topics).name}


@pytest.mark.parametrize("kind", ["SCRAM-SHA-256", "PLAIN"])
@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
@pytest.mark.parametrize(
    ("command", "code"),
    [(("moderate",), 78), (("config", "check", "--online"), 78), (("topics", "show"), 78), (("config", "show"), 0)],
    ids=["moderate", "check", "topics", "show"],
)
def test_a_wrong_password_is_clear_and_leaks_nowhere(
    command: tuple[str, ...],
    code: int,
    level: str,
    kind: str,
    kafka_secure: KafkaCluster,
    topic_names: TopicNames,
    tmp_path: Path,
) -> None:
    config = login(kafka_secure, kind) | {"debug": "all"} if level == "DEBUG" else login(kafka_secure, kind)
    del config["sasl.password"]
    (tmp_path / "kafka__client__sasl_password").write_text("correct-horse-battery\n")
    given = overrides_for(config, topic_names, telemetry={"log_level": level})
    done = proguard(given, *command, environment={"PROGUARD_SECRETS_DIR": str(tmp_path)})
    assert done.returncode == code, done.stderr[-3000:]
    assert "correct-horse-battery" not in done.stdout + done.stderr
    if code:
        assert "the broker refuses our login" in done.stderr
        assert "kafka.client.sasl.username, sasl.password or sasl.mechanism" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_certificate_that_the_broker_does_not_trust_is_78(
    kafka_secure: KafkaCluster, topic_names: TopicNames
) -> None:
    done = proguard(overrides_for(login(kafka_secure, "stranger"), topic_names), "moderate")
    assert done.returncode == 78, done.stderr[-3000:]
    assert "no TLS connection to the broker" in done.stderr
    assert "kafka.client.ssl" in done.stderr
    assert STORE_PASSWORD not in done.stderr


def test_oidc_settings_reach_librdkafka(topic_names: TopicNames) -> None:
    """No identity provider runs here: the method, the client and the endpoint are asked for, and that is all."""
    config: ClientConfig = {
        "bootstrap.servers": "127.0.0.1:1",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "OAUTHBEARER",
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.client.id": "moderation",
        "sasl.oauthbearer.client.secret": "correct-horse-battery",
        "sasl.oauthbearer.token.endpoint.url": "http://127.0.0.1:1/token",
    }
    done = proguard(overrides_for(config, topic_names), "config", "check", "--online", "--wait", "2")
    assert done.returncode != 0
    assert "token" in done.stderr.lower()
    assert "correct-horse-battery" not in done.stderr


@pytest.mark.parametrize("taken", RIGHTS, ids=lambda right: right.setting)
def test_a_right_that_is_taken_from_a_running_worker_ends_it_with_78(
    taken: Right, kafka_secure: KafkaCluster, secured: StreamUnderTest
) -> None:
    """Nothing is answered without it, and with it back the next worker answers everything once."""
    grant(kafka_secure, secured.topics, RIGHTS)
    client = {name: value for name, value in kafka_secure.client_config(WORKER).items() if name != "bootstrap.servers"}
    # Without READ on its group it cannot leave it either: the group waits a session for it.
    with secured.worker(kafka={"client": client, "consumer": {"session.timeout.ms": "6000"}}) as worker:
        secured.send(text_post(0, "novel:loud drumming"))
        secured.answers(1)
        revoke(kafka_secure, secured.topics, taken)
        secured.send(*(text_post(number, "novel:loud drumming") for number in range(1, 9)))
        secured.send_raw([(b"key", b"no json")] * 4)
        assert worker.process.wait(40) == 78, worker.log[-3000:]
        assert taken.operation.upper() in worker.log
        assert "Traceback" not in worker.log
        assert len(secured.found().sources()) < 13
        grant(kafka_secure, secured.topics, [taken])
        worker.start()
        secured.answers(13)
        assert worker.terminate() == 0
