"""The authors' checkpoints, and whether the prompts in force are those that they were trained on."""

import hashlib
import json
from pathlib import Path

from proguard_core.policy.policy import Policy

MANIFEST = "imported.json"
POLICY_FILE = "policy.yaml"

RELEASED = frozenset({"yushaohan/proguard-3b", "yushaohan/proguard-7b"})
"""The authors' checkpoints, lower case. Their weights were trained on one exact wording."""


def is_released(model: str | None) -> bool:
    """Whether a model is one of the authors' checkpoints; a local folder counts by its last name."""
    if model is None:
        return False
    name = model.rstrip("/").casefold()
    return name in RELEASED or name.rpartition("/")[2] in {known.rpartition("/")[2] for known in RELEASED}


def warning(model: str | None, templates: Path | None, policy: Policy) -> str | None:
    """What start-up, `config check` and `evaluate` must say about these prompts; None where there is nothing to say.

    A checkpoint reads other words than those it was trained on with less skill, and nothing else shows it.
    """
    if not is_released(model):
        return None
    hint = "`proguard prompts import CHECKOUT --to FOLDER` takes them from a checkout of the authors' repository"
    if templates is None:
        return f"{model} was trained on the authors' prompts, not on the shipped ones: expect less of it; {hint}"
    manifest = _manifest(templates)
    if manifest is None:
        return f"{model} was trained on the authors' prompts; {templates} was not made by an import; {hint}"
    if changed := _changed(templates, manifest):
        return (
            f"{model} was trained on the authors' prompts; in {templates} {', '.join(changed)} changed since the import"
        )
    trained = manifest.get("policy_version")
    if trained is not None and trained != policy.version:
        return (
            f"{model} was trained on the category text of {templates / POLICY_FILE}; the policy in force "
            f"({policy.name}) differs from it: expect less on what it says otherwise"
        )
    return None


def digest(data: bytes) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _manifest(folder: Path) -> dict[str, object] | None:
    try:
        found = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("files"), dict) else None


def _changed(folder: Path, manifest: dict[str, object]) -> list[str]:
    files = manifest["files"]
    changed = []
    for name, expected in files.items() if isinstance(files, dict) else ():
        try:
            same = digest((folder / name).read_bytes()) == expected
        except OSError:
            same = False
        if not same:
            changed.append(name)
    return changed
