"""Measure a recipe by leaving whole sources out: `python -m proguard_core.training.embedded.folds --help`.

Each fold of folds.yaml teaches a shortened run without its sources and keeps the logits of their rows. `report` pools
the folds that were run under one name: figures a source, and the temperatures that those rows ask for.
"""

import argparse
import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from proguard_core.training.command_line import need
from proguard_core.training.embedded.rows import (
    TRAIN_FILES,
    CategoryMap,
    Example,
    LeftOut,
    examples,
    read_rows,
)

HERE = Path(__file__).parent
ROWS_OF_A_KIND = 200
BATCH = 32


def folds() -> dict[str, list[str]]:
    """Name of a fold -> the sources that it leaves out."""
    loaded: dict[str, list[str]] = yaml.safe_load((HERE / "folds.yaml").read_text(encoding="utf-8"))
    return loaded


def measured_examples(data: Path, sources: frozenset[str], seed: int) -> list[Example]:
    """At most ROWS_OF_A_KIND labelled questions of each source, part (request or response) and label."""
    rows = [row for name in TRAIN_FILES for row in read_rows(data / name) if row["source"] in sources]
    kinds: dict[tuple[str, bool, bool], list[Example]] = {}
    for row in examples(rows, CategoryMap()):
        if row.unsafe is not None:
            kinds.setdefault((row.source, row.response is not None, row.unsafe), []).append(row)
    chooser = random.Random(seed)
    for members in kinds.values():
        chooser.shuffle(members)
    return [row for _, members in sorted(kinds.items()) for row in members[:ROWS_OF_A_KIND]]


def kept_out(data: Path, fold: str, seed: int) -> tuple[LeftOut, list[Example]]:
    """What a fold does not teach, and the questions that measure it."""
    sources = frozenset(folds()[fold])
    return LeftOut(sources=sources), measured_examples(data, sources, seed)


def probe_examples(path: Path) -> list[Example]:
    """Sentences of a YAML file: kind -> label -> texts, or [request, response] pairs."""
    loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    made = []
    for kind, labels in loaded.items():
        for label, texts in labels.items():
            for text in texts:
                request, response = (text, None) if isinstance(text, str) else text
                made.append(Example(f"probe: {kind}", request, response, label == "unsafe", None))
    return made


def run(asked: argparse.Namespace) -> None:
    """Teach one fold and keep its logits in WORK/NAME.FOLD.npz."""
    import torch

    from proguard_core.training.embedded import continued, mixture, network, tokens
    from proguard_core.training.embedded.learn import Recipe, learn

    given = {name: getattr(asked, name) for name in ("steps", "seed", "smoothing", "focus", "frozen_layers", "length")}
    recipe = dataclasses.replace(Recipe(max_minutes=asked.max_minutes), **given)
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(recipe.threads)
    left_out, measured = kept_out(asked.data, asked.fold, recipe.seed)
    taught = mixture.teaching_mixture(asked.data, recipe.seed, left_out, frozenset(asked.without))
    measured += probe_examples(asked.probe) if asked.probe else []
    tokenizer = tokens.load(asked.base / network.BASE_TOKENIZER)
    model = network.GuardNetwork(network.base_encoder(asked.base / network.BASE_ONNX, asked.layers))
    if asked.start:
        continued.restore(model, asked.start)
    asked.work.mkdir(parents=True, exist_ok=True)
    kept = asked.work / f"{asked.name}.{asked.fold}.npz"
    print(f"{len(taught)} examples are taught, {len(measured)} measured", flush=True)
    learn(
        model, taught, [tokens.encode(tokenizer, row, recipe.length) for row in taught], recipe, kept.with_suffix(".pt")
    )
    logits = network_logits(model, [tokens.encode(tokenizer, row, recipe.length) for row in measured])
    save(kept, measured, logits)
    print(json.dumps(dataclasses.asdict(recipe)), kept, flush=True)


def network_logits(model: Any, encoded: list[Any]) -> Any:
    """rows x outputs of the fp32 network, in the order of `encoded`."""
    import torch

    from proguard_core.training.embedded.tokens import pad

    model.eval()
    order = sorted(range(len(encoded)), key=lambda row: len(encoded[row].ids))
    found = np.zeros((len(encoded), model.heads.out_features), dtype=np.float64)
    with torch.inference_mode():
        for at in range(0, len(order), BATCH):
            batch = order[at : at + BATCH]
            inputs = {name: torch.from_numpy(each) for name, each in pad([encoded[row] for row in batch]).items()}
            found[batch] = model(**inputs).numpy()
    return found


def save(path: Path, rows: list[Example], logits: Any) -> None:
    """Source, part, label and the logit of that part, an entry a labelled row."""
    labelled = [at for at, row in enumerate(rows) if row.unsafe is not None]
    rows, logits = [rows[at] for at in labelled], logits[labelled]
    part = np.array([int(row.response is not None) for row in rows])
    np.savez(
        path,
        source=np.array([row.source for row in rows]),
        part=part,
        unsafe=np.array([bool(row.unsafe) for row in rows]),
        logit=logits[np.arange(len(rows)), part],
    )


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m proguard_core.training.embedded.folds", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    teach = actions.add_parser("run", help="teach one fold and keep its logits")
    teach.add_argument("--data", type=Path, required=True, help="folder with train.jsonl.gz, extra.jsonl.gz ...")
    teach.add_argument("--base", type=Path, required=True, help="the unzipped Maven jar of BGE-small-en-v1.5")
    teach.add_argument("--fold", choices=folds(), required=True)
    teach.add_argument("--without", nargs="*", default=(), help="generators that teach nothing; `all` is all of them")
    teach.add_argument(
        "--start", type=Path, help="model.onnx of an artefact that was taught without the fold's sources"
    )
    teach.add_argument("--probe", type=Path, help="YAML of sentences that are measured too")
    for name, kind, default in (
        ("steps", int, 300),
        ("seed", int, 7),
        ("smoothing", float, 0.05),
        ("focus", float, 0.0),
    ):
        teach.add_argument(f"--{name}", type=kind, default=default)
    teach.add_argument("--frozen-layers", type=int, default=6)
    teach.add_argument("--layers", type=int, default=12, help="of the encoder, the lower ones: a quicker guard")
    teach.add_argument("--length", type=int, default=96, help="tokens of an example")
    teach.add_argument("--max-minutes", type=float, default=60.0)
    shown = actions.add_parser("report", help="figures of the folds that were run under these names")
    for action in (teach, shown):
        action.add_argument("--work", type=Path, required=True, help="folder of the logits")
    teach.add_argument("--name", required=True, help="what the recipe is called")
    shown.add_argument("names", nargs="+", help="recipes to show beside each other")
    return parser.parse_args()


def main() -> None:
    """Teach a fold, or report."""
    asked = arguments()
    if asked.action == "run":
        need("torch", "transformers", "onnx")
        run(asked)
    else:
        from proguard_core.training.embedded.fold_report import report

        print(report(asked.work, asked.names))


if __name__ == "__main__":
    main()
