"""Learn the embedded guard: `python -m proguard_core.training.embedded --data DATA --base BASE [--out MODEL]`."""

import argparse
import dataclasses
from pathlib import Path

from proguard_core.training.embedded.rows import CODES, Example, LeftOut, polish_examples, teaching_examples

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
    parser.add_argument("--stage", choices=("all", "learn", "polish", "export"), default="all")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--max-minutes", type=float)
    parser.add_argument("--leave-out", nargs="*", default=(), help="sources not taught, to measure a guard on them")
    parser.add_argument("--leave-out-codes", nargs="*", default=(), choices=CODES, help="codes not taught")
    return parser.parse_args()


def main() -> None:
    """Learn, export, calibrate, measure, write the manifest."""
    import torch

    from proguard_core.training.embedded import network, tokens
    from proguard_core.training.embedded.learn import Recipe, learn, polishing

    asked = arguments()
    given = {"steps": asked.steps, "seed": asked.seed, "max_minutes": asked.max_minutes}
    recipe = dataclasses.replace(Recipe(), **{name: value for name, value in given.items() if value is not None})
    left_out = LeftOut(frozenset(asked.leave_out), frozenset(asked.leave_out_codes))
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(recipe.threads)
    asked.work.mkdir(parents=True, exist_ok=True)
    tokenizer = tokens.load(asked.base / network.BASE_TOKENIZER)
    model = network.GuardNetwork(network.base_encoder(asked.base / network.BASE_ONNX))
    public, polished = asked.work / "weights.pt", asked.work / "polished.pt"

    def teach(taught: list[Example], how: Recipe, keep: Path) -> None:
        encoded = [tokens.encode(tokenizer, row, how.length) for row in taught]
        print(
            f"{len(taught)} examples, {sum(len(row.ids) for row in encoded) / len(taught):.0f} tokens each", flush=True
        )
        keep.with_suffix(".steps").write_text(str(learn(model, taught, encoded, how, keep)))

    if asked.stage in ("all", "learn"):
        teach(teaching_examples(asked.data, recipe.seed, left_out), recipe, public)
    if asked.stage in ("all", "polish"):
        model.load_state_dict(torch.load(public))
        teach(polish_examples(asked.data, recipe.seed, left_out), polishing(recipe), polished)
    if asked.stage in ("all", "export"):
        from proguard_core.training.embedded.artefact import write_artefact

        model.load_state_dict(torch.load(polished))
        write_artefact(model, asked.data, asked.base, asked.out, asked.work, recipe, left_out)


if __name__ == "__main__":
    main()
