"""docs/evaluation.md names every set as it is, its example row is one, and its commands are commands."""

import json
import re
import shlex
from pathlib import Path

from typer.testing import CliRunner

from proguard_core.evaluation.loaders.registry import known_sets
from proguard_core.evaluation.rows import parse
from worker.cli import app

DOCUMENT = (Path(__file__).parents[3] / "docs" / "evaluation.md").read_text()
_TRAINING = {"possible": "| possible |", "yes": "| yes |", "no": ""}


def test_every_set_is_named_with_what_is_known_of_it() -> None:
    for name, facts in known_sets().items():
        (line,) = [line for line in DOCUMENT.splitlines() if line.startswith("|") and f"`{name}`" in line]
        assert _TRAINING[facts.training] in line, name
        assert ("not verified" in line) == (facts.form == "unverified"), name


def test_its_row_is_one() -> None:
    (block,) = re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)
    assert parse(json.loads(block)).request


def test_its_options_exist() -> None:
    shown = CliRunner().invoke(app, ["evaluate", "--help"], env={"COLUMNS": "200"}).output
    (block,) = re.findall(r"```console\n(.*?)```", DOCUMENT, re.DOTALL)
    used = {word for line in block.splitlines() for word in shlex.split(line, comments=True) if word.startswith("--")}
    assert used - {"--config"} <= set(re.findall(r"--[a-z-]+", shown))
