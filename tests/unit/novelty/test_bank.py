"""The bank is a file that reviews extend: phrases are added once, atomically, and mean one thing."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from proguard_core.novelty.bank import SHIPPED, Bank, BankError, extend, is_code, load


def test_the_shipped_bank_is_read_and_holds_codes_only() -> None:
    bank = load()
    assert len(bank.of("C11S1")) >= 10
    assert all(is_code(key) for key in bank.phrases)
    assert bank.of("C9S9") == ()


def test_reviews_add_phrases_under_a_name_or_a_code(tmp_path: Path) -> None:
    path = tmp_path / "banks" / "bank.yaml"
    extend(path, {"Ghost gun kits": ["Printed firearm receivers", "Ghost gun kits"]})
    extend(path, {"C3S1": ["Fake parcel fees"], "ghost GUN kits": ["printed  firearm receivers", "Untraced rifles"]})
    bank = load(path)
    assert bank.phrases == {
        "C3S1": ("Fake parcel fees",),
        "Ghost gun kits": ("Printed firearm receivers", "Ghost gun kits", "Untraced rifles"),
    }
    assert sorted(found.name for found in path.parent.iterdir()) == ["bank.yaml", "bank.yaml.lock"]


def test_the_version_changes_with_what_it_holds_and_with_nothing_else() -> None:
    first = Bank({}).plus({"C3S1": ["a b", "c d"], "C4S1": ["e f"]})
    other = Bank({}).plus({"C4S1": ["e f"], "C3S1": ["c d", "a b"]})
    assert first.version == other.version
    assert first.version != first.plus({"C4S1": ["g h"]}).version
    assert first.version == first.plus({"C4S1": ["E  f"]}).version


def test_words_stay_where_phrases_are_added(tmp_path: Path) -> None:
    path = tmp_path / "bank.yaml"
    path.write_text("format: 1\nwords: {c3s1: [Pig  Butchering]}\n", encoding="utf-8")
    assert load(path).words == {"C3S1": ("pig butchering",)}
    before = load(path).version
    extend(path, {"C3S1": ["Fake parcel fees"]})
    assert load(path).words == {"C3S1": ("pig butchering",)}
    assert load(path).version not in {before, Bank(load(path).phrases).version}
    joined = load().joined(load(path))
    assert joined.words["C11S1"] == load().words["C11S1"]
    assert joined.words["C3S1"] == ("pig butchering",)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("format: 1\nphrases: {C11S1: [a b], C11S1: [c d]}", "C11S1 is there twice"),
        ("format: 1\nphrases: {C11S1: [a b], c11s1: [a b]}\nphrase: {}", "phrase, which is neither"),
        ("format: 1\nwords: {Ghost guns: [ghost gun]}", "words belong to a code, not to Ghost guns"),
        ("format: 1\nwords: {C3S1: [x]}", "too short"),
        ("[" * 5000, "cannot be read"),
    ],
)
def test_what_would_be_lost_or_found_too_often_is_named(content: str, named: str, tmp_path: Path) -> None:
    path = tmp_path / "bank.yaml"
    path.write_text(content)
    with pytest.raises(BankError, match=named):
        load(path)


def test_a_phrase_means_one_thing(tmp_path: Path) -> None:
    path = tmp_path / "bank.yaml"
    extend(path, {"C3S1": ["Fake parcel fees"]})
    before = path.read_bytes()
    with pytest.raises(BankError, match=r"fake parcel FEES.*C3S1 already, not C6S1"):
        extend(path, {"C6S1": ["Invoice tricks", "fake parcel FEES"]})
    assert path.read_bytes() == before


@pytest.mark.parametrize("phrase", ["", "  ", "x" * 121, "a\x00b", 7])
def test_what_is_no_phrase_is_refused(phrase: object, tmp_path: Path) -> None:
    path = tmp_path / "bank.yaml"
    with pytest.raises(BankError):
        extend(path, {"C3S1": [phrase]})  # type: ignore[list-item]
    assert not path.exists()


@pytest.mark.parametrize(
    "content", ["", "- a", "format: 2\nphrases: {}", "format: 1\nphrases: [a]", "format: 1\nphrases: {C3S1: a}", "{: ["]
)
def test_a_file_of_another_form_is_named(content: str, tmp_path: Path) -> None:
    path = tmp_path / "bank.yaml"
    path.write_text(content)
    with pytest.raises(BankError, match=r"bank\.yaml"):
        load(path)
    with pytest.raises(BankError):
        extend(path, {"C3S1": ["a b"]})
    assert path.read_text() == content


def test_writers_wait_for_each_other(tmp_path: Path) -> None:
    path = tmp_path / "bank.yaml"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: extend(path, {"C3S1": [f"phrase {number}"]}), range(40)))
    assert len(load(path).of("C3S1")) == 40


def test_the_shipped_file_is_never_written() -> None:
    assert SHIPPED.read_bytes().startswith(b"# Phrases beyond")
