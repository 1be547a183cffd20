"""Whatever a guard writes: nothing raises, and safe needs an answer that says so."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from proguard_core.judgement import parse
from proguard_core.policy.loader import load_policy
from proguard_core.policy.prompts import PromptKind
from schemas.common import CategoryKind, Outcome

POLICY = load_policy()
PIECES = [
    "<think>",
    "</think>",
    "<thinking>",
    "</thinking>",
    "<answer>",
    "</answer>",
    "<",
    ">",
    "/",
    "Request:",
    "Response:",
]
PIECES += [
    "Category:",
    "safe",
    "unsafe",
    "None",
    "none",
    "C3S1",
    "C11S1",
    "C99S9",
    "C1",
    "Organ Trade",
    "\n",
    " ",
    "\n\n",
    "```",
]
PIECES += [
    "请求：",
    "类别：",
    "安全",
    "不安全",
    "无",
    "not ",
    "or",
    "**",
    '"',
    ",",
    "{",
    "}",
    "<|im_end|>",
    "\ud800",
    "\x00",
    "ﬁ",
    "İ",
    "ſafe",
]
HOSTILE = st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
LINE = ["Request:safe", "Request:unsafe", "Response:safe", "Response:unsafe", "Category:None", "Category:C3S1"]
LINE += ["Category:Organ Trade", "<answer>", "</answer>", "<think>", "</think>", "", "unsafe", "a remark", "Request:"]
LINES = st.lists(st.sampled_from(LINE), max_size=12).map("\n".join)
ANY = st.one_of(HOSTILE, LINES)
FLAGS = st.booleans()


@settings(max_examples=600, deadline=None)
@given(ANY, st.sampled_from(PromptKind), FLAGS, FLAGS)
def test_nothing_raises_and_every_judgement_is_whole(
    text: str, kind: PromptKind, has_response: bool, truncated: bool
) -> None:
    judgement = parse(text, kind, POLICY, has_response=has_response, truncated=truncated)
    assert (judgement.outcome is Outcome.UNDETERMINED) == (judgement.reason is not None)
    assert judgement.score is None
    category = judgement.category
    assert (category.kind is CategoryKind.KNOWN) == (category.code is not None)
    assert category.code is None or category.code in POLICY.codes
    if not has_response or kind is PromptKind.IMAGE:
        assert judgement.response is None
    if judgement.outcome is Outcome.UNSAFE:
        assert Outcome.UNSAFE in {judgement.request, judgement.response}


@settings(max_examples=600, deadline=None)
@given(ANY, st.sampled_from(PromptKind), FLAGS, FLAGS)
def test_safe_needs_every_label_and_no_category(
    text: str, kind: PromptKind, has_response: bool, truncated: bool
) -> None:
    judgement = parse(text, kind, POLICY, has_response=has_response, truncated=truncated)
    if judgement.outcome is not Outcome.SAFE:
        return
    assert judgement.request is Outcome.SAFE
    assert judgement.response is (Outcome.SAFE if has_response and kind is not PromptKind.IMAGE else None)
    assert judgement.category.kind is CategoryKind.NONE
    assert re.search(r"(?:category|类别)", text, re.IGNORECASE)
    assert re.search(r"none|无", text, re.IGNORECASE)
    assert re.search(r"(?:request|请求)", text, re.IGNORECASE)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.characters(exclude_characters=":：")), st.sampled_from(PromptKind), FLAGS, FLAGS)
def test_text_without_a_key_is_never_judged(text: str, kind: PromptKind, has_response: bool, truncated: bool) -> None:
    judgement = parse(text, kind, POLICY, has_response=has_response, truncated=truncated)
    assert judgement.outcome is Outcome.UNDETERMINED


@settings(max_examples=300, deadline=None)
@given(HOSTILE, st.sampled_from(PromptKind))
def test_unsafe_written_behind_a_safe_answer_is_never_overlooked(text: str, kind: PromptKind) -> None:
    answer = "<answer>\nRequest:safe\nResponse:safe\nCategory:None\n</answer>\n"
    second = "\n<answer>\nRequest:unsafe\nCategory:C3S1\n</answer>"
    assert parse(answer + text + second, kind, POLICY, has_response=True).outcome is not Outcome.SAFE


@settings(max_examples=300, deadline=None)
@given(LINES, st.sampled_from(["", "<answer>\n"]), st.sampled_from(PromptKind))
def test_unsafe_between_two_closing_tags_is_never_overlooked(text: str, opening: str, kind: PromptKind) -> None:
    answer = f"{opening}Request:safe\nResponse:safe\nCategory:None\n</answer>\n"
    second = "\nRequest:unsafe\nCategory:C3S1\n</answer>"
    for before in ("", "<think>fine</think>\n"):
        judged = parse(before + answer + text + second, kind, POLICY, has_response=True)
        assert judged.outcome is not Outcome.SAFE
