"""From a dataset and the champion's heads to a folder of new heads, whole or not at all."""

import hashlib
import importlib.metadata
import io
import json
import os
import random
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from proguard_core.evaluation.rows import Row
from proguard_core.guards.adapters import digest_of
from proguard_core.guards.embedded import guard as embedded
from proguard_core.guards.embedded.heads import (
    FILES,
    FORMAT,
    KIND,
    MANIFEST,
    WEIGHTS,
    Heads,
    HeadsError,
    base_hashes,
    load,
    none_yet,
)
from proguard_core.guards.embedded.reader import Readers
from proguard_core.guards.embedded.text_model import CALIBRATION, FOLDER, Calibration
from proguard_core.policy.policy import Policy
from proguard_core.training.embedded.heads import evaluate
from proguard_core.training.embedded.heads.features import windows_of
from proguard_core.training.embedded.heads.fit import FitSettings, Fitted, fit
from proguard_core.training.embedded.heads.taught import DatasetError, Rows, new_categories, read
from proguard_core.training.embedded.rows import digest

FEATURES = "features.npz"
DISTRIBUTION = "proguard-stream-moderation"


@dataclass(frozen=True, slots=True)
class HeadsRecipe:
    """least: rows from which a new name is a category of its own, below it they teach `other`. left_out: names or codes
    none of whose rows is used, for heads that never saw them. most_measured: held-out rows that the manifest's figures
    come from, drawn by the seed."""

    fit: FitSettings = field(default_factory=FitSettings)
    least: int = 15
    left_out: tuple[str, ...] = ()
    most_measured: int = 1000
    threads: int = 2


@dataclass(frozen=True, slots=True)
class Retrained:
    """folder of the heads; manifest as it stands there; skipped: it stood there already."""

    folder: Path
    manifest: dict[str, Any]
    skipped: bool = False


def retrain(
    dataset: Path,
    out: Path,
    policy: Policy,
    *,
    champion: Path | None = None,
    recipe: HeadsRecipe | None = None,
    model: Path = FOLDER,
    work: Path | None = None,
) -> Retrained:
    """Heads at `out`, whose name is the revision's. Blocks for seconds; not for a thread that runs an event loop.

    dataset: a folder of write_own. champion: the folder of heads to go on from, None for the artefact's own. work: a
    folder in which features stay, so that a run that was killed begins behind them. The same arguments give the same
    bytes on one machine; if `out` holds them already nothing is done. Raises DatasetError, HeadsError.
    """
    recipe = recipe or HeadsRecipe()
    rows = read(dataset, policy, recipe.left_out)
    base = base_hashes(model)
    inputs = {
        "base": base,
        "champion": _named(champion),
        "dataset": {"sha256": rows.version, **_sheet(dataset)},
        "policy": policy.version,
        "code": code_version(),
        "recipe": _plain(asdict(recipe)),
    }
    if out.exists():
        return Retrained(out, _standing(out, inputs), skipped=True)
    if len({each.row.unsafe for each in rows.train}) < 2:
        raise DatasetError("every row is alike: heads are learned from safe and unsafe ones")
    fitted, found = _learn(rows, base, champion, policy, model, recipe, work)
    return _write(out, fitted, {**inputs, **found}, rows, policy, champion, model, recipe)


def untaught(out: Path, policy: Policy, model: Path = FOLDER) -> Path:
    """The artefact itself as heads at `out` (rows of zeros): what a registry's first release of it is made of."""
    readers = Readers(model, 1, policy)
    heads = none_yet(Calibration.read(model / CALIBRATION), readers.width)
    beside = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        _files(beside, heads, {"base": base_hashes(model), "code": code_version()})
        beside.chmod(0o755)
        os.replace(beside, out)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return out


