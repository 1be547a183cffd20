"""A chat model's trainer without its model: settings that do not fit, the commands of both trainings, what is new."""

import json
from pathlib import Path
from typing import Any

import pytest

from proguard_core.dataset.samples import MaskSettings
from proguard_core.novelty.novelty import Novelty
from proguard_core.policy.loader import load_policy
from proguard_core.training.command_line import parsed
from proguard_core.training.grpo import __main__ as grpo
from proguard_core.training.registry.champions import Champions
from proguard_core.training.verl_job import __main__ as verl
from tests.unit.retraining.test_rounds import Memory, Place
from worker.errors import ConfigurationError
from worker.retraining import bases
from worker.retraining.adapter_trainer import AdapterTrainer, _new_names
from worker.retraining.embedded_trainer import EmbeddedTrainer
from worker.retraining.run import End, go_on
from worker.retraining.settings import RetrainingSettings
from worker.retraining.steps import Bench
from worker.retraining.trainer import CollapsedError, Lesson, Taught
from worker.retraining.trainers import trainer_of
from worker.settings import Settings, load

POLICY = load_policy()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """What a checkpoint's folder looks like from outside."""
    folder = tmp_path / "base-model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def settings(base: Path | None, trainer: str = "grpo", engine: str = "vllm", **retraining: Any) -> Settings:
    model = {} if base is None else {"model": str(base)}
    guard = retraining.pop("guard", {})
    own = {"trainer": trainer, "work": "/shared/work", **retraining}
    return load(None, {"guard": {"engine": engine, **model, **guard}, "retraining": own})


def trainer(base: Path | None, tmp_path: Path, kind: str = "grpo", **retraining: Any) -> AdapterTrainer:
    made = trainer_of(settings(base, kind, **retraining), POLICY, tmp_path / "process")
    assert isinstance(made, AdapterTrainer)
    return made


@pytest.mark.parametrize(("kind", "engine"), [("embedded", "vllm"), ("grpo", "embedded"), ("verl", "embedded")])
def test_a_trainer_of_another_guard_is_refused(kind: str, engine: str, base: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"retraining.trainer = '{kind}' teaches"):
        trainer_of(settings(base, kind, engine), POLICY, tmp_path)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"recipe": {"learning_rat": 1e-5}}, r"retraining\.recipe\.learning_rat: Extra inputs"),
        ({"recipe": {"prompts": 7}}, r"retraining\.recipe: .*do not split"),
        ({"recipe": {"lora_rank": 64}}, r"lora_rank: 64 is above guard\.settings\.max_adapter_rank 32"),
        ({"cluster": {"gpu": 8}}, r"retraining\.cluster\.gpu: Extra inputs"),
    ],
)
def test_wrong_settings_are_named(given: dict[str, Any], why: str, base: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=why):
        trainer(base, tmp_path, **given)


def test_the_base_must_be_a_folder_of_weights(base: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"retraining\.base must name the folder"):
        trainer(None, tmp_path)
    with pytest.raises(ConfigurationError, match=r"retraining\.base must name the folder"):
        trainer(Path("some/name-of-a-hub"), tmp_path)
    (base / "model.safetensors").unlink()
    with pytest.raises(ConfigurationError, match="has no weights"):
        _ = trainer(base, tmp_path).base


