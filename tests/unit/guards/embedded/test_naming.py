"""Names of novel risks: short, of letters, about the post, and no leak of people in it."""

import re

import pytest
from tokenizers import Tokenizer

from proguard_core.guards.embedded.naming import MINORS_NAME, novel_name
from proguard_core.guards.embedded.text_model import FOLDER, TOKENIZER
from tests.unit.guards.embedded.policies import policy

LISTED = policy("C3", "C3S1", "C11", "C11S1")


@pytest.fixture(scope="module")
def vocabulary() -> dict[str, int]:
    found: dict[str, int] = Tokenizer.from_file(str(FOLDER / TOKENIZER)).get_vocab()
    return found


@pytest.mark.parametrize(
    "text",
    [
        "How can I run an illegal lottery in my town without a licence?",
        "",
        "🎉🎉🎉 !!!",
        "a b c d e f g",
        "https://example.org/x?y=1 @someone #tag 12345",
        "Сегодня хорошая погода",
        "lottery " * 500,
    ],
)
def test_two_to_six_words_of_letters(text: str, vocabulary: dict[str, int]) -> None:
    for nearest, probability in (("C3S1", 0.4), ("C3S1", 0.01), (None, 0.0)):
        name = novel_name(text, nearest, probability, vocabulary, LISTED)
        assert re.fullmatch(r"[A-Za-z]+( [A-Za-z]+){1,5}", name), name


def test_says_what_the_post_is_about_and_which_harm_is_near(vocabulary: dict[str, int]) -> None:
    name = novel_name("How can I run an illegal lottery in my town?", "C3S1", 0.4, vocabulary, LISTED)
    assert "lottery" in name.lower()
    assert name.endswith("manipulation")


def test_takes_no_names_handles_or_numbers(vocabulary: dict[str, int]) -> None:
    name = novel_name("My boss Martin Walker @martin owes 55512345 for a lottery", None, 0.0, vocabulary, LISTED)
    assert not {"martin", "walker"} & set(name.lower().split())


def test_near_to_minors_takes_no_word_of_the_post(vocabulary: dict[str, int]) -> None:
    assert novel_name("lottery tickets", "C11S1", 0.3, vocabulary, LISTED) == MINORS_NAME


def test_is_never_the_name_of_a_listed_category(vocabulary: dict[str, int]) -> None:
    plain = novel_name("lottery", None, 0.0, vocabulary, LISTED)
    from dataclasses import replace

    taken = replace(LISTED.categories["C3"], name=plain)
    again = novel_name("lottery", None, 0.0, vocabulary, replace(LISTED, categories={"C3": taken}))
    assert again != plain
    assert again.casefold().endswith(plain.casefold())
