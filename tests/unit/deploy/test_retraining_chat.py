"""The loop for a chat model in Kubernetes: a round as a RayJob, whose parts must fit together; nightly on one GPU."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from proguard_core.training.grpo.settings import GrpoSettings
from proguard_core.training.verl_job.settings import Cluster, VerlRecipe
from tests.unit.deploy.test_manifests import documents, only
from worker.cli import app
from worker.retraining import trainers
from worker.settings import Settings, load

FOLDER = "components/retraining-ray"


@pytest.fixture
def job() -> dict[str, Any]:
    spec: dict[str, Any] = only(f"{FOLDER}/rayjob.yaml", "RayJob")["spec"]
    return spec


def pods(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    cluster = job["rayClusterSpec"]
    yield cluster["headGroupSpec"]["template"]
    yield from (group["template"] for group in cluster["workerGroupSpecs"])


@pytest.fixture
def settings(job: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """What the round on the head has."""
    [container] = job["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"]
    generators = {
        each["name"]: each for each in only(f"{FOLDER}/kustomization.yaml", "Component")["configMapGenerator"]
    }
    taken = [each["configMapRef"]["name"] for each in container["envFrom"] if "configMapRef" in each]
    assert set(taken) == set(generators)
    given = dict(literal.split("=", 1) for name in taken for literal in generators[name]["literals"])
    given |= {each["name"]: each["value"] for each in container["env"] if each["name"].startswith("PROGUARD_KAFKA")}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return load()


def test_the_round_is_a_command_that_there_is(job: dict[str, Any]) -> None:
    program, *arguments = job["entrypoint"].split()
    assert program == "proguard"
    assert CliRunner().invoke(app, [*arguments, "--help"]).exit_code == 0
    assert job["shutdownAfterJobFinishes"] is True


def test_settings_fit_together_and_to_the_cluster(job: dict[str, Any], settings: Settings) -> None:
    trainers.check(settings)
    own = settings.retraining
    recipe, cluster = VerlRecipe(**own.recipe), Cluster(**own.cluster)
    assert recipe.lora_rank <= settings.guard.settings["max_adapter_rank"]
    [group] = job["rayClusterSpec"]["workerGroupSpecs"]
    [container] = group["template"]["spec"]["containers"]
    assert group["replicas"] == group["minReplicas"] == group["maxReplicas"] == cluster.nodes
    assert int(container["resources"]["limits"]["nvidia.com/gpu"]) == cluster.gpus
    head = job["rayClusterSpec"]["headGroupSpec"]
    assert head["rayStartParams"]["num-gpus"] == "0", "verl would be placed on the GPU that judges"
    assert f":{head['template']['spec']['containers'][0]['ports'][1]['containerPort']}" in cluster.address


def test_all_nodes_see_the_rows_and_the_base(job: dict[str, Any], settings: Settings) -> None:
    for pod in pods(job):
        [container] = pod["spec"]["containers"]
        mounts = {each["mountPath"]: each for each in container["volumeMounts"]}
        assert str(settings.retraining.work) in mounts
        assert any(str(settings.retraining.base).startswith(path) for path in mounts)
        claims = {
            each["persistentVolumeClaim"]["claimName"]
            for each in pod["spec"]["volumes"]
            if "persistentVolumeClaim" in each
        }
        assert claims == {"proguard-model", only(f"{FOLDER}/storage.yaml", "PersistentVolumeClaim")["metadata"]["name"]}
    assert only(f"{FOLDER}/storage.yaml", "PersistentVolumeClaim")["spec"]["accessModes"] == ["ReadWriteMany"]


def test_pods_may_as_little_as_the_workers(job: dict[str, Any]) -> None:
    worker = only("base/deployment.yaml", "Deployment")["spec"]["template"]["spec"]
    policy = only(f"{FOLDER}/networkpolicy.yaml", "NetworkPolicy")["spec"]
    for pod in pods(job):
        [container] = pod["spec"]["containers"]
        assert container["securityContext"] == worker["containers"][0]["securityContext"]
        for key in ("runAsNonRoot", "runAsUser", "runAsGroup", "fsGroup", "seccompProfile"):
            assert pod["spec"]["securityContext"][key] == worker["securityContext"][key]
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert policy["podSelector"]["matchLabels"] == pod["metadata"]["labels"]
    from_elsewhere = [rule for rule in policy["ingress"] if "namespaceSelector" in rule["from"][0]]
    assert [rule["ports"] for rule in from_elsewhere] == [[{"port": 8265, "protocol": "TCP"}]]


def test_nodes_that_only_compute_hold_no_secret(job: dict[str, Any]) -> None:
    _, *others = pods(job)
    for pod in others:
        [container] = pod["spec"]["containers"]
        assert "envFrom" not in container
        assert not [each for each in pod["spec"]["volumes"] if "secret" in each]


def test_workers_follow_the_registry_that_the_round_writes(settings: Settings) -> None:
    component = only(f"{FOLDER}/kustomization.yaml", "Component")
    [patch] = component["patches"]
    assert "PROGUARD_RETRAINING__FOLLOW" in patch["patch"]
    generators = {each["name"]: each["literals"] for each in component["configMapGenerator"]}
    shared = dict(literal.split("=", 1) for literal in generators["proguard-retraining"])
    assert shared["PROGUARD_RETRAINING__REGISTRY"] == settings.retraining.registry
    assert json.loads(shared["PROGUARD_GUARD__SETTINGS"])["adapters"].startswith("/var/lib/proguard/")
    assert len(documents(f"{FOLDER}/rayjob.yaml")) == 1


def test_the_loop_on_one_gpu_is_the_nightly_job_with_another_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = "components/retraining-gpu"
    spec = only(f"{folder}/cronjob.yaml", "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    [container] = spec["containers"]
    before = only("components/retraining/cronjob.yaml", "CronJob")
    assert only(f"{folder}/cronjob.yaml", "CronJob")["metadata"]["name"] == before["metadata"]["name"]
    [named] = before["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["name"] == named["name"]
    [generator] = only(f"{folder}/kustomization.yaml", "Component")["configMapGenerator"]
    assert generator["behavior"] == "merge"
    given = dict(literal.split("=", 1) for literal in generator["literals"])
    for name, value in (given | {each["name"]: each["value"] for each in container["env"]}).items():
        monkeypatch.setenv(name, value)
    settings = load()
    trainers.check(settings)
    assert settings.retraining.trainer == "grpo"
    assert GrpoSettings(**settings.retraining.recipe).lora_rank <= settings.guard.settings["max_adapter_rank"]
    mounts = [each["mountPath"] for each in container["volumeMounts"]]
    assert str(settings.retraining.work) in mounts
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
