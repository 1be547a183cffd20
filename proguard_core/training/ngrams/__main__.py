"""Learn the first stage: `python -m proguard_core.training.ngrams --data DATA [--folds FOLDS/generated.*.npz]`.

A logistic regression over hashed runs of word pieces, on the embedded guard's teaching mixture. Its bound is fitted on
sources that were left out, fold by fold: the highest score at which it still passes on WANTED of the unsafe rows that
the encoder (the kept logits of the same folds) calls unsafe.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proguard_core.guards.embedded.reader import read_tokenizer
from proguard_core.guards.embedded.text_model import FOLDER as TOKENIZER_FOLDER
from proguard_core.guards.embedded.windows import normalise
from proguard_core.guards.ngrams.features import SLOTS, Words, is_plain, slots, weight
from proguard_core.guards.ngrams.guard import FOLDER, MANIFEST, WEIGHTS
from proguard_core.training.embedded.folds import folds, kept_out
from proguard_core.training.embedded.mixture import teaching_mixture
from proguard_core.training.embedded.rows import TRAIN_FILES, Example, dev_examples, digest

WANTED = 0.99
LOOSENESS = 8.0  # C of the regression; 1 and 30 gave no better AUC on left-out sources
SEED = 7
FLAGGED = 0.0  # the encoder's logit from which it calls a row unsafe
RECALLS = (0.999, 0.99, 0.98, 0.95)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measured:
    """Rows of sources that were not taught: scores (NaN: never passes), labels, and what the encoder calls unsafe."""

    score: Floats
    unsafe: NDArray[np.bool_]
    flagged: NDArray[np.bool_]

    def bound(self, recall: float) -> float:
        """The largest score below which at most 1 - recall of the unsafe and flagged rows lie. 1 without such rows."""
        scores = np.sort(np.nan_to_num(self.score[self.unsafe & self.flagged], nan=1.0))
        return float(scores[int((1 - recall) * len(scores))]) if len(scores) else 1.0

    def passed(self, bound: float) -> dict[str, float]:
        """Shares that pass below a bound: of safe rows, of unsafe ones, of unsafe ones that the encoder would find."""
        below = self.score < bound
        groups = {"safe": ~self.unsafe, "unsafe": self.unsafe, "unsafe and found": self.unsafe & self.flagged}
        return {name: round(float(below[rows].mean()), 4) for name, rows in groups.items() if rows.any()}


class Reader:
    """Texts to rows of a sparse matrix."""

    def __init__(self) -> None:
        self._tokenizer = read_tokenizer(TOKENIZER_FOLDER)
        self._words = Words(self._tokenizer.get_vocab())

    def matrix(self, texts: Sequence[str]) -> tuple[Any, NDArray[np.bool_]]:
        """texts x SLOTS (scipy CSR), and which texts the first stage would score at all."""
        from scipy import sparse

        normal = [normalise(text) for text in texts]
        read = self._tokenizer.encode_batch_fast(normal, add_special_tokens=False)
        found = [slots(pieces.ids) for pieces in read]
        scored = [
            self._words.are_read(pieces.ids) and is_plain(text, None) for text, pieces in zip(normal, read, strict=True)
        ]
        ends = np.cumsum([0, *(len(each) for each in found)])
        values = np.concatenate([np.full(len(each), weight(len(each)), dtype=np.float32) for each in found])
        return sparse.csr_matrix((values, np.concatenate(found), ends), shape=(len(texts), SLOTS)), np.array(scored)


def questions(rows: Sequence[Example]) -> list[Example]:
    """Labelled requests; the first stage reads no responses."""
    return [row for row in rows if row.response is None and row.unsafe is not None]


def taught(reader: Reader, rows: Sequence[Example]) -> Any:
    """The fitted regression (scikit-learn)."""
    from sklearn.linear_model import LogisticRegression

    matrix, _ = reader.matrix([row.request for row in rows])
    labels = np.array([bool(row.unsafe) for row in rows])
    return LogisticRegression(C=LOOSENESS, max_iter=100, solver="liblinear", random_state=SEED).fit(matrix, labels)


def measured(reader: Reader, model: Any, rows: Sequence[Example], flagged: NDArray[np.bool_]) -> Measured:
    """Scores of labelled requests, in order."""
    matrix, scored = reader.matrix([row.request for row in rows])
    scores = np.where(scored, model.predict_proba(matrix)[:, 1], np.nan)
    return Measured(scores, np.array([bool(row.unsafe) for row in rows]), flagged)


def of_fold(reader: Reader, data: Path, path: Path) -> Measured:
    """One fold: taught without its sources, measured on their rows beside the encoder's kept logits of them."""
    fold = path.stem.rpartition(".")[2]
    if fold not in folds():
        raise SystemExit(f"{path.name} does not end in the name of a fold ({', '.join(folds())}), as NAME.FOLD.npz")
    left_out, rows = kept_out(data, fold, SEED)
    with np.load(path) as kept:
        of_requests = (kept["part"] == 0) & ~np.char.startswith(kept["source"], "probe: ")
        logits, sources = kept["logit"][of_requests], kept["source"][of_requests]
    asked = questions(rows)
    if [row.source for row in asked] != sources.tolist():
        raise SystemExit(f"{path.name} was measured on other rows than these: run the fold again with seed {SEED}")
    model = taught(reader, questions(teaching_mixture(data, SEED, left_out)))
    return measured(reader, model, asked, logits >= FLAGGED)


def pooled(parts: Sequence[Measured]) -> Measured:
    """All rows together."""
    columns = [np.concatenate([getattr(part, name) for part in parts]) for name in ("score", "unsafe", "flagged")]
    return Measured(*columns)


def table(rows: Measured) -> dict[str, dict[str, float]]:
    """What passes at the bound of each recall."""
    bounds = {recall: rows.bound(recall) for recall in RECALLS}
    return {str(recall): {"bound": round(bound, 4), **rows.passed(bound)} for recall, bound in bounds.items()}


def write(folder: Path, model: Any, manifest: dict[str, object]) -> None:
    """Weights as int8 with one scale, and the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = model.coef_[0]
    scale = float(np.abs(weights).max()) / 127
    small = np.round(weights / scale).astype(np.int8)
    np.savez_compressed(folder / WEIGHTS, weights=small, scale=scale, bias=float(model.intercept_[0]))
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Fit the bound on the folds, teach everything, measure the held-out rows, write."""
    parser = argparse.ArgumentParser(prog="python -m proguard_core.training.ngrams", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train.jsonl.gz, extra.jsonl.gz ...")
    parser.add_argument("--folds", type=Path, nargs="+", required=True, help="kept folds of the encoder (.npz)")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of the artefact")
    asked = parser.parse_args()
    reader = Reader()
    elsewhere = pooled([of_fold(reader, asked.data, path) for path in asked.folds])
    model = taught(reader, questions(teaching_mixture(asked.data, SEED)))
    held_out = questions(dev_examples(asked.data))
    everything = np.ones(len(held_out), dtype=np.bool_)
    names = [path.stem for path in asked.folds]
    manifest = {
        "safe_below": round(elsewhere.bound(WANTED), 4),
        "left_out_sources": {"folds": names, "rows": len(elsewhere.score), **table(elsewhere)},
        "held_out_rows": {"rows": len(held_out), **table(measured(reader, model, held_out, everything))},
        "data": {name: digest(asked.data / name) for name in TRAIN_FILES},
        "looseness": LOOSENESS,
        "seed": SEED,
    }
    write(asked.out, model, manifest)
    print(json.dumps(manifest, indent=2))


if __name__ == "__main__":
    main()
