"""The rules of the house: floors, sizes, light imports, and nothing in the project that belongs to one machine."""

import ast
import graphlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLOORS = ("schemas", "proguard_core", "worker")
MEASURED = (*FLOORS, "deploy", "scripts", "tests", "benchmarks")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 40
MAX_FILE_BYTES = 60 * 1024 * 1024
MAX_SEARCHED_BYTES = 4 * 1024 * 1024
HEAVY = {
    *("torch", "vllm", "transformers", "onnxruntime", "cv2", "confluent_kafka", "boto3", "botocore", "obstore"),
    *("tokenizers", "nudenet", "rapidocr_onnxruntime", "PIL", "numpy"),
}
# In pieces, or this file would name them.
FOREIGN = re.compile(
    r"pypi\.(?:org|python)|python" + r"hosted\.|registry\.npm" + r"js|repo1?\.maven|deb\.debian\.org"
    r"|\.\./sha" + r"red\b|(?<![\w.~-])/(?:wo" + r"rk|ro" + r"ot|tmp/br" + r"ief|opt/wh" + r"eels)(?=[/\s\"'`),;:]|$)"
)


def _python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(node: ast.AST) -> Iterator[str]:
    """Every name that an import statement could bind to a module, as MODULE or MODULE.NAME."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _top_level(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """What runs when the module is imported; blocks for the type checker do not."""
    for statement in body:
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            continue
        yield statement
        for name in ("body", "orelse", "finalbody"):
            if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
                yield from _top_level(getattr(statement, name, []))


def _function_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """From `def` to the end, the docstring not counted."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node, clean=False) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def _committed() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]


def _loaded_after(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded once it ran code."""
    ending = "\nimport json, sys; print('\\n' + json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code + ending], cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_no_file_is_too_long() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in _python_files(*MEASURED)}
    assert lengths, "no file was found"
    assert not {str(path.relative_to(ROOT)): lines for path, lines in lengths.items() if lines > MAX_FILE_LINES}


def test_no_function_is_too_long() -> None:
    too_long = {
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}": _function_lines(node)
        for path in _python_files(*MEASURED)
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _function_lines(node) > MAX_FUNCTION_LINES
    }
    assert not too_long


@pytest.mark.parametrize(
    ("floor", "forbidden"),
    [
        ("schemas", {"proguard_core", "worker", "tests", "benchmarks"}),
        ("proguard_core", {"worker", "confluent_kafka", "tests", "benchmarks"}),
        ("worker", {"tests", "benchmarks"}),
    ],
)
def test_arrows_point_downwards_only(floor: str, forbidden: set[str]) -> None:
    upward = [
        f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)} imports {name}"
        for path in _python_files(floor)
        for node in ast.walk(_tree(path))
        for name in _imported(node)
        if name.split(".")[0] in forbidden
    ]
    assert not upward


def test_schemas_stand_on_pydantic_alone() -> None:
    allowed = {*sys.stdlib_module_names, "pydantic", "pydantic_core", "schemas"}
    others = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in _python_files("schemas")
        for node in ast.walk(_tree(path))
        for name in _imported(node)
        if name.split(".")[0] not in allowed
    ]
    assert not others


def test_no_relative_imports() -> None:
    relative = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in _python_files(*MEASURED)
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert not relative


def test_no_module_imports_itself_in_a_circle() -> None:
    modules = {_module_name(path): path for path in _python_files(*FLOORS)}
    graph: dict[str, set[str]] = {}
    for module, path in modules.items():
        names = {name for node in _top_level(_tree(path).body) for name in _imported(node)}
        found = {name if name in modules else name.rpartition(".")[0] for name in names}
        graph[module] = {name for name in found if name in modules and name != module}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_every_schema_module_is_light() -> None:
    modules = [_module_name(path) for path in _python_files("schemas") if path.stem not in ("__main__", "generate")]
    assert not _loaded_after("\n".join(f"import {module}" for module in modules)) & HEAVY


def test_the_command_line_is_light() -> None:
    assert not _loaded_after("import worker.cli") & HEAVY


@pytest.mark.parametrize(
    "arguments", [[], ["moderate"], ["judge"], ["demo"], ["replay"], ["evaluate"], ["config", "check"]], ids=" ".join
)
def test_help_is_light(arguments: list[str]) -> None:
    code = f"""
import sys
from worker.cli import main
sys.argv = {["proguard", *arguments, "--help"]!r}
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
"""
    assert not _loaded_after(code) & HEAVY


def test_nothing_names_a_registry_or_a_machine() -> None:
    named = []
    for path in _committed():
        if path.stat().st_size > MAX_SEARCHED_BYTES or b"\0" in (content := path.read_bytes()):
            continue
        for number, line in enumerate(content.decode("utf-8", errors="replace").splitlines(), 1):
            if found := FOREIGN.search(line):
                named.append(f"{path.relative_to(ROOT)}:{number} {found.group()}")
    assert not named


@pytest.mark.parametrize("line", ["https://pypi.o" + "rg/simple", "cd /wo" + "rk/main", "--data ../sha" + "red/data"])
def test_the_search_for_foreign_names_finds_them(line: str) -> None:
    assert FOREIGN.search(line)


def test_no_committed_file_is_huge() -> None:
    sizes = {str(path.relative_to(ROOT)): path.stat().st_size for path in _committed()}
    assert not {name: size for name, size in sizes.items() if size > MAX_FILE_BYTES}


@pytest.mark.parametrize("lock", ["base", "console", "dev", "engines", "gpu"])
def test_locks_pin_and_hash_everything(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.lock").read_text().replace("\\\n", " ")
    entries = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert len(entries) > 30
    assert not [entry for entry in entries if not re.match(r"[a-z0-9.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", entry)]


@pytest.mark.parametrize("lock", ["base", "console", "dev", "engines", "gpu"])
def test_locks_install_one_headless_opencv(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.lock").read_text()
    opencv = [line for line in text.splitlines() if line.startswith("opencv") and "'never'" not in line]
    assert [line.split("==")[0] for line in opencv] == ["opencv-python-headless"]


@pytest.mark.parametrize("lock", ["base", "console", "dev"])
def test_the_base_has_no_torch(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.lock").read_text()
    assert not re.findall(r"^(?:torch|vllm|transformers|nvidia)\S*==", text, flags=re.MULTILINE)
