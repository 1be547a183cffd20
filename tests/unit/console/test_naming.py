"""Names and words of clusters."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from proguard_core.novelty.clusters import Floats, unit
from worker.console.mining.embedding import Embedder, words_of
from worker.console.mining.naming import central_name, distinguishing
from worker.console.mining.naming import words_of as counted


class Letters:
    """An encoder that compares texts by their letters."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> Floats:
        self.asked += texts
        rows = [[text.lower().count(chr(ord("a") + at)) for at in range(26)] for text in texts]
        return unit(np.array(rows, dtype=np.float32))


def test_the_guess_closest_to_all_is_the_name_and_its_most_frequent_spelling_stands() -> None:
    names = ["Ticket touting", "ticket  touting", "Ticket touting", "Touting of tickets", "Zzz quiz fizz"]
    assert central_name(names, Embedder(Letters(), 0.5)) == "Ticket touting"


def test_texts_are_encoded_once() -> None:
    encoder = Letters()
    embedder = Embedder(encoder, 0.5)
    first = embedder.embed(["abc", "abc", "de"], ["name", "name", "name"])
    assert np.allclose(first[0], first[1])
    embedder.embed(["abc"], ["name"])
    assert sorted(encoder.asked) == ["abc", "de", "name"]


def test_a_picture_alone_is_known_by_what_the_guard_says_of_it() -> None:
    assert words_of(None, None, "A picture of seats.") == "A picture of seats."
    assert words_of("text", "answer", "why") == "text\nanswer"


def test_words_that_few_authors_use_are_not_shown() -> None:
    texts = [(f"author-{at}", "cheap tickets today") for at in range(5)] + [("one", "call Peter Miller")] * 9
    assert counted(texts) == Counter({"cheap": 5, "tickets": 5, "today": 5})


def test_words_that_set_a_cluster_apart_come_first() -> None:
    own = Counter({"tickets": 30, "people": 40, "bots": 10})
    everything = own + Counter({"people": 900, "kidney": 50, "tickets": 2})
    assert distinguishing(own, everything) == ["tickets", "bots"]


def test_a_word_that_is_all_there_is_has_no_odds_and_is_left_out() -> None:
    assert distinguishing(Counter({"telegram": 12}), Counter({"telegram": 24})) == []
    assert distinguishing(Counter({"all": 4, "rare": 3}), Counter({"all": 16})) == ["rare"]


def test_words_that_the_latest_risks_no_longer_have_divide_by_nothing() -> None:
    assert distinguishing(Counter({"old": 9, "all": 1}), Counter({"all": 11})) == ["old"]
