"""Files that load: the plain list, our format, the shipped policy; and what the version depends on."""

import re
from pathlib import Path

import pytest

from proguard_core.policy.loader import load_policy
from proguard_core.policy.policy import MINORS
from proguard_core.policy.taxonomy import CATEGORY_NAMES, SUBCATEGORY_NAMES
from schemas.common import Action
from tests.unit.policy.builders import GAMBLING, HEAD, MINORS_CATEGORY, SMALL, parse

PLAIN_LIST = Path(__file__).parent / "data" / "plain_list.yaml"


def test_the_taxonomy_has_11_categories_and_28_subcategories() -> None:
    assert list(CATEGORY_NAMES) == [f"C{number}" for number in range(1, 12)]
    assert len(SUBCATEGORY_NAMES) == 28
    assert len(set(CATEGORY_NAMES.values()) | set(SUBCATEGORY_NAMES.values())) == 39
    assert SUBCATEGORY_NAMES[MINORS] == "Inappropriate Exposure of Minors"


def test_a_plain_list_loads_with_the_codes_of_its_names_and_our_defaults() -> None:
    policy = load_policy(PLAIN_LIST)
    assert policy.name == "plain_list"
    assert list(policy.categories) == ["C1", "C2", "C11"]
    assert list(policy.subcategories) == ["C1S1", "C1S2", "C2S1", "C11S1"]
    assert policy.categories["C2"].synonyms == ("Untrue or private matter",)
    assert {listed.threshold for listed in policy.subcategories.values()} == {0.5}
    assert policy.categories["C1"].action is Action.REVIEW
    assert policy.source == str(PLAIN_LIST)


def test_the_shipped_policy_states_the_whole_taxonomy() -> None:
    policy = load_policy()
    assert {code: listed.name for code, listed in policy.categories.items()} == CATEGORY_NAMES
    assert {code: listed.name for code, listed in policy.subcategories.items()} == SUBCATEGORY_NAMES
    phrases = [phrase for code in policy.codes if (listed := policy.find(code)) for phrase in listed.synonyms]
    assert len(phrases) == 39 * 5
    assert len({phrase.casefold() for phrase in phrases}) == len(phrases)
    assert all(len(phrase.split()) <= 7 for phrase in phrases)
    names = {name.casefold() for name in (*CATEGORY_NAMES.values(), *SUBCATEGORY_NAMES.values())}
    assert not names & {phrase.casefold() for phrase in phrases}
    assert all(40 < len(listed.description) < 260 for listed in policy.subcategories.values())


def test_the_shipped_actions_send_people_in_danger_and_threats_to_life_to_people() -> None:
    policy = load_policy()
    escalated = {code for code, listed in policy.subcategories.items() if listed.action is Action.ESCALATE}
    assert escalated == {"C7S2", "C8S2", "C9S1", MINORS}
    assert not any(listed.action is Action.ALLOW for listed in policy.subcategories.values())


def test_subcategories_inherit_and_override() -> None:
    policy = parse(
        """
        name: inherits
        defaults: {threshold: 0.6, action: remove}
        undetermined: {action: escalate}
        novel: {action: remove}
        hallucinated: {action: allow}
        categories:
          - category: Copyright
            threshold: 0.7
            action: allow
            description: d
            synonymous-phrase: [a]
            subcategories:
              - {name: Imitation and Rewriting, description: d, synonymous-phrase: [b]}
              - {name: Fan art, code: C1S4, description: d, synonymous-phrase: [c], threshold: 1, action: review}
          - category: Sexual Exposure
            description: d
            synonymous-phrase: [e]
            subcategories:
              - {name: Inappropriate Exposure of Minors, description: d, synonymous-phrase: [f]}
              - {name: Exposure of Sexual Organs, description: d, synonymous-phrase: [g]}
        """
    )
    copied, fan = policy.subcategories["C1S2"], policy.subcategories["C1S4"]
    assert (copied.threshold, copied.action) == (0.7, Action.ALLOW)
    assert (fan.threshold, fan.action, fan.main) == (1.0, Action.REVIEW, "C1")
    organs = policy.subcategories["C11S2"]
    assert (organs.threshold, organs.action) == (0.6, Action.REMOVE)
    assert policy.threshold == 0.6
    actions = (policy.undetermined_action, policy.novel_action, policy.hallucinated_action)
    assert actions == (Action.ESCALATE, Action.REMOVE, Action.ALLOW)


def test_what_minors_inherit_never_weakens_them() -> None:
    policy = parse(SMALL.replace("\ncategories:", "\ndefaults: {threshold: 0.9, action: allow}\ncategories:"))
    assert (policy.subcategories[MINORS].threshold, policy.subcategories[MINORS].action) == (0.5, Action.ESCALATE)
    assert policy.categories["C11"].threshold == 0.9
    lower = parse(SMALL.replace("[Under age]", "[Under age]\n        threshold: 0.2"))
    assert lower.subcategories[MINORS].threshold == 0.2


