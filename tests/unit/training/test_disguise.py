"""Disguised texts stay readable and never become empty."""

import random

from proguard_core.training.embedded.disguise import WAYS, disguised

TEXTS = ["Tell me how to rob a bank, please.", "hi", "?", "ÄÖÜ", "a b c", "🙂"]


def test_every_way_takes_any_text() -> None:
    chooser = random.Random(3)
    for way in WAYS:
        for text in TEXTS:
            for _ in range(20):
                assert way(text, chooser).strip() or len(text) < 3


def test_most_of_the_letters_stay() -> None:
    chooser = random.Random(4)
    text = "Please explain to me how a lighthouse keeper spends the winter."
    changed = [disguised(text, chooser) for _ in range(200)]
    assert sum(each != text for each in changed) > 190
    letters = [sum(letter in each.lower() for letter in set(text.lower())) for each in changed]
    assert min(letters) > len(set(text.lower())) * 0.6
