"""One entry of a policy file, category or subcategory, as it is written: nothing inherited yet."""

from dataclasses import dataclass, field

import yaml

from proguard_core.policy import nodes
from proguard_core.policy.codes import category_code, subcategory_code
from proguard_core.policy.problems import Problems, did_you_mean
from proguard_core.policy.taxonomy import name_key
from schemas.common import Action
from schemas.verdict import MAX_NAME_CHARACTERS

MAX_DESCRIPTION_CHARACTERS = 2000

_COMMON_KEYS = ("code", "description", "synonymous-phrase", "threshold", "action", "enabled")
_CATEGORY_KEYS = ("category", *_COMMON_KEYS, "subcategories")
_SUBCATEGORY_KEYS = ("name", *_COMMON_KEYS)


@dataclass(slots=True)
class Entry:
    """What the file says; None where it says nothing or something wrong. Lines count from 1."""

    line: int
    name: str | None = None
    code: str | None = None
    description: str | None = None
    synonyms: tuple[str, ...] = ()
    threshold: float | None = None
    action: Action | None = None
    enabled: bool | None = None
    lines: dict[str, int] = field(default_factory=dict)
    children: list["Entry"] = field(default_factory=list)


def read_categories(node: yaml.Node, problems: Problems) -> list[Entry]:
    """Every main category of the list with its subcategories, in the order of the file."""
    entries = [
        _category(item, number, problems) for number, item in enumerate(nodes.sequence(node, "categories", problems), 1)
    ]
    _refuse_repeats(entries, "category", problems)
    for entry in entries:
        _refuse_repeats(entry.children, "subcategory", problems)
    return entries


def read_threshold(node: yaml.Node, what: str, problems: Problems) -> float | None:
    """A score in [0, 1]."""
    value = nodes.number(node, what, problems)
    if value is not None and not 0 <= value <= 1:
        problems.add(nodes.line_of(node), f"{what} is {value:g}, it must be between 0 and 1")
        return None
    return value


def read_action(node: yaml.Node, what: str, problems: Problems) -> Action | None:
    """allow, review, remove or escalate."""
    value = nodes.text(node, what, 40, problems)
    if value is None:
        return None
    known = [action.value for action in Action]
    if value in known:
        return Action(value)
    hint = did_you_mean(value, known)
    problems.add(nodes.line_of(node), f"{what} is '{value}', it must be one of {', '.join(known)}{hint}")
    return None


def _category(node: yaml.Node, position: int, problems: Problems) -> Entry:
    what = f"category {position}"
    found = nodes.mapping(node, what, _CATEGORY_KEYS, problems)
    entry, stated = _entry(node, found, "category", what, problems)
    line = entry.lines.get("code", entry.line)
    if stated is not None or "code" not in found:
        entry.code = category_code(stated, entry.name, position, line, problems)
    if "subcategories" in found:
        what = f"subcategories of {entry.name or what}"
        children = nodes.sequence(found["subcategories"], what, problems)
        entry.children = [_subcategory(child, entry, number, problems) for number, child in enumerate(children, 1)]
    return entry


def _subcategory(node: yaml.Node, parent: Entry, position: int, problems: Problems) -> Entry:
    what = f"subcategory {position} of {parent.name or 'a category'}"
    found = nodes.mapping(node, what, _SUBCATEGORY_KEYS, problems)
    entry, stated = _entry(node, found, "name", what, problems)
    line = entry.lines.get("code", entry.line)
    if stated is not None or "code" not in found:
        entry.code = subcategory_code(stated, entry.name, parent.code, position, line, problems)
    return entry


def _entry(
    node: yaml.Node, found: dict[str, yaml.Node], name_field: str, what: str, problems: Problems
) -> tuple[Entry, str | None]:
    """The entry without its code, and the code that it states."""
    entry = Entry(line=nodes.line_of(node), lines={key: nodes.line_of(value) for key, value in found.items()})
    if isinstance(node, yaml.MappingNode):
        for key in (name_field, "description", "synonymous-phrase"):
            if key not in found:
                problems.add(entry.line, f"{what} has no {key}")
    if name_field in found:
        entry.name = nodes.text(found[name_field], f"{name_field} of {what}", MAX_NAME_CHARACTERS, problems)
    what = entry.name or what
    if "description" in found:
        described = f"description of {what}"
        entry.description = nodes.text(found["description"], described, MAX_DESCRIPTION_CHARACTERS, problems)
    if "synonymous-phrase" in found:
        entry.synonyms = _synonyms(found["synonymous-phrase"], what, problems)
    if "threshold" in found:
        entry.threshold = read_threshold(found["threshold"], f"threshold of {what}", problems)
    if "action" in found:
        entry.action = read_action(found["action"], f"action of {what}", problems)
    if "enabled" in found:
        entry.enabled = nodes.truth(found["enabled"], f"enabled of {what}", problems)
    stated = nodes.text(found["code"], f"code of {what}", 40, problems) if "code" in found else None
    return entry, stated


def _synonyms(node: yaml.Node, what: str, problems: Problems) -> tuple[str, ...]:
    phrases: dict[str, str] = {}
    for item in nodes.sequence(node, f"synonymous-phrase of {what}", problems):
        phrase = nodes.text(item, f"a synonymous-phrase of {what}", MAX_NAME_CHARACTERS, problems)
        if phrase is None:
            continue
        if name_key(phrase) in phrases:
            problems.add(nodes.line_of(item), f"synonymous-phrase '{phrase}' of {what} is there twice")
        phrases.setdefault(name_key(phrase), phrase)
    return tuple(phrases.values())


def _refuse_repeats(entries: list[Entry], level: str, problems: Problems) -> None:
    codes: dict[str, int] = {}
    names: dict[str, int] = {}
    for entry in entries:
        if entry.code is not None and entry.code in codes:
            line = entry.lines.get("code", entry.line)
            problems.add(line, f"duplicate code {entry.code}: line {codes[entry.code]} has it already")
        elif entry.name is not None and name_key(entry.name) in names:
            problems.add(
                entry.line, f"duplicate {level} '{entry.name}': line {names[name_key(entry.name)]} has it already"
            )
        if entry.code is not None:
            codes.setdefault(entry.code, entry.line)
        if entry.name is not None:
            names.setdefault(name_key(entry.name), entry.line)
