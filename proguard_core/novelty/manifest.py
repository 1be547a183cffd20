"""What is known of the sentence encoder in a folder: its files and the thresholds that were fitted to them."""

import hashlib
import importlib.util
import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "model"
_PACKAGES = ("onnxruntime", "tokenizers")


def read_manifest(folder: Path = FOLDER) -> dict[str, Any]:
    """The manifest, where the files are those that it speaks of.

    ValueError where the encoder's packages or files are missing, or where a file was changed after the fit.
    """
    if missing := [package for package in _PACKAGES if importlib.util.find_spec(package) is None]:
        raise ValueError(f"the sentence encoder needs {' and '.join(missing)}")
    try:
        manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        wanted = manifest["files"]
        found = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in wanted}
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"the sentence encoder in {folder.name} cannot be read: {error}") from error
    if found != wanted:
        raise ValueError(f"the sentence encoder in {folder.name} is not the one that its thresholds were fitted to")
    return manifest
