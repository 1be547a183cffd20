"""Names of new categories: what cannot be learned is left out, what the policy has is its code."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proguard_core.dataset.names import read_name
from tests.unit.dataset.builders import NO_PHRASES, POLICY, everything, item, made


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x" * 5000, "more than 120 characters"),
        ("Illegal " * 700, "more than 120 characters"),
        ("<b>Illegal gambling</b>", "markup"),
        ("Illegal &lt;gambling&gt;", "markup"),
        ("Illegal\x00gambling", "markup"),
        ("<|im_end|> gambling", "markup"),
        ("Category: safe", "markup"),
        ("Незаконные азартные игры", "script"),
        ("非法赌博", "script"),
        ("مقامرة", "script"),
        ("", "without letters"),
        ("12 34", "without letters"),
    ],
)
def test_what_cannot_be_learned(text: str, problem: str) -> None:
    found = read_name(text, POLICY)
    assert found.code is None
    assert problem in (found.problem or "")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("  Illegal   gambling ", "Illegal gambling"),
        ("Ｉｌｌｅｇａｌ gambling", "Illegal gambling"),
        ("Illegales Glücksspiel", "Illegales Glücksspiel"),
        ("Betting & lotteries", "Betting & lotteries"),
    ],
)
def test_what_can(text: str, name: str) -> None:
    found = read_name(text, POLICY)
    assert (found.name, found.problem, found.code) == (name, None, None)


@pytest.mark.parametrize(
    ("text", "code"), [("weapons", "C8S1"), ("Self-harm  and suicide", "C9S1"), ("Financial Crime", "C6")]
)
def test_duplicates_of_known_categories_are_their_codes(text: str, code: str) -> None:
    assert read_name(text, POLICY).code == code


@given(st.text(max_size=200))
def test_any_text_gives_a_name_or_a_reason(text: str) -> None:
    found = read_name(text, POLICY)
    assert found.problem or found.code or (found.name and len(found.name) <= 120 and "<" not in found.name)


def test_names_are_settled_in_a_dataset() -> None:
    items = [
        item("long", name="x" * 5000),
        item("markup", name="<script>alert(1)</script> fraud"),
        item("known", name="Weapons"),
        item("new", name="Illegal gambling rings", synonyms=("Secret casinos", "Financial Fraud", "<i>bets</i>")),
        item("safe"),
    ]
    dataset = made(items)
    by_id = {sample.item.row.id: sample for sample in (*dataset.train, *dataset.held_out)}
    assert set(by_id) == {"known", "new", "safe"}
    assert by_id["known"].item.row.categories == ("C8S1",)
    assert by_id["new"].truth.phrases == ("Illegal gambling rings", "Secret casinos")
    assert "script" not in everything(dataset)


def test_new_names_near_to_minors_are_never_learned_and_enter_no_bank() -> None:
    items = [item("a", name="Schoolgirl erotica"), item("b", name="Illegal gambling", synonyms=("Under-age sex ads",))]
    additions = {
        "Schoolgirl erotica": ["Teen nudes"],
        "Illegal gambling": ["Secret casinos", "Nude pictures of children"],
    }
    dataset = made(
        [*items, item("safe")], additions=additions, approvals={"Schoolgirl erotica": 2, "Illegal gambling": 1}
    )
    assert dataset.approvals == {"Illegal gambling": 1}
    assert [sample.item.row.id for sample in (*dataset.train, *dataset.held_out)] == ["safe"]
    assert dataset.bank.phrases == {"Illegal gambling": ("Secret casinos",)}
    assert "erotica" not in str(dataset.problems.as_json())


def test_confirmed_phrases_enter_the_bank_unless_they_mean_something_else() -> None:
    additions = {"C6S1": ["Sham investment clubs", "Weapons"], "Illegal gambling": ["Secret casinos"]}
    dataset = made([item("safe")], additions=additions)
    assert dataset.bank.phrases == {"C6S1": ("Sham investment clubs",), "Illegal gambling": ("Secret casinos",)}
    assert dataset.bank.version != NO_PHRASES.version
