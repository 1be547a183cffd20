"""Figures on the held-out rows, and what is fitted on them: temperatures and the threshold of the category head."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from proguard_core.evaluation.figures import Ranking, confusion, weighted_f1
from proguard_core.guards.embedded.text_model import FIRST_CATEGORY, REQUEST, RESPONSE
from proguard_core.training.embedded.rows import CODES, OTHER, Example
from proguard_core.training.embedded.tokens import Encoded, pad

Floats = NDArray[np.float64]
KNOWN_KEPT = 0.95
# Three guards that had not been taught two or three main categories found risks of these best between 0.4 and 0.6, at
# the price of calling one in five of the others novel (docs/embedded-guard.md).
LEAST_NOVEL_BOUND = 0.39


def logits_of(path: Path, encoded: list[Encoded], threads: int) -> Floats:
    """rows x outputs, one row at a time as the guard does."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, pad([row]))[0] for row in encoded]).astype(np.float64)


def sigmoid(values: Floats) -> Floats:
    """1 / (1 + e^-x)."""
    return np.asarray(1.0 / (1.0 + np.exp(-values)))


def softmax(values: Floats) -> Floats:
    """Over the last axis."""
    raised = np.exp(values - values.max(-1, keepdims=True))
    return np.asarray(raised / raised.sum(-1, keepdims=True))


def fit_temperature(logits: Floats, wanted: NDArray[np.bool_]) -> float:
    """The divisor of the logits that gives the least log loss, from a grid."""
    signs = np.where(wanted, 1.0, -1.0)
    grid = np.geomspace(0.25, 4.0, 61)
    losses = [np.logaddexp(0.0, -signs * logits / divisor).mean() for divisor in grid]
    return float(grid[int(np.argmin(losses))])


def fit_category_temperature(logits: Floats, wanted: NDArray[np.int64]) -> float:
    """The same for the category head."""
    grid = np.geomspace(0.25, 4.0, 61)
    rows = np.arange(len(wanted))
    losses = [-np.log(softmax(logits / divisor)[rows, wanted] + 1e-12).mean() for divisor in grid]
    return float(grid[int(np.argmin(losses))])


def fit_novel_threshold(probabilities: Floats, wanted: NDArray[np.int64]) -> float:
    """The probability of the best code that KNOWN_KEPT of the risks that the taxonomy has reach.

    The class `other` does the first parting; this bound only catches what resembles nothing that was taught. Rows of
    taught sources make it too low for that, so it is LEAST_NOVEL_BOUND at least.
    """
    known = wanted != CODES.index(OTHER)
    best = probabilities[known, : CODES.index(OTHER)].max(1)
    return max(LEAST_NOVEL_BOUND, float(np.quantile(best, 1.0 - KNOWN_KEPT)))


def label_figures(rows: list[Example], logits: Floats, head: int) -> dict[str, float]:
    """Weighted F1 at 0.5, ROC AUC, rows of one head."""
    chosen = [i for i, row in enumerate(rows) if row.unsafe is not None and (row.response is None) == (head == REQUEST)]
    wanted = np.array([bool(rows[i].unsafe) for i in chosen])
    scores = logits[chosen, head]
    return {
        "rows": len(chosen),
        "weighted_f1": round(float(weighted_f1(confusion(wanted, scores > 0))), 4),
        "roc_auc": round(Ranking.of(wanted, scores).auc() or 0.0, 4),
        "false_alarms": round(float((scores[~wanted] > 0).mean()), 4),
        "misses": round(float((scores[wanted] <= 0).mean()), 4),
    }


def category_rows(rows: list[Example]) -> tuple[list[int], NDArray[np.int64]]:
    """Which rows have a category, and which."""
    chosen = [i for i, row in enumerate(rows) if row.category is not None]
    return chosen, np.array([rows[i].category for i in chosen], dtype=np.int64)


def figures(rows: list[Example], logits: Floats) -> dict[str, Any]:
    """Of all three heads."""
    chosen, wanted = category_rows(rows)
    guessed = logits[chosen, FIRST_CATEGORY:].argmax(1)
    mains = np.array([code.partition("S")[0] for code in CODES])
    return {
        "request": label_figures(rows, logits, REQUEST),
        "response": label_figures(rows, logits, RESPONSE),
        "category": {
            "rows": len(chosen),
            "accuracy": round(float((guessed == wanted).mean()), 4),
            "main_accuracy": round(float((mains[guessed] == mains[wanted]).mean()), 4),
        },
    }


def calibration(rows: list[Example], logits: Floats) -> dict[str, float]:
    """Temperatures of the three heads and the threshold under which no listed code fits."""
    fitted: dict[str, float] = {}
    for name, head in (("request_temperature", REQUEST), ("response_temperature", RESPONSE)):
        mine = [
            i for i, row in enumerate(rows) if row.unsafe is not None and (row.response is None) == (head == REQUEST)
        ]
        fitted[name] = fit_temperature(logits[mine, head], np.array([bool(rows[i].unsafe) for i in mine]))
    chosen, wanted = category_rows(rows)
    category = logits[chosen, FIRST_CATEGORY:]
    fitted["category_temperature"] = fit_category_temperature(category, wanted)
    fitted["category_threshold"] = fit_novel_threshold(softmax(category / fitted["category_temperature"]), wanted)
    return {name: round(value, 4) for name, value in fitted.items()}
