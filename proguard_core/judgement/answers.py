"""From a guard's raw text to its reasoning and to the values that its answer gives for each key."""

import re
from dataclasses import dataclass, field

from proguard_core.policy.prompts.contract import ENGLISH_KEYS, KEY, TAG

_FENCE = re.compile(r"^[ \t]{0,8}(?:```|~~~)[\w-]{0,20}[ \t]{0,8}$", re.MULTILINE)
_ENDS = frozenset({"<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end|>", "</s>"})
_TEMPLATE_TOKEN = re.compile(r"<[|｜]\w{1,40}[|｜]>|</s>")
_CLOSING = re.compile(r"<\s{0,8}/\s{0,8}answer\s{0,8}>", re.IGNORECASE)
_MAX_LINE_START = 24
_LINE_START = re.compile(r"[ \t>#*_\"'`{,•-]{0,12}(?:\d[.)][ \t]{0,4})?")
# What JSON and Markdown leave around keys and values.
_MARKS = " \t\r\n\"'`*_{}[],;-•>#"


@dataclass(slots=True)
class Answer:
    """values: every distinct value of a key, as written, in order (the dictionaries serve as ordered sets).

    leftover: what else stands outside the reasoning; tagged: in <answer> tags; closed: the end of it is not missing;
    trailing: something follows the answer; reasoned: one reasoning, with which the text begins, ended before it; draft:
    the reasoning never ended, and no tag tells the answer from it; quoted: a chat template's token stands there as
    text, as in what somebody shows.
    """

    rationale: str
    values: dict[str, dict[str, None]] = field(default_factory=dict)
    leftover: str = ""
    tagged: bool = False
    closed: bool = True
    trailing: bool = False
    reasoned: bool = False
    draft: bool = False
    quoted: bool = False


def read_answer(text: str) -> Answer | None:
    """The answer that stands after the reasoning, or None where there is none.

    Drafts inside a closed reasoning do not count. Where the reasoning is not closed, it ends at the first answer.
    """
    text, token_at = _without_tokens(text)
    tags = list(TAG.finditer(text))
    ends = [tag for tag in tags if tag["close"] and not _is_answer(tag)]
    start = ends[0].end() if ends else 0
    # A second end of reasoning, or a new one, is text of the answer's part like any other.
    answers = [tag for tag in tags if tag.start() >= start and _is_answer(tag)]
    found = _read(text, tags, start, answers)
    if found is not None:
        found.quoted = token_at >= start
        found.reasoned &= bool(found.rationale) and _begins_with_one_reasoning(text, tags, start)
    return found


def _is_answer(tag: re.Match[str]) -> bool:
    return tag["name"].casefold() == "answer"


def _begins_with_one_reasoning(text: str, tags: list[re.Match[str]], end: int) -> bool:
    """Otherwise what ended may be a reasoning that somebody shows, with an answer behind it. The prompt may open it."""
    opened = [tag for tag in tags if tag.start() < end and not tag["close"] and not _is_answer(tag)]
    return not opened or (len(opened) == 1 and not text[: opened[0].start()].strip(_MARKS))


def _without_tokens(text: str) -> tuple[str, int]:
    """The text without tokens of chat templates, and where the last of those was that do not end it (-1: none)."""
    tokens = list(_TEMPLATE_TOKEN.finditer(text))
    end = len(text)
    while tokens and tokens[-1][0] in _ENDS and not text[tokens[-1].end() : end].strip():
        end = tokens.pop().start()
    if not tokens:
        return text[:end], -1
    behind = end - tokens[-1].end()
    text = _TEMPLATE_TOKEN.sub(" ", text[:end])
    return text, len(text) - behind - 1


def _read(text: str, tags: list[re.Match[str]], start: int, answers: list[re.Match[str]]) -> Answer | None:
    """start: where a reasoning ended, 0 where none did; answers: the tags of that name behind it."""
    if answers and any(not tag["close"] for tag in answers):
        return _tagged(text, start, answers)
    body_start = start
    if not start:
        opened = [tag for tag in tags if not tag["close"] and not _is_answer(tag)]
        body_start = opened[0].end() if opened else 0
    # Of several closing tags the last one ends it: what stands between them counts.
    stop = answers[-1].start() if answers else len(text)
    found = _untagged(text, body_start, stop, reasoned=start)
    if found is not None and answers:
        found.trailing |= bool(_rest(text[answers[-1].end() :]))
    elif found is not None and not start and body_start:
        found.draft = True
    return found


