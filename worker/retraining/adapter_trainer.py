"""A chat model in the loop: its LoRA adapter, taught by GRPO here or by verl on a cluster, judged as it will serve."""

import hashlib
import importlib.metadata
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import JsonValue, ValidationError

from proguard_core.dataset.builder import Dataset, DatasetSettings
from proguard_core.dataset.items import Item, Origin
from proguard_core.dataset.pictures import Fetch, PictureGone
from proguard_core.dataset.samples import MaskSettings
from proguard_core.dataset.writers import WriteError, write_own, write_trl, write_verl
from proguard_core.evaluation.answers import Answer
from proguard_core.evaluation.rows import Problems, Row, read_lines
from proguard_core.guards.adapters import CONFIG_FILE, WEIGHTS_FILE
from proguard_core.guards.vllm.settings import EngineSettings
from proguard_core.policy.policy import Policy
from proguard_core.policy.prompts import Prompts
from proguard_core.policy.taxonomy import name_key
from proguard_core.training.embedded.heads.replay import replay_items
from proguard_core.training.gate.evidence import Served
from proguard_core.training.grpo.files import RunError, RunRefused, digest, read_json
from proguard_core.training.grpo.settings import GrpoSettings
from proguard_core.training.registry.records import Base
from proguard_core.training.verl_job.settings import Cluster, VerlRecipe
from schemas.common import Outcome
from worker.errors import EXIT_CONFIGURATION, ConfigurationError, WorkerError
from worker.local.child import Child
from worker.retraining import asking, bases
from worker.retraining.pictures import Pictures
from worker.retraining.trainer import Asked, CollapsedError, Lesson, Taught
from worker.settings import Settings

TRAINING_ROWS = "training"
"""In a dataset step's folder: the rows as TRL or verl reads them."""

KIND = "lora"
_OWN_ROWS = 300
DEFAULT_RANK = EngineSettings("").max_adapter_rank
_ADAPTER, _RESULT, _PAGE, _COLLAPSED = "adapter", "result.json", "training.html", "collapsed"
_ADAPTER_FILES = (CONFIG_FILE, WEIGHTS_FILE)
_NOT_ASKED_BY = frozenset({"adapters", "adapter", "server_adapters", "cache_size", "shadow", "cascade"})
_QUIET = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
# Rows of base and own sets may name risks too, and teach no new category.
_FRESH = frozenset({Origin.REVIEW, Origin.CONSENSUS})
_GRACE_S = 10.0


