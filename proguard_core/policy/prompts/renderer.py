"""From a policy and a question to the prompt, by templates that a user can replace."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from proguard_core.guards.protocol import GuardRequest
from proguard_core.policy.policy import Policy, PolicyCategory
from proguard_core.policy.prompts.contract import PromptKind
from proguard_core.policy.prompts.neutralise import NEUTRAL_VERSION, neutral
from proguard_core.policy.taxonomy import CATEGORY_NAMES, SUBCATEGORY_NAMES

if TYPE_CHECKING:
    import jinja2

SUFFIX = ".jinja"
VERSION_CHARACTERS = 12
MAX_TEMPLATE_BYTES = 256 * 1024

_TAXONOMY = frozenset(CATEGORY_NAMES) | frozenset(SUBCATEGORY_NAMES)


class PromptError(ValueError):
    """Templates that cannot be used with this policy: missing, broken, or silent about a listed category."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question as a chat. The engine adds the picture before the user's text, where the kind has one.

    system is the same text for all questions of a kind, so that a prefix cache holds it; it may be empty, where a
    template folder puts everything into the user's turn.
    """

    kind: PromptKind
    system: str
    user: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A category as templates see it. own: not in the taxonomy, so that no released checkpoint was trained on it.

    partial: its listed subcategories are not just those that the taxonomy gives it.
    """

    code: str
    name: str
    description: str
    synonyms: tuple[str, ...]
    own: bool
    subcategories: tuple["Listed", ...] = ()
    partial: bool = False


def file_name(kind: PromptKind, turn: str) -> str:
    """Name of a template file; turn is `system` or `user`."""
    return f"{kind.value}.{turn}{SUFFIX}"


def kind_of(request: GuardRequest) -> PromptKind:
    """Which of the three prompts a question needs."""
    if request.picture is None:
        return PromptKind.TEXT
    return PromptKind.TEXT_IMAGE if request.text or request.response else PromptKind.IMAGE


class Prompts:
    """Renders questions under one policy. Templates are read and checked once; render() only reads memory.

    templates: a folder with all six files; None means ours. Raises PromptError.
    """

    def __init__(self, policy: Policy, templates: Path | None = None) -> None:
        self._source = "the shipped prompts" if templates is None else str(templates)
        sources = _read(templates)
        categories = _listed(policy)
        environment = _environment(sources)
        self._systems: dict[PromptKind, str] = {}
        self._users: dict[PromptKind, jinja2.Template] = {}
        for kind in PromptKind:
            system = self._rendered(environment, file_name(kind, "system"), categories)
            self._systems[kind] = system
            self._users[kind] = self._loaded(environment, file_name(kind, "user"))
            # Rendered once so that a broken template is found now and not at the first post.
            user = self._filled(kind, GuardRequest("", None), categories)
            _refuse_silence(f"{system}\n{user}", kind, categories, self._source)
        self._categories = categories
        self._version = _version(sources, self._systems, categories)

    @property
    def version(self) -> str:
        """Hash of the templates and of the policy's text: part of a guard's revision."""
        return self._version

    def system(self, kind: PromptKind) -> str:
        """The stable beginning of every prompt of a kind."""
        return self._systems[kind]

    def render(self, request: GuardRequest) -> Prompt:
        """The prompt of one question. The post's text is neutralised; a missing response leaves the turn empty."""
        kind = kind_of(request)
        return Prompt(kind, self._systems[kind], self._filled(kind, request, self._categories))

    def _filled(self, kind: PromptKind, request: GuardRequest, categories: Sequence[Listed]) -> str:
        response = None if request.response is None else neutral(request.response)
        try:
            return self._users[kind].render(
                text=neutral(request.text),
                response=response or "",
                has_response=response is not None,
                categories=categories,
            )
        except Exception as error:  # a template of a user's own can fail in any way
            raise PromptError(f"{self._source}: {file_name(kind, 'user')}: {error}") from error

    def _loaded(self, environment: "jinja2.Environment", name: str) -> "jinja2.Template":
        try:
            return environment.get_template(name)
        except Exception as error:
            raise PromptError(f"{self._source}: {name}: {error}") from error

    def _rendered(self, environment: "jinja2.Environment", name: str, categories: Sequence[Listed]) -> str:
        template = self._loaded(environment, name)
        try:
            return template.render(categories=categories)
        except Exception as error:
            # A system prompt that asks for the post's text lands here too: the name is not defined.
            raise PromptError(f"{self._source}: {name}: {error}") from error


