"""The embedded guard in the loop: heads in numpy, judged by the very guard that serves them."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import JsonValue

from proguard_core.dataset.builder import Dataset, DatasetSettings
from proguard_core.dataset.items import Item
from proguard_core.dataset.pictures import Fetch, local
from proguard_core.dataset.variants import VariantSettings
from proguard_core.dataset.writers import write_own
from proguard_core.evaluation.answers import Answer
from proguard_core.guards.embedded.text_model import FOLDER
from proguard_core.policy.policy import Policy
from proguard_core.training.embedded.heads import evaluate
from proguard_core.training.embedded.heads.fit import FitSettings
from proguard_core.training.embedded.heads.replay import replay_items
from proguard_core.training.embedded.heads.retrain import HeadsRecipe, code_version, retrain, untaught
from proguard_core.training.gate.evidence import Served
from proguard_core.training.registry.records import Base
from worker.retraining import bases
from worker.retraining.settings import RetrainingSettings
from worker.retraining.trainer import Asked, Lesson, Taught

# Of our own templates, where nothing is replayed.
_OWN_ROWS = 300
# The heads learn from rows, not from prompts, so few policies are made.
_VARIANTS = VariantSettings(masks=20, orders=2)


class EmbeddedTrainer:
    """Keeps the Trainer protocol. model: the artefact's folder."""

    kind = "embedded"
    reads_pictures = False
    templates: Path | None = None

    def __init__(self, settings: RetrainingSettings, policy: Policy, model: Path = FOLDER) -> None:
        self._settings = settings
        self._policy = policy
        self._model = model

    @property
    def base(self) -> Base:
        """Raises OSError."""
        return bases.of_artefact(self._model)

    @property
    def fetch(self) -> Fetch:
        """Of files: rows with pictures never come so far."""
        return local

    @property
    def dataset_settings(self) -> DatasetSettings:
        """Few policies."""
        return DatasetSettings(seed=self._settings.seed, variants=_VARIANTS)

    def config(self) -> dict[str, JsonValue]:
        """What heads are fitted by."""
        return {"label_new": self._settings.label_new}

    def code(self) -> str:
        """With a hash of the code that heads depend on."""
        return code_version()

    def untaught(self, out: Path) -> None:
        """Rows of zeros."""
        untaught(out, self._policy, self._model)

    def replay(self) -> list[Item]:
        """Our own templates."""
        return replay_items(self._settings.seed, _OWN_ROWS, _OWN_ROWS)

    def write(self, dataset: Dataset, folder: Path) -> None:
        """Own rows alone."""
        write_own(dataset, folder)

    def teach(self, lesson: Lesson) -> Taught:
        """New heads, made from the champion's; in seconds, so a killed lesson begins anew."""
        recipe = HeadsRecipe(fit=FitSettings(seed=self._settings.seed, label_new=self._settings.label_new))
        made = retrain(
            lesson.dataset, lesson.out, self._policy, champion=lesson.champion, recipe=recipe, model=self._model
        )
        return Taught([str(name) for name in made.manifest["new"]])

    def answers(self, revisions: Mapping[str, Path], asked: Asked) -> dict[str, list[dict[str, Answer]]]:
        """By the guard in this process."""
        return {
            name: [evaluate.answers(rows, policy, heads=heads, model=self._model) for policy, rows in asked]
            for name, heads in revisions.items()
        }

    def served(self, policy: Policy) -> Served:
        """The very guard that serves was asked, so nothing can differ but the heads."""
        return Served(f"embedded {self.base.sha256[:12]}", "as shipped", "none", policy.version)
