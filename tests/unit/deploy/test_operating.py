"""The runbook knows every alert, and names only settings, metrics, commands and places that exist."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from deploy.generate import RULES
from deploy.queries import names_of
from worker.cli import app
from worker.settings import Settings
from worker.telemetry.table import METRICS

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGE = (DOCS / "operating.md").read_text()
BOTH = [PAGE, (DOCS / "capacity.md").read_text()]
_ALERT = re.compile(r"^\| `(\w+)` \| (page|ticket) \| [^|]+ \| [^|]+ \|$", re.MULTILINE)
_SETTING = re.compile(rf"\b({'|'.join(Settings.model_fields)})\.([a-z]\w*)")
# Parts of a verdict, and Kafka's own program kafka-topics.sh.
_OTHERS = {("guard", "revision"), ("policy", "version"), ("topics", "sh")}


def test_every_alert_has_its_row_and_its_severity() -> None:
    rules: list[dict[str, Any]] = [
        rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
    ]
    assert _ALERT.findall(PAGE) == [(rule["alert"], rule["labels"]["severity"]) for rule in rules]


def test_settings_exist() -> None:
    named = {found for page in BOTH for found in _SETTING.findall(page)}
    known = {
        (section, key)
        for section, field in Settings.model_fields.items()
        for key in getattr(field.annotation, "model_fields", ())
    }
    assert len(named) > 30
    assert named - _OTHERS <= known


def test_metrics_exist() -> None:
    known = {name for metric in METRICS for name in names_of(metric)} | {metric.prometheus_name for metric in METRICS}
    labels = {label for metric in METRICS for label in metric.prometheus_labels}
    for page in BOTH:
        named = set(re.findall(r"`((?:proguard|messaging)_\w+)`", page))
        assert named
        assert named <= known | labels


def test_commands_and_their_options_exist() -> None:
    called = re.findall(r"proguard (?:--config \S+ )?((?:[a-z][a-z-]+ ?){1,2})((?:--[a-z-]+ ?[^`\s-]* ?)*)", PAGE)
    found = 0
    for words, options in called:
        command: Any = typer.main.get_command(app)
        for word in words.split():
            command = getattr(command, "commands", {}).get(word, command)
        if not hasattr(command, "commands"):
            found += 1
            known = {option for parameter in command.params for option in parameter.opts}
            assert set(re.findall(r"--[a-z-]+", options)) <= known, words
    assert found >= 6


@pytest.mark.parametrize("name", ["operating.md", "capacity.md"])
def test_places_that_it_points_to_exist(name: str) -> None:
    page = (DOCS / name).read_text()
    headings = {
        re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in page.splitlines()
        if line.startswith("#")
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= headings
    files = set(re.findall(r"\]\(([^)#]+\.md)[^)]*\)", page)) - {"performance.md"}
    assert not [each for each in files if not (DOCS / each).is_file()]
