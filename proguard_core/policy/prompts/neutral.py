"""Text of a post made harmless for templates: it stays readable and cannot form structure.

Special tokens of chat templates, the tags of an answer, placeholders of pictures and the names of turns lose the one
character that makes them work: `<|im_end|>` becomes `‹|im_end|>`, `Agent:` at the start of a line becomes `Agent∶`.
What a post asks in plain words stays: it is what the guard must judge.
"""

import re

from proguard_core.policy.prompts.contract import KEY

# Part of a guard's revision: change it with what is replaced.
NEUTRAL_VERSION = 1

_OPENING = "‹"
_COLON = "∶"

# Qwen's tokens all begin with <|; DeepSeek's have a full-width bar.
_TOKEN = re.compile(r"<(?=[|｜])")
_NAMES = (
    r"think(?:ing)?|answer|conversation|user|agent|system|assistant|human|tool_call|tool_response|tools|"
    r"image|video|audio|start_of_turn|end_of_turn|start_of_image|bos|eos|unk|pad|s|policy|categories"
)
# An unfinished tag counts too: what follows the post could finish it.
_TAG = re.compile(rf"<(?=\s{{0,8}}/?\s{{0,8}}(?:{_NAMES})(?:[\s/>]|$))", re.IGNORECASE)
_LLAMA = re.compile(r"\[(?=/?INST\])|<(?=</?SYS>>)", re.IGNORECASE)
_TURN = re.compile(
    r"^(?P<turn>[\s>#*_\"'`-]{0,8}(?:human|ai|end)?[ _-]?(?:user|agent|assistant|system|human)[ *_\"'`]{0,6})[:：]",
    re.IGNORECASE | re.MULTILINE,
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_REPLACEMENT = "\ufffd"


def neutral(text: str) -> str:
    """The text with everything broken that a template, a tokenizer or the parser would take for structure.

    One character for one: the length stays. Control characters and lone surrogates become U+FFFD. Idempotent.
    """
    text = _CONTROL.sub(_REPLACEMENT, text)
    if "<" in text:
        text = _TAG.sub(_OPENING, _TOKEN.sub(_OPENING, text))
    if "<" in text or "[" in text:
        text = _LLAMA.sub(_break, text)
    if ":" in text or "：" in text:
        text = KEY.sub(_without_colon, _TURN.sub(_turn, text))
    return text


def _break(match: re.Match[str]) -> str:
    return _OPENING if match.group() == "<" else "⟦"


def _turn(match: re.Match[str]) -> str:
    return f"{match.group('turn')}{_COLON}"


def _without_colon(match: re.Match[str]) -> str:
    return match.group().replace(":", _COLON).replace("：", _COLON)