class AdapterTrainer:
    """Keeps the Trainer protocol. work: a folder of this process."""

    kind = KIND
    reads_pictures = True

    def __init__(self, settings: Settings, policy: Policy, work: Path) -> None:
        own = settings.retraining
        self._settings = settings
        self._policy = policy
        self._work = work
        self._folder = bases.folder_of(settings)
        self._on_cluster = own.trainer == "verl"
        prompts = settings.guard.settings.get("prompts")
        self.templates = Path(str(prompts)) if prompts else None
        kind = VerlRecipe if self._on_cluster else GrpoSettings
        self._recipe = _validated("recipe", kind, {**_as_served(settings), **own.recipe})
        most = int(str(settings.guard.settings.get("max_adapter_rank", DEFAULT_RANK)))
        if settings.guard.engine == "vllm" and self._recipe.lora_rank > most:
            rank = self._recipe.lora_rank
            raise ConfigurationError(
                f"retraining.recipe.lora_rank: {rank} is above guard.settings.max_adapter_rank {most}"
            )
        mounts = {key: own.cluster[key] for key in ("work", "base") if key in own.cluster}
        self._mounts = {key: PurePosixPath(str(value)) for key, value in mounts.items()}
        rest = {key: value for key, value in own.cluster.items() if key not in mounts}
        self._cluster = _validated("cluster", Cluster, rest)
        self._pictures = Pictures(settings.objects, work / "pictures")
        self._base: Base | None = None

    @property
    def base(self) -> Base:
        """By the hash of its weights, read once."""
        if self._base is None:
            self._base = bases.of_checkpoint(self._folder)
        return self._base

    @property
    def fetch(self) -> Fetch:
        """From S3 or files."""
        return self._pictures

    @property
    def dataset_settings(self) -> DatasetSettings:
        """Questions are as long as those of the guard that serves."""
        own = self._settings.retraining
        made = DatasetSettings(seed=own.seed, masks=MaskSettings(own.masked, own.permuted))
        window = self._settings.guard.settings.get("window_bytes")
        return made if window is None else replace(made, window_bytes=int(str(window)))

    def config(self) -> dict[str, JsonValue]:
        """Recipe, prompts, and how the guard will be asked."""
        guard = self._settings.guard
        serving = {key: value for key, value in guard.settings.items() if key not in _NOT_ASKED_BY}
        said: dict[str, Any] = {
            "trainer": self._settings.retraining.trainer,
            "recipe": self._recipe.model_dump(mode="json"),
            "masked": self._settings.retraining.masked,
            "permuted": self._settings.retraining.permuted,
            "prompts": Prompts(self._policy, self.templates).version,
            "engine": guard.engine,
            "serving": json.loads(json.dumps(serving, default=str)),
        }
        return said

    def code(self) -> str:
        """The version alone: what trains is said by the versions in result.json."""
        return importlib.metadata.version("proguard-stream-moderation")

    def untaught(self, out: Path) -> None:
        """An adapter that changes nothing."""
        from proguard_core.training.grpo.model import untrained

        try:
            untrained(self._folder, out, self._recipe)
        except (RunRefused, OSError, ImportError) as error:
            raise ConfigurationError(f"an adapter of {self._folder} cannot be made: {error}") from error

    def replay(self) -> list[Item]:
        """Our own templates, which are texts."""
        return replay_items(self._settings.retraining.seed, _OWN_ROWS, _OWN_ROWS)

    def write(self, dataset: Dataset, folder: Path) -> None:
        """Own rows with their pictures, and the training's form of the same."""
        try:
            write_own(dataset, folder, self._pictures)
            (write_verl if self._on_cluster else write_trl)(dataset, folder / TRAINING_ROWS, self._pictures)
        except WriteError as error:
            raise ConfigurationError(str(error)) from error

    def teach(self, lesson: Lesson) -> Taught:
        """A process of its own, whose checkpoints stay under retraining.work until the run has its record."""
        root = self._settings.retraining.work.absolute() / lesson.run
        shutil.rmtree(root.parent / "judgements", ignore_errors=True)
        out = root / TRAINING_ROWS
        self._run(self._command(lesson, root, out))
        result = _result(out)
        if result["status"] == _COLLAPSED:
            raise CollapsedError(f"the training stopped itself: {result['why']} (plots: {out / _PAGE})")
        lesson.out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(out / _ADAPTER, lesson.out)
        for name in (_RESULT, _PAGE):
            if (out / name).is_file():
                shutil.copyfile(out / name, lesson.out / name)
        last = {key: float(value) for key, value in result.get("last", {}).items() if isinstance(value, int | float)}
        return Taught(_new_names(lesson), last)

    def answers(self, revisions: Mapping[str, Path], asked: Asked) -> dict[str, list[dict[str, Answer]]]:
        """By the engine of the settings, without its wrappers."""
        work = self._settings.retraining.work.absolute()
        adapters = Path(str(self._settings.guard.settings.get("adapters") or self._work / "adapters"))
        for revision, files in revisions.items():
            shutil.rmtree(work / revision, ignore_errors=True)  # its training is in the registry now
            _place(files, adapters / revision)
        pictures = self._work / "asked"
        pictures.mkdir(exist_ok=True)
        parts = [(policy, [row for each in rows for row in self._shown(each, pictures)]) for policy, rows in asked]
        bare = {key: value for key, value in self._settings.guard.settings.items() if key not in _NOT_ASKED_BY}
        if "server_adapters" in self._settings.guard.settings:
            bare["server_adapters"] = self._settings.guard.settings["server_adapters"]
        guard = self._settings.guard.model_copy(update={"settings": {**bare, "adapters": str(adapters)}})
        settings = self._settings.model_copy(update={"guard": guard})
        return asking.ask(settings, list(revisions), parts, pictures, work / "judgements")

    def served(self, policy: Policy) -> Served:
        """Engine and base; the engine's own settings say how it is quantised."""
        guard = self._settings.guard
        engine = guard.settings.get("engine")
        quantised = engine.get("quantization") if isinstance(engine, dict) else guard.settings.get("dtype")
        return Served(
            f"{guard.engine} {self.base.sha256[:12]}",
            str(quantised or "as loaded"),
            Prompts(policy, self.templates).version,
            policy.version,
        )

    def _shown(self, row: Row, folder: Path) -> Iterator[Row]:
        """The row with its pictures beside all others; none where one is gone."""
        names = []
        for image in row.images:
            try:
                data = self._pictures(image)
            except PictureGone:
                return
            name = hashlib.sha256(data).hexdigest()
            if not (folder / name).exists():
                (folder / name).write_bytes(data)
            names.append(name)
        yield replace(row, images=tuple(names))

    def _command(self, lesson: Lesson, root: Path, out: Path) -> list[str]:
        given: dict[str, object] = {
            "dataset": lesson.dataset / TRAINING_ROWS,
            "base": self._folder.absolute(),
            "out": out,
            "champion": lesson.champion,
            **self._recipe.model_dump(mode="json"),
        }
        if not self._on_cluster:
            given["policy"] = self._settings.policy.path
            return _module("proguard_core.training.grpo", given)
        champion = root / "champion"  # the cluster sees what lies beside the run
        if not champion.exists():
            champion.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(lesson.champion, champion)
        given |= {"champion": champion, **self._cluster.model_dump(mode="json")}
        if "base" in self._mounts:
            given["cluster_base"] = self._mounts["base"]
        if "work" in self._mounts:
            there = self._mounts["work"] / lesson.run
            given |= {"cluster_out": there / TRAINING_ROWS, "cluster_champion": there / "champion"}
        return _module("proguard_core.training.verl_job", given)

    def _run(self, command: Sequence[str]) -> None:
        """What it says goes to standard error. Ended by a signal of ours, it is ended too."""
        environment = {**_QUIET, **os.environ}
        if (endpoint := self._settings.telemetry.otlp_endpoint) is not None:
            environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint
        with Child(command, environment=environment, share_errors=True) as child:
            try:
                code = child.process.wait()
            finally:
                child.stop(_GRACE_S)
        if code == EXIT_CONFIGURATION:
            raise ConfigurationError("the training refused what it was given: the lines before this one say what")
        result = Path(command[command.index("--out") + 1]) / _RESULT
        if code != 0 and not result.is_file():
            raise WorkerError(f"the training ended with {code}: the same command goes on from its last checkpoint")


