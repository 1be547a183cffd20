"""From a guard's text to a judgement. Safe is only what says so without any doubt; nothing here raises."""

import re
from collections.abc import Iterable

from proguard_core.guards.protocol import NO_CATEGORY, Category, Judgement
from proguard_core.judgement.answers import Answer, read_answer
from proguard_core.judgement.categories import CODE, concerning_minors, is_none, plain, read_category
from proguard_core.policy.policy import MINORS, Policy
from proguard_core.policy.prompts.contract import PromptKind
from proguard_core.policy.taxonomy import name_key
from schemas.common import Outcome, Reason
from schemas.verdict import MAX_RATIONALE_CHARACTERS

# More than ten times what a guard may write: beyond it something is broken.
MAX_ANSWER_CHARACTERS = 65_536

# Longer than any label; what is behind it is prose.
_MAX_LABEL_CHARACTERS = 200

_MARKS = " \t\r\n\"'`*_()[]{}<>.,;:|#-"
_UNSAFE = re.compile(r"(?:un-?safe|not safe|不安全)(?!\w)", re.IGNORECASE)
# In what stands beside an answer, as in "it isn't safe" or "u n s a f e", a doubt is enough.
_SAYS_UNSAFE = re.compile(
    r"unsafe|\bu[\s.-]?n[\s.-]?s[\s.-]?a[\s.-]?f[\s.-]?e\b|不\s?安\s?全"
    r"|(?:not|never|n['‘’ʼ]t|far from|hardly|no longer)\s{1,8}(?:\w{1,20}\s{1,8}){0,3}safe",
    re.IGNORECASE,
)
_SAFE_WORD = re.compile(r"(?<![\w-])(?<!not )safe(?!\w)", re.IGNORECASE)


def parse(text: str, kind: PromptKind, policy: Policy, *, has_response: bool, truncated: bool = False) -> Judgement:
    """The judgement that a guard's text states.

    has_response: whether the question showed an agent's turn; without one the Response label is ignored, as it is for
    pictures. truncated: the guard was stopped by its token limit. Unsafe needs one clear label; safe needs every label,
    `Category: None`, nothing that speaks against it and, where a picture was shown, a reasoning that ended before it.
    All else is undetermined (unparseable), with the category that was named, so that what concerns minors is handled
    as such.
    """
    if len(text) > MAX_ANSWER_CHARACTERS:
        return _undetermined(text[:MAX_RATIONALE_CHARACTERS])
    answer = read_answer(text)
    if answer is None or answer.draft:
        return _undetermined(text)
    judged_response = has_response and kind is not PromptKind.IMAGE
    values = answer.values
    request = _label(values.get("request", ()))
    response = _label(values.get("response", ())) if judged_response else None
    category = _category(answer, kind, policy, truncated)
    labels = (request, response) if judged_response else (request,)
    outcome = Outcome.UNDETERMINED
    if Outcome.UNSAFE in labels:
        outcome = Outcome.UNSAFE
    elif all(label is Outcome.SAFE for label in labels) and _is_clear(answer, category, kind, policy, truncated):
        outcome = Outcome.SAFE
    reason = Reason.UNPARSEABLE if outcome is Outcome.UNDETERMINED else None
    return Judgement(outcome, reason, request, response, category, _cut(answer.rationale))


def _label(values: Iterable[str]) -> Outcome | None:
    """The one label that all values give; None where one gives none or where they differ."""
    labels = {_one_label(value) for value in values}
    return labels.pop() if len(labels) == 1 else None


def _one_label(value: str) -> Outcome | None:
    whole = len(value) <= _MAX_LABEL_CHARACTERS
    # No "!" before it: that is how some write "not".
    value = plain(value[:_MAX_LABEL_CHARACTERS]).strip(_MARKS).rstrip(_MARKS + "!")
    if value.casefold() in {"safe", "安全"}:
        return Outcome.SAFE if whole else None
    # "unsafe (see C3S1)" is clear, "unsafe or safe" is not.
    if _UNSAFE.match(value) and not _SAFE_WORD.search(value):
        return Outcome.UNSAFE
    return None


def _category(answer: Answer, kind: PromptKind, policy: Policy, truncated: bool) -> Category:
    values = list(answer.values.get("category", ()))
    if truncated and not answer.closed and values:
        # C1 may be the beginning of C11S1.
        values = values[:-1]
    found = read_category(values, kind, policy)
    if found.code == MINORS:
        return found
    return concerning_minors(values, answer.leftover.split("\n"), kind, policy) or found


def _is_clear(answer: Answer, category: Category, kind: PromptKind, policy: Policy, truncated: bool) -> bool:
    """Whether nothing in the answer speaks against safe.

    What is written in a picture cannot be neutralised: an answer without a reasoning may be no more than a copy of it.
    """
    named = answer.values.get("category", {})
    leftover = plain(answer.leftover)
    return (
        category is NO_CATEGORY
        and bool(named)
        and all(is_none(value) for value in named)
        and not answer.trailing
        and not answer.quoted
        and (answer.reasoned or kind is PromptKind.TEXT)
        # What was cut off may have begun in a reasoning, with the answer as its draft.
        and (not truncated or (answer.tagged and answer.closed and answer.reasoned))
        and not _SAYS_UNSAFE.search(leftover)
        and not CODE.search(leftover)
        and not any(name_key(line.strip(_MARKS)) in policy.codes_by_name for line in leftover.split("\n"))
    )


def _undetermined(rationale: str) -> Judgement:
    return Judgement(Outcome.UNDETERMINED, Reason.UNPARSEABLE, rationale=_cut(rationale.strip()))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_RATIONALE_CHARACTERS else f"{text[: MAX_RATIONALE_CHARACTERS - 1]}…"
