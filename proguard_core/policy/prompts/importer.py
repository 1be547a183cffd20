"""Prompts and category text of the authors' repository, from a user's own checkout, made into a folder of templates.

We do not have that repository, so nothing about its layout is taken for granted: prompts are known by the answer they
ask for, wherever they stand. What cannot be told is an error that names the places, never a guess. What was done is
said in notes, for the user to compare with the checkout.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from proguard_core.policy.loader import load_policy
from proguard_core.policy.policy import Policy
from proguard_core.policy.prompts import discovery
from proguard_core.policy.prompts.contract import PromptKind
from proguard_core.policy.prompts.discovery import Found, FoundPolicy
from proguard_core.policy.prompts.released import MANIFEST, POLICY_FILE, digest
from proguard_core.policy.prompts.renderer import PromptError, Prompts, file_name

# Without a response the agent's turn stays empty: that much of the turn's form is known from the paper.
_DEFAULT_TURNS = {
    PromptKind.TEXT: "User: {{ text }}\nAgent: {{ response }}",
    PromptKind.TEXT_IMAGE: "User: {{ text }}\nAgent: {{ response }}",
    PromptKind.IMAGE: "",
}
_CATEGORY_LISTS = {
    True: "{% for category in categories %}{{ category.code }}: {{ category.name }}. {{ category.description }}\n"
    "{% for item in category.subcategories %}{{ item.code }}: {{ item.name }}. {{ item.description }}\n"
    "{% endfor %}{% endfor +%}",
    False: "{% for category in categories %}{{ category.code }}: {{ category.name }}. {{ category.description }}\n"
    "{% endfor +%}",
}
_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{(?P<name>[A-Za-z_][\w.\[\]'\"]{0,60})\}")
_MEANINGS = (
    ("categories", re.compile(r"categor|taxonom|polic|risk|definition|guideline", re.IGNORECASE)),
    ("response", re.compile(r"response|agent|assistant|reply|output|completion", re.IGNORECASE)),
    ("text", re.compile(r"user|request|prompt|question|query|instruction|text|input|message", re.IGNORECASE)),
)
_JINJA = re.compile(r"\{\{|\{%|\{#")


@dataclass(slots=True)
class Imported:
    """What an import wrote. sources: where each prompt was found; policy: where the category text was, if anywhere."""

    folder: Path
    sources: dict[PromptKind, str]
    policy: str | None = None
    notes: list[str] = field(default_factory=list)


def import_prompts(checkout: Path, folder: Path, choices: Mapping[PromptKind, str] | None = None) -> Imported:
    """Write six templates, policy.yaml and a manifest into folder, which must be new or empty.

    choices: the place (`file` or `file:name`) of a kind's prompt, where several were found. Raises PromptError.
    """
    if not checkout.is_dir():
        raise PromptError(f"{checkout}: there is no such folder")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise PromptError(f"{folder}: is there already and not empty; give a new folder")
    paths = discovery.files(checkout)
    all_texts = list(discovery.texts(checkout, paths))
    chosen = _choose(checkout, [text for text in all_texts if discovery.is_prompt(text.text)], choices or {})
    found_policies = discovery.policies(paths)
    result = Imported(folder, {kind: found.place for kind, found in chosen.items()})
    templates: dict[str, str] = {}
    for kind, found in chosen.items():
        system, user = _templates(kind, found, all_texts, result.notes)
        templates[file_name(kind, "system")], templates[file_name(kind, "user")] = system, user
    _write(folder, templates, found_policies, checkout, result)
    return result


def _choose(checkout: Path, prompts: list[Found], choices: Mapping[PromptKind, str]) -> dict[PromptKind, Found]:
    if not prompts:
        raise PromptError(
            f"{checkout}: no text asks for <think>, <answer>, Request and Category; is it the repository?"
        )
    chosen: dict[PromptKind, Found] = {}
    for kind in PromptKind:
        place = choices.get(kind)
        if place is not None:
            fitting = [found for found in prompts if found.place == place]
        else:
            fitting = [found for found in prompts if discovery.kind_of(found.text) is kind]
            # The same text in a README and in the code is one.
            fitting = list({found.text.strip(): found for found in reversed(fitting)}.values())
        if len(fitting) != 1:
            raise PromptError(_not_one(checkout, kind, place, fitting, prompts))
        chosen[kind] = fitting[0]
    return chosen


def _not_one(checkout: Path, kind: PromptKind, place: str | None, fitting: list[Found], prompts: list[Found]) -> str:
    places = ", ".join(sorted(found.place for found in fitting or prompts))
    if place is not None:
        return f"{checkout}: {place} is not the place of one prompt; there are {places}"
    problem = "several texts look like" if fitting else "no text looks like"
    return f"{checkout}: {problem} the {kind} prompt; say which with --{kind} PLACE: {places}"


def _templates(kind: PromptKind, found: Found, all_texts: list[Found], notes: list[str]) -> tuple[str, str]:
    """System and user template. A prompt with a place for the post is the user's turn; one without is the system's."""
    used: set[str] = set()
    template = _template(kind, found, used)
    if "categories" in used:
        notes.append(
            f"{kind}: the layout of the category list is ours; compare it with what the checkout's code builds"
        )
    if found.jinja or used & {"text", "response"}:
        notes.append(f"{kind}: {found.place} has places for the post, so all of it became the user's turn")
        return "", template
    turn = _turn(kind, all_texts)
    if turn is None:
        notes.append(f"{kind}: no text of the user's turn was found; `{file_name(kind, 'user')}` is ours, compare it")
        return template, _DEFAULT_TURNS[kind]
    notes.append(f"{kind}: the user's turn is {turn.place}")
    return template, _template(kind, turn, set())


def _turn(kind: PromptKind, all_texts: list[Found]) -> Found | None:
    """A short text with one place for the user's words and one for the agent's, if there is exactly one."""
    if kind is PromptKind.IMAGE:
        return None
    fitting: dict[str, Found] = {}
    for found in all_texts:
        if len(found.text) > 400 or discovery.is_prompt(found.text) or not found.formatted or found.jinja:
            continue
        names = [match["name"] for match in _PLACEHOLDER.finditer(found.text) if match["name"]]
        if len(names) == 2 and {_meaning(name) for name in names} == {"text", "response"}:
            fitting.setdefault(found.text.strip(), found)
    return next(iter(fitting.values())) if len(fitting) == 1 else None


def _meaning(name: str) -> str | None:
    return next((meaning for meaning, pattern in _MEANINGS if pattern.search(name)), None)


def _template(kind: PromptKind, found: Found, used: set[str]) -> str:
    """The text as a Jinja template; used collects the meanings of its placeholders."""
    if found.jinja:
        return found.text
    if not found.formatted or not any(match["name"] for match in _PLACEHOLDER.finditer(found.text)):
        return _literal(found.text)
    pieces, end = [], 0
    for match in _PLACEHOLDER.finditer(found.text):
        pieces.append(_literal(found.text[end : match.start()]))
        end = match.end()
        if match["name"] is None:
            pieces.append(match.group()[0])
            continue
        meaning = _meaning(match["name"])
        if meaning is None:
            raise PromptError(
                f"{found.place}: what is put for {match.group()} is not known; write the template by hand"
            )
        used.add(meaning)
        pieces.append(
            _CATEGORY_LISTS[kind is not PromptKind.TEXT_IMAGE] if meaning == "categories" else f"{{{{ {meaning} }}}}"
        )
    return "".join([*pieces, _literal(found.text[end:])])


def _literal(text: str) -> str:
    """The text so that Jinja gives it back as it is. (A raw block would swallow a newline behind it.)"""
    return _JINJA.sub(lambda match: f'{{{{ "{match.group()}" }}}}', text)


def _write(folder: Path, templates: dict[str, str], found: list[FoundPolicy], checkout: Path, result: Imported) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # Jinja takes one newline from the end of a file.
    contents = {name: f"{text}\n".encode() for name, text in templates.items()}
    if found:
        contents[POLICY_FILE] = found[0].content
        result.policy = found[0].path.relative_to(checkout).as_posix()
    else:
        result.notes.append("no file of category text was found: write the policy by hand")
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    # Loaded from its new place, since a file that states no name is named after itself.
    policy = load_policy(folder / POLICY_FILE) if found else None
    if policy is not None:
        _try(folder, policy, result)
    manifest = {
        "format": 1,
        "files": {name: digest(content) for name, content in contents.items()},
        "sources": {kind.value: place for kind, place in result.sources.items()},
        "policy_version": policy.version if policy is not None else None,
        "notes": result.notes,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")


def _try(folder: Path, policy: Policy, result: Imported) -> None:
    """Load what was written: a folder that would stop the worker is told now."""
    try:
        Prompts(policy, folder)
    except PromptError as error:
        result.notes.append(f"not usable yet: {error}")
