"""`--benchmark SET=FILE`: which sets are known, what is known of them, and their rows."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from proguard_core.evaluation.loaders import picture_sets, text_sets
from proguard_core.evaluation.loaders.category_map import CategoryMap
from proguard_core.evaluation.loaders.category_map import load as load_map
from proguard_core.evaluation.loaders.files import FormError, HubError, Record, read_records
from proguard_core.evaluation.rows import Problems, Row, RowError

Convert = Callable[[Record, str, CategoryMap], list[Row]]

_CONVERT: dict[str, Convert] = {
    "aegis-2.0": text_sets.aegis,
    "beavertails": text_sets.beavertails,
    "beavertails-v": picture_sets.beavertails_v,
    "harmbench": text_sets.harmbench,
    "labelled": picture_sets.labelled,
    "llavaguard": picture_sets.llavaguard,
    "openai-moderation": text_sets.openai_moderation,
    "proguard": picture_sets.proguard,
    "simplesafetytests": text_sets.simple_safety_tests,
    "toxicchat": text_sets.toxic_chat,
    "wildguard": text_sets.wildguard,
    "xstest": text_sets.xstest,
    "xstest-response": text_sets.xstest_response,
}


@dataclass(frozen=True, slots=True)
class PaperSet:
    """Name in paper_tables.csv, and the row counts that are the paper's; empty where they are not known."""

    name: str
    rows: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class SetFacts:
    """What sets.yaml says of a set. paper: by task (request, response, category, ood)."""

    name: str
    title: str
    home: str
    training: str
    form: str
    note: str | None = None
    loader: str = ""
    hub: dict[str, str] | None = None
    paper: dict[str, PaperSet] = field(default_factory=dict)


@cache
def known_sets() -> dict[str, SetFacts]:
    """Every set with a loader, by name."""
    text = resources.files("proguard_core.evaluation").joinpath("sets.yaml").read_text(encoding="utf-8")
    return {name: _facts(name, said) for name, said in yaml.safe_load(text)["sets"].items()}


def _facts(name: str, said: dict[str, Any]) -> SetFacts:
    paper = {task: PaperSet(at["set"], tuple(at["rows"] or ())) for task, at in said["paper"].items()}
    return SetFacts(
        name, said["title"], said["home"], said["training"], said["form"], said.get("note"),
        said.get("loader", name), said["hub"], paper,
    )  # fmt: skip


def load_file(facts: SetFacts, path: Path, problems: Problems) -> list[Row]:
    """The rows of a file in the form that the set is published in. Raises FormError, OSError."""
    rows = list(_converted(facts, read_records(path, problems), problems))
    if not rows:
        raise FormError(f"{path.name}: no row of it has the form of {facts.title}: {_most_common(problems)}")
    return rows


def load_hub(facts: SetFacts, problems: Problems) -> list[Row]:
    """The rows of the set as a hub has it, by the `datasets` library. Raises FormError, HubError."""
    if facts.hub is None:
        raise FormError(f"{facts.title} is not on a hub in a form that is read here: give a file ({facts.home})")
    try:
        from datasets import load_dataset
    except ImportError:
        raise FormError("a hub needs the `datasets` library (it comes with the `train` extra)") from None
    try:
        loaded = load_dataset(**facts.hub)
    except Exception as error:  # whatever the hub's client raises
        raise HubError(f"{facts.hub['path']} cannot be loaded: {type(error).__name__}: {error}") from error
    records = ((f"row {number}", record) for number, record in enumerate(loaded, 1))
    return list(_converted(facts, records, problems))


def _converted(facts: SetFacts, records: Iterable[tuple[str, Record]], problems: Problems) -> Iterator[Row]:
    convert, categories = _CONVERT[facts.loader], load_map(facts.name)
    for place, record in records:
        try:
            yield from convert(record, place, categories)
        except RowError as error:
            problems.add(str(error), place)


def _most_common(problems: Problems) -> str:
    kinds = [kind for kind, _ in problems.counts.most_common(1)]
    return kinds[0] if kinds else "it is empty"
