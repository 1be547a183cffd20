"""The generated JSON Schemas and the examples say what the models say."""

import json
import re
import typing
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ValidationError

from schemas import common, generate
from schemas.review import Decision

EXAMPLES = Path(generate.__file__).parent / "examples"
RECORDS = sorted(generate.RECORDS)


def example(name: str) -> dict[str, Any]:
    return typing.cast(dict[str, Any], json.loads((EXAMPLES / f"{name}.json").read_text(encoding="utf-8")))


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(generate.json_schema(name))


def test_the_files_in_the_project_are_current() -> None:
    assert generate.stale() == []
    assert generate.main(["--check"]) == 0


def test_check_finds_a_changed_and_a_missing_file(tmp_path: Path) -> None:
    generate.write(tmp_path)
    assert generate.stale(tmp_path) == []
    (tmp_path / "schemas/json/post.schema.json").write_text("{}\n")
    (tmp_path / "docs/records.md").unlink()
    assert generate.stale(tmp_path) == [Path("schemas/json/post.schema.json"), Path("docs/records.md")]


def test_check_ends_with_1_and_says_what_to_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "stale", lambda: [Path("docs/records.md")])
    assert generate.main(["--check"]) == 1
    assert "docs/records.md is stale: run python -m schemas.generate" in capsys.readouterr().err


@pytest.mark.parametrize("name", RECORDS)
def test_every_schema_is_valid_and_names_itself(name: str) -> None:
    schema = generate.json_schema(name)
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:proguard:schemas:{name}:1"
    assert schema["title"]
    assert schema["description"]


@pytest.mark.parametrize("name", RECORDS)
def test_the_example_is_valid_shows_every_field_and_comes_back_unchanged(name: str) -> None:
    content, model = example(name), generate.RECORDS[name]
    validator(name).validate(content)
    record = model.model_validate_json(json.dumps(content))
    assert set(content) == {field.alias or key for key, field in model.model_fields.items()}
    # pydantic writes microseconds where the worker writes milliseconds.
    written = re.sub(r"(\.\d{3})000Z", r"\1Z", record.model_dump_json(by_alias=True))
    assert json.loads(written) == content
    assert model.model_validate_json(record.model_dump_json(by_alias=True)) == record


def test_there_is_one_example_a_record() -> None:
    assert sorted(path.stem for path in EXAMPLES.iterdir()) == RECORDS


@pytest.mark.parametrize("name", RECORDS)
def test_readers_ignore_fields_they_do_not_know(name: str) -> None:
    newer = example(name) | {"invented_later": {"deep": [1, 2]}}
    validator(name).validate(newer)
    known, read = generate.RECORDS[name].model_validate(example(name)), generate.RECORDS[name].model_validate(newer)
    assert known.model_dump(include=set(type(known).model_fields)) == read.model_dump(
        include=set(type(read).model_fields)
    )


@pytest.mark.parametrize("name", [name for name in RECORDS if name not in {"post", "dead_letter_headers"}])
def test_what_we_write_states_its_version_but_readers_forgive_its_absence(name: str) -> None:
    content = example(name)
    del content["schema_version"]
    assert not validator(name).is_valid(content)
    assert generate.RECORDS[name].model_validate(content).model_dump()["schema_version"] == "1"


@pytest.mark.parametrize("name", RECORDS)
def test_another_version_is_refused(name: str) -> None:
    key = "proguard.schema-version" if name == "dead_letter_headers" else "schema_version"
    content = example(name) | {key: "2"}
    assert not validator(name).is_valid(content)
    with pytest.raises(ValidationError):
        generate.RECORDS[name].model_validate(content)


ENUMERATIONS: list[tuple[str, tuple[str, ...], type[StrEnum]]] = [
    ("verdict", ("outcome",), common.Outcome),
    ("verdict", ("reason",), common.Reason),
    ("verdict", ("action",), common.Action),
    ("verdict", ("modality",), common.Modality),
    ("verdict", ("category", "kind"), common.CategoryKind),
    ("review", ("decision",), Decision),
    ("dead_letter_headers", ("__connect.errors.stage",), common.Stage),
    ("dead_letter_headers", ("__connect.errors.exception.class.name",), common.DeadLetterReason),
]


@pytest.mark.parametrize(("name", "path", "enumeration"), ENUMERATIONS)
def test_enumerations_are_closed(name: str, path: tuple[str, ...], enumeration: type[StrEnum]) -> None:
    content = example(name)
    inner = content
    for key in path[:-1]:
        inner = inner[key]
    for value in enumeration:
        inner[path[-1]] = value.value
        assert validator(name).is_valid(content), value
    for wrong in ("invented", enumeration.__members__[next(iter(enumeration.__members__))].value.upper(), ""):
        inner[path[-1]] = wrong
        assert not validator(name).is_valid(content)
        with pytest.raises(ValidationError):
            generate.RECORDS[name].model_validate(content)


def test_the_enumerations_are_what_outsiders_rely_on() -> None:
    assert [*common.Outcome] == ["safe", "unsafe", "undetermined"]
    assert [*common.Action] == ["allow", "review", "remove", "escalate"]
    assert [*common.CategoryKind] == ["none", "known", "novel", "hallucinated"]
    assert [*Decision] == ["confirm", "rename", "merge", "reject"]


def test_the_document_lists_every_field_of_every_record() -> None:
    document = generate.files()[Path("docs/records.md")]
    for name in RECORDS:
        model: type[BaseModel] = generate.RECORDS[name]
        section = document.split(f"## {model.__name__}\n")[1].split("\n## ")[0]
        for key, field in model.model_fields.items():
            assert f"| `{field.alias or key}` |" in section
