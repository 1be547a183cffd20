"""Every mistake in a policy file is explained, with its line, all of them at once."""

from pathlib import Path

import pytest

from proguard_core.policy.loader import MAX_FILE_BYTES, PolicyError, load_policy, parse_policy
from tests.unit.policy.builders import GAMBLING, HEAD, MINORS_CATEGORY, SMALL, parse


def problems(text: str | bytes) -> list[tuple[int | None, str]]:
    content = text.encode() if isinstance(text, str) else text
    with pytest.raises(PolicyError) as caught:
        parse_policy(content, "small.yaml", "small.yaml")
    for problem, line in zip(caught.value.problems, str(caught.value).splitlines(), strict=True):
        place = "small.yaml" if problem.line is None else f"small.yaml:{problem.line}"
        assert line == f"{place}: {problem.message}"
    return [(problem.line, problem.message) for problem in caught.value.problems]


def with_gambling(change: str, to: str) -> str:
    """SMALL with one change in its last category, which begins in line 11 (code in line 12)."""
    assert change in GAMBLING
    return HEAD + MINORS_CATEGORY + GAMBLING.replace(change, to)


MINORS_LINE = "        synonymous-phrase: [Under age]"

BAD: list[tuple[str, str, int | None, str]] = [
    (
        "unknown key",
        SMALL.replace("name: small", "nam: small\nname: x"),
        1,
        "unknown key 'nam' in the policy; did you mean 'name'?",
    ),
    ("unknown key, far", SMALL + "zzzz: 1\n", 15, "unknown key 'zzzz' in the policy; known are name, defaults"),
    (
        "unknown key of a category",
        with_gambling("code: C12", "code: C12\n    treshold: 0.4"),
        13,
        "did you mean 'threshold'?",
    ),
    ("synonyms", with_gambling("synonymous-phrase", "synonymous-phrases"), 14, "did you mean 'synonymous-phrase'?"),
    (
        "threshold too big",
        with_gambling("code: C12", "code: C12\n    threshold: 1.5"),
        13,
        "is 1.5, it must be between 0 and 1",
    ),
    (
        "threshold negative",
        with_gambling("code: C12", "code: C12\n    threshold: -0.1"),
        13,
        "is -0.1, it must be between",
    ),
    (
        "threshold as text",
        with_gambling("code: C12", "code: C12\n    threshold: high"),
        13,
        "must be a number, not text",
    ),
    (
        "threshold infinite",
        with_gambling("code: C12", "code: C12\n    threshold: .inf"),
        13,
        ".inf is no plain decimal number",
    ),
    (
        "threshold not a number",
        with_gambling("code: C12", "code: C12\n    threshold: .nan"),
        13,
        ".nan is no plain decimal",
    ),
    (
        "threshold by sixties",
        with_gambling("code: C12", "code: C12\n    threshold: 1:30"),
        13,
        "1:30 is no plain decimal",
    ),
    ("threshold huge", with_gambling("code: C12", f"code: C12\n    threshold: 1{'0' * 400}"), 13, "must be"),
    ("threshold true", with_gambling("code: C12", "code: C12\n    threshold: true"), 13, "a number, not true or false"),
    ("action", with_gambling("code: C12", "code: C12\n    action: remov"), 13, "did you mean 'remove'?"),
    (
        "action of defaults",
        SMALL.replace("\ncategories:", "\ndefaults: {action: ban}\ncategories:"),
        2,
        "'ban', it must be one of allow",
    ),
    (
        "action of novel",
        SMALL.replace("\ncategories:", "\nnovel: {action: 3}\ncategories:"),
        2,
        "action of novel must be text",
    ),
    (
        "novel without mapping",
        SMALL.replace("\ncategories:", "\nnovel: review\ncategories:"),
        2,
        "novel must be a mapping, not text",
    ),
    ("enabled", with_gambling("code: C12", "code: C12\n    enabled: 0"), 13, "must be true or false, not a number"),
    ("code form", with_gambling("C12", "X12"), 12, "code 'X12' of a category must be C<n>"),
    ("code zero", with_gambling("C12", "C0"), 12, "must be C<n>"),
    ("code not ASCII", with_gambling("C12", "C١٢"), 12, "must be C<n>"),
    ("code a number", with_gambling("C12", "12"), 12, 'must be text (put it in quotes: "…"), not a number'),
    ("code of the other level", with_gambling("C12", "C12S1"), 12, "must be C<n>"),
    (
        "duplicate code",
        SMALL + GAMBLING.replace("Gambling", "Lottery"),
        17,
        "duplicate code C12: line 11 has it already",
    ),
    (
        "duplicate name",
        SMALL + GAMBLING.replace("C12", "C13"),
        16,
        "duplicate category 'Gambling': line 11 has it already",
    ),
    ("code of another name", with_gambling("Gambling", "Copyright"), 12, "'Copyright' is C1 in the taxonomy, not C12"),
    (
        "position taken",
        with_gambling("    code: C12\n", ""),
        11,
        "its position means C2, which is 'Misinformation & Private",
    ),
    ("misspelt name", with_gambling("Gambling\n    code: C12", "Copyrihgt"), 11, "did you mean 'Copyright'?"),
    ("no synonyms", with_gambling("[Betting, Casino games]", "[]"), 14, "synonymous-phrase of Gambling is empty"),
    (
        "synonyms missing",
        with_gambling("    synonymous-phrase: [Betting, Casino games]\n", ""),
        11,
        "has no synonymous-phrase",
    ),
    ("blank synonym", with_gambling("Casino games", "'  '"), 14, "a synonymous-phrase of Gambling is empty"),
    (
        "synonym twice",
        with_gambling("Casino games", "betting"),
        14,
        "synonymous-phrase 'betting' of Gambling is there twice",
    ),
    ("synonyms as text", with_gambling("[Betting, Casino games]", "Betting"), 14, "must be a list, not text"),
    ("synonym no", with_gambling("Betting, ", "no, "), 14, "not true or false"),
    ("no description", with_gambling("    description: Betting for money.\n", ""), 11, "has no description"),
    ("description empty", with_gambling("Betting for money.", ""), 13, "must be text, not nothing"),
    ("description a date", with_gambling("Betting for money.", "2026-11-24"), 13, "not a date"),
    ("description long", with_gambling("Betting for money.", "x" * 2001), 13, "has 2001 characters, at most 2000"),
    ("description unprintable", with_gambling("Betting for money.", '"a\\u202eb"'), 13, "cannot be printed"),
    ("name long", with_gambling("Gambling", "G" * 121), 11, "has 121 characters, at most 120"),
    ("name missing", SMALL.replace("category: Gambling", "name: Gambling"), 11, "category 2 has no category"),
    ("policy without name", SMALL.replace("name: small\n", "\n"), 2, "the policy has no name"),
    ("policy without categories", "name: small\n", 1, "the policy has no categories"),
    ("no categories", "name: small\ncategories: []\n", 2, "categories is empty"),
    ("categories as mapping", "name: small\ncategories: {a: 1}\n", 2, "categories must be a list, not a mapping"),
    ("category as text", SMALL + "  - Lottery\n", 15, "category 3 must be a mapping, not text"),
    ("empty", "", None, "the policy is empty"),
    ("only comments", "# nothing\n", None, "the policy is empty"),
    ("a word", "policy\n", 1, "the policy must be a mapping, not text"),
    ("empty list", "[]\n", 1, "categories is empty"),
    ("syntax", SMALL + "  - [\n", 16, "not readable as YAML"),
    ("tab", "name: x\n\tcategories: []\n", 2, "not readable as YAML"),
    ("two documents", SMALL + "---\n[]\n", 15, "not readable as YAML: expected a single document"),
    ("forbidden character", "name: x\nother: \x07\n", 2, "the character U+0007 is not allowed"),
    ("nested deeply", "[" * 100_000, 1, "nested deeper than 12 levels"),
    ("nested deeply by mappings", "{a: " * 50_000, 1, "nested deeper than 12 levels"),
    (
        "duplicate key",
        with_gambling("code: C12", "code: C12\n    code: C13"),
        13,
        "duplicate key 'code' in category 2: it is already",
    ),
    (
        "duplicate unknown key",
        SMALL + "zz: 1\nzz: 2\n",
        16,
        "duplicate key 'zz' in the policy: it is already there in line 15",
    ),
    ("key is a list", SMALL + "? [a]\n: 1\n", 15, "a key of the policy must be text, not a list"),
    ("merge key", SMALL + "<<: {a: 1}\n", 15, "unknown key '<<'"),
    (
        "tag",
        with_gambling("Betting for", "!!python/name:os.system Betting for"),
        13,
        "python/name:os.system is not allowed",
    ),
    ("tag on a list", with_gambling("[Betting", "!!set [Betting"), 14, "is not allowed"),
    ("tag on a mapping", "!!python/object:os.Thing {name: x}\n", 1, "python/object:os.Thing is not allowed"),
    ("anchor", with_gambling("Betting for", "&a Betting for"), 13, "anchor &a is not allowed"),
    ("alias", with_gambling("Betting for money.", "*a"), 13, "alias *a is not allowed"),
    ("no minors", HEAD + GAMBLING, None, "C11S1 (minors) is missing"),
    (
        "minors disabled",
        SMALL.replace(MINORS_LINE, MINORS_LINE + "\n        enabled: false"),
        10,
        "C11S1 cannot be disabled",
    ),
    (
        "category of minors disabled",
        SMALL.replace("[Nakedness]", "[Nakedness]\n    enabled: false"),
        6,
        "C11 cannot be disabled",
    ),
    (
        "minors removed",
        SMALL.replace(MINORS_LINE, MINORS_LINE + "\n        action: remove"),
        10,
        "must be escalate, for the platform's",
    ),
    ("minors allowed", SMALL.replace(MINORS_LINE, MINORS_LINE + "\n        action: allow"), 10, "must be escalate"),
    (
        "minors' threshold",
        SMALL.replace(MINORS_LINE, MINORS_LINE + "\n        threshold: 0.6"),
        10,
        "never raised above 0.5",
    ),
    (
        "minors elsewhere",
        SMALL.replace("name: Inappropriate", "code: C11S7\n        name: Inappropriate"),
        7,
        "is C11S1 in the taxonomy",
    ),
]

