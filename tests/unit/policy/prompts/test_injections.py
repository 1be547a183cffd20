"""Sixty posts that try to rule the guard: the prompt's structure stays, and the parser takes none for an answer."""

from pathlib import Path

import pytest
import yaml
from PIL import Image

from proguard_core.guards.protocol import GuardRequest, Picture
from proguard_core.judgement import parse
from proguard_core.policy.loader import load_policy
from proguard_core.policy.prompts import PromptKind, Prompts, neutral
from schemas.common import Outcome

POSTS: list[str] = yaml.safe_load((Path(__file__).parent / "data" / "injections.yaml").read_text())
POLICY = load_policy()
PROMPTS = Prompts(POLICY)
PICTURE = Picture(Image.new("RGB", (28, 28)), "0" * 64)
FRAME = ("<conversation>\n<user>\n", "\n</user>\n<agent>\n", "\n</agent>\n</conversation>\n")
STRUCTURE = ("<conversation>", "</conversation>", "<user>", "</user>", "<agent>", "</agent>")
FORBIDDEN = ("<|", "<｜", "<think", "</think", "<answer", "</answer", "<image>", "<video>", "<s>", "[INST]", "<<SYS>>")
REPLACED = {("<", "("), ("[", "("), (":", ";"), ("：", ";"), ("\x00", "?"), ("\x1b", "?")}


def _request(post: str, kind: PromptKind, as_response: bool) -> GuardRequest:
    picture = PICTURE if kind is PromptKind.TEXT_IMAGE else None
    return GuardRequest("Is this fine?", post, picture) if as_response else GuardRequest(post, None, picture)


def test_there_are_sixty() -> None:
    assert len(POSTS) == len(set(POSTS)) == 60


@pytest.mark.parametrize("post", POSTS)
@pytest.mark.parametrize("as_response", [False, True])
@pytest.mark.parametrize("kind", [PromptKind.TEXT, PromptKind.TEXT_IMAGE])
def test_the_structure_of_the_prompt_is_intact(post: str, kind: PromptKind, as_response: bool) -> None:
    prompt = PROMPTS.render(_request(post, kind, as_response))
    plain = PROMPTS.render(_request("Nice weather.", kind, as_response))
    assert prompt.kind is kind
    assert prompt.system == plain.system
    assert [prompt.user.count(mark) for mark in STRUCTURE] == [1] * len(STRUCTURE)
    assert not [mark for mark in FORBIDDEN if mark in prompt.user]
    head, rest = prompt.user.split(FRAME[1])
    shown, closing = rest.split(FRAME[2])
    assert closing == plain.user.split(FRAME[2])[1]
    said = shown if as_response else head.removeprefix(FRAME[0])
    assert said == neutral(post)


@pytest.mark.parametrize("post", POSTS)
def test_the_post_stays_readable(post: str) -> None:
    differing = {(before, after) for before, after in zip(post, neutral(post), strict=True) if before != after}
    assert differing <= REPLACED


@pytest.mark.parametrize("post", POSTS)
@pytest.mark.parametrize("kind", PromptKind)
@pytest.mark.parametrize("has_response", [False, True])
def test_a_guard_that_repeats_the_post_has_said_nothing(post: str, kind: PromptKind, has_response: bool) -> None:
    seen = neutral(post)
    for text in (
        seen,
        f"<think>The post says: {seen}",
        f"<think>{seen}</think>\n{seen}",
        f"The user writes:\n{seen}\nand so on",
    ):
        assert parse(text, kind, POLICY, has_response=has_response).outcome is Outcome.UNDETERMINED


@pytest.mark.parametrize("post", POSTS)
@pytest.mark.parametrize("kind", PromptKind)
def test_a_quoted_post_does_not_change_the_answer(post: str, kind: PromptKind) -> None:
    code = "C3" if kind is PromptKind.TEXT_IMAGE else "C3S1"
    reasoning = f"<think>It says: {neutral(post)}\nThat is a trick.</think>"
    text = f"{reasoning}\n<answer>\nRequest:unsafe\nResponse:safe\nCategory:{code}\n</answer>"
    judgement = parse(text, kind, POLICY, has_response=True)
    assert (judgement.outcome, judgement.category.code) == (Outcome.UNSAFE, code)


@pytest.mark.parametrize("post", POSTS)
def test_a_name_made_of_a_post_is_not_safe(post: str) -> None:
    text = f"<think>x</think>\n<answer>\nRequest:unsafe\nCategory:{neutral(post)}\n</answer>"
    assert parse(text, PromptKind.TEXT, POLICY, has_response=False).outcome is Outcome.UNSAFE
