"""The AsyncAPI document passes the reference parser, and the check finds what is wrong."""

import shutil
import subprocess
from pathlib import Path

import pytest

from schemas import generate

ROOT = Path(generate.__file__).resolve().parents[1]
SCRIPT = ROOT / "scripts" / "validate-asyncapi.sh"


@pytest.fixture
def needs_node() -> None:
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not there: the AsyncAPI document is not validated")


def validate(document: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SCRIPT, document], capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of what the document refers to."""
    shutil.copytree(ROOT / "schemas" / "json", tmp_path / "json")
    return tmp_path


@pytest.mark.timeout(400)
@pytest.mark.usefixtures("needs_node")
def test_the_document_is_valid() -> None:
    done = validate(ROOT / "schemas" / "asyncapi.json")
    assert done.returncode == 0, done.stderr
    assert "6 channels, 5 operations" in done.stdout


@pytest.mark.timeout(400)
@pytest.mark.usefixtures("needs_node")
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("json/verdict.schema", "json/verdikt.schema", "invalid-ref"),
        ('"action": "send"', '"action": "sent"', "operations.writeVerdicts.action"),
        ('"#/channels/risks"', '"#/channels/rysks"', "writeRisks"),
    ],
)
def test_a_wrong_document_is_refused(folder: Path, old: str, new: str, said: str) -> None:
    text = (ROOT / "schemas" / "asyncapi.json").read_text()
    assert old in text
    (folder / "wrong.json").write_text(text.replace(old, new))
    done = validate(folder / "wrong.json")
    assert done.returncode == 1, done.stdout
    assert said in done.stderr
