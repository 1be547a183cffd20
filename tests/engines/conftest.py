"""Fixtures of the tests on real engines: they need .venv-engines, and skip with a reason anywhere else.

Modules here import torch, transformers and vllm inside their tests, so that they can be collected in any environment.
"""

import importlib.util
from pathlib import Path

import pytest

_ENGINES = Path(__file__).parent
# Loading an engine takes a minute on two cores, making a model that is not cached yet several.
_TIMEOUT_S = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """More time for each test than the other tiers have."""
    for item in items:
        if item.path.is_relative_to(_ENGINES) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_TIMEOUT_S))


@pytest.fixture(scope="session", autouse=True)
def engines_environment() -> None:
    """Skip where the engines are not installed."""
    missing = [name for name in ("torch", "transformers", "peft", "vllm") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)} in this environment: `make engine-tests` has them")


@pytest.fixture(scope="session")
def tiny_random_model(engines_environment: None) -> Path:
    """Folder of a tiny Qwen2.5-VL with random weights: it loads and generates, and says nothing sensible."""
    from tests.support.tiny_vlm.cached import random_model

    return random_model()


@pytest.fixture(scope="session")
def tiny_taught_model(engines_environment: None) -> Path:
    """Folder of a tiny Qwen2.5-VL that answers in the form of the contract, mostly rightly."""
    from tests.support.tiny_vlm.cached import taught_model

    return taught_model()


@pytest.fixture(scope="session")
def tiny_adapter(engines_environment: None) -> Path:
    """Folder of a LoRA adapter on the taught model that finds everything suspicious; its parent holds nothing else."""
    from tests.support.tiny_vlm.cached import adapter

    return adapter()