def _tagged(text: str, start: int, answers: list[re.Match[str]]) -> Answer:
    opening = next(tag for tag in answers if not tag["close"])
    answer = Answer(_without_tags(text[: start or opening.start()]), tagged=True, reasoned=start > 0)
    before = text[start : opening.start()]
    # Reasoning without an end may speak of harm, but lines in the form of an answer are one.
    outside = [before] if start else [_line(before, key.start()) for key in _line_keys(before)]
    tail: list[str] = []
    for index, tag in enumerate(answers):
        following = answers[index + 1].start() if index + 1 < len(answers) else len(text)
        content = text[tag.end() : following]
        if tag["close"]:
            outside.append(content)
        else:
            tail = _collect(answer, content, outside)
    last = answers[-1]
    answer.closed = bool(last["close"])
    answer.trailing = bool(_rest(text[last.end() :] if answer.closed else "\n".join(tail)))
    answer.leftover = "\n".join(outside)
    return answer


def _untagged(text: str, start: int, stop: int, reasoned: int) -> Answer | None:
    """Lines that begin with the keys, the last lines of the text; None where there are none."""
    body = text[start:stop]
    keys = _line_keys(body)
    if not keys:
        return None
    # Behind a reasoning a key counts wherever it stands, as it does in tags.
    first = next(KEY.finditer(body)).start() if reasoned else keys[0].start()
    answer = Answer(_without_tags(text[:reasoned] if reasoned else body[:first]), reasoned=reasoned > 0)
    outside = [body[:first]] if reasoned else []
    _collect(answer, _CLOSING.sub("\n", body[first:]), outside)
    answer.leftover = "\n".join(outside)
    # Lines of prose behind the keys make it a quotation rather than an answer.
    answer.trailing = any(_rest(part) for part in outside[bool(reasoned) :])
    return answer


def _line_keys(body: str) -> list[re.Match[str]]:
    """The keys that begin a line, marks of lists and emphasis aside."""
    return [key for key in KEY.finditer(body) if _begins_line(body, key.start())]


def _begins_line(body: str, position: int) -> bool:
    earliest = max(0, position - _MAX_LINE_START)
    newline = body.rfind("\n", earliest, position)
    if newline < 0 and earliest > 0:
        return False
    return _LINE_START.fullmatch(body, newline + 1, position) is not None


def _line(body: str, position: int) -> str:
    end = body.find("\n", position)
    return body[position:] if end < 0 else body[position:end]


def _collect(answer: Answer, content: str, outside: list[str]) -> list[str]:
    """Add the values of every key in content; what is neither key nor value goes to outside.

    The lines behind the last value are returned as well.
    """
    outside.append("\n".join(_FENCE.findall(content)))
    content = _FENCE.sub("", content)
    keys = list(KEY.finditer(content))
    outside.append(content[: keys[0].start()] if keys else content)
    tail: list[str] = []
    for index, match in enumerate(keys):
        end = keys[index + 1].start() if index + 1 < len(keys) else len(content)
        lines = [line for line in content[match.end() : end].split("\n") if line.strip(_MARKS)]
        value = lines[0].strip(_MARKS) if lines else ""
        key = ENGLISH_KEYS.get(match["chinese"]) or (match["key"] or "").casefold().replace("ſ", "s")
        answer.values.setdefault(key, {})[value] = None
        tail = lines[1:]
        outside.extend(tail)
    return tail


def _without_tags(text: str) -> str:
    return TAG.sub("", text).strip()


def _rest(text: str) -> str:
    """What is left of a text once fences, tags of answers and punctuation are taken away.

    Other tags are not: where a reasoning ends behind an answer, the answer was a part of it.
    """
    bare = TAG.sub(lambda tag: "" if _is_answer(tag) else tag[0], _FENCE.sub("", text))
    return bare.strip(_MARKS + ".")
