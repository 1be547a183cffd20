"""The embedded guard's network goes through its int8 file and back, and learns."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from proguard_core.guards.embedded.text_model import FOLDER, TOKENIZER, Calibration
from proguard_core.training.embedded import fold_report
from proguard_core.training.embedded.artefact import Made, write_artefact
from proguard_core.training.embedded.continued import restore
from proguard_core.training.embedded.export import export_float, quantise
from proguard_core.training.embedded.folds import save
from proguard_core.training.embedded.learn import Recipe, learn, loss_of
from proguard_core.training.embedded.measure import logits_of
from proguard_core.training.embedded.network import BASE_ONNX, BASE_TOKENIZER, WIDTH, GuardNetwork
from proguard_core.training.embedded.rows import Example, dev_examples
from proguard_core.training.embedded.tokens import Encoded
from tests.unit.training.test_left_out import folder

ROWS = [Example("s", "a", None, at % 2 == 0, 3 if at % 2 == 0 else None) for at in range(32)]
ENCODED = [Encoded([101, 2000 + 7 * (at % 2), 3000 + at, 102], [0] * 4) for at in range(32)]


def network(seed: int) -> GuardNetwork:
    """Two random layers of BGE-small's width. Noise everywhere: the exporter would write equal weights only once."""
    torch.manual_seed(seed)
    config = BertConfig(hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=12, intermediate_size=1536)
    made = GuardNetwork(BertModel(config, add_pooling_layer=False))
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(0.02 * torch.randn_like(weight))
    return made


def test_an_artefact_gives_its_weights_back(tmp_path: Path) -> None:
    taught, other = network(1), network(2)
    export_float(taught, tmp_path / "full.onnx")
    quantise(tmp_path / "full.onnx", tmp_path / "small.onnx")
    restore(other, tmp_path / "small.onnx")
    for name, weight in taught.state_dict().items():
        step = float(weight.abs().max()) / 63 + 1e-7
        assert float((other.state_dict()[name] - weight).abs().max()) <= step, name
    export_float(other, tmp_path / "again.onnx")
    full, again = (logits_of(tmp_path / name, ENCODED, 1) for name in ("full.onnx", "again.onnx"))
    assert np.corrcoef(full.ravel(), again.ravel())[0, 1] > 0.99


def test_the_artefact_says_how_it_was_made(tmp_path: Path) -> None:
    data, base = tmp_path / "data", tmp_path / "base"
    data.mkdir()
    base.mkdir()
    folder(data)
    (base / BASE_ONNX).write_bytes(b"weights")
    shutil.copy(FOLDER / TOKENIZER, base / BASE_TOKENIZER)
    rows = [Example("davidson", "a", answer, at % 2 == 0, 3) for at in range(40) for answer in (None, "b")]
    held_out = dev_examples(data)
    save(tmp_path / "fold.npz", rows, np.random.default_rng(1).normal(0, 5, (80, 2)))
    with_answers = [*held_out, Example("s", "a", "b", True, 3), Example("s", "a", "c", False, None)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("proguard_core.training.embedded.rows.dev_examples", lambda *_: with_answers)
        made = Made(Recipe(threads=1), without=("acts",), start="abc", replayed=9, folds=(tmp_path / "fold.npz",))
        write_artefact(network(4), data, base, tmp_path / "out", tmp_path, made)
    said = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (said["start"], said["recipe"]["replayed"]) == ("abc", 9)
    assert "answers" in said["generators"]
    assert "acts" not in said["generators"]
    wanted = fold_report.temperatures(fold_report.read([tmp_path / "fold.npz"]))
    fitted = Calibration.read(tmp_path / "out" / "calibration.json")
    assert (fitted.request_temperature, fitted.response_temperature) == pytest.approx(tuple(wanted.values()), abs=1e-4)
    assert "| davidson | request | int8 |" in fold_report.report(tmp_path, ["int8"])


def test_another_network_is_refused(tmp_path: Path) -> None:
    export_float(network(1), tmp_path / "full.onnx")
    deeper = GuardNetwork(
        BertModel(BertConfig(hidden_size=WIDTH, num_hidden_layers=3, num_attention_heads=12), add_pooling_layer=False)
    )
    with pytest.raises(ValueError, match="lacks"):
        restore(deeper, tmp_path / "full.onnx")


def test_frozen_layers_stay_and_the_others_learn(tmp_path: Path) -> None:
    taught = network(3)
    before = {name: weight.clone() for name, weight in taught.state_dict().items()}
    done = learn(
        taught, ROWS, ENCODED, Recipe(steps=12, batch=8, frozen_layers=1, head_rate=5e-3), tmp_path / "kept.pt"
    )
    assert done == 12
    changed = {name for name, weight in taught.state_dict().items() if not torch.equal(weight, before[name])}
    assert not [name for name in changed if "embeddings" in name or "layer.0." in name]
    assert [name for name in changed if "layer.1." in name]
    taught.eval()
    ids, ones = torch.tensor([row.ids for row in ENCODED]), torch.ones(32, 4, dtype=torch.int64)
    with torch.inference_mode():
        unsafe = taught(ids, ones, torch.zeros_like(ones))[:, 0] > 0
    assert unsafe.tolist() == [bool(row.unsafe) for row in ROWS]


def test_focus_weighs_what_is_still_wrong() -> None:
    logits = torch.zeros(2, 31)
    logits[0, 0] = 4.0
    rows = [Example("s", "a", None, True, None), Example("s", "b", None, True, None)]
    plain = [float(loss_of(logits[at : at + 1], rows[:1], Recipe(smoothing=0.0))) for at in (0, 1)]
    focused = [float(loss_of(logits[at : at + 1], rows[:1], Recipe(smoothing=0.0, focus=2.0))) for at in (0, 1)]
    assert focused[0] / plain[0] < 0.001
    assert focused[1] / plain[1] == pytest.approx(0.25)
