"""From a YAML file to a Policy: our own format and the authors' taxonomy file alike. docs/policy.md describes both."""

import hashlib
import json
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import yaml

from proguard_core.policy import nodes
from proguard_core.policy.entries import Entry, read_action, read_categories, read_threshold
from proguard_core.policy.policy import MINORS, Policy, PolicyCategory
from proguard_core.policy.problems import PolicyError, Problem, Problems
from schemas.common import Action
from schemas.verdict import MAX_NAME_CHARACTERS

__all__ = ["MAX_FILE_BYTES", "PolicyError", "Problem", "load_policy", "parse_policy"]

DEFAULT_THRESHOLD = 0.5
MINORS_MAX_THRESHOLD = 0.5
MAX_FILE_BYTES = 1024 * 1024
VERSION_CHARACTERS = 12

_KEYS = ("name", "defaults", "undetermined", "novel", "hallucinated", "categories")


@dataclass(slots=True)
class _Draft:
    """What the head of a file says, with our defaults where it is silent."""

    name: str
    threshold: float = DEFAULT_THRESHOLD
    action: Action = Action.REVIEW
    special: dict[str, Action] = field(
        default_factory=lambda: dict.fromkeys(("undetermined", "novel", "hallucinated"), Action.REVIEW)
    )


def load_policy(path: Path | None = None) -> Policy:
    """The policy of a file, or the shipped one for None.

    Raises PolicyError with every problem of the file, each with its line.
    """
    if path is None:
        shipped = resources.files("proguard_core.policy").joinpath("default.yaml")
        return parse_policy(shipped.read_bytes(), "default.yaml", "the shipped policy")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise PolicyError([Problem(None, "there is no such file")], str(path)) from None
    except OSError as error:
        raise PolicyError([Problem(None, f"cannot be read: {error.strerror}")], str(path)) from error
    return parse_policy(content, path.name, str(path))


def parse_policy(content: bytes, file_name: str, source: str) -> Policy:
    """The policy of a file's bytes; source is how messages name the file, file_name names a policy without a name.

    Raises PolicyError.
    """
    problems = Problems()
    root = nodes.compose(_decoded(content, source), source, problems)
    if root is None:
        raise PolicyError([Problem(None, "the policy is empty")], source)
    draft = _Draft(name=file_name.rpartition(".")[0] or file_name)
    categories: yaml.Node | None = root
    if not isinstance(root, yaml.SequenceNode):
        categories = _read_head(root, draft, problems)
    entries = read_categories(categories, problems) if categories is not None else []
    _refuse_enabled_under_disabled(entries, problems)
    if entries:
        _keep_the_law_on_minors(entries, problems)
    problems.raise_if_any(source)
    return _resolve(draft, entries, source)


def _decoded(content: bytes, source: str) -> str:
    if len(content) > MAX_FILE_BYTES:
        raise PolicyError([Problem(None, f"is larger than {MAX_FILE_BYTES} bytes")], source)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PolicyError([Problem(line, "is not UTF-8 text from here on")], source) from None


def _read_head(root: yaml.Node, draft: _Draft, problems: Problems) -> yaml.Node | None:
    """Fill the draft from the mapping; the node of its categories."""
    found = nodes.mapping(root, "the policy", _KEYS, problems)
    if isinstance(root, yaml.MappingNode):
        for key in ("name", "categories"):
            if key not in found:
                problems.add(nodes.line_of(root), f"the policy has no {key}")
    if "name" in found:
        draft.name = nodes.text(found["name"], "name of the policy", MAX_NAME_CHARACTERS, problems) or draft.name
    if "defaults" in found:
        defaults = nodes.mapping(found["defaults"], "defaults", ("threshold", "action"), problems)
        if "threshold" in defaults:
            threshold = read_threshold(defaults["threshold"], "threshold of defaults", problems)
            draft.threshold = draft.threshold if threshold is None else threshold
        if "action" in defaults:
            draft.action = read_action(defaults["action"], "action of defaults", problems) or draft.action
    for key in draft.special:
        if key in found:
            section = nodes.mapping(found[key], key, ("action",), problems)
            if "action" in section:
                action = read_action(section["action"], f"action of {key}", problems)
                draft.special[key] = action or draft.special[key]
    return found.get("categories")


