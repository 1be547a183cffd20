"""The paper's values, and the command line that sets them."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from proguard_core.training.grpo.__main__ import Asked, main
from proguard_core.training.grpo.settings import GrpoSettings


def test_defaults_are_the_papers() -> None:
    own = GrpoSettings()
    assert (own.learning_rate, own.kl, own.clip, own.entropy) == (1e-6, 0.01, 0.1, 0.01)
    assert (own.generations, own.prompts, own.max_prompt, own.max_answer, own.epochs) == (16, 256, 3072, 1024, 1)
    # Mini-batches of 32 of 256 prompts.
    assert own.prompts // own.updates == 32
    assert own.accumulation * own.micro_batch == 32 * own.generations
    assert own.micro_batches * own.micro_batch == own.prompts * own.generations
    assert own.rollouts(87_024) == 340


def test_batches_that_do_not_split_are_refused() -> None:
    with pytest.raises(ValidationError, match="3 prompts x 16 generations"):
        GrpoSettings(prompts=3)
    with pytest.raises(ValidationError):
        GrpoSettings.model_validate({"leraning_rate": 1.0})


@pytest.mark.parametrize(("rows", "most", "expected"), [(1, None, 1), (300, None, 1), (1000, None, 4), (1000, 2, 2)])
def test_rollouts(rows: int, most: int | None, expected: int) -> None:
    assert GrpoSettings(max_rollouts=most).rollouts(rows) == expected


def test_the_command_line_alone_sets_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEED", "7")
    required = {"dataset": "a", "base": "b", "out": "c"}
    assert Asked.model_validate(required).seed == 0


@pytest.mark.parametrize(
    "options",
    [
        ["--dataset", "a"],
        ["--dataset", "a", "--base", "b", "--out", "c", "--sampling", "random"],
        ["--dataset", "a", "--base", "b", "--out", "c", "--prompts", "3"],
    ],
)
def test_wrong_usage_ends_with_2(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main(options)
    except SystemExit as end:
        code = int(end.code or 0)
    assert code == 2
    assert capsys.readouterr().err


def test_help_loads_no_torch() -> None:
    code = """
import sys
from proguard_core.training.grpo.__main__ import main
try:
    main(["--help"])
except SystemExit as end:
    assert not end.code
assert not {"torch", "transformers", "trl", "onnxruntime"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--sampling {balanced,adaptive,image-scarce}" in " ".join(done.stdout.split())
