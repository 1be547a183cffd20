"""Safe reading of YAML into nodes that know their line.

Nothing is ever constructed from a tag: the file is composed into nodes, and the readers below take plain text, numbers,
truth values, mappings and lists out of them. Anchors and aliases are refused, since they let a small file unfold into
an enormous one; so are duplicate keys, tags and more than one document.
"""

import math
from typing import Any, cast

import yaml

from proguard_core.policy.problems import PolicyError, Problems, did_you_mean

MAX_DEPTH = 12

_PREFIX = "tag:yaml.org,2002:"
_ALIAS = f"{_PREFIX}alias"
_PLAIN_TAGS = frozenset(
    _PREFIX + kind for kind in ("str", "int", "float", "bool", "null", "map", "seq", "timestamp", "merge", "value")
)
_KINDS = {"int": "a number", "float": "a number", "bool": "true or false", "null": "nothing", "timestamp": "a date"}


def line_of(node: yaml.Node) -> int:
    """Line of a node, counted from 1."""
    return int(node.start_mark.line) + 1


class _Composer(yaml.SafeLoader):
    """Composes nodes; notes aliases as problems instead of following them."""

    def __init__(self, text: str, problems: Problems) -> None:
        super().__init__(text)
        self._problems = problems
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            self.get_event()  # type: ignore[no-untyped-call]
            self._problems.add(line, f"alias *{event.anchor} is not allowed: write the value out")
            return yaml.ScalarNode(_ALIAS, "", cast(Any, event).start_mark, cast(Any, event).end_mark)
        if getattr(event, "anchor", None):
            self._problems.add(line, f"anchor &{event.anchor} is not allowed: write the value out where it is needed")
            event.anchor = None
        if self._depth >= MAX_DEPTH:
            raise yaml.MarkedYAMLError(None, None, f"nested deeper than {MAX_DEPTH} levels", event.start_mark)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


def compose(text: str, source: str, problems: Problems) -> yaml.Node | None:
    """Root node of the text, None for an empty file. Raises PolicyError where the text is no YAML at all."""
    try:
        loader = _Composer(text, problems)
        try:
            return loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        message = " ".join(part for part in (error.context, error.problem) if part)
        problems.add(line, f"not readable as YAML: {message}")
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problems.add(line, f"not readable as YAML: the character U+{ord(text[error.position]):04X} is not allowed")
    raise PolicyError(problems.found, source)


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    short = node.tag.rpartition(":")[2]
    return _KINDS.get(short, "text")


def _expected(node: yaml.Node, what: str, wanted: str, problems: Problems) -> None:
    if node.tag == _ALIAS:
        return
    if node.tag not in _PLAIN_TAGS:
        problems.add(line_of(node), f"{what}: the tag {node.tag} is not allowed")
    else:
        problems.add(line_of(node), f"{what} must be {wanted}, not {_kind(node)}")


def mapping(node: yaml.Node, what: str, keys: tuple[str, ...], problems: Problems) -> dict[str, yaml.Node]:
    """The known keys of a mapping with their nodes; unknown and duplicate keys are noted as problems."""
    if not isinstance(node, yaml.MappingNode) or node.tag not in _PLAIN_TAGS:
        _expected(node, what, "a mapping", problems)
        return {}
    found: dict[str, yaml.Node] = {}
    first: dict[str, int] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode) or key_node.tag not in _PLAIN_TAGS:
            _expected(key_node, f"a key of {what}", "text", problems)
            continue
        key, line = str(key_node.value), line_of(key_node)
        if key in first:
            problems.add(line, f"duplicate key '{key}' in {what}: it is already there in line {first[key]}")
        elif key in keys:
            found[key] = value_node
        else:
            hint = did_you_mean(key, keys) or f"; known are {', '.join(keys)}"
            problems.add(line, f"unknown key '{key}' in {what}{hint}")
        first.setdefault(key, line)
    return found


def sequence(node: yaml.Node, what: str, problems: Problems) -> list[yaml.Node]:
    """The entries of a list; anything else, or an empty list, is noted as a problem."""
    if not isinstance(node, yaml.SequenceNode) or node.tag not in _PLAIN_TAGS:
        _expected(node, what, "a list", problems)
        return []
    if not node.value:
        problems.add(line_of(node), f"{what} is empty")
    return list(node.value)


def text(node: yaml.Node, what: str, limit: int, problems: Problems) -> str | None:
    """Text with runs of white space made one space, of 1 to limit characters; None where it is something else."""
    if not isinstance(node, yaml.ScalarNode) or node.tag != f"{_PREFIX}str":
        hint = ' (put it in quotes: "…")' if isinstance(node, yaml.ScalarNode) and node.value else ""
        _expected(node, what, f"text{hint}", problems)
        return None
    value = " ".join(str(node.value).split())
    if not value:
        problems.add(line_of(node), f"{what} is empty")
    elif len(value) > limit:
        problems.add(line_of(node), f"{what} has {len(value)} characters, at most {limit} are allowed")
    elif not value.isprintable():
        problems.add(line_of(node), f"{what} contains a character that cannot be printed")
    else:
        return value
    return None


def number(node: yaml.Node, what: str, problems: Problems) -> float | None:
    """A finite number; None where it is something else."""
    if isinstance(node, yaml.ScalarNode) and node.tag in {f"{_PREFIX}int", f"{_PREFIX}float"}:
        try:
            value = float(node.value)
        except ValueError:
            problems.add(line_of(node), f"{what}: {node.value} is no plain decimal number")
            return None
        if math.isfinite(value):
            return value
    _expected(node, what, "a number", problems)
    return None


def truth(node: yaml.Node, what: str, problems: Problems) -> bool | None:
    """true or false (YAML 1.1 also knows yes, no, on, off); None where it is something else."""
    if isinstance(node, yaml.ScalarNode) and node.tag == f"{_PREFIX}bool":
        return node.value.casefold() in {"true", "yes", "on"}
    _expected(node, what, "true or false", problems)
    return None
