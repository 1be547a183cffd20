"""What is deployed follows from the worker: rights, topics, deadlines, names; and runs with as little as it can."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.generate import FOLDER, generated
from worker.settings import Settings, TopicSettings, load

ROOT = FOLDER.parent
KUSTOMIZE = FOLDER / "kustomize"
_ROW = re.compile(r"^\| (topic|group|transactional id) \| (.+?) \| (literal|prefixed) \| (\w+) \| 78 \|$", re.MULTILINE)


def documents(name: str) -> list[dict[str, Any]]:
    """The objects of a file below deploy/kustomize."""
    return list(yaml.safe_load_all((KUSTOMIZE / name).read_text()))


def only(name: str, kind: str) -> dict[str, Any]:
    [found] = [each for each in documents(name) if each["kind"] == kind]
    return found


@pytest.fixture
def settings() -> Settings:
    return load(KUSTOMIZE / "base" / "proguard.toml")


@pytest.fixture
def pod() -> dict[str, Any]:
    spec: dict[str, Any] = only("base/deployment.yaml", "Deployment")["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("path", generated(), ids=lambda path: path.name)
def test_generated_files_are_up_to_date(path: Path) -> None:
    assert path.read_text() == generated()[path], "run `make deploy`"


def test_the_pod_is_killed_only_after_its_drain(pod: dict[str, Any], settings: Settings) -> None:
    drain_s = settings.kafka.drain_timeout_ms / 1000
    assert pod["terminationGracePeriodSeconds"] >= drain_s + settings.kafka.transaction_timeout_ms / 1000 + 30
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert int(compose["services"]["worker"]["stop_grace_period"].rstrip("s")) > drain_s + 15
    # The heartbeat's limit, and the probe's failures on top of it, are beyond the drain.
    assert settings.telemetry.live_timeout_s > drain_s


def test_probes_ask_what_the_worker_serves(pod: dict[str, Any], settings: Settings) -> None:
    [worker] = pod["containers"]
    paths = {name: worker[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert paths == {"startupProbe": "/startupz", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    assert worker["ports"] == [{"name": "telemetry", "containerPort": settings.telemetry_port}]
    assert settings.telemetry.host == "0.0.0.0"
    policy = only("base/networkpolicy.yaml", "NetworkPolicy")["spec"]
    assert policy["ingress"][0]["ports"][0]["port"] == settings.telemetry_port


def test_the_pod_asks_for_nothing_that_it_does_not_need(pod: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    [worker] = pod["containers"]
    assert worker["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    writable = {mount["mountPath"] for mount in worker["volumeMounts"] if not mount.get("readOnly")}
    assert writable == {"/var/lib/proguard", "/tmp"}
    assert not [each for each in worker["env"] if "PASSWORD" in each["name"]]


def test_the_transactional_id_is_the_pods(pod: dict[str, Any], settings: Settings) -> None:
    [worker] = pod["containers"]
    environment = {each["name"]: each for each in worker["env"]}
    assert environment["PROGUARD_KAFKA__HOSTNAME"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    mounts = {mount["name"]: mount["mountPath"] for mount in worker["volumeMounts"]}
    assert mounts["state"] == str(settings.kafka.state_dir)
    [state] = [volume for volume in pod["volumes"] if volume["name"] == "state"]
    assert "emptyDir" in state


def test_secrets_come_by_file(pod: dict[str, Any]) -> None:
    [worker] = pod["containers"]
    environment = {each["name"]: each.get("value") for each in worker["env"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in worker["volumeMounts"]}
    assert environment["PROGUARD_SECRETS_DIR"] == mounts["secrets"]
    [volume] = [volume for volume in pod["volumes"] if volume["name"] == "secrets"]
    assert [item["path"] for item in volume["secret"]["items"]] == ["kafka__client__sasl_password"]


def test_one_pod_at_a_time_is_taken_away() -> None:
    assert only("base/poddisruptionbudget.yaml", "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    rolling = only("base/deployment.yaml", "Deployment")["spec"]["strategy"]["rollingUpdate"]
    assert rolling == {"maxUnavailable": 1, "maxSurge": 0}


def documented_rights(settings: Settings) -> Iterator[tuple[str, str, str, str]]:
    """(type, name, pattern, operation) of each row in docs/security.md, as Strimzi spells them."""
    types = {"topic": "topic", "group": "group", "transactional id": "transactionalId"}
    for resource, setting, pattern, operation in _ROW.findall((ROOT / "docs" / "security.md").read_text()):
        key = setting.strip("`")
        names = {"kafka.group_id": settings.kafka.group_id, "kafka.group_id` + `.": f"{settings.kafka.group_id}."}
        name = names.get(key) or getattr(settings.topics, key.removeprefix("topics."))
        yield types[resource], name, "prefix" if pattern == "prefixed" else "literal", operation


def test_the_strimzi_user_has_the_documented_rights_and_may_look_besides(settings: Settings) -> None:
    users = {each["metadata"]["name"]: each for each in documents("components/strimzi/users.yaml")}
    assert {each["apiVersion"] for each in users.values()} == {"kafka.strimzi.io/v1"}
    user = users[settings.kafka.client["sasl.username"]]
    granted = {
        (acl["resource"]["type"], acl["resource"]["name"], acl["resource"]["patternType"], operation)
        for acl in user["spec"]["authorization"]["acls"]
        for operation in acl["operations"]
    }
    needed = set(documented_rights(settings))
    assert len(needed) == 7
    assert needed <= granted
    assert {right[3] for right in granted - needed} == {"Describe", "DescribeConfigs"}
    assert {
        operation for acl in users["proguard-keda"]["spec"]["authorization"]["acls"] for operation in acl["operations"]
    } == {"Describe"}


def test_keda_scales_the_group_of_the_settings(settings: Settings) -> None:
    scaled = only("components/keda/scaledobject.yaml", "ScaledObject")["spec"]
    [trigger] = scaled["triggers"]
    assert trigger["metadata"]["consumerGroup"] == settings.kafka.group_id
    assert trigger["metadata"]["topic"] == settings.topics.posts
    assert trigger["metadata"]["bootstrapServers"] == settings.kafka.bootstrap_servers
    assert trigger["metadata"]["limitToPartitionsWithLag"] == "true"
    assert trigger["metadata"]["excludePersistentLag"] == "false"
    behaviour = scaled["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behaviour["scaleDown"]["stabilizationWindowSeconds"] >= 600
    topics = {each["metadata"]["name"]: each["spec"] for each in documents("components/strimzi/topics.yaml")}
    assert scaled["maxReplicaCount"] == topics[settings.topics.posts]["partitions"]
    assert set(topics) == set(TopicSettings().model_dump().values())


def test_settings_files_of_the_manifests_are_right(settings: Settings) -> None:
    assert settings.kafka.client["security.protocol"] == "SASL_SSL"
    assert "password" not in str(tomllib.loads((KUSTOMIZE / "base" / "proguard.toml").read_text())).lower()


def test_images_run_without_root_and_without_a_shell() -> None:
    for path in sorted((FOLDER / "docker").glob("*.Dockerfile")):
        final = path.read_text().split("FROM ")[-1]
        assert "\nUSER 65532:65532\n" in final, path.name
        for instruction in ("ENTRYPOINT", "CMD"):
            starts = re.findall(rf"^\s*{instruction} (.)", final, re.MULTILINE)
            assert starts, path.name
            assert set(starts) == {"["}, f"{path.name}: {instruction} needs a shell"
        assert "HEALTHCHECK" in final
        assert "--require-hashes" in path.read_text()


def test_compose_workers_are_as_bare_as_pods() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    worker = services["worker"]
    assert worker["read_only"] is True
    assert worker["cap_drop"] == ["ALL"]
    assert worker["security_opt"] == ["no-new-privileges:true"]
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
