"""The loop in Kubernetes: one round at a time, under the worker's settings and restrictions."""

import json
import re
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.unit.deploy.test_manifests import ROOT, documents, only
from worker.cli import app
from worker.settings import load

FOLDER = "components/retraining"


@pytest.fixture
def job() -> dict[str, Any]:
    return only(f"{FOLDER}/cronjob.yaml", "CronJob")


@pytest.fixture
def container(job: dict[str, Any]) -> dict[str, Any]:
    [found] = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    return dict(found)


def test_no_two_rounds_at_once(job: dict[str, Any]) -> None:
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    rule, _ = job["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"]["values"] == [2, 75, 78]


def test_it_runs_a_command_that_there_is(container: dict[str, Any]) -> None:
    assert CliRunner().invoke(app, [*container["args"], "--help"]).exit_code == 0


def test_the_pod_may_as_little_as_the_workers(job: dict[str, Any], container: dict[str, Any]) -> None:
    worker = only("base/deployment.yaml", "Deployment")["spec"]["template"]["spec"]
    own = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert container["securityContext"] == worker["containers"][0]["securityContext"]
    for key in ("runAsNonRoot", "runAsUser", "runAsGroup", "fsGroup", "seccompProfile"):
        assert own["securityContext"][key] == worker["securityContext"][key]
    assert own["automountServiceAccountToken"] is False
    policy = only(f"{FOLDER}/networkpolicy.yaml", "NetworkPolicy")["spec"]
    assert policy["podSelector"]["matchLabels"] == job["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"]


def test_its_variables_are_settings(container: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    component = only(f"{FOLDER}/kustomization.yaml", "Component")
    [generator] = component["configMapGenerator"]
    given = dict(literal.split("=", 1) for literal in generator["literals"])
    given |= {each["name"]: each["value"] for each in container["env"] if "CONFIG" not in each["name"]}
    given.pop("PROGUARD_SECRETS_DIR")
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = load()
    assert settings.retraining.registry == "s3://guards/embedded"
    assert settings.guard.settings == json.loads(given["PROGUARD_GUARD__SETTINGS"])
    mounts = [each["mountPath"] for each in container["volumeMounts"]]
    assert str(settings.guard.revision_file).startswith(tuple(mounts))


def test_the_strimzi_user_has_the_documented_rights_and_no_others(job: dict[str, Any]) -> None:
    [container] = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    [name] = [each["value"] for each in container["env"] if each["name"].endswith("SASL_USERNAME")]
    [user] = [each for each in documents("components/strimzi/users.yaml") if each["metadata"]["name"] == name]
    sections = load().model_dump()
    rows = re.findall(
        r"^\| (topic|group) \| `(\w+)\.(\w+)` \| literal \| (\w+) \| 78, at its beginning \|$",
        (ROOT / "docs" / "security.md").read_text(),
        re.MULTILINE,
    )
    assert len(rows) == 5
    assert user["spec"]["authorization"]["acls"] == [
        {
            "resource": {"type": kind, "name": sections[section][key], "patternType": "literal"},
            "operations": [operation],
        }
        for kind, section, key, operation in rows
    ]
