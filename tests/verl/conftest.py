"""Fixtures of the tests on the real verl: they need .venv-verl, and skip with a reason anywhere else.

Modules here import verl and torch inside their tests, so that they can be collected in any environment.
"""

import importlib.util
from pathlib import Path

import pytest

_VERL = Path(__file__).parent
# verl and Ray take half a minute to import on two cores.
_TIMEOUT_S = 600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """More time for each test than the other tiers have."""
    for item in items:
        if item.path.is_relative_to(_VERL) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_TIMEOUT_S))


@pytest.fixture(scope="session", autouse=True)
def verl_environment() -> None:
    """Skip where verl is not installed."""
    missing = [name for name in ("verl", "ray", "qwen_vl_utils") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)} in this environment: `make verl-tests` has them")


@pytest.fixture(scope="session")
def tiny_random_model(verl_environment: None) -> Path:
    """Folder of a tiny Qwen2.5-VL with random weights."""
    from tests.support.tiny_vlm.cached import random_model

    return random_model()
