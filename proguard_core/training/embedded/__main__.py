"""Learn the embedded guard: `python -m proguard_core.training.embedded --data DATA --base BASE [--out MODEL]`."""

import argparse
import dataclasses
from pathlib import Path

from proguard_core.training.command_line import need
from proguard_core.training.embedded.rows import CODES, LeftOut, digest

MODEL = Path(__file__).parents[2] / "guards" / "embedded" / "model"


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m proguard_core.training.embedded", description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with train.jsonl.gz, extra.jsonl.gz, dev.jsonl.gz ..."
    )
    parser.add_argument("--base", type=Path, required=True, help="the unzipped Maven jar of BGE-small-en-v1.5")
    parser.add_argument("--out", type=Path, default=MODEL, help="folder of the artefact")
    parser.add_argument("--work", type=Path, required=True, help="folder for weights and the fp32 export")
    parser.add_argument("--stage", choices=("all", "learn", "export"), default="all")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--max-minutes", type=float)
    parser.add_argument("--encoder-rate", type=float, help="the highest learning rate of the encoder")
    parser.add_argument("--frozen-layers", type=int, help="lower layers that are not taught")
    parser.add_argument("--decay", type=float, help="the last share of the run in which the learning rate falls")
    parser.add_argument("--start", type=Path, help="model.onnx of an artefact to go on from, not the base")
    parser.add_argument("--without", nargs="*", default=(), help="generators that teach nothing; `all` is all of them")
    parser.add_argument("--replay", type=int, help="public rows in the mixture at most; all by default")
    parser.add_argument("--folds", type=Path, nargs="*", default=(), help="kept folds (.npz) to fit temperatures on")
    parser.add_argument("--leave-out", nargs="*", default=(), help="sources not taught, to measure a guard on them")
    parser.add_argument("--leave-out-codes", nargs="*", default=(), choices=CODES, help="codes not taught")
    return parser.parse_args()


def main() -> None:
    """Learn, export, calibrate, measure, write the manifest."""
    asked = arguments()
    need("torch", "transformers", "onnx")
    import torch

    from proguard_core.training.embedded import continued, mixture, network, tokens
    from proguard_core.training.embedded.learn import Recipe, learn

    names = ("steps", "seed", "max_minutes", "encoder_rate", "frozen_layers", "decay")
    given = {name: getattr(asked, name) for name in names}
    recipe = dataclasses.replace(Recipe(), **{name: value for name, value in given.items() if value is not None})
    left_out = LeftOut(frozenset(asked.leave_out), frozenset(asked.leave_out_codes))
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(recipe.threads)
    asked.work.mkdir(parents=True, exist_ok=True)
    tokenizer = tokens.load(asked.base / network.BASE_TOKENIZER)
    model = network.GuardNetwork(network.base_encoder(asked.base / network.BASE_ONNX))
    weights = asked.work / "weights.pt"
    if asked.stage in ("all", "learn"):
        if asked.start:
            continued.restore(model, asked.start)
        taught = mixture.teaching_mixture(asked.data, recipe.seed, left_out, frozenset(asked.without), asked.replay)
        encoded = [tokens.encode(tokenizer, row, recipe.length) for row in taught]
        long = sum(len(row.ids) for row in encoded) / len(taught)
        print(f"{len(taught)} examples, {long:.0f} tokens each", flush=True)
        weights.with_suffix(".steps").write_text(str(learn(model, taught, encoded, recipe, weights)))
    if asked.stage in ("all", "export"):
        from proguard_core.training.embedded.artefact import Made, write_artefact

        model.load_state_dict(torch.load(weights))
        start = digest(asked.start) if asked.start else None
        made = Made(recipe, left_out, tuple(asked.without), start, asked.replay, tuple(asked.folds))
        write_artefact(model, asked.data, asked.base, asked.out, asked.work, made)


if __name__ == "__main__":
    main()