def test_the_recipe_takes_seed_and_pixels_from_the_other_settings(base: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {"seed": 7, "guard": {"settings": {"max_pixels": 200_704, "window_bytes": 1024}}}
    made = trainer(base, tmp_path, **given)
    recipe = made.config()["recipe"]
    assert isinstance(recipe, dict)
    assert (recipe["seed"], recipe["max_pixels"]) == (7, 200_704)
    assert made.dataset_settings.window_bytes == 1024
    other = trainer(base, tmp_path, **{**given, "recipe": {"max_pixels": 100_352}})
    assert other.config() != made.config()


def test_how_many_rows_see_another_policy_is_a_setting_and_makes_another_run(base: Path, tmp_path: Path) -> None:
    usual, none = trainer(base, tmp_path), trainer(base, tmp_path, masked=0.0, permuted=0.0)
    assert usual.dataset_settings.masks == MaskSettings()
    assert none.dataset_settings.masks == MaskSettings(masked=0.0, permuted=0.0)
    assert none.config() != usual.config()


def lesson(tmp_path: Path) -> Lesson:
    champion = tmp_path / "champion"
    champion.mkdir()
    (champion / "adapter_config.json").write_text("{}")
    return Lesson("a-run", tmp_path / "dataset", champion, tmp_path / "out" / "a-run")


def test_the_command_on_one_machine_is_one_that_the_training_reads(base: Path, tmp_path: Path) -> None:
    made = trainer(base, tmp_path, recipe={"learning_rate": 1e-5, "gradient_checkpointing": False})
    root = tmp_path / "work" / "a-run"
    given = lesson(tmp_path)
    command = made._command(given, root, root / "training")
    assert command[1:3] == ["-m", "proguard_core.training.grpo"]
    asked = parsed(grpo.Asked, command[3:])
    assert asked is not None
    assert (asked.base, asked.champion, asked.out) == (base, given.champion, root / "training")
    assert (asked.learning_rate, asked.gradient_checkpointing, asked.policy) == (1e-5, False, None)


def test_the_command_for_a_cluster_names_folders_as_the_cluster_does(base: Path, tmp_path: Path) -> None:
    cluster = {"address": "http://ray:8265", "nodes": 2, "work": "/mnt/work", "base": "/mnt/base"}
    made = trainer(base, tmp_path, "verl", cluster=cluster)
    root = tmp_path / "work" / "a-run"
    command = made._command(lesson(tmp_path), root, root / "training")
    assert command[1:3] == ["-m", "proguard_core.training.verl_job"]
    asked = parsed(verl.Asked, command[3:])
    assert asked is not None
    assert (asked.address, asked.nodes, asked.gpus) == ("http://ray:8265", 2, 8)
    assert str(asked.cluster_out) == "/mnt/work/a-run/training"
    assert str(asked.cluster_champion) == "/mnt/work/a-run/champion"
    assert str(asked.cluster_base) == "/mnt/base"
    assert asked.champion == root / "champion"
    assert (root / "champion" / "adapter_config.json").is_file(), "the cluster sees it beside the run"


def test_new_names_are_those_that_people_gave_and_no_ancestor_knew(tmp_path: Path) -> None:
    rows = [
        {"ood_name": "Match fixing", "request_label": "unsafe", "origin": "review"},
        {"ood_name": "match  FIXING", "request_label": "unsafe", "origin": "review"},
        {"ood_name": "Ticket fraud", "request_label": "unsafe", "origin": "review"},
        {"ood_name": "Of the base set", "request_label": "unsafe", "origin": "base"},
        {"category": "C9S3", "request_label": "unsafe", "origin": "review"},
    ]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = Lesson("a-run", tmp_path, tmp_path, tmp_path / "out", frozenset({"TICKET fraud"}))
    assert _new_names(given) == ["Match fixing"]


class Collapsing(EmbeddedTrainer):
    """Heads do not collapse; an adapter's training says so like this."""

    def teach(self, lesson: Lesson) -> Taught:
        raise CollapsedError("the training stopped itself: the mean reward fell")


def test_a_training_that_collapsed_ends_its_run_and_says_why(tmp_path: Path) -> None:
    topics = Memory()
    topics.review("ada", "grace")
    place = Place(tmp_path / "one", topics)
    own = RetrainingSettings.model_validate({"min_new": 20, "replay": [place.replay]})

    def round() -> tuple[End, str]:
        work = tmp_path / f"work-{len(list(tmp_path.iterdir()))}"
        work.mkdir()
        bench = Bench(own, POLICY, place.registry, topics, work, Novelty(POLICY), Collapsing(own, POLICY))
        done = go_on(bench, lambda: None, lambda text: None)
        return done.end, done.said

    assert round() == (End.REFUSED, "the reward: the training stopped itself: the mean reward fell")
    current = Champions(place.registry).current()
    assert current is not None
    assert current.champion.run.startswith("release-")
    assert round()[0] is End.NOTHING, "the same labels do not begin it again"


def test_a_registry_of_another_base_is_refused(tmp_path: Path, base: Path) -> None:
    place = Place(tmp_path / "one", Memory())
    place.round()
    other = AdapterTrainer(settings(base), POLICY, tmp_path)
    own = settings(base).retraining
    bench = Bench(own, POLICY, place.registry, place.topics, tmp_path, Novelty(POLICY), other)
    with pytest.raises(ConfigurationError, match=r"not on base-model .*a retraining\.registry of its own"):
        go_on(bench, lambda: None, lambda text: None)


def test_which_base_a_guard_stands_on(base: Path) -> None:
    assert bases.served(settings(base)) == bases.of_checkpoint(base)
    assert bases.served(settings(None, engine="openai", guard={"model": "a-name"})) is None
    named = {"engine": "openai", "model": "a-name"}
    told = load(None, {"guard": named, "retraining": {"base": str(base)}})
    assert bases.served(told) == bases.of_checkpoint(base)
    assert bases.served(load()) is not None
