"""verl's rows in learning order: real Parquet files, the tiny model's processor. verl itself is not here."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from proguard_core.dataset.writers import write_verl
from proguard_core.training.grpo.files import RunRefused
from proguard_core.training.verl_job.rows import HELD_OUT, TRAIN, lay_out
from proguard_core.training.verl_job.settings import VerlRecipe
from tests.engines.grpo import SHORT
from tests.unit.dataset.builders import QUICK, Shelf, base, item, made, picture

SHELF = Shelf({f"{at}": picture(at) for at in range(24)})
RECIPE = VerlRecipe.model_validate({**SHORT, "prompts": 6, "epochs": 2.0})


def test_batches_are_balanced_as_the_file_stands(tmp_path: Path, tiny_random_model: Path) -> None:
    from pyarrow import parquet

    from proguard_core.training.grpo.model import load_processor

    pictures = [item(f"p{at}", "", "C10S2" if at % 2 else None, images=(f"{at}",)) for at in range(12)]
    both = [item(f"b{at}", code="C9" if at % 2 else None, images=(f"{at}",)) for at in range(12, 24)]
    dataset = made([*base(12), *pictures, *both], replace(QUICK, held_out=0.1), fetch=SHELF)
    write_verl(dataset, tmp_path / "verl", SHELF)
    processor = load_processor(tiny_random_model, RECIPE)
    said = lay_out(tmp_path / "verl", tmp_path / "run", RECIPE, processor)
    before = {row["extra_info"]["id"]: row for row in parquet.read_table(tmp_path / "verl" / TRAIN).to_pylist()}
    after = parquet.read_table(tmp_path / "run" / TRAIN).to_pylist()
    assert len(after) == said["rows"] == said["rollouts"] * RECIPE.prompts
    assert said["rollouts"] == round(2 * len(before) / RECIPE.prompts)
    for begin in range(0, len(after), RECIPE.prompts):
        batch = Counter(row["extra_info"]["modality"] for row in after[begin : begin + RECIPE.prompts])
        assert batch == {"text": 2, "text-image": 2, "image": 2}
    # Pictures, prompts and truths as they were.
    assert all(row == before[row["extra_info"]["id"]] for row in after)
    assert {row["extra_info"]["id"] for row in after} == set(before)
    assert parquet.read_table(tmp_path / "run" / HELD_OUT).equals(parquet.read_table(tmp_path / "verl" / HELD_OUT))
    # Again: what is there stays.
    written = (tmp_path / "run" / TRAIN).stat().st_mtime_ns
    assert lay_out(tmp_path / "verl", tmp_path / "run", RECIPE, processor) == said
    assert (tmp_path / "run" / TRAIN).stat().st_mtime_ns == written
    with pytest.raises(RunRefused, match="no row of at most 5 tokens"):
        lay_out(tmp_path / "verl", tmp_path / "other", RECIPE.model_copy(update={"max_prompt": 5}), processor)
    with pytest.raises(RunRefused, match="no dataset for verl"):
        lay_out(tmp_path, tmp_path / "other", RECIPE, processor)
