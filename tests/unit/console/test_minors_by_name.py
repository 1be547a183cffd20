"""Law 11 by words: which names that people give mean minors."""

from pathlib import Path

import pytest

from proguard_core.novelty.novelty import Novelty
from proguard_core.policy.loader import load_policy
from tests.support.console_pages import settings_of
from worker.console.store.minors import means_minors
from worker.console.web.policies import novelty_of


@pytest.fixture(scope="module")
def novelty() -> Novelty:
    """Under the shipped policy."""
    return Novelty(load_policy(None))


@pytest.mark.parametrize(
    "name", ["Inappropriate Exposure of Minors", " inappropriate  exposure of MINORS", "ＳＥＸＵＡＬ exposure"]
)
def test_the_taxonomys_names_need_no_encoder(name: str, novelty: Novelty) -> None:
    assert means_minors([None, "Ticket touting", name])
    assert means_minors([name], novelty)


@pytest.mark.parametrize("name", ["Undressed children", "CSAM", "csam links", "Child sexual abuse pictures"])
def test_synonyms_and_what_is_near_are_known_with_one(name: str, novelty: Novelty) -> None:
    assert means_minors(["Ticket touting", name], novelty)


@pytest.mark.parametrize("name", ["Ticket touting", "Exposure of Sexual Organs", "Toy recalls", "Illicit pharmacies"])
def test_other_names_are_left_alone(name: str, novelty: Novelty) -> None:
    assert not means_minors([name], novelty)
    assert not means_minors([name])
    assert not means_minors([None, ""], novelty)


def test_a_policy_that_cannot_be_read_leaves_the_shipped_one(tmp_path: Path) -> None:
    wrong = tmp_path / "policy.yaml"
    wrong.write_text("categories: [")
    assert means_minors(["Undressed children"], novelty_of(settings_of(policy=wrong)))
