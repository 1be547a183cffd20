"""`python -m benchmarks.grpo_learning DATA --seed N --out FOLDER [--sampling SAMPLING | --retrain]`

DATA is a JSON Lines file of labelled rows (.gz too). Below FOLDER/seed-N lie dataset and warmed-up base, which all
samplings of a seed share, and a folder for each sampling: the run with its page, and learned.json. With --retrain
the training is that of a whole round of `proguard retrain`, on a real Kafka and a real S3 that are started for it.
"""

import argparse
import json
import logging
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from benchmarks.grpo_learning import measure, model, report, rows, warm_up
from proguard_core.dataset.builder import Dataset
from proguard_core.dataset.writers import DATASHEET, read_trl, write_trl
from proguard_core.training.descriptions import Descriptions, shipped
from proguard_core.training.grpo.settings import GrpoSettings, Sampling
from proguard_core.training.truth import from_json
from schemas.common import Modality

log = logging.getLogger(__name__)

ROWS, HELD_OUT = 4500, 0.25
MAX_ANSWER = 40
WELL_FORMED, MOST_LESSONS = 0.99, 8
"""Share of greedy answers in the form of the contract from which learning begins, and rounds of lessons at most."""
BEFORE, BOTH = "before.json", "both.json"
SETTINGS: dict[str, Any] = {
    "prompts": 32,
    "generations": 6,
    "updates": 4,
    "micro_batch": 48,
    "max_answer": MAX_ANSWER,
    "max_prompt": 160,
    "learning_rate": 1e-3,
    "kl": 0.0,
    "clip": 0.2,
    "entropy": 0.0,
    "lora_rank": 32,
    "lora_alpha": 64,
    "gradient_checkpointing": False,
    "engine": "transformers",
    "checkpoint_every": 20,
}
"""Far from the paper's, which are for a big model: so small a one moves at such rates, and has no use for a KL."""


