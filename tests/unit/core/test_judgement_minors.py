"""Whatever form an answer takes: where it says that minors are concerned, this is what is read (law 11)."""

import pytest

from proguard_core.judgement import parse
from proguard_core.novelty.novelty import Novelty
from proguard_core.policy.loader import load_policy
from proguard_core.policy.policy import MINORS
from proguard_core.policy.prompts import PromptKind
from schemas.common import CategoryKind, Outcome

POLICY = load_policy()

# What stands behind `Category:`.
SAYS_MINORS = [
    "C11-S1",
    "C11\u2011S1",
    "C11 – S1",
    "C11:S1",
    "C11/S1",
    "C11, S1",
    "C11 (S1)",
    "C11 > S1",
    "C11->S1",
    "C11_S1",
    "C11\u200bS1",
    "\u042111S1",
    "C 11 S 1",
    "Sexual Exposure: Inappropriate Exposure of Minors",
    "Sexual Exposure > Inappropriate Exposure of Minors",
    "Sexual Exposure – Inappropriate Exposure of Minors",
    "\n- C3S1\n- C11S1",
    "\n- Ghost gun kits\n- Inappropriate Exposure of Minors",
    '[\n  "Ghost gun kits",\n  "C11S1"\n]',
    "Ghost gun kits\nC11S1",
    "C11\nS1",
    "C11\nSubcategory: S1",
    "Sexual Exposure\nSub-category: C11S1",
]


def unsafe(category: str, before: str = "") -> str:
    return f"<think>I looked at it.</think>\n{before}<answer>\nRequest:unsafe\nCategory:{category}\n</answer>"


@pytest.mark.parametrize("category", SAYS_MINORS)
@pytest.mark.parametrize("kind", PromptKind)
def test_minors_are_found_in_every_form(category: str, kind: PromptKind) -> None:
    judgement = parse(unsafe(category), kind, POLICY, has_response=False)
    assert (judgement.outcome, judgement.category.code) == (Outcome.UNSAFE, MINORS)


def test_minors_are_found_beside_the_answer() -> None:
    judgement = parse(unsafe("Ghost gun kits", "It is C11S1.\n"), PromptKind.TEXT, POLICY, has_response=False)
    assert judgement.category.code == MINORS


@pytest.mark.parametrize(
    ("category", "code"),
    [
        ("C3S1\nSubcategory: S2", "C3S1"),
        ("C3S1\nIt asks for money, S1 tier.", "C3S1"),
        ("C3, S1", "C3S1"),
        ("C3", "C3"),
    ],
)
def test_other_lines_change_no_other_category(category: str, code: str) -> None:
    judgement = parse(unsafe(category), PromptKind.TEXT, POLICY, has_response=False)
    assert (judgement.category.kind, judgement.category.code) == (CategoryKind.KNOWN, code)


@pytest.mark.parametrize(
    ("category", "kind", "code", "name"),
    [
        ("Мошенничество с жильём", CategoryKind.NOVEL, None, "Мошенничество с жильём"),
        ("C4 (S3 bucket leaks)", CategoryKind.KNOWN, "C4", "Cybersecurity Technology"),
        ("C4, S3 bucket theft", CategoryKind.KNOWN, "C4", "Cybersecurity Technology"),
        ("C4S3", CategoryKind.HALLUCINATED, None, "C4S3"),
        ("Fraud and Scams - romance", CategoryKind.NOVEL, None, "Fraud and Scams - romance"),
    ],
)
def test_names_stay_as_they_are_written_and_remarks_are_no_codes(
    category: str, kind: CategoryKind, code: str | None, name: str
) -> None:
    read = parse(unsafe(category), PromptKind.TEXT, POLICY, has_response=False).category
    assert (read.kind, read.code, read.name) == (kind, code, name)


@pytest.mark.parametrize("name", ["CSAM", "Детская порнография", "儿童色情", "Kinderpornografie"])
def test_a_name_in_any_script_is_near_to_minors_once_it_is_read(name: str) -> None:
    read = parse(unsafe(name), PromptKind.TEXT, POLICY, has_response=False).category
    assert read.name is not None
    assert Novelty(POLICY).near([read.name]) == [(MINORS, 1.0)]


CONTRADICTIONS = [
    "This is not at all safe.",
    "Never safe.",
    "Far from safe.",
    "It cannot be called safe.",
    "isn\u2018t safe",
    "un\u2010safe",
    "un\u2011safe",
    "u n s a f e",
    "不 安全",
    "C 11 S 1",
    "C3_S1",
]


@pytest.mark.parametrize("line", CONTRADICTIONS)
def test_what_speaks_against_safe_in_other_forms_is_seen(line: str) -> None:
    text = f"<think>fine</think>\n{line}\n<answer>\nRequest:safe\nCategory:None\n</answer>"
    assert parse(text, PromptKind.TEXT, POLICY, has_response=False).outcome is Outcome.UNDETERMINED


def test_a_negated_label_is_not_safe() -> None:
    text = "<think>fine</think>\n<answer>\nRequest:!safe\nCategory:None\n</answer>"
    assert parse(text, PromptKind.TEXT, POLICY, has_response=False).outcome is Outcome.UNDETERMINED
    assert parse(text.replace("!safe", "safe!"), PromptKind.TEXT, POLICY, has_response=False).outcome is Outcome.SAFE
