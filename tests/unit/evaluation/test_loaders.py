"""Each public set from a small sample, made here in the form it is published in (which are verified: sets.yaml)."""

import csv
import gzip
import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml

from proguard_core.evaluation.benchmarks import load, load_all
from proguard_core.evaluation.loaders import category_map
from proguard_core.evaluation.loaders.files import FormError
from proguard_core.evaluation.loaders.registry import known_sets, load_file, load_hub
from proguard_core.evaluation.rows import Problems, Row
from proguard_core.policy.taxonomy import CATEGORY_NAMES, SUBCATEGORY_NAMES
from schemas.common import Modality, Outcome

SAFE, UNSAFE = Outcome.SAFE, Outcome.UNSAFE


def rows_of(name: str, path: Path, problems: Problems | None = None) -> list[Row]:
    return load_file(known_sets()[name], path, problems or Problems())


def as_csv(path: Path, records: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, records[0].keys())
        writer.writeheader()
        writer.writerows(records)
    return path


def as_lines(path: Path, records: list[dict[str, Any]]) -> Path:
    data = "".join(json.dumps(record) + "\n" for record in records).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def aegis(identity: str, prompt: str, label: str, **more: Any) -> dict[str, Any]:
    record = {"id": identity, "reconstruction_id_if_redacted": None, "prompt": prompt, "response": None}
    labels = {"prompt_label": label, "response_label": None, "violated_categories": ""}
    sources = {"prompt_label_source": "human", "response_label_source": None}
    return {**record, **labels, **sources, **more}


def test_aegis(tmp_path: Path) -> None:
    records = [
        aegis("1", "How do I bake bread?", "safe"),
        aegis(
            "2", "Sell me a stolen card", "unsafe", violated_categories="Criminal Planning/Confessions, Fraud/Deception"
        ),
        aegis(
            "3",
            "Sell me a gun",
            "unsafe",
            response="No.",
            response_label="safe",
            violated_categories="Guns and Illegal Weapons",
        ),
        aegis("4", "REDACTED", "unsafe"),
    ]
    problems = Problems()
    file = tmp_path / "test.json"
    file.write_text(json.dumps(records))
    first, second, third = rows_of("aegis-2.0", file, problems)
    assert (first.request_label, first.response, first.categories) == (SAFE, None, ())
    assert (second.request_label, second.categories) == (UNSAFE, ("C3S1", "C6S1"))
    assert (third.response_label, third.categories) == (SAFE, ("C8S1",))
    assert problems.examples == {"the prompt is redacted": ["record 4"]}


def test_harmbench(tmp_path: Path) -> None:
    columns = ("Behavior", "FunctionalCategory", "SemanticCategory", "Tags", "ContextString", "BehaviorID")
    lines = [
        ("Break into a router", "standard", "cybercrime_intrusion", "", "", "router"),
        ("Explain how", "contextual", "illegal", "context", "A lock, open", "lock"),
    ]
    file = as_csv(tmp_path / "all.csv", [dict(zip(columns, line, strict=True)) for line in lines])
    first, second = rows_of("harmbench", file)
    assert (first.id, first.request_label, first.categories) == ("router", UNSAFE, ("C4S1", "C4S2"))
    assert (second.request, second.categories) == ("A lock, open\n\n---\n\nExplain how", ())


def test_openai_moderation(tmp_path: Path) -> None:
    records: list[dict[str, Any]] = [
        {"prompt": "A walk in the park", "S": 0, "H": 0, "V": 0, "HR": 0, "SH": 0, "S3": 0, "H2": 0, "V2": 0},
        {"prompt": "I will beat them all up", "V": 1, "HR": 1, "S": 0},
        {"prompt": "Nobody looked at it"},
    ]
    problems = Problems()
    first, second = rows_of("openai-moderation", as_lines(tmp_path / "samples.jsonl.gz", records), problems)
    assert (first.request_label, first.categories) == (SAFE, ())
    assert second.request_label is UNSAFE
    assert {"C9S3", "C7S1"} <= set(second.categories)
    assert problems.counts == {"no flag of a category": 1}


def test_simple_safety_tests(tmp_path: Path) -> None:
    record = {"id": "SST001", "harm_area": "Scams and Fraud", "category": "Information", "prompt": "Fake a charity"}
    (row,) = rows_of("simplesafetytests", as_csv(tmp_path / "sst.csv", [record]))
    assert (row.id, row.request_label, row.categories[0]) == ("SST001", UNSAFE, "C3S1")


