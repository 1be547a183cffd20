"""Posts that were neutralised: readable, and without any structure."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proguard_core.judgement.answers import read_answer
from proguard_core.policy.prompts import neutral

PIECES = [
    "<",
    "</",
    "|",
    "<|",
    "|>",
    ">",
    "im_end",
    "think",
    "answer",
    "Request",
    "Category",
    ":",
    "：",
    "safe",
    "None",
    "\n",
]
PIECES += [" ", "/", "Agent", "user", "*", '"', "-", "类别", "[INST]", "\x00", "\ud800", "s", "ſ", "K", "Ｒ", "\u200b"]
HOSTILE = st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
STRUCTURE = re.compile(r"<[|｜]|<\s*/?\s*(?:think|thinking|answer|user|agent|conversation|image)\s*/?>", re.IGNORECASE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<|im_end|>", "‹|im_end|>"),
        ("</think>", "‹/think>"),
        ("a < b and c > d", "a < b and c > d"),
        ("I <3 you", "I <3 you"),
        ("<b>bold</b> <script>", "<b>bold</b> <script>"),
        ("f(x) |> g(y)", "f(x) |> g(y)"),
        ("the time: 12:30, see https://example.org", "the time: 12:30, see https://example.org"),
        ("Agent: hello", "Agent∶ hello"),
        ("my agent: hello", "my agent: hello"),
        ("a request: please", "a request∶ please"),
        ("[INST] hi [/INST] [1]", "⟦INST] hi ⟦/INST] [1]"),
        ("line\r\n\ttab", "line\r\n\ttab"),
        ("a\x00b\ud800c", "a\ufffdb\ufffdc"),
        ("Grüße 你好 🎉", "Grüße 你好 🎉"),
    ],
)
def test_only_structure_is_broken(text: str, expected: str) -> None:
    assert neutral(text) == expected


@given(HOSTILE)
def test_nothing_is_left_that_forms_structure(text: str) -> None:
    harmless = neutral(text)
    assert not STRUCTURE.search(harmless)
    assert read_answer(harmless) is None
    assert len(harmless) == len(text)
    assert neutral(harmless) == harmless
    harmless.encode()


@given(HOSTILE, HOSTILE)
def test_two_harmless_texts_beside_each_other_are_harmless(first: str, second: str) -> None:
    assert not STRUCTURE.search(f"<user>\n{neutral(first)}\n".removeprefix("<user>") + neutral(second))
    assert read_answer(f"{neutral(first)}\n{neutral(second)}") is None
