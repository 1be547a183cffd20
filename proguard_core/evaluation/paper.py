"""The paper's figures (arXiv 2512.23573), shown only beside rows that are the paper's."""

import csv
from functools import cache
from importlib import resources

from proguard_core.evaluation.loaders.registry import SetFacts

TABLES = {"request": "1-request", "response": "1-response", "category": "2-category-accuracy", "ood": "3-ood-f1"}
ENCODER = "BAAI/bge-m3"


@cache
def _figures() -> dict[tuple[str, str, str], dict[str, float]]:
    text = resources.files("proguard_core.evaluation").joinpath("paper_tables.csv").read_text(encoding="utf-8")
    found = {}
    for line in csv.DictReader(text.splitlines()):
        key = (line.pop("table"), line.pop("modality"), line.pop("set"))
        found[key] = {model: float(value) for model, value in line.items() if value}
    return found


def figures(facts: SetFacts | None, task: str, modality: str, rows: int) -> tuple[dict[str, float] | None, str]:
    """The paper's figures by model for a set and a task, in percent; or None and why there are none.

    rows: how many rows were scored here.
    """
    own = facts.paper.get(task) if facts is not None else None
    if own is None:
        return None, "not in the paper"
    if not own.rows:
        return None, "the paper does not say how many rows it used"
    if rows not in own.rows:
        return None, f"{rows} rows here, {' or '.join(map(str, own.rows))} in the paper"
    return _figures().get((TABLES[task], modality, own.name)), ""


def table(name: str) -> dict[tuple[str, str], dict[str, float]]:
    """All figures of one table of the paper, by modality and set."""
    return {(modality, of): found for (at, modality, of), found in _figures().items() if at == name}
