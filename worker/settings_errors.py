"""What is said of settings that are wrong: which key, and what is meant, without the value, which may be a secret."""

import difflib
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

# Texts come from the environment, from files of secrets and from quotes that should not be there.
_AS_JSON = '; in the environment as JSON: \'["one", "two"]\''
_LISTS = {"tuple_type", "list_type"}
_TABLES = {"model_type", "model_attributes_type", "dict_type"}


def describe(error: ValidationError, place: str, sections: Mapping[str, FieldInfo], *within: str) -> str:
    """One line a wrong key. within: the tables that were validated alone; sections: those of all settings."""
    lines = []
    for item in error.errors():
        name = ".".join(str(part) for part in (*within, *item["loc"]))
        unknown = item["type"] == "extra_forbidden"
        said = _unknown(name, sections) if unknown else _in_our_words(item)
        lines.append(f"{name}: {said}" if name else said)  # what is wrong between sections names them itself
    return f"settings ({place}) are wrong:\n  " + "\n  ".join(lines)


def _in_our_words(item: Mapping[str, Any]) -> str:
    """Without pydantic's own: nobody writes a tuple in a settings file."""
    as_text = isinstance(item["input"], str)
    if item["type"] in _TABLES:
        return "must be a table" + ('; in the environment as JSON: \'{"key": "value"}\'' if as_text else "")
    message: str = item["msg"].removeprefix("Value error, ").replace("valid tuple", "valid list")
    return message + (_AS_JSON if as_text and item["type"] in _LISTS else "")


def _unknown(name: str, sections: Mapping[str, FieldInfo]) -> str:
    known = [
        f"{section}.{key}"
        for section, field in sections.items()
        for key in getattr(field.annotation, "model_fields", ())
    ]
    # The table itself is no better name for a key in it.
    near = difflib.get_close_matches(name, known if "." in name else [*known, *sections], 1)
    return "there is no such setting" + (f"; did you mean {near[0]}?" if near else "")
