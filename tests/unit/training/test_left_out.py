"""A guard can be taught without some sources and codes, so that it can be measured on them."""

import gzip
import json
from pathlib import Path
from typing import Any

from proguard_core.training.embedded.rows import (
    CODES,
    DEV_FILE,
    TRAIN_FILES,
    Example,
    LeftOut,
    dev_examples,
    teaching_examples,
)


def row(source: str, request: str, label: str, category: str | None = None) -> dict[str, Any]:
    said = {"source": source, "request": request, "request_label": label, "source_category": category}
    return {**said, "response": None, "response_label": None, "license": "MIT"}


def folder(path: Path) -> Path:
    rows = [
        row("davidson", "mean words", "unsafe", "hate"),
        row("davidson", "kind words", "safe"),
        row("arena-hard", "sort a list", "safe"),
        row("catqa", "a trick", "unsafe", "Fraud/Deception / Phishing"),
    ]
    for name in (*TRAIN_FILES, DEV_FILE):
        with gzip.open(path / name, "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(each) + "\n" for each in (rows if name in (TRAIN_FILES[0], DEV_FILE) else []))
    return path


def test_nothing_is_left_out_unless_it_is_said(tmp_path: Path) -> None:
    data = folder(tmp_path)
    assert {each.source for each in teaching_examples(data, 1)} == {"davidson", "arena-hard", "catqa", "own-phrases"}


def test_sources_are_left_out_of_teaching_and_of_what_is_fitted(tmp_path: Path) -> None:
    data, left_out = folder(tmp_path), LeftOut(sources=frozenset({"davidson"}))
    for made in (teaching_examples(data, 1, left_out), dev_examples(data, left_out)):
        assert made
        assert "davidson" not in {each.source for each in made}


def test_a_code_is_left_out_of_every_source_and_of_our_own_phrases(tmp_path: Path) -> None:
    data = folder(tmp_path)
    taught = {CODES[each.category] for each in teaching_examples(data, 1) if each.category is not None}
    code = sorted(taught - {"other"})[0]
    left = teaching_examples(data, 1, LeftOut(codes=frozenset({code})))
    assert {CODES[each.category] for each in left if each.category is not None} == taught - {code}
    assert any(each.category is None for each in left)


def test_an_unsafe_row_that_may_be_of_a_left_out_code_is_not_taught() -> None:
    left_out = LeftOut(codes=frozenset({"C8S1"}))
    assert not left_out.keeps(Example("any", "a post", None, True, None))
    assert left_out.keeps(Example("any", "a post", None, False, None))
    assert left_out.keeps(Example("any", "a post", None, True, CODES.index("C9S1")))
    assert LeftOut().keeps(Example("any", "a post", None, True, None))
