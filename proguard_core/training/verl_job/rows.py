"""verl's rows in the order in which they are learned: every batch of `prompts` rows is balanced over modalities."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

from proguard_core.training.grpo.files import RunRefused, digest
from proguard_core.training.grpo.plan import Plan
from proguard_core.training.grpo.rows import prompt_tokens
from proguard_core.training.verl_job.settings import VerlRecipe
from schemas.common import Modality

TRAIN, HELD_OUT = "train.parquet", "held_out.parquet"
_ROWS_A_GROUP = 256


def dataset_files(dataset: Path) -> list[Path]:
    """Both files of a `write_verl` folder. Raises RunRefused where one is missing."""
    sources = [dataset / TRAIN, dataset / HELD_OUT]
    if missing := [path for path in sources if not path.is_file()]:
        raise RunRefused(f"{dataset} is no dataset for verl: {missing[0].name} is missing")
    return sources


def lay_out(dataset: Path, folder: Path, recipe: VerlRecipe, processor: Any) -> dict[str, Any]:
    """Write both files of a `write_verl` folder into the run's, train in the plan's order. Needs pyarrow.

    Rows with longer prompts than max_prompt are left out: verl would end at one, or shift the batches. A file that is
    there stays. Returns how many rows and rollouts there are, what was left out, and the digest of what was read.
    """
    from pyarrow import parquet

    sources = dataset_files(dataset)
    table = parquet.read_table(sources[0])
    fitting, too_long = _fitting(table, recipe.max_prompt, processor)
    if not fitting:
        raise RunRefused(f"{dataset} has no row of at most {recipe.max_prompt} tokens")
    plan = Plan([modality for _, modality in fitting], recipe)
    rollouts = recipe.rollouts(len(fitting))
    order = [fitting[at][0] for number in range(rollouts) for at in plan.rollout(number)]
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / TRAIN).is_file():
        _write(table, order, folder / TRAIN)
    if not (folder / HELD_OUT).is_file():
        held_out = parquet.read_table(sources[1])
        _write(held_out, list(range(len(held_out))), folder / HELD_OUT)
    return {
        "files": digest(sources),
        "rows": len(order),
        "rollouts": rollouts,
        "passes": plan.passes(rollouts),
        "too_long": dict(too_long),
    }


def _fitting(table: Any, most: int, processor: Any) -> tuple[list[tuple[int, Modality]], Counter[str]]:
    """Places and modalities of the rows that are short enough, and how many others there are."""
    fitting: list[tuple[int, Modality]] = []
    too_long: Counter[str] = Counter()
    for batch in table.select(["prompt", "images", "extra_info"]).to_batches(max_chunksize=_ROWS_A_GROUP):
        columns = batch.to_pydict()
        lengths = prompt_tokens(columns["prompt"], columns["images"], processor)
        for length, info in zip(lengths, columns["extra_info"], strict=True):
            place = len(fitting) + sum(too_long.values())
            if length <= most:
                fitting.append((place, Modality(info["modality"])))
            else:
                too_long[info["modality"]] += 1
    return fitting, too_long


def _write(table: Any, order: list[int], path: Path) -> None:
    from pyarrow import parquet

    partial = path.with_name(f".{path.name}.partial")
    with parquet.ParquetWriter(partial, table.schema, compression="zstd") as writer:
        for begin in range(0, len(order), _ROWS_A_GROUP):
            writer.write_table(table.take(order[begin : begin + _ROWS_A_GROUP]))
    os.replace(partial, path)
