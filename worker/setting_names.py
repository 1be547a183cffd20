"""Variables that were meant to be settings: pydantic ignores a name of no section without a word."""

import difflib
import re
from collections.abc import Mapping

from pydantic.fields import FieldInfo

PREFIX = "PROGUARD_"

# Said by other programs, or injected by Kubernetes for a service that is called proguard.
_NOT_ENOUGH = frozenset({"home", "host", "path", "port"})
_OF_A_SERVICE = re.compile(r"_service_(host|port)|_port_\d+_(tcp|udp|sctp)")
_ADDRESSES_OF_A_SERVICE = ("tcp://", "udp://", "sctp://")


def mistaken(environment: Mapping[str, str], sections: Mapping[str, FieldInfo]) -> list[str]:
    """What is wrong with variables that name no section before `__`, differ from a setting's only by `_` for `__`,
    or lack its section.

    Others are none of our business: Kubernetes injects PROGUARD_SERVICE_HOST and the like.
    """
    tables = {section: _tables(field) for section, field in sections.items()}
    keys = {section: _keys(field) for section, field in sections.items()}
    wrong = []
    for name, value in environment.items():
        rest = name.upper().removeprefix(PREFIX).lower()
        of_a_service = value.startswith(_ADDRESSES_OF_A_SERVICE) or _OF_A_SERVICE.search(rest)
        if not name.upper().startswith(PREFIX) or of_a_service or rest.partition("__")[0] in sections:
            continue
        meant = _without_underscore(rest, keys, tables) or _without_section(rest, keys) or _misspelt(rest, keys)
        if meant or "__" in rest:
            hint = f"; did you mean {PREFIX}{meant.upper()}?" if meant else f"; sections are {', '.join(sections)}"
            wrong.append(f"{name}: there is no such setting{hint}")
    return wrong


def _keys(field: FieldInfo) -> list[str]:
    """The keys of a section."""
    return list(getattr(field.annotation, "model_fields", ()))


def _tables(field: FieldInfo) -> list[str]:
    """Keys whose values are tables of names that we do not know."""
    fields: Mapping[str, FieldInfo] = getattr(field.annotation, "model_fields", {})
    return [key for key, each in fields.items() if getattr(each.annotation, "__origin__", None) is dict]


def _without_underscore(rest: str, keys: Mapping[str, list[str]], tables: Mapping[str, list[str]]) -> str | None:
    plain = re.sub("_+", "_", rest).strip("_")
    for section, own in keys.items():
        for key in own:
            if plain == f"{section}_{key}":
                return f"{section}__{key}"
    for section, own in tables.items():
        for key in own:
            if plain.startswith(f"{section}_{key}_"):
                return f"{section}__{key}__{plain.removeprefix(f'{section}_{key}_')}"
    return None


def _misspelt(rest: str, keys: Mapping[str, list[str]]) -> str | None:
    """The key in the section whose name is closest to what stands before `__`."""
    section, separator, key = rest.partition("__")
    near = difflib.get_close_matches(section, keys, 1) if separator else []
    return f"{near[0]}__{key}" if near and key.partition("__")[0] in keys[near[0]] else None


def _without_section(rest: str, keys: Mapping[str, list[str]]) -> str | None:
    """None where several sections have such a key."""
    found = [section for section, own in keys.items() if rest in own]
    return f"{found[0]}__{rest}" if len(found) == 1 and rest not in _NOT_ENOUGH else None
