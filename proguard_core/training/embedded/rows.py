"""From the data folder to teaching examples: caps, labels, and codes of the taxonomy for the sources' categories."""

import gzip
import hashlib
import json
import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
TRAIN_FILES = ("train.jsonl.gz", "extra.jsonl.gz", "responses_jailbreakbench.jsonl.gz")
DEV_FILE = "dev.jsonl.gz"
OTHER = "other"
PHRASE_REPEATS = 2
OWN_SAFE, OWN_UNSAFE_REPEATS, OWN_ASKED_REPEATS = 1200, 8, 5

Row = dict[str, Any]


def subcategory_codes() -> tuple[str, ...]:
    """The codes that the category head learns, in the taxonomy's order, `other` last."""
    sizes = (3, 2, 3, 2, 2, 2, 3, 3, 3, 3, 2)
    codes = [f"C{main}S{sub}" for main, size in enumerate(sizes, 1) for sub in range(1, size + 1)]
    return (*codes, OTHER)


CODES = subcategory_codes()


@dataclass(frozen=True, slots=True)
class Example:
    """One example of one question. unsafe None: teaches the category only; category None: teaches the label only."""

    source: str
    request: str
    response: str | None
    unsafe: bool | None
    category: int | None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What is not taught, so that a guard can be measured on it: whole sources, and codes of the taxonomy."""

    sources: frozenset[str] = frozenset()
    codes: frozenset[str] = frozenset()

    def keeps(self, example: Example) -> bool:
        """Whether an example is taught. An unsafe one of no known code may be of one that is left out: it is not."""
        if example.source in self.sources:
            return False
        if example.category is None:
            return not (self.codes and example.unsafe)
        return CODES[example.category] not in self.codes


NOTHING_LEFT_OUT = LeftOut()


class CategoryMap:
    """What source_categories.yaml says."""

    def __init__(self, path: Path = HERE / "source_categories.yaml") -> None:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
        self._sources: dict[str, dict[str, str]] = loaded["sources"]
        self._overrides = [
            (set(rule["when"]), re.compile(rule["pattern"], re.I), rule["code"]) for rule in loaded["overrides"]
        ]
        self._keywords = [(re.compile(pattern, re.I), code) for pattern, code in loaded["keywords"]]
        self._unlabelled: list[list[str]] = loaded["no_request_label"]
        self._harm = {
            source: re.compile(pattern, re.I) for source, pattern in loaded["request_label_only_with"].items()
        }
        self.caps: dict[str, int] = loaded["caps"]

    def code(self, row: Row) -> str | None:
        """Code of the taxonomy, `other`, or None where nothing is known."""
        own = row["source_category"] or ""
        prefixes = [prefix for prefix in self._sources.get(row["source"], {}) if own.startswith(prefix)]
        if not prefixes:
            return None
        code: str | None = self._sources[row["source"]][max(prefixes, key=len)]
        if code == "keywords":
            code = next((found for pattern, found in self._keywords if pattern.search(row["request"])), None)
        for when, pattern, replacement in self._overrides:
            if code in when and pattern.search(row["request"]):
                code = replacement
        return code

    def keeps_request_label(self, row: Row) -> bool:
        """False for rows that only chat models have a reason to refuse, or that their source labels without one."""
        own, harm = row["source_category"] or "", self._harm.get(row["source"])
        if harm is not None and not harm.search(row["request"]):
            return False
        return not any(row["source"] == source and own.startswith(prefix) for source, prefix in self._unlabelled)


def read_rows(path: Path) -> list[Row]:
    """All rows of one gzipped JSON Lines file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def capped(rows: list[Row], caps: dict[str, int], seed: int) -> list[Row]:
    """At most caps[source] rows of each source, drawn by the seed."""
    chooser = random.Random(seed)
    by_source: dict[str, list[Row]] = {}
    for row in rows:
        by_source.setdefault(row["source"], []).append(row)
    kept: list[Row] = []
    for source, members in sorted(by_source.items()):
        chooser.shuffle(members)
        kept += members[: caps.get(source, len(members))]
    return kept


def examples(rows: list[Row], categories: CategoryMap) -> list[Example]:
    """The questions that rows hold an answer to: one about the request, one about the response."""
    made: list[Example] = []
    for row in rows:
        code = categories.code(row)
        index = CODES.index(code) if code is not None else None
        if row["request_label"] is not None and row["request"]:
            unsafe = row["request_label"] == "unsafe"
            label = unsafe if categories.keeps_request_label(row) else None
            category = index if unsafe else None
            if label is not None or category is not None:
                made.append(Example(row["source"], row["request"], None, label, category))
        if row["response_label"] is not None and row["response"]:
            unsafe = row["response_label"] == "unsafe"
            made.append(
                Example(row["source"], row["request"] or "", row["response"], unsafe, index if unsafe else None)
            )
    return made


def phrase_examples(path: Path = HERE / "category_phrases.yaml") -> list[Example]:
    """Category-only examples from our own phrases, each template of each phrase PHRASE_REPEATS times."""
    loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [
        Example("own-phrases", template.format(phrase), None, None, CODES.index(code))
        for code, phrases in loaded["phrases"].items()
        for phrase in phrases
        for template in loaded["templates"]
        for _ in range(PHRASE_REPEATS)
    ]


def teaching_examples(folder: Path, seed: int, left_out: LeftOut = NOTHING_LEFT_OUT) -> list[Example]:
    """Everything that is taught, from the folder that holds TRAIN_FILES."""
    categories = CategoryMap()
    rows = [row for name in TRAIN_FILES for row in read_rows(folder / name)]
    made = examples(capped(rows, categories.caps, seed), categories) + phrase_examples()
    return [example for example in made if left_out.keeps(example)]


def own_examples(seed: int, path: Path = HERE / "own_posts.yaml") -> list[Example]:
    """Our own posts: OWN_SAFE filled templates, harmful statements and questions, each several times."""
    loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    chooser = random.Random(seed)
    made = []
    for _ in range(OWN_SAFE):
        filled = {slot: chooser.choice(values) for slot, values in loaded["slots"].items()}
        made.append(Example("own-posts", chooser.choice(loaded["safe"]).format(**filled), None, False, None))
    for code, statements in loaded["unsafe"].items():
        for statement in statements:
            made += [Example("own-posts", statement, None, True, CODES.index(code))] * OWN_UNSAFE_REPEATS
    for code, acts in loaded["acts"].items():
        for asked in (asking.format(act) for act in acts for asking in loaded["askings"]):
            made += [Example("own-posts", asked, None, True, CODES.index(code))] * OWN_ASKED_REPEATS
    return made


def dev_examples(folder: Path, left_out: LeftOut = NOTHING_LEFT_OUT) -> list[Example]:
    """The held-out questions."""
    return [row for row in examples(read_rows(folder / DEV_FILE), CategoryMap()) if left_out.keeps(row)]
