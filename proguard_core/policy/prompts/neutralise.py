"""Text of a post made harmless for templates: it stays readable and cannot form structure.

Special tokens of chat templates, the tags of an answer, placeholders of pictures and the names of turns lose the one
character that makes them work: `<|im_end|>` becomes `(|im_end|>`, `Agent:` at the start of a line becomes `Agent;`.
What a post asks in plain words stays: it is what the guard must judge.
"""

import re

from proguard_core.policy.prompts.contract import ENGLISH_KEYS

# Part of a guard's revision: change it with what is replaced.
NEUTRAL_VERSION = 3

# One byte each, as what they stand for: a window must not take more tokens than it has bytes (guards/vllm/budget.py).
_OPENING = "("
_COLON = ";"
_REPLACEMENT = "?"

# Qwen's tokens all begin with <|; DeepSeek's have a full-width bar.
_TOKEN = re.compile(r"<(?=[|｜])")
_NAMES = (
    r"think(?:ing)?|answer|conversation|user|agent|system|assistant|human|tool_call|tool_response|tools|"
    r"image|video|audio|start_of_turn|end_of_turn|start_of_image|bos|eos|unk|pad|s|policy|categories"
)
# An unfinished tag counts too: what follows the post could finish it. Invisible characters hide none.
_TAG = re.compile(rf"<(?=[\s/\u00ad\u200b-\u200f\u2060-\u2064\ufeff]{{0,24}}(?:{_NAMES})(?![\w-]))", re.IGNORECASE)
_INSTRUCTION = re.compile(r"\[(?=/?INST\])", re.IGNORECASE)
_SYSTEM = re.compile(r"<(?=</?SYS>>)", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")

_COLON_ONLY = re.compile(":")
_COLONS = re.compile("[:：]")
# Before a colon: room for the longest key and the marks that the parser allows around it.
_KEY_WINDOW = 24
_MARKS = " \t\"'*_`"
_KEYS = ("request", "response", "category", *ENGLISH_KEYS)
_SPEAKERS = ("user", "agent", "assistant", "system", "human")
# What can stand right before such a colon; most colons are behind something else.
_ENDINGS = frozenset("".join(f"{word[-1]}{word[-1].upper()}" for word in (*_KEYS, *_SPEAKERS)) + _MARKS)
_BEFORE_SPEAKERS = ("human", "ai", "end")
_LINE_ENDS = frozenset("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")
_LINE_MARKS = frozenset(">#*_\"'`-")


def neutral(text: str) -> str:
    """The text with everything broken that a template, a tokenizer or the parser would take for structure.

    One character for one, and never more bytes. Control characters and lone surrogates become "?". Idempotent.
    """
    if not text.replace("\n", "").replace("\r", "").replace("\t", "").isprintable():
        text = _CONTROL.sub(_REPLACEMENT, text)
    if "<" in text:
        text = _SYSTEM.sub(_OPENING, _TAG.sub(_OPENING, _TOKEN.sub(_OPENING, text)))
    if "[" in text:
        text = _INSTRUCTION.sub(_OPENING, text)
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
        if before.endswith(_KEYS) or (before.endswith(_SPEAKERS) and _begins_turn(text, at, before)):
            pieces += [text[end:at], _COLON]
            end = at + 1
    return "".join([*pieces, text[end:]]) if pieces else text


def _begins_turn(text: str, colon: int, before: str) -> bool:
    """Whether the speaker before the colon begins a line, however far it is indented or marked.

    before: what stands before the colon, folded, without marks behind it.
    """
    speaker = next(name for name in _SPEAKERS if before.endswith(name))
    end = colon
    while text[end - 1] in _MARKS:
        end -= 1
    at = _without_marks(text, end - len(speaker))
    if not _is_line_start(text, at):
        head = text[max(0, at - _KEY_WINDOW) : at].casefold()
        word = next((word for word in _BEFORE_SPEAKERS if head.endswith(word)), None)
        at = at if word is None else _without_marks(text, at - len(word))
    return _is_line_start(text, at)


def _without_marks(text: str, at: int) -> int:
    while not _is_line_start(text, at) and (text[at - 1].isspace() or text[at - 1] in _LINE_MARKS):
        at -= 1
    return at


def _is_line_start(text: str, at: int) -> bool:
    return at <= 0 or text[at - 1] in _LINE_ENDS
