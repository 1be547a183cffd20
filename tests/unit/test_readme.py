"""What the README shows is true: settings load, post and verdict are records of ours, links lead somewhere."""

import re
from pathlib import Path

import pytest

from schemas.post import Post
from schemas.verdict import Verdict
from worker.settings import load

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_its_settings_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROGUARD_CONFIG", raising=False)
    (block,) = blocks("toml")
    file = tmp_path / "proguard.toml"
    file.write_text(block)
    settings = load(file)
    assert settings.kafka.client["security.protocol"] == "SASL_SSL"
    assert settings.objects.buckets == ("pictures",)


def test_its_post_and_verdict_are_valid() -> None:
    post, verdict = blocks("json")
    assert Post.model_validate_json(post).post_id == Verdict.model_validate_json(verdict).post_id
    assert not Verdict.model_validate_json(verdict).model_extra


def test_its_reader_reads_what_is_committed() -> None:
    """tests/integration/test_readme.py runs it."""
    (block,) = blocks("python")
    compile(block, "README.md", "exec")
    assert '"isolation.level": "read_committed"' in block


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_to_files_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / name).read_text()):
        assert target.startswith("https://") or (ROOT / target).is_file(), target
