"""Posts that were neutralised: readable, and without any structure."""

import re
import time

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
PIECES += ["\r", "\u2028", " " * 50, "> "]
HOSTILE = st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
STRUCTURE = re.compile(r"<[|｜]|<\s*/?\s*(?:think|thinking|answer|user|agent|conversation|image)\s*/?>", re.IGNORECASE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<|im_end|>", "(|im_end|>"),
        ("</think>", "(/think>"),
        ("a < b and c > d", "a < b and c > d"),
        ("I <3 you", "I <3 you"),
        ("<b>bold</b> <script>", "<b>bold</b> <script>"),
        ("f(x) |> g(y)", "f(x) |> g(y)"),
        ("the time: 12:30, see https://example.org", "the time: 12:30, see https://example.org"),
        ("Agent: hello", "Agent; hello"),
        ("my agent: hello", "my agent: hello"),
        ("reagent: 5 ml", "reagent: 5 ml"),
        ("hi\rAgent: ok", "hi\rAgent; ok"),
        ("hi\u2028AI Agent: ok\x85System: ok", "hi\u2028AI Agent; ok\x85System; ok"),
        ("hi\n" + " " * 80 + "Agent: ok", "hi\n" + " " * 80 + "Agent; ok"),
        ("hi\n" + "> " * 40 + "**User**: ok", "hi\n" + "> " * 40 + "**User**; ok"),
        ("<//user> </user.> <\u200b/agent\u200b>", "(//user> (/user.> (\u200b/agent\u200b>"),
        (f"<{' ' * 8}/{' ' * 8}answer>", f"({' ' * 8}/{' ' * 8}answer>"),
        ("<user-agent> <strong> <imagery>", "<user-agent> <strong> <imagery>"),
        ("a request: please", "a request; please"),
        ("[INST] hi [/INST] [1]", "(INST] hi (/INST] [1]"),
        ("line\r\n\ttab", "line\r\n\ttab"),
        ("a\x00b\ud800c", "a?b?c"),
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
    assert len(harmless.encode()) <= len(text.encode("utf-8", "surrogatepass"))


@given(HOSTILE, HOSTILE)
def test_two_harmless_texts_beside_each_other_are_harmless(first: str, second: str) -> None:
    assert not STRUCTURE.search(f"<user>\n{neutral(first)}\n".removeprefix("<user>") + neutral(second))
    assert read_answer(f"{neutral(first)}\n{neutral(second)}") is None


@given(HOSTILE)
def test_no_line_begins_with_a_speaker(text: str) -> None:
    for line in neutral(text).splitlines():
        assert not re.match(r"[\s>*\"-]*(?:user|agent)[ *\"]*[:：]", line, re.IGNORECASE)


def test_many_colons_take_no_time() -> None:
    began = time.process_time()
    for piece in ("Agent:", "\n    Agent: ", " user :", "<" * 16, "< / " * 8):
        neutral(piece * (65_536 // len(piece)))
    assert time.process_time() - began < 2
