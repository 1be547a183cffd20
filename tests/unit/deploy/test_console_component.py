"""The console in Kubernetes and Compose: settings that load, commands that exist, pods with no more rights."""

import re
import tomllib
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from tests.unit.deploy.test_manifests import ROOT, documents, only
from worker.cli import app
from worker.settings import load

FOLDER = "components/console"
FILES = (("console.yaml", ["console"]), ("mining.yaml", ["console", "mine"]))


def telemetry_port() -> int:
    """Of the settings file that every pod mounts."""
    return int(tomllib.loads((ROOT / "deploy/kustomize/base/proguard.toml").read_text())["telemetry"]["port"])


def pod(file: str) -> dict[str, Any]:
    [found] = [each for each in documents(f"{FOLDER}/{file}") if each["kind"] == "Deployment"]
    return dict(found["spec"]["template"]["spec"])


@pytest.mark.parametrize(("file", "arguments"), FILES)
def test_pods_run_commands_that_there_are_and_may_as_little_as_the_workers(file: str, arguments: list[str]) -> None:
    worker = only("base/deployment.yaml", "Deployment")["spec"]["template"]["spec"]
    own = pod(file)
    containers = [*own["containers"], *own.get("initContainers", [])]
    assert own["containers"][0]["args"] == arguments
    for container in containers:
        assert CliRunner().invoke(app, [*container["args"], "--help"]).exit_code == 0
        assert container["securityContext"] == worker["containers"][0]["securityContext"]
    for key in ("runAsNonRoot", "runAsUser", "runAsGroup", "fsGroup", "seccompProfile"):
        assert own["securityContext"][key] == worker["securityContext"][key]
    assert own["automountServiceAccountToken"] is False


def test_the_strimzi_user_has_the_documented_rights_and_no_others() -> None:
    login = {"name": "PROGUARD_KAFKA__CLIENT__SASL_USERNAME", "value": "proguard-console"}
    assert all(login in pod(file)["containers"][0]["env"] for file, _ in FILES)
    [user] = [each for each in documents("components/strimzi/users.yaml") if each["metadata"]["name"] == login["value"]]
    document = (ROOT / "docs" / "security.md").read_text()
    rows = re.findall(r"^\| topic \| `topics\.(\w+)` \| literal \| (\w+) \| (?:mining|pages) \|", document, re.M)
    assert len(rows) == 7
    names = load().topics.model_dump()
    assert sorted(
        (acl["resource"]["type"], acl["resource"]["name"], acl["resource"]["patternType"], operation)
        for acl in user["spec"]["authorization"]["acls"]
        for operation in acl["operations"]
    ) == sorted(("topic", names[role], "literal", operation) for role, operation in rows)


def test_one_process_mines_and_is_gone_before_the_next_begins() -> None:
    [mining] = [each for each in documents(f"{FOLDER}/mining.yaml") if each["kind"] == "Deployment"]
    assert (mining["spec"]["replicas"], mining["spec"]["strategy"]["type"]) == (1, "Recreate")


def test_its_variables_are_settings_behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    [generator] = only(f"{FOLDER}/kustomization.yaml", "Component")["configMapGenerator"]
    for literal in generator["literals"]:
        monkeypatch.setenv(*literal.split("=", 1))
    console = load().console
    assert console.user_header == "X-Forwarded-User"
    assert console.trusted_proxies
    assert console.port == 8470


def test_only_the_proxys_namespace_and_the_stores_own_processes_get_in() -> None:
    policies = {each["metadata"]["name"]: each["spec"] for each in documents(f"{FOLDER}/networkpolicy.yaml")}
    pages, scrapes = policies["proguard-console"]["ingress"]
    assert pages["ports"] == [{"port": 8470, "protocol": "TCP"}]
    assert scrapes["ports"] == [{"port": telemetry_port(), "protocol": "TCP"}]
    assert pod("mining.yaml")["containers"][0]["ports"] == [{"name": "telemetry", "containerPort": telemetry_port()}]
    [rule] = policies["proguard-postgres"]["ingress"]
    assert "egress" not in policies["proguard-postgres"]
    allowed = rule["from"][0]["podSelector"]["matchExpressions"][0]["values"]
    labels = [
        each["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]
        for file, _ in FILES
        for each in documents(f"{FOLDER}/{file}")
        if each["kind"] == "Deployment"
    ]
    assert sorted(allowed) == sorted(labels)


def test_compose_serves_it_on_loopback_with_settings_that_load(monkeypatch: pytest.MonkeyPatch) -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for name, value in services["console"]["environment"].items():
        monkeypatch.setenv(name, value)
    settings = load()
    assert settings.console.url.startswith("postgresql+psycopg://")
    assert services["console"]["ports"] == [f"127.0.0.1:{settings.console.port}:{settings.console.port}"]
    assert services["console"]["build"]["args"] == {"LOCK": "console"}
    assert (ROOT / "requirements" / "console.lock").is_file()
    for name in ("console", "mining", "migrate"):
        assert CliRunner().invoke(app, [*services[name]["command"], "--help"]).exit_code == 0
