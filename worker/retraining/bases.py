"""The frozen model that a guard stands on, by hash: one registry is for one base, whoever reads it."""

import hashlib
import json
from pathlib import Path

from proguard_core.guards.embedded.heads import base_hashes
from proguard_core.guards.embedded.text_model import FOLDER
from proguard_core.training.grpo.files import RunRefused, base_digest
from proguard_core.training.registry.records import Base
from worker.errors import ConfigurationError
from worker.settings import Settings


def folder_of(settings: Settings) -> Path:
    """Of a chat model's weights: retraining.base, or guard.model where that is a folder. Raises ConfigurationError."""
    named = settings.retraining.base or (Path(settings.guard.model) if settings.guard.model else None)
    if named is None or not named.is_dir():
        raise ConfigurationError(
            f"retraining.base must name the folder of the frozen base model ({'guard.model' if named else 'nothing'} "
            "does not)"
        )
    return named


def of_artefact(model: Path) -> Base:
    """The embedded guard's, by the hashes of its files. Raises OSError."""
    whole = hashlib.sha256(json.dumps(base_hashes(model), sort_keys=True).encode()).hexdigest()
    return Base(name="embedded guard", sha256=whole)


def of_checkpoint(folder: Path) -> Base:
    """Reads all of its weights. Raises ConfigurationError."""
    try:
        return Base(name=folder.name or str(folder), sha256=base_digest(folder))
    except (RunRefused, OSError) as error:
        raise ConfigurationError(f"the base model: {error}") from None


def served(settings: Settings) -> Base | None:
    """What this process's guard stands on; None where it cannot be told here: its weights lie elsewhere."""
    if settings.guard.engine == "embedded":
        return of_artefact(Path(settings.guard.model) if settings.guard.model else FOLDER)
    try:
        return of_checkpoint(folder_of(settings))
    except ConfigurationError:
        return None
