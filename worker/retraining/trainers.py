"""From the setting `retraining.trainer` to a trainer."""

from pathlib import Path

from proguard_core.guards.embedded.text_model import FOLDER
from proguard_core.novelty.manifest import FOLDER as ENCODER
from proguard_core.novelty.manifest import read_manifest
from proguard_core.policy.policy import Policy
from worker.errors import ConfigurationError
from worker.retraining.embedded_trainer import EmbeddedTrainer
from worker.retraining.trainer import Trainer
from worker.settings import Settings

CHAT_ENGINES = ("openai", "vllm", "transformers")


def check(settings: Settings) -> None:
    """ConfigurationError where the trainer does not teach the guard that serves. Loads nothing."""
    trainer, engine = settings.retraining.trainer, settings.guard.engine
    fitting = ("embedded",) if trainer == "embedded" else CHAT_ENGINES
    if engine not in fitting:
        raise ConfigurationError(
            f"retraining.trainer = {trainer!r} teaches guard.engine = {' or '.join(map(repr, fitting))}, not {engine!r}"
        )


def check_encoder(folder: Path = ENCODER) -> None:
    """ConfigurationError without the encoder of names, or with another one than its thresholds were fitted to.

    It finds names that are near to minors: no dataset is made without it.
    """
    try:
        read_manifest(folder)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


def trainer_of(settings: Settings, policy: Policy, work: Path) -> Trainer:
    """work: a folder of this process. Raises ConfigurationError; nothing of the model is loaded yet."""
    check(settings)
    if settings.retraining.trainer == "embedded":
        model = Path(settings.guard.model) if settings.guard.model else FOLDER
        trainer = EmbeddedTrainer(settings.retraining, policy, model)
        try:
            _ = trainer.base
        except OSError as error:
            raise ConfigurationError(f"guard.model: {error.filename}: {error.strerror}") from None
        return trainer
    from worker.retraining.adapter_trainer import AdapterTrainer

    return AdapterTrainer(settings, policy, work)
