"""Finding prompts and category text in somebody's checkout. Files are read, never run."""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from proguard_core.policy.loader import PolicyError, parse_policy
from proguard_core.policy.policy import Policy
from proguard_core.policy.prompts.contract import PromptKind

MAX_FILE_BYTES = 1024 * 1024
MAX_FILES = 5000
MIN_CHARACTERS = 200

_TEXT_SUFFIXES = frozenset({".txt", ".prompt", ".j2", ".jinja", ".jinja2", ".md"})
_DATA_SUFFIXES = frozenset({".yaml", ".yml", ".json"})
_JINJA_SUFFIXES = frozenset({".j2", ".jinja", ".jinja2"})
_SKIPPED = frozenset({".git", ".venv", "node_modules", "__pycache__", "verl", "checkpoints"})
_RESPONSE_LINE = re.compile(r"^[ \t\"'*-]{0,8}response[\"'*]{0,3}[ \t]{0,4}:", re.IGNORECASE | re.MULTILINE)
_SUBCATEGORY = re.compile(r"C(?:\*|[0-9]{1,2}|x|X|N)S(?:\*|[0-9]{1,2}|y|Y|M)")


@dataclass(frozen=True, slots=True)
class Found:
    """One text that looks like a prompt. place: `file` or `file:name`; formatted: braces are placeholders."""

    place: str
    text: str
    formatted: bool
    jinja: bool = False


@dataclass(frozen=True, slots=True)
class FoundPolicy:
    """A file of category text that loads as a policy."""

    path: Path
    content: bytes
    policy: Policy


def files(root: Path) -> list[Path]:
    """Files worth reading, the nearest to the root first, in a stable order. Links are not followed."""
    wanted = _TEXT_SUFFIXES | _DATA_SUFFIXES | {".py"}
    found: list[Path] = []
    pending = [root]
    while pending and len(found) < MAX_FILES:
        for item in sorted(pending.pop(0).iterdir()):
            if item.is_symlink() or item.name in _SKIPPED:
                continue
            if item.is_dir():
                pending.append(item)
            elif item.suffix.casefold() in wanted and item.stat().st_size <= MAX_FILE_BYTES:
                found.append(item)
    return found


def texts(root: Path, paths: list[Path]) -> Iterator[Found]:
    """Every text of the files: whole text files, strings of Python source, strings in YAML and JSON."""
    for path in paths:
        place = path.relative_to(root).as_posix()
        suffix = path.suffix.casefold()
        try:
            content = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError):
            continue
        if suffix == ".py":
            yield from _python(place, content)
        elif suffix in _DATA_SUFFIXES:
            yield from _data(place, content)
        else:
            yield Found(place, content, formatted=suffix != ".md", jinja=suffix in _JINJA_SUFFIXES)


def is_prompt(text: str) -> bool:
    """Whether a text asks for an answer in the paper's form."""
    folded = text.casefold()
    asks = "<answer>" in folded and ("<think>" in folded or "<thinking>" in folded)
    return len(text) >= MIN_CHARACTERS and asks and "category" in folded and "request" in folded


def kind_of(text: str) -> PromptKind:
    """Which of the three prompts it is: pictures have no Response line, text-image asks for C* and never for C*S*."""
    if not _RESPONSE_LINE.search(text):
        return PromptKind.IMAGE
    return PromptKind.TEXT if _SUBCATEGORY.search(text) else PromptKind.TEXT_IMAGE


def policies(paths: list[Path]) -> list[FoundPolicy]:
    """Files that load as a policy, the one with most categories first."""
    found = []
    for path in paths:
        if path.suffix.casefold() not in _DATA_SUFFIXES:
            continue
        try:
            content = path.read_bytes()
            policy = parse_policy(content, path.name, str(path))
        except (OSError, PolicyError):
            continue
        found.append(FoundPolicy(path, content, policy))
    return sorted(found, key=lambda item: -len(item.policy.codes))


def _python(place: str, source: str) -> Iterator[Found]:
    """String constants by the name they are assigned to. f-strings keep their expressions as placeholders."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return
    named: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            text = _string(node.value)
            if text is not None:
                named.update(id(child) for child in ast.walk(node.value))
                yield Found(f"{place}:{ast.unparse(targets[0])}", text, formatted=True)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp) and id(node) not in named:
            text = _string(node)
            if text is not None:
                named.update(id(child) for child in ast.walk(node))
                yield Found(f"{place}:{node.lineno}", text, formatted=True)


def _string(node: ast.AST) -> str | None:
    """The text of a string, an f-string or a sum of both; None for anything else."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        # Its literal braces are single by now; doubled they are literal for the next step as well.
        pieces = [
            f"{{{ast.unparse(part.value)}}}"
            if isinstance(part, ast.FormattedValue)
            else str(getattr(part, "value", "")).replace("{", "{{").replace("}", "}}")
            for part in node.values
        ]
        return "".join(pieces)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _string(node.left), _string(node.right)
        return None if left is None or right is None else left + right
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args:
        # "...".strip() and textwrap-like calls on a literal.
        text = _string(node.func.value)
        return text.strip() if text is not None and node.func.attr == "strip" else None
    return None


def _data(place: str, content: str) -> Iterator[Found]:
    try:
        document = json.loads(content) if place.endswith(".json") else yaml.safe_load(content)
    except (ValueError, yaml.YAMLError, RecursionError):
        return
    pending: list[tuple[str, object]] = [(place, document)]
    while pending:
        where, item = pending.pop(0)
        if isinstance(item, str):
            yield Found(where, item, formatted=True)
        elif isinstance(item, dict):
            pending += [(f"{where}:{key}", value) for key, value in item.items()]
        elif isinstance(item, list):
            pending += [(f"{where}:{index}", value) for index, value in enumerate(item)]
