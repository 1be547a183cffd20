"""Figures of the folds that were run, a row a source and recipes beside each other."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from proguard_core.evaluation import figures, intervals
from proguard_core.training.embedded.measure import fit_temperature, sigmoid

PARTS, PROBE = ("request", "response"), "probe"
COLUMNS = ("rows", "AUC", "weighted F1", "called unsafe", "recall@5%FPR", "P@1%", "P@10%", "temperature")

Arrays = dict[str, np.ndarray]


def read(paths: Sequence[Path]) -> Arrays:
    """Kept folds, joined: source, part, unsafe, logit, an entry a row."""
    loaded = [np.load(path) for path in paths]
    return {key: np.concatenate([each[key] for each in loaded]) for key in ("source", "part", "unsafe", "logit")}


def of_recipe(work: Path, name: str) -> Arrays:
    """All folds of one recipe. FileNotFoundError where none was run."""
    paths = sorted(work.glob(f"{name}.*.npz"))
    if not paths:
        raise FileNotFoundError(f"no fold of {name} in {work}")
    return read(paths)


def temperatures(found: Arrays) -> dict[str, float]:
    """Part -> the divisor of its logits with the least log loss on rows of sources that were left out."""
    probed = np.char.startswith(found["source"], PROBE)
    masks = {name: ~probed & (found["part"] == part) for part, name in enumerate(PARTS)}
    return {
        name: fit_temperature(found["logit"][mask], found["unsafe"][mask]) for name, mask in masks.items() if mask.any()
    }


def _with_interval(found: intervals.Interval | None) -> str:
    return "-" if found is None else f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def line(truth: figures.Booleans, logits: figures.Floats, *names: str) -> list[str]:
    """The columns of one set of rows; what needs both classes is `-` where one is missing."""
    scores, seed = sigmoid(logits), intervals.generator(*names)
    counts = figures.confusion(truth, scores > 0.5)
    both = 0 < truth.sum() < len(truth)
    recall, alarms = float(figures.recall(counts)), float(figures.false_positive_rate(counts))
    shares = intervals.of_share(int((scores > 0.5).sum()), len(truth), seed)
    return [
        f"{len(truth)}",
        _with_interval(intervals.of_auc(truth, scores, seed)),
        _with_interval(intervals.of_counts(figures.weighted_f1, counts, seed)) if both else "-",
        _with_interval(shares),
        f"{figures.recall_within(truth, scores):.3f}" if both else "-",
        *(f"{figures.precision_at(share, recall, alarms):.3f}" if both else "-" for share in figures.PREVALENCES),
        f"{fit_temperature(logits, truth):.2f}" if both else "-",
    ]


def kinds(found: Arrays) -> list[tuple[str, int, np.ndarray]]:
    """Name, part and mask of every set of rows: all sources together, each of them, each kind of the probe."""
    probed = np.char.startswith(found["source"], PROBE)
    made = []
    for part in (0, 1):
        mine = found["part"] == part
        for name, mask in (("all sources", ~probed), ("all of the probe", probed)):
            if (mine & mask).any():
                made.append((name, part, mine & mask))
    for name in sorted(set(found["source"])):
        for part in (0, 1):
            mask = (found["source"] == name) & (found["part"] == part)
            if mask.any():
                made.append((name, part, mask))
    return made


def report(work: Path, names: Sequence[str]) -> str:
    """A Markdown table."""
    rows = []
    for name in names:
        found = of_recipe(work, name)
        for source, part, mask in kinds(found):
            cells = line(found["unsafe"][mask], found["logit"][mask], source, PARTS[part])
            rows.append((source, PARTS[part], name, *cells))
    order = {source: at for at, source in enumerate(dict.fromkeys(row[0] for row in rows))}
    rows.sort(key=lambda row: (order[row[0]], row[1]))
    head = ("source", "part", "recipe", *COLUMNS)
    return "\n".join("| " + " | ".join(each) + " |" for each in (head, ("---",) * len(head), *rows))