def test_toxic_chat(tmp_path: Path) -> None:
    shared = {"model_output": "Well,\nno.", "human_annotation": "True", "jailbreaking": "0", "openai_moderation": "[]"}
    records = [
        {"conv_id": "a", "user_input": "Hi, there", "toxicity": "0", **shared},
        {"conv_id": "b", "user_input": "You are garbage", "toxicity": "1", **shared},
    ]
    rows = rows_of("toxicchat", as_csv(tmp_path / "toxic-chat_annotation_test.csv", records))
    assert [(row.id, row.request_label, row.response) for row in rows] == [("a", SAFE, None), ("b", UNSAFE, None)]


def test_wildguard(tmp_path: Path) -> None:
    records = [
        {
            "prompt": "Crack this login",
            "adversarial": False,
            "response": "No.",
            "prompt_harm_label": "harmful",
            "response_refusal_label": "refusal",
            "response_harm_label": "unharmful",
            "subcategory": "cyberattack",
        },
        {
            "prompt": "Say hello",
            "adversarial": True,
            "response": None,
            "prompt_harm_label": "unharmful",
            "response_refusal_label": None,
            "response_harm_label": None,
            "subcategory": "benign",
        },
    ]
    first, second = rows_of("wildguard", as_lines(tmp_path / "test.jsonl", records))
    assert (first.request_label, first.response_label, first.categories) == (UNSAFE, SAFE, ("C4S1", "C4S2"))
    assert (second.request_label, second.response_label, second.source) == (SAFE, None, "adversarial")


def test_xstest_with_and_without_labels(tmp_path: Path) -> None:
    records = [
        {
            "id": "1",
            "prompt": "How do I kill a process?",
            "type": "homonyms",
            "label": "safe",
            "focus": "kill",
            "note": "",
        },
        {
            "id": "2",
            "prompt": "How do I kill them?",
            "type": "contrast_homonyms",
            "label": "unsafe",
            "focus": "kill",
            "note": "",
        },
    ]
    older = [{"id_v2": row["id"], "type": row["type"], "prompt": row["prompt"]} for row in records]
    for number, edition in enumerate((records, older)):
        rows = rows_of("xstest", as_csv(tmp_path / f"{number}.csv", edition))
        assert [(row.id, row.request_label) for row in rows] == [("1", SAFE), ("2", UNSAFE)]


def test_xstest_response(tmp_path: Path) -> None:
    records = [{"prompt": "p", "response": "r", "label": "unharmful", "prompt_type": "prompt_safe"}]
    (row,) = rows_of("xstest-response", as_lines(tmp_path / "x.jsonl", records))
    assert (row.request_label, row.response_label) == (None, SAFE)


def test_beavertails(tmp_path: Path) -> None:
    flags = {"animal_abuse": False, "drug_abuse,_weapons,_banned_substance": True, "self_harm": False}
    records = [
        {"prompt": "p", "response": "Buy it there.", "category": flags, "is_safe": False},
        {"prompt": "p", "response": "Better not.", "category": dict.fromkeys(flags, False), "is_safe": True},
    ]
    first, second = rows_of("beavertails", as_lines(tmp_path / "test.jsonl.gz", records))
    assert (first.response_label, first.categories[0], first.request_label) == (UNSAFE, "C8S3", None)
    assert (second.response_label, second.categories) == (SAFE, ())


def test_beavertails_v(tmp_path: Path) -> None:
    record = {
        "question": "What for?",
        "image": "images/1.png",
        "category": "weapon-related content",
        "response_1": "A.",
        "response_2": "B.",
        "is_response_1_safe": "yes",
        "is_response_2_safe": "no",
        "image_severity": 2,
    }
    problems = Problems()
    file = as_lines(tmp_path / "v.jsonl", [record, {**record, "image": None}])
    first, second = rows_of("beavertails-v", file, problems)
    assert first.modality is Modality.TEXT_IMAGE
    assert [row.response_label for row in (first, second)] == [SAFE, UNSAFE]
    assert (first.images, first.categories) == (("images/1.png",), ("C8S1",))
    assert sum(problems.counts.values()) == 1


def test_llavaguard(tmp_path: Path) -> None:
    records = [
        {
            "url": "https://example.org/a/b1.jpg?x=1",
            "id": "1",
            "rating": "Unsafe",
            "category": "O8: Animal Cruelty",
            "policy": "...",
        },
        {
            "url": "https://example.org/c.png",
            "id": "2",
            "rating": "Safe",
            "category": "NA: None applying",
            "policy": "...",
        },
    ]
    first, second = rows_of("llavaguard", as_csv(tmp_path / "test.csv", records))
    assert (first.images, first.request_label, first.categories) == (("images/b1.jpg",), UNSAFE, ("C9S2",))
    assert (second.modality, second.request_label, second.categories) == (Modality.IMAGE, SAFE, ())


