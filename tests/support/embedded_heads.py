"""Folders of heads for tests, in the form that the embedded guard loads."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proguard_core.guards.embedded.heads import FORMAT, KIND, MANIFEST, WEIGHTS


def write_heads(
    folder: Path, made_for: dict[str, str], weights: NDArray[np.float32], *names: str, **manifest: Any
) -> Path:
    """made_for: base_hashes of the artefact; names: of learned categories; manifest: fields that differ."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / WEIGHTS, weights, allow_pickle=False)
    said = {
        "kind": KIND,
        "format": FORMAT,
        "base": made_for,
        "learned": [{"name": name, "synonyms": []} for name in names],
        "category_threshold": 0.3,
        "heads_sha256": hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest(),
    }
    (folder / MANIFEST).write_text(json.dumps({**said, **manifest}))
    return folder
