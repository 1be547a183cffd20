"""docs/guards.md holds what is so: the contract's table, the example, the settings and the reasons."""

import re
from pathlib import Path

import pytest

from proguard_core.guards.openai.settings import KEYS
from proguard_core.guards.transformers.settings import KEYS as TRANSFORMERS_KEYS
from proguard_core.guards.vllm.settings import KEYS as VLLM_KEYS
from proguard_core.guards.wrapping import CASCADE_KEYS, SHADOW_KEYS
from schemas.common import Reason
from tests.unit.guards.contract import CASES
from tests.unit.guards.test_contract import ENGINES

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "guards.md").read_text()
EXAMPLE = (ROOT / "tests" / "support" / "word_list_guard.py").read_text()


# Suites that need more than the base package has, or a model: they cannot be imported here.
SUITES = {
    "embedded": "integration/guards/test_embedded_contract.py",
    "transformers": "engines/test_transformers_contract.py",
    "vllm": "engines/vllm/test_vllm_guard.py",
}


def section(title: str) -> str:
    return re.split(r"^##+ ", PAGE.partition(f"# {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def test_the_table_of_the_contract_has_every_case_and_every_engine() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section("The contract").splitlines()
        if "|" in line
    ]
    assert rows[0] == ["case", *(engine.name for engine in ENGINES), *SUITES]
    assert [row[0] for row in rows[2:]] == list(CASES)
    assert {cell for row in rows[2:] for cell in row[1:]} == {"yes"}


@pytest.mark.parametrize(("name", "file"), SUITES.items())
def test_an_engine_in_the_table_has_a_suite_that_runs_the_contract(name: str, file: str) -> None:
    suite = (ROOT / "tests" / file).read_text()
    assert re.search(rf"""Engine\(\s*"{name}",""", suite)
    assert "contract.run(" in suite
    assert "CASES" in suite or "contract.parametrised(" in suite


def test_the_example_is_the_tested_file_and_has_40_lines() -> None:
    assert f"```python\n{EXAMPLE}```" in PAGE
    assert len(EXAMPLE.splitlines()) <= 40


def test_every_setting_is_there() -> None:
    tables = section("`openai`") + section("Adapters")
    assert set(re.findall(r"^\| `(\w+)` \|", tables, flags=re.MULTILINE)) == KEYS
    assert set(re.findall(r"^\| `(\w+)` \|", section("`vllm`"), flags=re.MULTILINE)) == VLLM_KEYS - {
        "adapters",
        "adapter",
    }
    named = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| ([^|]+) \|", section("Wrappers"), flags=re.MULTILINE)))
    assert set(named) == SHADOW_KEYS | CASCADE_KEYS | {"cache_size", "cascade", "shadow"}


def test_every_setting_of_the_transformers_engine_is_there() -> None:
    page = section("`transformers`")
    own = set(re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE))
    shared = set(re.findall(r"`(\w+)`", page.partition("other engines have too")[2].partition(")")[0]))
    assert own | shared == TRANSFORMERS_KEYS
    assert own & shared == set()
    assert shared - {"adapters", "adapter"} <= KEYS


def test_every_reason_named_is_one() -> None:
    named = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"undetermined, `\w+`", PAGE))))
    assert {"guard_failed", "guard_timeout", "not_judgeable", "image_unreadable", "unparseable"} <= named
    assert named <= {reason.value for reason in Reason}
