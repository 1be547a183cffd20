"""The prescribed form of an answer, for a model whose free answer could not be parsed: JSON, read back as an answer."""

import json
from typing import Any

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
