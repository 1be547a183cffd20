"""Whether a changed JSON Schema breaks those who rely on an older one. Knows the keywords that our models use.

Of what we read (posts) the new schema must accept all that the old one did: its writers are others. Of what we write
(verdicts and the like) the old one must accept all that the new one allows: its readers are others. Fields may be added
in both, and none may be removed. Where two schemas cannot be compared they count as broken: better one question more.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

Schema = dict[str, Any]

_ANNOTATIONS = frozenset(
    {"$schema", "$id", "$defs", "$comment", "title", "description", "default", "examples", "deprecated"}
)
_COMPARED = frozenset({"type", "enum", "const", "anyOf", "properties", "required", "items", "additionalProperties"})
# Keyword: whether a larger number allows less.
_BOUNDS = {
    "minimum": True,
    "exclusiveMinimum": True,
    "minLength": True,
    "minItems": True,
    "maximum": False,
    "exclusiveMaximum": False,
    "maxLength": False,
    "maxItems": False,
}
_TYPE_OF = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}


class Direction(Enum):
    """Who else is there: READ, others write what we read; WRITTEN, others read what we write; BOTH."""

    READ = "read"
    WRITTEN = "written"
    BOTH = "both"


DIRECTIONS = {
    "post": Direction.READ,
    "verdict": Direction.WRITTEN,
    "risk": Direction.WRITTEN,
    "retraining_hit": Direction.WRITTEN,
    "review": Direction.BOTH,
    "dead_letter_headers": Direction.WRITTEN,
}
"""Of every record, by the name of its files."""


def version_of(schema: Schema) -> str:
    """The schema_version that a schema of ours says it describes."""
    return str(schema["$id"]).rpartition(":")[2]


def breaks(old: Schema, new: Schema, direction: Direction) -> list[str]:
    """What of new breaks those who rely on old, each with its place; nothing where schema_version has moved."""
    if version_of(old) != version_of(new):
        return []
    found: list[str] = []
    if direction in (Direction.READ, Direction.BOTH):
        found += _Comparison(narrow=old, wide=new, new_is_wide=True).run()
    if direction in (Direction.WRITTEN, Direction.BOTH):
        found += _Comparison(narrow=new, wide=old, new_is_wide=False).run()
    return list(dict.fromkeys(found))


@dataclass(slots=True)
class _Comparison:
    """Whether wide accepts all that narrow does."""

    narrow: Schema
    wide: Schema
    new_is_wide: bool
    _open: set[tuple[str, str]] = field(default_factory=set)

    def run(self) -> list[str]:
        return list(self._compare(self.narrow, self.wide, ""))

    def _compare(self, narrow: Schema, wide: Schema, path: str) -> Iterator[str]:
        names = (str(narrow.get("$ref")), str(wide.get("$ref")))
        if names != ("None", "None"):
            if names in self._open:
                return  # a type that holds itself
            self._open.add(names)
        for alternative in _alternatives(self.narrow, narrow):
            choices = [list(self._one(alternative, choice, path)) for choice in _alternatives(self.wide, wide)]
            if all(choices):
                yield from min(choices, key=lambda problems: (any("type" in each for each in problems), len(problems)))
        self._open.discard(names)

    def _one(self, narrow: Schema, wide: Schema, path: str) -> Iterator[str]:
        if not wide.keys() - _ANNOTATIONS:
            return
        yield from self._values(narrow, wide, path)
        for keyword, larger_is_less in _BOUNDS.items():
            if keyword in wide and not _within(narrow.get(keyword), wide[keyword], larger_is_less):
                yield self._changed(path, f"{keyword} {narrow.get(keyword)}", f"{keyword} {wide[keyword]}")
        for keyword in sorted(wide.keys() - _ANNOTATIONS - _COMPARED - _BOUNDS.keys()):
            if "enum" not in narrow and narrow.get(keyword) != wide[keyword]:
                yield self._changed(path, f"{keyword} {narrow.get(keyword)}", f"{keyword} {wide[keyword]}")
        yield from self._rule(narrow, wide, path)
        yield from self._object(narrow, wide, path)
        if "items" in wide:
            yield from self._compare(narrow.get("items", {}), wide["items"], f"{path}[]")

    def _values(self, narrow: Schema, wide: Schema, path: str) -> Iterator[str]:
        if "enum" in wide:
            if "enum" not in narrow:
                yield self._changed(path, "any value", f"one of {_shown(wide['enum'])}")
            elif extra := [value for value in narrow["enum"] if value not in wide["enum"]]:
                what = "no longer accepted" if self.new_is_wide else "added to a closed enumeration"
                yield f"{path or 'record'}: {_shown(extra)} {what}"
        elif "type" in wide:
            kinds = {_TYPE_OF[type(value)] for value in narrow["enum"]} if "enum" in narrow else {narrow.get("type")}
            if other := sorted(str(kind) for kind in kinds if not _is_a(kind, wide["type"])):
                yield self._changed(path, f"type {', '.join(other)}", f"type {wide['type']}")

    def _rule(self, narrow: Schema, wide: Schema, path: str) -> Iterator[str]:
        """A choice beside fields, such as which of them must be there: compared word by word."""
        if "anyOf" in wide and _plain(narrow.get("anyOf")) != _plain(wide["anyOf"]):
            yield f"{path or 'record'}: the rule on which fields must be there has changed"

    def _object(self, narrow: Schema, wide: Schema, path: str) -> Iterator[str]:
        old, new = (narrow, wide) if self.new_is_wide else (wide, narrow)
        for name in sorted(old.get("properties", {}).keys() - new.get("properties", {}).keys()):
            yield f"{_below(path, name)}: removed"
        for name in sorted(set(wide.get("required", ())) - set(narrow.get("required", ()))):
            if self.new_is_wide or name in narrow.get("properties", {}):
                yield f"{_below(path, name)}: {'now required' if self.new_is_wide else 'no longer always there'}"
        for name in narrow.get("properties", {}):
            if name in wide.get("properties", {}):
                yield from self._compare(narrow["properties"][name], wide["properties"][name], _below(path, name))
        more = wide.get("additionalProperties", True)
        if more is not True and narrow.get("additionalProperties", True) != more:
            yield f"{path or 'record'}: other fields are treated differently"

    def _changed(self, path: str, narrow: str, wide: str) -> str:
        old, new = (narrow, wide) if self.new_is_wide else (wide, narrow)
        return f"{path or 'record'}: {'narrowed' if self.new_is_wide else 'widened'} from {old} to {new}"


def _alternatives(root: Schema, schema: Schema) -> list[Schema]:
    """The schema without references, a choice of types as several schemas. A choice beside fields stays a rule."""
    if "$ref" in schema:
        return _alternatives(root, root["$defs"][schema["$ref"].rpartition("/")[2]])
    if "anyOf" in schema and "properties" not in schema:
        return [each for choice in schema["anyOf"] for each in _alternatives(root, choice)]
    if "const" in schema:
        schema = {**schema, "enum": [schema["const"]]}
    if isinstance(schema.get("type"), list):
        return [{**schema, "type": kind} for kind in schema["type"]]
    return [schema]


def _within(narrow: float | None, wide: float, larger_is_less: bool) -> bool:
    if narrow is None:
        return False
    return narrow >= wide if larger_is_less else narrow <= wide


def _is_a(kind: object, wanted: str) -> bool:
    return kind == wanted or (kind == "integer" and wanted == "number")


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _shown(values: list[object]) -> str:
    return ", ".join(json.dumps(value) for value in values)


def _plain(content: object) -> str:
    return json.dumps(content, sort_keys=True)
