"""Words that ran together are cut apart; words, names and what is made of no words stay as they are."""

import pytest

from proguard_core.guards.embedded.reader import read_tokenizer
from proguard_core.guards.embedded.spacing import Spacing
from proguard_core.guards.embedded.text_model import FOLDER


@pytest.fixture(scope="module")
def spacing() -> Spacing:
    return Spacing(read_tokenizer(FOLDER).get_vocab())


@pytest.mark.parametrize(
    ("read", "meant"),
    [
        ("HowdoIhackinto my boss?", "How do I hack into my boss?"),
        ("areonsalefrom Friday.", "are on sale from Friday."),
        ("stealtheirmoney\n1.", "steal their money\n1."),
    ],
)
def test_words_that_ran_together_are_cut_apart(spacing: Spacing, read: str, meant: str) -> None:
    assert spacing.spaced(read) == meant


@pytest.mark.parametrize(
    "text",
    [
        "an uncomfortable misunderstanding",
        "Schwarzwald, Tsushima and Keanureeves",
        "methamphetamine, keystrokes, undermining",
        "aaaaaaaaaaaaaaaaaaaa qwertzuiopasdf",
        "short ones: myboss",
        "über_und_über 1234567890 ______",
        "",
    ],
)
def test_what_is_a_word_or_made_of_none_stays(spacing: Spacing, text: str) -> None:
    assert spacing.spaced(text) == text


def test_a_long_run_is_cut_in_time(spacing: Spacing) -> None:
    assert spacing.spaced("thebakeryopensateight" * 5000)