def main() -> None:
    """One seed, one sampling."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="labelled rows")
    parser.add_argument("--seed", type=int, default=0, help="of rows, weights and answers (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="folder for everything that is made")
    parser.add_argument("--sampling", choices=get_args(Sampling), default="balanced", help="(default: %(default)s)")
    every = [modality.value for modality in Modality]
    parser.add_argument("--modalities", nargs="+", choices=every, default=every, help="(default: all)")
    parser.add_argument("--retrain", action="store_true", help="by a round of `proguard retrain` (balanced only)")
    parser.add_argument("--one-source", action="store_true", help="safe rows of the source of the unsafe ones alone")
    parser.add_argument("--rollouts", type=int, default=150, help="(default: %(default)s)")
    parser.add_argument("--steps", type=int, default=150, help="of the warm-up (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="more where nothing else runs (default: %(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="one of the GRPO settings")
    asked = parser.parse_args()
    if asked.retrain and (asked.sampling != "balanced" or Modality.TEXT.value not in asked.modalities):
        parser.error("--retrain: what comes by the stream are texts, and sampling is balanced")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    import torch

    torch.set_num_threads(asked.threads)
    folder = asked.out / f"seed-{asked.seed}"
    began = time.monotonic()
    _prepare(folder, asked)
    prepared = time.monotonic()
    settings = {**SETTINGS, **dict(each.split("=", 1) for each in asked.set)}
    if asked.retrain:
        out = folder / "retrain"
        result = _by_round(folder, out, asked, settings)
    else:
        out = folder / asked.sampling
        result = _learn(folder, asked.sampling, asked.seed, asked.rollouts, settings)
    result["seconds"] = {"prepared": round(prepared - began), "learned": round(time.monotonic() - prepared)}
    (out / report.LEARNED).write_text(json.dumps(result, indent=1))
    print(report.table([result]))
    print(f"\npage: {' '.join(map(str, out.glob('*/training.html')))}")


def _prepare(folder: Path, asked: argparse.Namespace) -> None:
    """Dataset and warmed-up base, if they are not there yet. A folder that was left half made is made again."""
    if (folder / "prepared").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "pictures").mkdir(parents=True)
    seed = asked.seed
    made = _dataset(folder, asked)
    (folder / BOTH).write_text(json.dumps([s.item.row.id for s in made.held_out if s.item.row.source == rows.BOTH]))
    write_trl(made, folder / "dataset")
    said = [warm_up.random_answer(sample, seed) for sample in made.train]
    model.build([*rows.texts(made), *said], folder / "base", seed)
    warm_up.warm_up(folder / "base", made.train, warm_up.Lesson(asked.steps), seed)
    known = shipped(rows.small_policy())
    for more in range(1, MOST_LESSONS + 1):
        before = _measured(folder, None, known)
        if min(each["form"] for each in before.values()) >= WELL_FORMED:
            break
        warm_up.warm_up(folder / "base", made.train, warm_up.AGAIN, seed + 1000 * more)
    else:
        raise SystemExit(f"the form is not learned: {before}")
    (folder / BEFORE).write_text(json.dumps(before))
    (folder / "prepared").touch()


def _dataset(folder: Path, asked: argparse.Namespace) -> Dataset:
    """The same for the same arguments."""
    sources = (rows.BOTH,) if asked.one_source else (rows.BOTH, rows.EVERYDAY)
    modalities = [Modality(name) for name in asked.modalities]
    each = ROWS // len(modalities)
    return rows.dataset(asked.data, folder / "pictures", modalities, each, HELD_OUT, asked.seed, sources)


def _by_round(folder: Path, out: Path, asked: argparse.Namespace, settings: dict[str, Any]) -> dict[str, Any]:
    """The same as `_learn`, by a round of the command. out: a folder of its own."""
    from benchmarks.grpo_learning import round as rounds

    made = _dataset(folder, asked)
    if made.version != json.loads((folder / "dataset" / DATASHEET).read_text())["version"]:
        raise SystemExit(f"{folder} was prepared with other arguments")
    recipe = {**settings, "max_rollouts": asked.rollouts, "epochs": 1000}
    lesson = rounds.Lesson(folder / "base", recipe, asked.seed, MAX_ANSWER, asked.threads)
    facts, adapter = rounds.play(made, lesson, out)
    known = shipped(rows.small_policy())
    after = {} if adapter is None else _measured(folder, adapter, known)
    before = json.loads((folder / BEFORE).read_text())
    return {"seed": asked.seed, "sampling": asked.sampling, **facts, "before": before, "after": after}


def _learn(folder: Path, sampling: str, seed: int, rollouts: int, settings: dict[str, Any]) -> dict[str, Any]:
    """GRPO from the warmed-up base, then the held-out rows again."""
    from proguard_core.training.grpo.run import Job, Reward, train

    policy = rows.small_policy()
    known = shipped(policy)
    run = folder / sampling / "run"
    chosen = GrpoSettings.model_validate(
        {**settings, "sampling": sampling, "seed": seed, "max_rollouts": rollouts, "epochs": 1000}
    )
    result = train(Job(folder / "dataset", folder / "base", run), chosen, Reward(policy, known))
    adapter = run / "adapter"
    return {
        "seed": seed,
        "sampling": sampling,
        "status": result["status"],
        "why": result["why"],
        "rollouts": result["rollouts"],
        "passes": result["passes"],
        "before": json.loads((folder / BEFORE).read_text()),
        "after": _measured(folder, adapter, known) if adapter.exists() else {},
        "curves": report.curves(run),
    }


def _measured(folder: Path, adapter: Path | None, known: Descriptions) -> dict[str, Any]:
    """By modality."""
    table = read_trl(folder / "dataset", "held_out")
    said = measure.answers(folder / "base", adapter, table, MAX_ANSWER)
    inside = set(json.loads((folder / BOTH).read_text()))
    found = {}
    for modality in Modality:
        at = [place for place, name in enumerate(table["modality"]) if name == modality.value]
        if not at:
            continue
        truths = [from_json(table[place]["ground_truth"]) for place in at]
        both = [table[place]["id"] in inside for place in at]
        measured = measure.measured([said[place] for place in at], truths, both, rows.small_policy(), known)
        found[modality.value] = asdict(measured)
    log.info("%s", {name: (each["form"], each["earned"]["value"]) for name, each in found.items()})
    return found


if __name__ == "__main__":
    main()
