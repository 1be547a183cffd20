"""What a dataset is made of, for people and for the registry: counts, licences, and what was left out and why."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict

from proguard_core.dataset.balance import PAPER_RATIO
from proguard_core.dataset.builder import Dataset
from proguard_core.dataset.samples import Sample

FORMAT = 1


def datasheet(dataset: Dataset) -> dict[str, object]:
    """JSON values only. Names no post and quotes no content but the new names that people confirmed."""
    return {
        "format": FORMAT,
        "version": dataset.version,
        "policy": {"name": dataset.policy.name, "version": dataset.policy.version},
        "bank": dataset.bank.version,
        "settings": _plain(asdict(dataset.settings)),
        "unfit": list(dataset.unfit),
        "warnings": warnings(dataset),
        "train": _side(dataset.train),
        "held_out": _side(dataset.held_out),
        "new_categories": {name: {"reviewers": count} for name, count in sorted(dataset.approvals.items())},
        "left_out": dict(dataset.problems.counts.most_common()),
    }


def warnings(dataset: Dataset) -> list[str]:
    """What a reader must know before training on it."""
    found = [f"not fit to be trained on: {reason}" for reason in dataset.unfit]
    found += [f"no {modality.value} rows to replay: the ratio is kept without them" for modality in dataset.unreplayed]
    counts = Counter(sample.item.modality for sample in dataset.train)
    found += [f"no {modality.value} rows at all" for modality in PAPER_RATIO if dataset.train and not counts[modality]]
    strata = {sample.item.stratum for sample in dataset.train if sample.item.row.unsafe}
    if len(strata) == 1:
        found.append(f"one category only: {next(iter(strata))}")
    return found


def as_markdown(sheet: dict[str, object]) -> str:
    """The same for reading."""
    lines = [f"# Dataset {sheet['version']}", ""]
    lines += [f"- **{warning}**" for warning in _list(sheet["warnings"])]
    for side in ("train", "held_out"):
        lines += ["", f"## {side.replace('_', ' ').capitalize()}", ""]
        counted = sheet[side]
        assert isinstance(counted, dict)
        for title, value in counted.items():
            if isinstance(value, dict):
                lines += [
                    f"| {title} | rows |",
                    "| --- | ---: |",
                    *(f"| {key} | {n} |" for key, n in value.items()),
                    "",
                ]
            else:
                lines.append(f"- {title}: {value}")
    left_out = sheet["left_out"]
    assert isinstance(left_out, dict)
    lines += ["", "## Left out, and noted", "", "| why | rows |", "| --- | ---: |"]
    return "\n".join([*lines, *(f"| {why} | {count} |" for why, count in left_out.items())]) + "\n"


def _side(samples: Sequence[Sample]) -> dict[str, object]:
    def by(key: Callable[[Sample], str]) -> dict[str, int]:
        return dict(sorted(Counter(map(key, samples)).items()))

    authors = Counter(sample.item.author for sample in samples if sample.item.author is not None)
    return {
        "rows": len(samples),
        "modality": by(lambda sample: sample.item.modality.value),
        "category": by(lambda sample: sample.item.stratum),
        "source": by(lambda sample: sample.item.row.source or "not stated"),
        "origin": by(lambda sample: sample.item.origin.value),
        "licence": by(lambda sample: sample.item.licence),
        "risk not listed": sum(bool(sample.truth.phrases) for sample in samples),
        "something withheld": sum(bool(sample.variant.withheld) for sample in samples),
        "codes permuted": sum(sample.variant.permuted for sample in samples),
        "authors": len(authors),
        "most rows of an author": max(authors.values(), default=0),
    }


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    return value


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
