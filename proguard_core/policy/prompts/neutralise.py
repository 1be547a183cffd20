"""Text of a post made harmless for templates: it stays readable and cannot form structure.

Special tokens of chat templates, the tags of an answer, placeholders of pictures and the names of turns lose the one
character that makes them work: `<|im_end|>` becomes `‹|im_end|>`, `Agent:` at the start of a line becomes `Agent∶`.
What a post asks in plain words stays: it is what the guard must judge.
"""

import re

from proguard_core.policy.prompts.contract import ENGLISH_KEYS

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
_INSTRUCTION = re.compile(r"\[(?=/?INST\])", re.IGNORECASE)
_SYSTEM = re.compile(r"<(?=</?SYS>>)", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_REPLACEMENT = "\ufffd"

_COLON_ONLY = re.compile(":")
_COLONS = re.compile("[:：]")
# Before a colon: room for the longest key and the marks that the parser allows around it.
_KEY_WINDOW = 24
_MARKS = " \t\"'*_`"
_KEYS = ("request", "response", "category", *ENGLISH_KEYS)
_SPEAKERS = ("user", "agent", "assistant", "system", "human")
# What can stand right before such a colon; most colons are behind something else.
_ENDINGS = frozenset("".join(f"{word[-1]}{word[-1].upper()}" for word in (*_KEYS, *_SPEAKERS)) + _MARKS)
_TURN_WINDOW = 40
_TURN = re.compile(
    r"[\s>#*_\"'`-]*(?:(?:human|ai|end)[ _-]?)?(?:user|agent|assistant|system|human)[ \t*_\"'`]*", re.IGNORECASE
)


def neutral(text: str) -> str:
    """The text with everything broken that a template, a tokenizer or the parser would take for structure.

    One character for one: the length stays. Control characters and lone surrogates become U+FFFD. Idempotent.
    """
    if not text.replace("\n", "").replace("\r", "").replace("\t", "").isprintable():
        text = _CONTROL.sub(_REPLACEMENT, text)
    if "<" in text:
        text = _SYSTEM.sub(_OPENING, _TAG.sub(_OPENING, _TOKEN.sub(_OPENING, text)))
    if "[" in text:
        text = _INSTRUCTION.sub("⟦", text)
    if ":" in text or "：" in text:
        text = _without_labels(text)
    return text


def _without_labels(text: str) -> str:
    """Colons behind the keys of an answer, anywhere, and behind the name of a speaker at the start of a line.

    Colons are few: looking back from each is many times faster than looking for the words.
    """
    pieces, end = [], 0
    for match in (_COLONS if "：" in text else _COLON_ONLY).finditer(text):
        at = match.start()
        if text[at - 1] not in _ENDINGS:
            continue
        before = text[max(0, at - _KEY_WINDOW) : at].rstrip(_MARKS).casefold()
        if before.endswith(_KEYS) or (before.endswith(_SPEAKERS) and _begins_turn(text, at)):
            pieces += [text[end:at], _COLON]
            end = at + 1
    return "".join([*pieces, text[end:]]) if pieces else text


def _begins_turn(text: str, colon: int) -> bool:
    newline = text.rfind("\n", max(0, colon - _TURN_WINDOW), colon)
    if newline < 0 and colon > _TURN_WINDOW:
        return False
    return _TURN.fullmatch(text, newline + 1, colon) is not None