SUBCATEGORY = "    subcategories:\n      - {name: Poker, description: d, synonymous-phrase: [p]}\n"

BAD_SUBCATEGORIES: list[tuple[str, str, int, str]] = [
    (
        "under the wrong parent",
        SUBCATEGORY.replace("{name", "{code: C13S1, name"),
        16,
        "'C13S1' belongs under C13, not under C12",
    ),
    ("form", SUBCATEGORY.replace("{name", "{code: C12, name"), 16, "must be C<n>S<m>, such as C12S1"),
    (
        "a name of the taxonomy",
        SUBCATEGORY.replace("Poker", "Weapons"),
        16,
        "'Weapons' is C8S1 in the taxonomy, not C12S1",
    ),
    (
        "duplicate",
        SUBCATEGORY + "      - {code: C12S1, name: Dice, description: d, synonymous-phrase: [p]}\n",
        17,
        "duplicate code",
    ),
    (
        "category for name",
        SUBCATEGORY.replace("name: Poker", "category: Poker"),
        16,
        "subcategory 1 of Gambling has no name",
    ),
    ("subcategories within", SUBCATEGORY.replace("[p]", "[p], subcategories: []"), 16, "unknown key 'subcategories'"),
    ("empty", "    subcategories: []\n", 15, "subcategories of Gambling is empty"),
]


