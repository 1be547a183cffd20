"""What verl is told: the paper's values under the keys that verl 0.9 listens to, and a command that Ray can run."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from pydantic import ValidationError

from proguard_core.training.command_line import EXIT_CONFIGURATION
from proguard_core.training.grpo.files import RunRefused
from proguard_core.training.verl_job.__main__ import main
from proguard_core.training.verl_job.compose import Places, entrypoint, overrides, submission_id
from proguard_core.training.verl_job.settings import Cluster, VerlRecipe

PLACES = Places(PurePosixPath("/shared/run 1".replace(" ", "-")), PurePosixPath("/models/guard"))


def values(recipe: VerlRecipe | None = None, cluster: Cluster | None = None, places: Places = PLACES) -> dict[str, str]:
    made = overrides(recipe or VerlRecipe(), cluster or Cluster(), places)
    found = dict(each.split("=", 1) for each in made)
    assert len(found) == len(made)
    return found


def test_the_papers_values() -> None:
    found = values()
    actor, rollout = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
    assert found["algorithm.adv_estimator"] == "grpo"
    assert (found["data.train_batch_size"], found[f"{actor}.ppo_mini_batch_size"], found[f"{rollout}.n"]) == (
        "256",
        "32",
        "16",
    )
    assert float(found[f"{actor}.optim.lr"]) == 1e-6
    assert (found[f"{actor}.kl_loss_coef"], found[f"{actor}.kl_loss_type"]) == ("0.01", "low_var_kl")
    assert {found[f"{actor}.clip_ratio{which}"] for which in ("", "_low", "_high")} == {"0.1"}
    assert (found[f"{actor}.entropy_coeff"], found[f"{actor}.loss_agg_mode"]) == ("0.01", "token-mean")
    assert (found["data.max_prompt_length"], found["data.max_response_length"]) == ("3072", "1024")
    assert found["trainer.total_epochs"] == "1"


def test_the_reward_is_where_verl_looks_for_it() -> None:
    """The older top-level key composes as well, and is ignored."""
    found = values(cluster=Cluster(policy_path=PurePosixPath("/shared/policy.yaml")))
    assert not [key for key in found if key.startswith(("custom_reward_function", "+custom_reward_function"))]
    path = Path(found["reward.custom_reward_function.path"])
    assert "def compute_score(" in path.read_text()
    assert found["+reward.custom_reward_function.reward_kwargs.policy_path"] == "/shared/policy.yaml"
    assert not [key for key in values() if "reward_kwargs" in key]


def test_batches_stay_as_the_file_has_them() -> None:
    found = values()
    assert (found["data.shuffle"], found["data.filter_overlong_prompts"], found["data.truncation"]) == (
        "false",
        "false",
        "error",
    )
    assert found["data.train_files"] == "/shared/run-1/train.parquet"
    assert found["trainer.default_local_dir"] == "/shared/run-1/checkpoints"


def test_only_language_layers_train_and_the_champion_is_gone_on_from() -> None:
    model = "actor_rollout_ref.model"
    found = values(places=Places(PLACES.folder, PLACES.base, PurePosixPath("/shared/champion")))
    assert found[f"{model}.exclude_modules"] == ".*visual.*"
    assert found[f"{model}.lora_adapter_path"] == "/shared/champion"
    assert f"{model}.lora_adapter_path" not in values()


@pytest.mark.parametrize("path", ["/shared/my run", "/shared/a,b", "/shared/$HOME", "/shared/a=b", "/shared/(1)"])
def test_what_verls_command_line_would_misread_is_refused(path: str) -> None:
    with pytest.raises(RunRefused, match="verl's command line"):
        values(places=Places(PurePosixPath(path), PLACES.base))


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"sampling": "adaptive"}, "adaptive"),
        ({"prompts": 12, "updates": 8, "generations": 16, "micro_batch": 1}, "12"),
    ],
)
def test_what_verl_cannot_do_is_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        VerlRecipe.model_validate(given)


def test_gpus_that_do_not_split() -> None:
    with pytest.raises(ValidationError, match="groups of 3"):
        Cluster(tensor_parallel=3)


def test_the_same_job_has_the_same_name() -> None:
    command = entrypoint(VerlRecipe(), Cluster(), PLACES)
    assert command[:3] == ["python", "-m", "verl.trainer.main_ppo"]
    assert submission_id(command, "a") == submission_id(command, "a")
    assert submission_id(command, "a") != submission_id(command, "b")
    assert submission_id([*command, "x=1"], "a") != submission_id(command, "a")


def inputs(folder: Path) -> list[Path]:
    """The files that a dry run looks for, empty; everything below the folder."""
    for name in ("rows/train.parquet", "rows/held_out.parquet", "base/config.json", "base/model.safetensors"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    return sorted(folder.rglob("*"))


def folders(folder: Path) -> list[str]:
    """The options of a dry run on them."""
    places = {"--dataset": "rows", "--base": "base", "--out": "run"}
    return [each for option, name in places.items() for each in (option, str(folder / name))] + ["--dry-run"]


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        ("rows/held_out.parquet", "rows is no dataset for verl: held_out.parquet is missing"),
        ("base/model.safetensors", "base is no checkpoint: it has no weights"),
        ("base/config.json", "base is no checkpoint"),
    ],
)
def test_a_dry_run_refuses_what_is_not_there(
    lacking: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs(tmp_path)
    assert main([*folders(tmp_path), "--champion", str(tmp_path / "none")]) == EXIT_CONFIGURATION
    assert "none is no adapter of ours" in capsys.readouterr().err
    (tmp_path / lacking).unlink()
    assert main(folders(tmp_path)) == EXIT_CONFIGURATION
    out, err = capsys.readouterr()
    assert (out, said in err) == ("", True)


def test_a_dry_run_says_what_would_run_and_does_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = inputs(tmp_path)
    options = [*folders(tmp_path), "--address", "http://ray:8265", "--nodes", "2", "--cluster-out", "/mnt/run"]
    assert main(options) == 0
    said, command = capsys.readouterr().out.strip().splitlines()
    assert "NOT VALIDATED" in said or said == "validated by verl"
    assert command.startswith("ray job submit --address http://ray:8265 --submission-id")
    assert "verl.trainer.main_ppo" in command
    assert "trainer.nnodes=2" in command
    assert "data.train_files=/mnt/run/train.parquet" in command
    assert sorted(tmp_path.rglob("*")) == before
    assert json.dumps({"HF_HUB_OFFLINE": "1"})[1:-1] in command
