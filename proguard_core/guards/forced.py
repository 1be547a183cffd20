"""Prescribed forms of an answer: JSON for a model whose free answer could not be parsed, a pattern of the free form."""

import json
import re
from typing import Any

from proguard_core.policy.policy import Policy
from proguard_core.policy.prompts.contract import PromptKind

MAX_RATIONALE = 1200
MAX_CATEGORY = 80
_LABEL = {"type": "string", "enum": ["safe", "unsafe"]}


def schema(has_response: bool) -> dict[str, Any]:
    """JSON schema of an answer of the right form: the reasoning stays free, the labels do not."""
    properties: dict[str, Any] = {"rationale": {"type": "string", "maxLength": MAX_RATIONALE}, "request": _LABEL}
    if has_response:
        properties["response"] = _LABEL
    properties["category"] = {"type": "string", "maxLength": MAX_CATEGORY}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def pattern(kind: PromptKind, policy: Policy, *, has_response: bool) -> str:
    """Regular expression of a whole answer: reasoning free but for `<`, labels and codes as the policy has them."""
    codes = [*policy.categories, *(policy.subcategories if kind is not PromptKind.TEXT_IMAGE else ())]
    category = "|".join(["None", *map(re.escape, codes), f"[A-Za-z][A-Za-z ,&'-]{{2,{MAX_CATEGORY - 1}}}"])
    response = "" if kind is PromptKind.IMAGE else r"Response:(safe|unsafe)\n"
    optional = response if has_response or not response else f"({response})?"
    return rf"<think>[^<]+</think>\n<answer>\nRequest:(safe|unsafe)\n{optional}Category:({category})\n</answer>"


def unforced(text: str) -> str:
    """A forced answer in the form that the parser reads; what is no such answer stays as it is."""
    try:
        said = json.loads(text)
        parts = {key: _untagged(said[key]) for key in ("rationale", "request", "category")}
        response = f"Response:{_untagged(said['response'])}\n" if "response" in said else ""
    except (ValueError, KeyError, TypeError, RecursionError):
        return text
    answer = f"Request:{parts['request']}\n{response}Category:{parts['category']}"
    return f"<think>{parts['rationale']}</think>\n<answer>\n{answer}\n</answer>"


def _untagged(value: object) -> str:
    """On one line and without brackets, so that no text within can be taken for a tag or another line."""
    if not isinstance(value, str):
        raise TypeError("not a text")
    return " ".join(value.replace("<", " ").replace(">", " ").split())