@pytest.mark.parametrize(("text", "line", "message"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_a_mistake_is_explained_with_its_line(text: str, line: int | None, message: str) -> None:
    found = problems(text)
    assert any(at == line and message in said for at, said in found), found


@pytest.mark.parametrize(
    ("text", "line", "message"), [case[1:] for case in BAD_SUBCATEGORIES], ids=[case[0] for case in BAD_SUBCATEGORIES]
)
def test_a_mistake_in_a_subcategory_is_explained_with_its_line(text: str, line: int, message: str) -> None:
    found = problems(SMALL + text)
    assert any(at == line and message in said for at, said in found), found


def test_a_subcategory_whose_position_is_taken_gets_a_free_code_proposed() -> None:
    text = SMALL.replace("name: Inappropriate Exposure of Minors", "name: Streaking")
    assert any("give it a code of its own, C11S3 or higher" in said for _, said in problems(text))


def test_an_enabled_subcategory_of_a_disabled_category_is_refused() -> None:
    text = SMALL.replace("code: C12", "code: C12\n    enabled: false") + SUBCATEGORY.replace(
        "[p]", "[p], enabled: true"
    )
    assert problems(text) == [(17, "Poker cannot be enabled while its category Gambling is disabled")]


def test_all_problems_are_named_in_one_go_in_the_order_of_the_file() -> None:
    text = with_gambling("C12", "X1").replace("[Betting, Casino games]", "[]").replace("name: small", "nome: small")
    found = problems(text)
    assert [line for line, _ in found] == [1, 1, 12, 14]
    assert len(found) == 4


def test_one_mistake_is_one_problem() -> None:
    assert problems(with_gambling("C12", "X1")) == [(12, "code 'X1' of a category must be C<n>, such as C12")]


def test_a_missing_file_and_a_folder_are_explained(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"absent\.yaml: there is no such file"):
        load_policy(tmp_path / "absent.yaml")
    with pytest.raises(PolicyError, match="cannot be read: Is a directory"):
        load_policy(tmp_path)


def test_what_is_not_utf_8_is_explained_with_its_line() -> None:
    assert problems(b"name: x\n# caf\xe9\n") == [(2, "is not UTF-8 text from here on")]


def test_a_file_that_is_too_large_is_not_parsed() -> None:
    assert problems(b"#" * (MAX_FILE_BYTES + 1)) == [(None, f"is larger than {MAX_FILE_BYTES} bytes")]


def test_a_bomb_of_aliases_is_refused_without_being_unfolded() -> None:
    layers = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    layers += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    found = problems("\n".join(layers))
    assert (2, "alias *a0 is not allowed: write the value out") in found


def test_the_good_policy_of_these_tests_is_good() -> None:
    assert parse(SMALL).codes == {"C11", "C11S1", "C12"}
