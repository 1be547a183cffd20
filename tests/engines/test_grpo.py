"""GRPO by the real TRL on the tiny Qwen2.5-VL: kill and again, the champion's adapter, collapse, what is refused."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proguard_core.training.grpo.__main__ import main
from proguard_core.training.grpo.files import RunError, RunRefused, base_digest
from proguard_core.training.grpo.settings import GrpoSettings
from tests.engines.grpo import SHORT, options, result, start, wait_for, write_dataset
from tests.support.otlp import Collector

WEIGHTS = "adapter_model.safetensors"


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """On a busy machine, threads that wait for one another take ten times as long; and sums depend on their number."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("grpo") / "dataset")


@pytest.fixture(scope="module")
def champion(dataset: Path, tiny_taught_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a first adapter."""
    out = tmp_path_factory.mktemp("grpo") / "champion"
    assert main(options(dataset, tiny_taught_model, out, max_rollouts=1)) == 0
    return out


def test_a_run_leaves_an_adapter_and_says_what_it_was(champion: Path, dataset: Path, tiny_taught_model: Path) -> None:
    said = result(champion)
    assert (said["status"], said["updates"], said["rollouts"]) == ("trained", 2, 1)
    assert said["weights"]["before"] != said["weights"]["after"]
    assert said["asked"]["base"] == base_digest(tiny_taught_model)
    sheet = json.loads((dataset / "datasheet.json").read_text())
    assert said["asked"]["dataset"]["version"] == sheet["version"]
    origin = json.loads((champion / "adapter" / "proguard.json").read_text())
    assert origin == {"base": said["asked"]["base"], "parent": None, "adapter": said["adapter"]}
    config = json.loads((champion / "adapter" / "adapter_config.json").read_text())
    assert (config["r"], config["base_model_name_or_path"]) == (4, tiny_taught_model.name)
    # All three modalities were in the rollout, and every measure of it was logged.
    assert {said["last"]["step"], len(said["passes"])} == {2, 3}
    page = (champion / "training.html").read_text()
    assert "trained, after 2 updates" in page
    assert page.count("<svg") == 15


def test_killed_and_again_gives_the_same_weights(
    champion: Path, dataset: Path, tiny_taught_model: Path, tmp_path: Path
) -> None:
    """From the champion's adapter, with shares that follow what was seen: two adapters and a plan to restore."""
    log = tmp_path / "log"
    asked: dict[str, Any] = {"champion": champion / "adapter", "max_rollouts": 2, "sampling": "adaptive", "seed": 3}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    process = start(options(dataset, tiny_taught_model, killed, **asked), log)
    wait_for(killed / "checkpoint-2" / "seal.json", process, log)
    process.kill()
    process.wait()
    assert not (killed / "result.json").exists()
    # What a kill in the middle of writing leaves.
    shutil.copytree(killed / "checkpoint-2", killed / "checkpoint-4", dirs_exist_ok=True)
    (killed / "checkpoint-4" / "seal.json").unlink()
    (killed / "checkpoint-4" / WEIGHTS).write_bytes(b"half")
    assert main(options(dataset, tiny_taught_model, killed, **asked)) == 0
    assert main(options(dataset, tiny_taught_model, whole, **asked)) == 0
    one, other = result(whole), result(killed)
    assert one["weights"] == other["weights"]
    assert (whole / "adapter" / WEIGHTS).read_bytes() == (killed / "adapter" / WEIGHTS).read_bytes()
    assert one["passes"] == other["passes"]
    plain = [{key: value for key, value in said["last"].items() if "time" not in key} for said in (one, other)]
    assert plain[0] == plain[1]
    assert one["weights"]["before"] == result(champion)["weights"]["after"]
    parent = json.loads((whole / "adapter" / "proguard.json").read_text())["parent"]
    assert parent == result(champion)["adapter"]
    # Ended runs are left alone.
    before = (killed / "adapter" / WEIGHTS).stat().st_mtime_ns
    assert main(options(dataset, tiny_taught_model, killed, **asked)) == 0
    assert (killed / "adapter" / WEIGHTS).stat().st_mtime_ns == before
    assert main(options(dataset, tiny_taught_model, whole, **asked, learning_rate=1e-2)) == 78


def test_rewards_that_are_all_alike_stop_a_run(
    dataset: Path, tiny_random_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The random model never keeps the form, so every answer earns nothing."""
    out = tmp_path / "run"
    with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        code = main(options(dataset, tiny_random_model, out, max_rollouts=9, collapse_window=2, max_answer=8))
    assert code == 1
    said = result(out)
    assert (said["status"], said["rollouts"]) == ("collapsed", 1)
    assert "100% of the groups had equal rewards" in said["why"]
    assert not (out / "adapter").exists()
    assert "collapsed: in each of the last 2 rollouts" in (out / "training.html").read_text()
    assert {"proguard.training.reward", "proguard.training.entropy", "proguard.training.kl"} <= collector.metrics


def test_a_run_that_changes_no_weight_is_no_success(
    dataset: Path, tiny_taught_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Steps so small that no float32 shows them: gradients flow, and nothing is learned."""
    out = tmp_path / "run"
    assert main(options(dataset, tiny_taught_model, out, max_rollouts=2, learning_rate=1e-60)) == 1
    assert "after 2 updates the adapter is what it was: nothing trains" in capsys.readouterr().err
    assert not (out / "adapter").exists()
    assert not (out / "result.json").exists()


def test_what_does_not_fit_together_is_refused(champion: Path, tiny_taught_model: Path, tmp_path: Path) -> None:
    from proguard_core.training.grpo.model import read_champion

    base = base_digest(tiny_taught_model)
    short = GrpoSettings.model_validate(SHORT)
    adapter = champion / "adapter"
    assert read_champion(adapter, base, short).digest == result(champion)["adapter"]
    with pytest.raises(RunRefused, match="another base model"):
        read_champion(adapter, "0" * 64, short)
    with pytest.raises(RunRefused, match="has r 4, the settings have 8"):
        read_champion(adapter, base, short.model_copy(update={"lora_rank": 8}))
    shutil.copytree(adapter, tmp_path / "half")
    (tmp_path / "half" / WEIGHTS).write_bytes(b"half")
    with pytest.raises(RunRefused, match="its digest differs"):
        read_champion(tmp_path / "half", base, short)
    (tmp_path / "half" / "proguard.json").unlink()
    with pytest.raises(RunRefused, match="no adapter of ours"):
        read_champion(tmp_path / "half", base, short)


def test_weights_are_applied_whole_or_not_at_all(champion: Path, tiny_taught_model: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    from proguard_core.training.grpo import weights
    from proguard_core.training.grpo.model import load_model

    model = load_model(tiny_taught_model, None, GrpoSettings.model_validate(SHORT))
    untouched = weights.fingerprint(model)
    saved = load_file(champion / "adapter" / WEIGHTS)
    first = next(iter(saved))
    fewer = {key: value for key, value in saved.items() if key != first}
    for wrong in (fewer, {**saved, "more": saved[first].clone()}):
        save_file(wrong, tmp_path / WEIGHTS)
        with pytest.raises(RunError, match=r"1 keys .* differ"):
            weights.apply(model, tmp_path)
    save_file({**saved, first: saved[first][:1].clone()}, tmp_path / WEIGHTS)
    with pytest.raises(RunError, match="does not fit"):
        weights.apply(model, tmp_path)
    weights.apply(model, champion / "adapter")
    assert weights.fingerprint(model) == result(champion)["weights"]["after"] != untouched
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    with pytest.raises(RunError, match="adapter is frozen"):
        weights.trained(model)
    next(model.parameters()).requires_grad_(True)
    with pytest.raises(RunError, match="of the base would train"):
        weights.trained(model)


def test_rows_are_what_the_serving_guard_would_ask(dataset: Path, tiny_taught_model: Path) -> None:
    """Token for token, pictures beside rows without any; a prompt that is too long is left out and counted."""
    from trl.data_utils import prepare_multimodal_messages

    from proguard_core.training.grpo.model import load_processor
    from proguard_core.training.grpo.rows import FRAME_TOKENS, Rows, _lengths

    settings = GrpoSettings.model_validate(SHORT)
    processor = load_processor(tiny_taught_model, settings)
    rows = Rows(dataset, processor, settings)
    alone: list[int] = []
    for at in range(len(rows)):
        row = rows[at]
        # As proguard_core/guards/transformers/model.py builds a chat.
        content = [*[{"type": "image"} for _ in row["images"]], {"type": "text", "text": row["prompt"][-1]["content"]}]
        turns = [row["prompt"][0], {"role": "user", "content": content}]
        chat = processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        served = processor(text=[chat], images=row["images"] or None)["input_ids"][0]
        learned = processor.apply_chat_template(
            [prepare_multimodal_messages(row["prompt"], row["images"])],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
        )["input_ids"][0]
        assert list(learned) == list(served)
        alone.append(len(served))
    estimated = _lengths(rows.table, processor)
    assert all(real <= guess <= real + FRAME_TOKENS for real, guess in zip(alone, estimated, strict=True))
    longest = max(estimated)
    fewer = Rows(dataset, processor, settings.model_copy(update={"max_prompt": longest - 1}))
    assert len(fewer) + sum(fewer.too_long.values()) == len(rows)
    assert fewer.too_long
    with pytest.raises(RunRefused, match="no row of at most 5 tokens"):
        Rows(dataset, processor, settings.model_copy(update={"max_prompt": 5}))


def test_what_trl_must_have_by_default(tmp_path: Path) -> None:
    """Values that the paper's loss rests on and that are not set."""
    from proguard_core.training.grpo.trainer import config

    made = config(GrpoSettings(), tmp_path, 3, vllm=False)
    assert (made.num_iterations, made.importance_sampling_level, made.epsilon_high) == (1, "token", None)
    assert (made.mask_truncated_completions, made.top_entropy_quantile, made.delta) == (False, 1.0, None)
    assert (made.top_p, made.top_k, made.min_p, made.repetition_penalty) == (1.0, 0, None, 1.0)
    assert (made.multi_objective_aggregation, made.reward_weights, made.warmup_steps) == ("sum_then_normalize", None, 0)
    assert made.steps_per_generation == 8 * made.gradient_accumulation_steps
    assert (made.generation_batch_size, made.max_steps) == (256 * 16, 24)