def _refuse_enabled_under_disabled(entries: list[Entry], problems: Problems) -> None:
    for entry in entries:
        for child in entry.children:
            if entry.enabled is False and child.enabled is True:
                message = f"{child.name} cannot be enabled while its category {entry.name} is disabled"
                problems.add(child.lines["enabled"], message)


def _keep_the_law_on_minors(entries: list[Entry], problems: Problems) -> None:
    """Sexual content with minors is always looked for and always escalated: an obligation in law, not a preference."""
    pairs = [(entry, child) for entry in entries for child in entry.children if child.code == MINORS]
    # An entry without a code is broken and may be the one: its own problem says what to mend.
    if not pairs and all(item.code for entry in entries for item in (entry, *entry.children)):
        message = f"{MINORS} (minors) is missing: every policy must list it; copy C11 from the shipped policy"
        problems.add(None, message)
    for parent, minors in pairs:
        for entry in (parent, minors):
            if entry.enabled is False:
                message = f"{entry.code} cannot be disabled: {MINORS} (minors) is always looked for"
                problems.add(entry.lines["enabled"], message)
        if minors.action not in {None, Action.ESCALATE}:
            message = (
                f"action of {MINORS} (minors) must be escalate, for the platform's legal process, not {minors.action}"
            )
            problems.add(minors.lines["action"], message)
        if minors.threshold is not None and minors.threshold > MINORS_MAX_THRESHOLD:
            message = f"threshold of {MINORS} (minors) may be lowered, never raised above {MINORS_MAX_THRESHOLD:g}"
            problems.add(minors.lines["threshold"], message)


def _resolve(draft: _Draft, entries: list[Entry], source: str) -> Policy:
    """Inheritance applied, disabled entries left out. Called only where no problem was found."""
    categories: dict[str, PolicyCategory] = {}
    subcategories: dict[str, PolicyCategory] = {}
    for entry in entries:
        if entry.enabled is False:
            continue
        main = _category(entry, draft.threshold, draft.action)
        categories[main.code] = main
        for child in entry.children:
            if child.enabled is not False:
                listed = _category(child, main.threshold, main.action)
                subcategories[listed.code] = listed
    return Policy(
        name=draft.name,
        version=_version(draft, categories, subcategories),
        categories=categories,
        subcategories=subcategories,
        threshold=draft.threshold,
        novel_action=draft.special["novel"],
        undetermined_action=draft.special["undetermined"],
        hallucinated_action=draft.special["hallucinated"],
        source=source,
    )


def _category(entry: Entry, threshold: float, action: Action) -> PolicyCategory:
    if entry.code is None or entry.name is None or entry.description is None:
        raise AssertionError("an entry without code, name or description must have been a problem")
    if entry.code == MINORS:
        # What it inherits must not weaken it.
        threshold, action = min(threshold, MINORS_MAX_THRESHOLD), Action.ESCALATE
    return PolicyCategory(
        code=entry.code,
        name=entry.name,
        description=entry.description,
        synonyms=entry.synonyms,
        threshold=threshold if entry.threshold is None else entry.threshold,
        action=entry.action or action,
    )


def _version(draft: _Draft, categories: dict[str, PolicyCategory], subcategories: dict[str, PolicyCategory]) -> str:
    """Hash of what the policy means: comments, layout, order of keys and spelled-out defaults do not change it.

    The order of the categories does, since a guard reads them in that order.
    """
    meaning = {
        "format": 1,
        "name": draft.name,
        "threshold": draft.threshold,
        "special": {key: action.value for key, action in draft.special.items()},
        "categories": [
            [listed.code, listed.name, listed.description, listed.synonyms, listed.threshold, listed.action.value]
            for listed in (*categories.values(), *subcategories.values())
        ],
    }
    canonical = json.dumps(meaning, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:VERSION_CHARACTERS]
