"""Codes and names after `Category:`."""

import pytest

from proguard_core.guards.protocol import Category
from proguard_core.judgement.categories import read_category
from proguard_core.policy.loader import load_policy
from proguard_core.policy.prompts import PromptKind
from proguard_core.policy.taxonomy import CATEGORY_NAMES, SUBCATEGORY_NAMES
from schemas.common import CategoryKind
from tests.unit.policy.builders import SMALL
from tests.unit.policy.builders import parse as small_policy

POLICY = load_policy()
KNOWN, NOVEL, HALLUCINATED = CategoryKind.KNOWN, CategoryKind.NOVEL, CategoryKind.HALLUCINATED


def read(*values: str, kind: PromptKind = PromptKind.TEXT) -> Category:
    return read_category(values, kind, POLICY)


@pytest.mark.parametrize(("code", "name"), list(SUBCATEGORY_NAMES.items()))
@pytest.mark.parametrize("kind", [PromptKind.TEXT, PromptKind.IMAGE])
def test_every_subcategory_by_code_by_name_and_by_both(code: str, name: str, kind: PromptKind) -> None:
    for value in (code, code.lower(), name, name.upper(), f"{code} {name}", f"{code}: {name}", f"{name} ({code})"):
        category = read(value, kind=kind)
        assert (category.kind, category.code, category.name) == (KNOWN, code, name), value


@pytest.mark.parametrize(("code", "name"), list(CATEGORY_NAMES.items()))
def test_every_category_by_code_by_name_and_by_both(code: str, name: str) -> None:
    for value in (
        code,
        code.lower(),
        name,
        f"{code} {name}",
        f"{code}: {name}",
        f"{code} - {name}",
        f"{name} ({code})",
    ):
        category = read(value, kind=PromptKind.TEXT_IMAGE)
        assert (category.kind, category.code, category.name) == (KNOWN, code, name), value


@pytest.mark.parametrize(
    "value", ["C3S1.", "**C3S1**", "`C3S1`", "[C3S1]", "C3-S1", "C3 S1", "C03S01", "c3.s1", "Ｃ３Ｓ１"]
)
def test_a_code_in_other_spellings(value: str) -> None:
    assert read(value).code == "C3S1"


def test_a_subcategory_where_categories_were_listed_is_its_category() -> None:
    assert read("C3S1", kind=PromptKind.TEXT_IMAGE).code == "C3"
    assert read("Fraud and Scams", kind=PromptKind.TEXT_IMAGE).code == "C3"
    assert read("C11S2", kind=PromptKind.TEXT_IMAGE).code == "C11"


def test_minors_are_never_lifted_to_their_category() -> None:
    assert read("C11S1", kind=PromptKind.TEXT_IMAGE).code == "C11S1"
    assert read("Inappropriate Exposure of Minors", kind=PromptKind.TEXT_IMAGE).code == "C11S1"


def test_a_category_where_subcategories_were_listed_is_known() -> None:
    assert read("C3").code == "C3"
    assert read("Cybersecurity Technology").code == "C4"


@pytest.mark.parametrize("value", ["C99S9", "C3S9", "C3S0", "C12", "C12: Illegal Fishing", "C999"])
@pytest.mark.parametrize("kind", PromptKind)
def test_an_unlisted_code_is_hallucinated(value: str, kind: PromptKind) -> None:
    category = read(value, kind=kind)
    assert (category.kind, category.code) == (HALLUCINATED, None)
    assert category.name is not None
    assert category.name.startswith("C")


@pytest.mark.parametrize(
    "value",
    [
        "Human Organ Trafficking",
        '"Illegal Organ Trade"',
        "C4 explosives",
        "Gambling",
        "网络赌博",
        "AI-generated voice cloning",
    ],
)
def test_another_name_is_novel(value: str) -> None:
    category = read(value)
    assert (category.kind, category.code, category.name) == (NOVEL, None, value.strip('"'))


@pytest.mark.parametrize(
    "value",
    [
        *("None", "none.", "N/A", "", "-", "???", "C*S*", "safe", "unsafe", "other", "None of the listed ones"),
        "a long sentence that explains at length what is wrong with this post and why",
        *("<b>bold</b>", "x", "name " * 40),
    ],
)
def test_what_is_no_name_is_no_category(value: str) -> None:
    assert read(value).kind is CategoryKind.NONE


def test_of_several_the_one_about_minors_counts_and_listed_before_unlisted() -> None:
    assert read("C3S1, C11S1").code == "C11S1"
    assert read("C3S1 and C8S1").code == "C3S1"
    assert read("C99S1, C8S1").code == "C8S1"
    assert read("C8S1", "C11S1").code == "C11S1"
    assert read("Weapons; Inappropriate Exposure of Minors").code == "C11S1"
    assert read("C3S1, Inappropriate Exposure of Minors").code == "C11S1"


def test_synonyms_are_known() -> None:
    for listed in POLICY.subcategories.values():
        for phrase in listed.synonyms:
            assert read(phrase).kind is KNOWN


def test_a_name_that_the_policy_withholds_is_novel() -> None:
    category = read_category(["Fraud and Scams"], PromptKind.TEXT, small_policy(SMALL))
    assert (category.kind, category.name) == (NOVEL, "Fraud and Scams")


def test_a_renamed_category_is_known_by_both_names() -> None:
    policy = small_policy(
        SMALL.replace("name: Inappropriate Exposure of Minors", "code: C11S1\n        name: Kinderschutz")
    )
    for value in ("Kinderschutz", "kinderschutz", "Inappropriate Exposure of Minors", "C11S1"):
        assert read_category([value], PromptKind.TEXT, policy).code == "C11S1"


def test_a_synonym_that_minors_share_is_theirs() -> None:
    policy = small_policy(SMALL.replace("synonymous-phrase: [Nakedness]", "synonymous-phrase: [Under age, Nakedness]"))
    assert read_category(["under age"], PromptKind.TEXT, policy).code == "C11S1"
    assert read_category(["nakedness"], PromptKind.TEXT, policy).code == "C11"
