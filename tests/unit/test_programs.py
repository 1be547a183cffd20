"""Programs beside `proguard` say how they are called, also where their packages and ours for tests are absent."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
# What the `train` and engine extras and the dev group bring.
ABSENT = (
    "torch", "torchvision", "transformers", "vllm", "trl", "peft", "accelerate", "datasets", "safetensors", "onnx",
    "pyarrow", "ray", "verl", "pytest", "playwright", "openai", "psutil",
)  # fmt: skip
_WITHOUT = f"""
import importlib.abc, runpy, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def programs() -> list[str]:
    """Modules that people run by `python -m`: not the parts of the embedded default, which are its children."""
    found = []
    for folder in ("proguard_core", "worker", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            if 'if __name__ == "__main__":' in path.read_text(encoding="utf-8") and not {"peers", "local"} & set(
                path.parts
            ):
                module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                found.append(module.removesuffix(".__main__"))
    return sorted(found)


def ran(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m MODULE ARGUMENTS` where the packages are absent."""
    command = [sys.executable, "-c", _WITHOUT, module, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)


def test_each_has_a_help() -> None:
    names = programs()
    assert {"benchmarks.embedded", "proguard_core.training.embedded", "worker.cli"} <= set(names)
    with ThreadPoolExecutor(4) as pool:
        done = dict(zip(names, pool.map(lambda name: ran(name, "--help"), names), strict=True))
    wrong = {name: each.stderr[-300:] for name, each in done.items() if each.returncode or "sage" not in each.stdout}
    assert wrong == {}


def test_teaching_without_torch_names_what_is_missing(tmp_path: Path) -> None:
    places = ["--data", str(tmp_path), "--base", str(tmp_path), "--work", str(tmp_path / "work")]
    for module, arguments in (
        ("proguard_core.training.embedded", places),
        ("proguard_core.training.embedded.folds", ["run", *places, "--fold", "one", "--name", "x"]),
        ("proguard_core.training.sentence_encoder", ["--base", str(tmp_path), "--out", str(tmp_path / "out")]),
    ):
        done = ran(module, *arguments)
        assert done.returncode == 78, done.stderr
        assert "this needs torch and transformers and onnx" in done.stderr
        assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