def _as_served(settings: Settings) -> dict[str, Any]:
    """What a recipe takes from the rest of the settings where it does not say it itself."""
    pixels = settings.guard.settings.get("max_pixels")
    return {"seed": settings.retraining.seed, **({} if pixels is None else {"max_pixels": pixels})}


def _module(name: str, given: Mapping[str, object]) -> list[str]:
    """A command line of proguard_core.training.command_line's kind."""
    arguments: list[str] = []
    for key, value in given.items():
        option = key.replace("_", "-")
        if isinstance(value, bool):
            arguments.append(f"--{option}" if value else f"--no-{option}")
        elif value is not None:
            arguments += [f"--{option}", str(value)]
    return [sys.executable, "-m", name, *arguments]


def _place(files: Path, folder: Path) -> None:
    """An adapter under its revision's name, which is never used for another one."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = folder.with_name(f".{folder.name}.{os.getpid()}")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(files, partial)
        os.replace(partial, folder)
    try:
        same = digest(files / name for name in _ADAPTER_FILES) == digest(folder / name for name in _ADAPTER_FILES)
    except OSError as error:
        raise WorkerError(f"{folder} cannot be read: {error.strerror}") from None
    if not same:
        raise WorkerError(f"{folder} is not what the registry says; remove it, and it is made again")


def _new_names(lesson: Lesson) -> list[str]:
    """Names of people or of consensus that the policy does not list, of rows that were learned from just now."""
    found: dict[str, str] = {}
    known = {name_key(name) for name in lesson.known}
    for _, record in read_lines(lesson.dataset / "train.jsonl", Problems()):
        name = record.get("ood_name")
        is_unsafe = Outcome.UNSAFE in (record.get("request_label"), record.get("response_label"))
        if is_unsafe and isinstance(name, str) and record.get("origin") in _FRESH:
            found.setdefault(name_key(name), name)
    return [name for key, name in sorted(found.items()) if key not in known]


def _validated(section: str, model: type[Any], given: Mapping[str, Any]) -> Any:
    try:
        return model(**given)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigurationError(f"retraining.{section}{'.' if where else ''}{where}: {first['msg']}") from None


def _result(folder: Path) -> dict[str, Any]:
    """What a training left. Raises WorkerError."""
    try:
        return read_json(folder / _RESULT)
    except (OSError, RunError) as error:
        raise WorkerError(f"the training left no result: {error}") from None