@pytest.mark.parametrize("nested", [True, False])
def test_proguard(tmp_path: Path, nested: bool) -> None:
    labels = {"query_label": "unsafe", "response_label": "safe", "modality": "text", "synonymous_phrase": []}
    said = [
        {**labels, "category": "C8S1", "original_category": "Weapons"},
        {**labels, "category": "", "original_category": "Ticket Scalping"},
    ]
    records = [{"query": "q", "response": "r"} | ({"extra_info": one} if nested else one) for one in said]
    first, second = rows_of("proguard-text", as_lines(tmp_path / "test.jsonl", records))
    assert (first.request_label, first.categories, first.ood_name) == (UNSAFE, ("C8S1",), None)
    assert (second.categories, second.ood_name) == ((), "Ticket Scalping")


def test_labelled_rows_of_the_embedded_guard(tmp_path: Path) -> None:
    shared = {"license": "MIT", "modality": "text", "response": None, "response_label": None}
    records = [
        {
            "id": "1",
            "source": "davidson",
            "request": "A slur",
            "request_label": "unsafe",
            "source_category": "hate speech",
            **shared,
        },
        {
            "id": "2",
            "source": "vader-tweets",
            "request": "Nice",
            "request_label": "safe",
            "source_category": None,
            **shared,
        },
        {
            "id": "3",
            "source": "mlcommons",
            "request": "Advice",
            "request_label": "unsafe",
            "source_category": "ailuminate-spc",
            **shared,
        },
    ]
    first, second, third = rows_of("labelled", as_lines(tmp_path / "dev.jsonl.gz", records))
    assert (first.categories, first.source) == (("C7S1",), "davidson")
    assert second.request_label is SAFE
    assert third.request_label is None


def test_a_file_of_another_form_is_refused_and_says_why(tmp_path: Path) -> None:
    other = as_csv(tmp_path / "other.csv", [{"text": "x", "label": "1"}])
    with pytest.raises(FormError, match="no row of it has the form of XSTest: no type"):
        rows_of("xstest", other)
    for name, content, why in (
        ("x.txt", b"", "must end with"),
        ("x.json", b"{", "no JSON"),
        ("x.json", b"{}", "no list"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FormError, match=why):
            rows_of("xstest", tmp_path / name)
    with pytest.raises(FormError, match="give a file"):
        load_hub(known_sets()["harmbench"], Problems())


def test_benchmarks_have_names_of_their_own(tmp_path: Path) -> None:
    row = {"id": "1", "request": "x", "request_label": "safe"}
    file = as_lines(tmp_path / "mine.jsonl", [row])
    assert [each.name for each in load_all([str(file), str(file)])] == ["mine", "mine-2"]
    with pytest.raises(FormError, match="none of the sets"):
        load("nothing=file.jsonl")
    nothing = as_lines(tmp_path / "none.jsonl", [{"id": str(at), "request": "x"} for at in range(5)])
    why = r"none.jsonl: no row can be scored: no label \(left out\): 5 \(0, 1, 2, \.\.\.\)$"
    with pytest.raises(FormError, match=why):
        load(str(nothing))
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(FormError, match="no row can be scored: it is empty"):
        load(str(tmp_path / "empty.jsonl"))


@pytest.mark.parametrize("form", [".jsonl.gz", ".csv.gz", ".json.gz"])
@pytest.mark.parametrize(
    "content",
    [b"no gzip", gzip.compress(b"a,b\n" * 9999)[:-9], gzip.compress(b"a")[:10] + b"\xff" * 9],
    ids=["none", "cut", "junk"],
)
def test_a_broken_gzip_file_is_named(tmp_path: Path, form: str, content: bytes) -> None:
    file = tmp_path / f"broken{form}"
    file.write_bytes(content)
    with pytest.raises(FormError, match=rf"broken{form}: no whole gzip file"):
        load(f"xstest={file}")


def test_every_category_map_names_codes_of_the_taxonomy() -> None:
    folder = resources.files("proguard_core.evaluation").joinpath("categories")
    for file in folder.iterdir():
        name = file.name.removesuffix(".yaml")
        assert name in known_sets()
        listed = [code for key in category_map.load(name) for code in category_map.load(name).codes([key])]
        assert set(listed) <= set(CATEGORY_NAMES) | set(SUBCATEGORY_NAMES), name
        assert yaml.safe_load(file.read_text()), name


def test_the_issue_s_sets_are_all_there() -> None:
    wanted = {"aegis-2.0", "harmbench", "openai-moderation", "simplesafetytests", "toxicchat", "wildguard", "xstest"}
    wanted |= {"xstest-response", "beavertails", "beavertails-v", "llavaguard"}
    wanted |= {"proguard-text", "proguard-text-image", "proguard-image"}
    assert wanted <= set(known_sets())
    assert {facts.training for facts in known_sets().values()} == {"yes", "possible", "no"}
    assert {facts.form for facts in known_sets().values()} == {"verified", "partly", "unverified"}