def _learn(
    rows: Rows,
    base: dict[str, str],
    champion: Path | None,
    policy: Policy,
    model: Path,
    recipe: HeadsRecipe,
    work: Path | None,
) -> tuple[Fitted, dict[str, Any]]:
    """The heads, and what the manifest says of how they came about."""
    readers = Readers(model, 1, policy)
    calibration = Calibration.read(model / CALIBRATION)
    before = none_yet(calibration, readers.width)
    if champion is not None:
        before = load(champion, base, calibration, readers.width)
    learned, counts = new_categories(rows.train, before.learned, policy, recipe.least)
    keep = None if work is None else work / FEATURES
    read_by = json.dumps({**base, "code": code_version()}, sort_keys=True)
    windows = windows_of(rows.train, readers, recipe.threads, keep, read_by)
    fitted = fit(rows.train, windows, calibration, before, learned, recipe.fit)
    return fitted, {
        "rows": {"train": len(rows.train), "held_out": len(rows.held_out), "problems": rows.problems.as_json()},
        "names": counts,
        "new": [each.name for each in learned[len(before.learned) :]],
        "fitted": {
            head: {"pull": None if np.isinf(pull) else pull, "left_out_loss": round(fitted.losses[head], 5)}
            for head, pull in fitted.pulls.items()
        },
    }


def code_version() -> str:
    """The package's version, and a hash of the code that heads depend on."""
    hashed = hashlib.sha256()
    for folder in (Path(__file__).parent, Path(embedded.__file__).parent):
        for path in sorted(folder.glob("*.py")):
            hashed.update(hashlib.sha256(path.read_bytes()).digest())
    return f"{importlib.metadata.version(DISTRIBUTION)}+{hashed.hexdigest()[:16]}"


def _write(
    out: Path,
    fitted: Fitted,
    about: dict[str, Any],
    rows: Rows,
    policy: Policy,
    champion: Path | None,
    model: Path,
    recipe: HeadsRecipe,
) -> Retrained:
    """Written beside its place under its own name, measured there by the real guard, then renamed."""
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        into = beside / out.name
        into.mkdir()
        manifest = _files(into, fitted.heads, about)
        measured_rows = _measured_rows([each.row for each in rows.held_out], recipe)
        manifest["held_out"] = {
            "rows": len(measured_rows),
            **{
                name: evaluate.measured(
                    measured_rows,
                    evaluate.answers(measured_rows, policy, heads=heads, model=model),
                    policy,
                    fitted.heads.learned,
                )
                for name, heads in (("champion", champion), ("challenger", into))
            },
        }
        _durable(into / MANIFEST, _as_json(manifest))
        into.chmod(0o755)
        os.replace(into, out)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return Retrained(out, manifest)


def _files(into: Path, heads: Heads, about: dict[str, Any]) -> dict[str, Any]:
    held = io.BytesIO()  # numpy says nothing of a full disk but how many bytes it wrote
    np.save(held, heads.weights, allow_pickle=False)
    _durable(into / WEIGHTS, held.getvalue())
    manifest = {
        "kind": KIND,
        "format": FORMAT,
        **about,
        "learned": [{"name": each.name, "synonyms": list(each.synonyms)} for each in heads.learned],
        "category_threshold": heads.threshold,
        "heads_sha256": digest(into / WEIGHTS),
    }
    _durable(into / MANIFEST, _as_json(manifest))
    return manifest


def _measured_rows(rows: Sequence[Row], recipe: HeadsRecipe) -> list[Row]:
    if len(rows) <= recipe.most_measured:
        return list(rows)
    return random.Random(recipe.fit.seed).sample(list(rows), recipe.most_measured)


def _standing(out: Path, inputs: dict[str, Any]) -> dict[str, Any]:
    """The manifest at `out`, if it was made of the same. HeadsError where it was not."""
    try:
        manifest: dict[str, Any] = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
        whole = manifest["heads_sha256"] == digest(out / WEIGHTS)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HeadsError(f"{out} is there already and holds no heads") from error
    if not whole or any(manifest.get(key) != value for key, value in inputs.items()):
        raise HeadsError(f"{out} is there already, made of something else: a revision's name is never used again")
    return manifest


def _named(champion: Path | None) -> dict[str, str] | None:
    if champion is None:
        return None
    try:
        return {"name": champion.name, "digest": digest_of((champion / name).read_bytes() for name in FILES)}
    except OSError as error:
        raise HeadsError(f"the champion's heads in {champion.name} cannot be read: {error.strerror}") from error


def _sheet(dataset: Path) -> dict[str, Any]:
    """What the datasheet says of itself, where there is one."""
    try:
        sheet = json.loads((dataset / "datasheet.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {"version": sheet["version"]} if isinstance(sheet, dict) and "version" in sheet else {}


def _plain(value: Any) -> Any:
    """As it comes back from JSON."""
    return json.loads(json.dumps(value))


def _as_json(manifest: dict[str, Any]) -> bytes:
    return (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode("utf-8")


def _durable(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