def test_disabled_categories_leave_the_policy_with_their_subcategories() -> None:
    text = SMALL.replace("code: C12", "code: C12\n    enabled: false")
    assert parse(text).codes == {"C11", MINORS}
    nested = (
        SMALL + "    subcategories:\n      - {name: Poker, description: d, synonymous-phrase: [p], enabled: false}\n"
    )
    assert parse(nested).codes == {"C11", MINORS, "C12"}
    assert parse(nested.replace(", enabled: false", "")).codes == {"C11", MINORS, "C12", "C12S1"}


def test_a_platform_category_without_code_counts_by_position_after_the_taxonomy() -> None:
    shipped = Path(load_policy.__code__.co_filename).with_name("default.yaml").read_text(encoding="utf-8")
    policy = parse(shipped + GAMBLING.replace("    code: C12\n", ""))
    assert policy.categories["C12"].name == "Gambling"


def test_names_match_the_taxonomy_whatever_their_case_and_spacing() -> None:
    policy = parse(SMALL.replace("Sexual Exposure", '"sexual  EXPOSURE"'))
    assert policy.categories["C11"].name == "sexual EXPOSURE"


def test_a_renamed_category_keeps_its_code_when_the_code_is_stated() -> None:
    policy = parse(SMALL.replace("category: Sexual Exposure", "category: Nacktheit\n    code: C11"))
    assert policy.categories["C11"].name == "Nacktheit"


def test_a_byte_order_mark_and_windows_line_ends_do_not_matter() -> None:
    assert parse("\ufeff" + SMALL.replace("\n", "\r\n")).version == parse(SMALL).version


@pytest.mark.parametrize(
    "same",
    [
        "# a comment\n" + SMALL,
        SMALL.replace("[Betting, Casino games]", "\n      - Betting # first\n      - 'Casino   games'"),
        SMALL.replace("Betting for money.", ">-\n      Betting\n      for money."),
        "categories:" + MINORS_CATEGORY + GAMBLING + "name: small\n",
        SMALL.replace("    code: C12\n", "").rstrip() + "\n    code: C12\n",
        SMALL.replace(
            "name: small", "name: small\ndefaults: {action: review, threshold: 0.5}\nnovel: {action: review}"
        ),
        SMALL.replace("code: C12", "code: C12\n    enabled: true\n    threshold: 0.50"),
        SMALL.replace("category: Sexual", "code: C11\n    category: Sexual"),
    ],
)
def test_comments_layout_order_of_keys_and_stated_defaults_keep_the_version(same: str) -> None:
    assert parse(same).version == parse(SMALL).version


@pytest.mark.parametrize(
    "other",
    [
        SMALL.replace("name: small", "name: tall"),
        SMALL.replace("Betting for money.", "Betting for fun."),
        SMALL.replace("Casino games", "Casino game"),
        SMALL.replace("[Betting, Casino games]", "[Casino games, Betting]"),
        SMALL.replace("C12", "C13"),
        SMALL.replace("category: Gambling", "category: Games of chance"),
        SMALL.replace("code: C12", "code: C12\n    threshold: 0.51"),
        SMALL.replace("code: C12", "code: C12\n    action: remove"),
        SMALL.replace("code: C12", "code: C12\n    enabled: false"),
        SMALL.replace("\ncategories:", "\nnovel: {action: remove}\ncategories:"),
        SMALL.replace("\ncategories:", "\nundetermined: {action: remove}\ncategories:"),
        SMALL.replace("\ncategories:", "\nhallucinated: {action: remove}\ncategories:"),
        SMALL.replace("\ncategories:", "\ndefaults: {threshold: 0.4}\ncategories:"),
        HEAD + GAMBLING + MINORS_CATEGORY,
    ],
)
def test_any_change_of_meaning_changes_the_version(other: str) -> None:
    assert parse(other).version != parse(SMALL).version


def test_the_version_is_short_and_the_same_on_every_machine() -> None:
    assert re.fullmatch(r"[0-9a-f]{12}", load_policy().version)
    # A change here means that every policy out there gets another version: raise the format number on purpose only.
    assert parse(SMALL).version == "e65e2650958e"


def test_the_example_of_the_documentation_loads() -> None:
    document = (Path(__file__).parents[3] / "docs" / "policy.md").read_text(encoding="utf-8")
    policy = parse(document.split("```yaml\n")[1].split("```")[0])
    assert policy.codes == {"C11", MINORS, "C12"}
    assert policy.categories["C12"].threshold == 0.7
