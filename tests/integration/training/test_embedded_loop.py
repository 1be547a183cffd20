"""The embedded guard learns a category that it never saw, from a dataset's folder, and serves it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from proguard_core.dataset.builder import DatasetSettings, build
from proguard_core.dataset.items import Item, Origin
from proguard_core.dataset.variants import VariantSettings
from proguard_core.dataset.writers import write_own
from proguard_core.evaluation.rows import Row
from proguard_core.guards.embedded.heads import MANIFEST, WEIGHTS, HeadsError, Learned
from proguard_core.novelty.bank import Bank
from proguard_core.policy.loader import load_policy
from proguard_core.training.embedded.heads import evaluate
from proguard_core.training.embedded.heads.replay import replay_items
from proguard_core.training.embedded.heads.retrain import HeadsRecipe, retrain
from schemas.common import Outcome
from worker.local import emerging

POLICY = load_policy()
RECIPE = HeadsRecipe(most_measured=60)
CATEGORY = emerging.category()
KILL_AFTER_S = 30.0


def posts(count: int, seed: int, prefix: str) -> list[Row]:
    return [
        Row(id=f"{prefix} {at}", request=text, request_label=Outcome.UNSAFE, ood_name=CATEGORY.name)
        for at, text in enumerate(emerging.texts(emerging.POSTS, count, seed))
    ]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 reviewed posts of the new category, and 240 of our own rows to replay."""
    items = [
        Item(row, Origin.REVIEW, author=f"author {at}", post_id=row.id) for at, row in enumerate(posts(60, 1, "hit"))
    ]
    settings = DatasetSettings(variants=VariantSettings(masks=20, orders=2))
    made = build([*items, *replay_items(1, 120, 120)], POLICY, Bank({}), settings)
    folder = tmp_path_factory.mktemp("dataset") / "own"
    write_own(made, folder)
    return folder


@pytest.fixture(scope="module")
def first(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("heads") / "r1"
    retrain(dataset, out, POLICY, recipe=RECIPE)
    return out


def found(heads: Path | None, rows: list[Row]) -> float:
    said = evaluate.answers(rows, POLICY, heads=heads)
    measured = evaluate.measured(rows, said, POLICY, [Learned(CATEGORY.name)])
    return float(json.loads(json.dumps(measured))["learned"][0]["found"]["value"])


def test_posts_that_it_never_saw_get_the_new_name(first: Path) -> None:
    rows = posts(60, 99, "later")
    assert found(None, rows) == 0.0
    assert found(first, rows) >= 0.5


def test_the_manifest_says_what_the_heads_are_made_of(dataset: Path, first: Path) -> None:
    manifest = json.loads((first / MANIFEST).read_text())
    assert manifest["new"] == [CATEGORY.name]
    assert manifest["champion"] is None
    assert set(manifest["base"]) == {"model.onnx", "tokenizer.json", "calibration.json"}
    assert manifest["dataset"]["version"] == json.loads((dataset / "datasheet.json").read_text())["version"]
    for side in ("champion", "challenger"):
        assert 0 <= manifest["held_out"][side]["balanced_accuracy"]["value"] <= 1
    assert sum(path.stat().st_size for path in first.iterdir()) < 200_000


def test_the_same_rows_give_the_same_bytes_and_a_second_time_does_nothing(dataset: Path, first: Path) -> None:
    again = first.parent / "again" / "r1"
    retrain(dataset, again, POLICY, recipe=RECIPE)
    for name in (MANIFEST, WEIGHTS):
        assert (again / name).read_bytes() == (first / name).read_bytes()
    assert retrain(dataset, first, POLICY, recipe=RECIPE).skipped
    with pytest.raises(HeadsError, match="made of something else"):
        retrain(dataset, first, POLICY, recipe=HeadsRecipe(least=20))
    (again / WEIGHTS).write_bytes(b"cut")
    with pytest.raises(HeadsError, match="something else"):
        retrain(dataset, again, POLICY, recipe=RECIPE)


def test_heads_that_never_saw_a_category_do_not_have_it(dataset: Path, tmp_path: Path) -> None:
    recipe = HeadsRecipe(left_out=(CATEGORY.name,), most_measured=20)
    made = retrain(dataset, tmp_path / "r0", POLICY, recipe=recipe)
    assert made.manifest["learned"] == []
    assert CATEGORY.name not in json.dumps({**made.manifest, "recipe": None})
    after = retrain(dataset, tmp_path / "r1", POLICY, champion=made.folder, recipe=RECIPE)
    assert after.manifest["new"] == [CATEGORY.name]
    assert after.manifest["champion"]["name"] == "r0"


def test_killed_at_any_time_it_leaves_nothing_half_and_ends_the_same(
    dataset: Path, first: Path, tmp_path: Path
) -> None:
    out, work = tmp_path / "r1", tmp_path / "work"
    script = (
        "import sys; from pathlib import Path; from proguard_core.policy.loader import load_policy;"
        "from proguard_core.training.embedded.heads.retrain import HeadsRecipe, retrain;"
        "d, o, w = map(Path, sys.argv[1:]);"
        "retrain(d, o, load_policy(), recipe=HeadsRecipe(most_measured=60), work=w)"
    )
    command = [sys.executable, "-c", script, str(dataset), str(out), str(work)]
    for seen in ("work", "beside"):  # once when features stand, once when the heads are being written
        process = subprocess.Popen(command)
        until = time.monotonic() + KILL_AFTER_S
        while time.monotonic() < until and process.poll() is None:
            names = [path.name for path in tmp_path.iterdir()]
            if (seen == "work" and (work / "features.npz").exists()) or any(name.startswith(".r1.") for name in names):
                break
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not out.exists() or (out / MANIFEST).exists()
    subprocess.run(command, check=True, env=os.environ)
    for name in (MANIFEST, WEIGHTS):
        assert (out / name).read_bytes() == (first / name).read_bytes()