def _read(folder: Path | None) -> dict[str, str]:
    """Every template of a folder by file name."""
    root = resources.files("proguard_core.policy.prompts").joinpath("templates") if folder is None else folder
    wanted = [file_name(kind, turn) for kind in PromptKind for turn in ("system", "user")]
    try:
        content = {item.name: item.read_bytes() for item in root.iterdir() if item.name.endswith(SUFFIX)}
    except OSError as error:
        raise PromptError(f"{folder}: cannot be read: {error.strerror}") from error
    if missing := [name for name in wanted if name not in content]:
        raise PromptError(f"{folder}: {', '.join(missing)} missing; a folder of prompts has all of {', '.join(wanted)}")
    for name, data in content.items():
        if len(data) > MAX_TEMPLATE_BYTES:
            raise PromptError(f"{folder}: {name} is larger than {MAX_TEMPLATE_BYTES} bytes")
    try:
        return {name: data.decode("utf-8-sig") for name, data in sorted(content.items())}
    except UnicodeDecodeError as error:
        raise PromptError(f"{folder}: a template is not UTF-8 text: {error}") from error


def _environment(sources: dict[str, str]) -> "jinja2.Environment":
    """Sandboxed: a folder of prompts may come from elsewhere, and a template is a program."""
    import jinja2
    import jinja2.sandbox

    return jinja2.sandbox.ImmutableSandboxedEnvironment(
        loader=jinja2.DictLoader(sources),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )


def _listed(policy: Policy) -> tuple[Listed, ...]:
    children: dict[str, list[Listed]] = {code: [] for code in policy.categories}
    for item in policy.subcategories.values():
        children[item.main].append(_one(item))
    return tuple(_one(item, tuple(children[item.code])) for item in policy.categories.values())


def _one(item: PolicyCategory, subcategories: tuple[Listed, ...] = ()) -> Listed:
    # Names of reviewed categories began as words of a guard about posts.
    name, description = neutral(item.name), neutral(item.description)
    synonyms = tuple(neutral(phrase) for phrase in item.synonyms)
    usual = {code for code in SUBCATEGORY_NAMES if code.startswith(f"{item.code}S")}
    partial = bool(subcategories) and {child.code for child in subcategories} != usual
    return Listed(item.code, name, description, synonyms, item.code not in _TAXONOMY, subcategories, partial)


def _refuse_silence(prompt: str, kind: PromptKind, categories: Sequence[Listed], source: str) -> None:
    """A listed category that the prompt does not name would never be looked for, and nobody would notice."""
    wanted = [category.code for category in categories]
    if kind is not PromptKind.TEXT_IMAGE:
        nested = (category.subcategories or (category,) for category in categories)
        wanted = [item.code for items in nested for item in items]
    # C1 is a part of C11 and of C1S1.
    silent = [code for code in wanted if not _names(prompt, code)]
    if silent:
        shown = ", ".join(silent[:5]) + (", ..." if len(silent) > 5 else "")
        raise PromptError(f"{source}: the {kind} prompt does not name {shown}, which the policy lists")


def _names(prompt: str, code: str) -> bool:
    at = prompt.find(code)
    while at >= 0:
        before, after = prompt[at - 1 : at], prompt[at + len(code) : at + len(code) + 1]
        if not before.isalnum() and not after.isalnum():
            return True
        at = prompt.find(code, at + 1)
    return False


def _version(sources: dict[str, str], systems: dict[PromptKind, str], categories: Sequence[Listed]) -> str:
    meaning = {
        "neutral": NEUTRAL_VERSION,
        "templates": sources,
        "systems": {kind.value: text for kind, text in systems.items()},
        # A template folder may put the policy into the user's turn.
        "categories": [repr(category) for category in categories],
    }
    canonical = json.dumps(meaning, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()[:VERSION_CHARACTERS]
