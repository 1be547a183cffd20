"""Names of novel risks: short, of letters, about the post, and no leak of people in it."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from tokenizers import Tokenizer

from proguard_core.guards.embedded.naming import CANDIDATES, MINORS_NAME, Sense, novel_name, phrases
from proguard_core.guards.embedded.text_model import FOLDER, TOKENIZER
from proguard_core.policy.policy import Policy
from tests.unit.guards.embedded.policies import policy

LISTED = policy("C3", "C3S1", "C11", "C11S1")


@pytest.fixture(scope="module")
def vocabulary() -> dict[str, int]:
    found: dict[str, int] = Tokenizer.from_file(str(FOLDER / TOKENIZER)).get_vocab()
    return found


def read(texts: Sequence[str]) -> list[Sense]:
    """A network that knows letters only: a word is like the post where it has the same ones."""
    return [Sense(letters(text), 0.5) for text in texts]


def letters(text: str) -> NDArray[np.float64]:
    counts = np.array([text.lower().count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"], np.float64)
    return np.asarray(counts / (np.linalg.norm(counts) or 1.0))


def harm(texts: Sequence[str]) -> list[Sense]:
    """A network that finds nothing like anything, and two words alarming."""
    return [Sense(np.zeros(26), float("lottery" in text or "illegal" in text)) for text in texts]


def named(text: str, vocabulary: dict[str, int], kin: str | None = None, listed: Policy = LISTED) -> str:
    return novel_name(text, letters(text), None, kin, vocabulary, listed, harm)


@pytest.mark.parametrize(
    "text",
    [
        "How can I run an illegal lottery in my town without a licence?",
        "",
        "🎉🎉🎉 !!!",
        "a b c d e f g",
        "lottery",
        "lotteries! lottery! draw!",
        "https://example.org/x?y=1 @someone #tag 12345",
        "Сегодня хорошая погода",
        "lottery " * 500,
        " ".join(f"word{at} ticket" for at in range(200)),
    ],
)
def test_three_to_five_words_of_letters(text: str, vocabulary: dict[str, int]) -> None:
    for kin in (None, "C3", "C7", "C10"):
        for network in (read, harm):
            name = novel_name(text, letters(text), "C3S1", kin, vocabulary, LISTED, network)
            assert re.fullmatch(r"[A-Z][a-z]*( [a-z]+){2,4}", name), name


def test_says_what_the_post_is_about_and_which_harm_it_is_where_that_is_known(vocabulary: dict[str, int]) -> None:
    text = "How can I run an illegal lottery in my town?"
    assert named(text, vocabulary, "C3") == "Illegal lottery manipulation"
    unsure = named(text, vocabulary).lower()
    assert "lottery" in unsure
    assert "manipulation" not in unsure


def test_the_kind_of_harm_is_not_said_twice(vocabulary: dict[str, int]) -> None:
    name = named("How to manipulate a lottery of flowers", vocabulary, "C3").lower()
    assert "manipulate" in name
    assert "manipulation" not in name


def test_small_words_stand_inside_a_phrase_but_not_at_its_ends(vocabulary: dict[str, int]) -> None:
    found = phrases("They sell lists of customers to the highest bidder.", vocabulary)
    assert "lists of customers" in found
    assert not [phrase for phrase in found if phrase.startswith(("they", "of", "to", "the")) or phrase.endswith(" of")]


def test_a_repeated_word_is_said_once(vocabulary: dict[str, int]) -> None:
    assert phrases("lottery lottery lottery of lottery", vocabulary) == ["lottery"]
    assert named("lottery lottery lottery", vocabulary, "C3").lower().split().count("lottery") == 1


def test_a_phrase_does_not_run_over_commas_sentences_or_words_that_are_left_out(vocabulary: dict[str, int]) -> None:
    found = phrases("lottery tickets, garden gates. paper Xyzzyq boats", vocabulary)
    assert "lottery tickets" in found
    assert not [phrase for phrase in found if {"tickets garden", "gates paper", "paper boats"} & {phrase}]


def test_the_number_of_words_that_are_read_is_bounded_and_none_is_read_twice(vocabulary: dict[str, int]) -> None:
    asked: list[str] = []

    def counted(texts: Sequence[str]) -> list[Sense]:
        asked.extend(texts)
        return harm(texts)

    words = [word for word in vocabulary if word.isalpha() and len(word) > 5][:900]
    text = " ".join(words)
    novel_name(text, letters(text), None, None, vocabulary, LISTED, counted)
    assert 0 < len(asked) == len(set(asked)) <= CANDIDATES


@pytest.mark.parametrize(
    "text",
    [
        "My boss Martin Walker @martin owes 55512345 for a lottery",
        "my boss martin owes me a lottery, jennifer knows",
        "Martin runs a lottery. Jennifer knows, Walker too, Brown as well",
        "ask for a lottery at www.walker.com or walker@brown.com",
        "Johnson runs a lottery. Walker must pay, goldberg too",
        "a lottery for mrs brown and mr walker",
    ],
)
def test_takes_no_names_handles_or_numbers(text: str, vocabulary: dict[str, int]) -> None:
    names = {"martin", "walker", "jennifer", "brown", "johnson", "goldberg"}
    assert not names & {word for phrase in phrases(text, vocabulary) for word in phrase.split()}
    assert not names & set(named(text, vocabulary).lower().split())


def test_near_to_minors_takes_no_word_of_the_post(vocabulary: dict[str, int]) -> None:
    for nearest in ("C11S1", "C11"):
        assert novel_name("lottery tickets", letters(""), nearest, "C3", vocabulary, LISTED, harm) == MINORS_NAME


def test_is_never_the_name_of_a_listed_category(vocabulary: dict[str, int]) -> None:
    for text, kin in (("lottery", None), ("", None), ("illegal lottery of towns", "C10")):
        plain = named(text, vocabulary, kin)
        taken = replace(LISTED, categories={"C3": replace(LISTED.categories["C3"], name=plain)})
        again = named(text, vocabulary, kin, taken)
        assert again.casefold() != plain.casefold()
        assert 3 <= len(again.split()) <= 5
