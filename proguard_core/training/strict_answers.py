"""The exact form of an answer, for the reward. Serving reads leniently (proguard_core/judgement); learning does not."""

import re
from dataclasses import dataclass

from proguard_core.judgement.parsing import MAX_ANSWER_CHARACTERS
from proguard_core.policy.prompts.contract import TAG, PromptKind
from schemas.common import Outcome

NO_CATEGORY_WORD = "None"

_TAGS = ["<think>", "</think>", "<answer>", "</answer>"]
_FORMS = {
    has_response: re.compile(
        r"<think>(?P<rationale>.*)</think>\n<answer>\nRequest:(?P<request>safe|unsafe)\n"
        + (r"Response:(?P<response>safe|unsafe)\n" if has_response else "")
        + r"Category:(?P<category>\S(?:[^\n]*\S)?)\n</answer>",
        re.DOTALL,
    )
    for has_response in (True, False)
}


@dataclass(frozen=True, slots=True)
class StrictAnswer:
    """What a well-formed answer says. response is None for pictures; category is what stands behind the colon."""

    request: Outcome
    response: Outcome | None
    category: str

    @property
    def consistent(self) -> bool:
        """Whether the category is None exactly where every label is safe, as the prompt demands."""
        return (self.category == NO_CATEGORY_WORD) is (Outcome.UNSAFE not in (self.request, self.response))


def read_exactly(text: str, kind: PromptKind) -> StrictAnswer | None:
    """The answer, or None where anything differs from the form that the prompt of a kind asks for.

    Space around the whole is no difference. The reasoning must not be blank; the category has no sign that nobody sees.
    """
    text = text.strip()
    if len(text) > MAX_ANSWER_CHARACTERS or [tag.group() for tag in TAG.finditer(text)] != _TAGS:
        return None
    found = _FORMS[kind is not PromptKind.IMAGE].fullmatch(text)
    if found is None or not found["rationale"].strip() or not found["category"].isprintable():
        return None
    response = None if kind is PromptKind.IMAGE else Outcome(found["response"])
    return StrictAnswer(Outcome(found["request"]), response, found["category"])
