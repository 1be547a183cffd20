"""Retrain the heads: `python -m proguard_core.training.embedded.heads --dataset FOLDER --out FOLDER`."""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from proguard_core.guards.embedded.heads import HeadsError
from proguard_core.guards.embedded.text_model import FOLDER
from proguard_core.policy.loader import load_policy
from proguard_core.training.embedded.heads.retrain import HeadsRecipe, retrain
from proguard_core.training.embedded.heads.taught import DatasetError


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m proguard_core.training.embedded.heads", description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="a dataset's folder, written as own rows")
    parser.add_argument("--out", type=Path, required=True, help="folder of the new heads; its name is the revision's")
    parser.add_argument(
        "--champion", type=Path, help="folder of the heads to go on from; the artefact's own by default"
    )
    parser.add_argument("--model", type=Path, default=FOLDER, help="folder of the artefact, the shipped one by default")
    parser.add_argument("--policy", type=Path, help="the policy; the shipped one by default")
    parser.add_argument("--work", type=Path, help="folder in which features stay for a run that begins again")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--leave-out", nargs="*", default=(), help="names or codes none of whose rows is used")
    return parser.parse_args()


def main() -> None:
    """Retrain and print the manifest."""
    asked = arguments()
    usual = HeadsRecipe()
    recipe = replace(usual, fit=replace(usual.fit, seed=asked.seed), left_out=tuple(asked.leave_out))
    policy = load_policy(asked.policy)
    try:
        made = retrain(
            asked.dataset,
            asked.out,
            policy,
            champion=asked.champion,
            recipe=recipe,
            model=asked.model,
            work=asked.work,
        )
    except (DatasetError, HeadsError) as error:
        sys.exit(str(error))
    print(json.dumps(made.manifest, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
