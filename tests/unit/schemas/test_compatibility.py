"""A schema change that breaks those who rely on a released version is refused, unless schema_version moves."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas import compatibility, generate
from schemas.compatibility import DIRECTIONS, Direction, breaks

RELEASED = Path(generate.__file__).parent / "released"
RECORDS = sorted(generate.RECORDS)
RELEASES = sorted(path.name for path in RELEASED.iterdir() if path.is_dir())
Change = Callable[[dict[str, Any]], object]


def released(version: str, name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((RELEASED / version / f"{name}.schema.json").read_text())
    return schema


def test_the_first_release_is_kept_with_all_its_records() -> None:
    assert "0.1.0" in RELEASES
    assert sorted(DIRECTIONS) == RECORDS
    for version in RELEASES:
        assert {path.name.removesuffix(".schema.json") for path in (RELEASED / version).iterdir()} <= set(RECORDS)


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("version", RELEASES)
def test_nobody_who_relies_on_a_release_is_broken(version: str, name: str) -> None:
    """Mend the model, or move SCHEMA_VERSION in schemas/common.py and say so in the changelog."""
    if (RELEASED / version / f"{name}.schema.json").exists():
        assert breaks(released(version, name), generate.json_schema(name), DIRECTIONS[name]) == []


def changed(name: str, change: Change) -> list[str]:
    old = generate.json_schema(name)
    new = copy.deepcopy(old)
    change(new)
    assert new != old
    return breaks(old, new, DIRECTIONS[name])


def setter(path: str, value: Any) -> Change:
    """Sets the value at a path such as $defs/Outcome/enum."""

    def change(schema: dict[str, Any]) -> None:
        *above, last = path.split("/")
        for key in above:
            schema = schema[key]
        schema[last] = value

    return change


def without(path: str) -> Change:
    def change(schema: dict[str, Any]) -> None:
        *above, last = path.split("/")
        for key in above:
            schema = schema[key]
        del schema[last]

    return change


def optional(name: str) -> Change:
    return lambda schema: schema["required"].remove(name)


def required(name: str) -> Change:
    return lambda schema: schema["required"].append(name)


def together(*changes: Change) -> Change:
    return lambda schema: [change(schema) for change in changes]


NULLABLE = {"anyOf": [{"type": "string"}, {"type": "null"}]}
WRITTEN: list[tuple[str, Change, str]] = [
    ("removed", without("properties/score"), "score: removed"),
    ("removed below", without("$defs/Category/properties/nearest"), "category.nearest: removed"),
    ("optional", optional("outcome"), "outcome: no longer always there"),
    ("optional below", lambda s: s["$defs"]["Source"]["required"].remove("offset"), "source.offset: no longer always"),
    (
        "nullable",
        setter("properties/judged_at", {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        "judged_at: widene",
    ),
    ("enum grown", lambda s: s["$defs"]["Outcome"]["enum"].append("maybe"), 'outcome: "maybe" added to a closed'),
    ("enum opened", setter("$defs/Outcome", {"type": "string"}), "outcome: widened from one of"),
    ("other type", setter("properties/image", {"type": "string"}), "image: widened from type"),
    (
        "integer to number",
        setter("$defs/Source/properties/offset", {"type": "number", "minimum": 0}),
        "source.offset: ",
    ),
    ("longer", setter("properties/rationale/maxLength", 9999), "rationale: widened from maxLength 4096 to maxLength 9"),
    ("unbounded", without("properties/rationale/maxLength"), "rationale: widened from maxLength 4096"),
    ("lower", setter("$defs/Source/properties/offset/minimum", -1), "source.offset: widened from minimum 0"),
    ("other pattern", setter("properties/judged_at/pattern", "^x$"), "judged_at: widened from pattern"),
]


@pytest.mark.parametrize(("change", "said"), [case[1:] for case in WRITTEN], ids=[case[0] for case in WRITTEN])
def test_what_breaks_readers_of_verdicts(change: Change, said: str) -> None:
    problems = changed("verdict", change)
    assert problems
    assert all(said in problem for problem in problems), problems


READ: list[tuple[str, Change, str]] = [
    ("removed", without("properties/response"), "response: removed"),
    ("now required", required("author_id"), "author_id: now required"),
    ("new and required", together(setter("properties/x", {}), required("x")), "x: now required"),
    ("null refused", setter("properties/text", {"type": "string"}), "text: narrowed from type null to type string"),
    ("shorter", setter("properties/post_id/maxLength", 10), "post_id: narrowed from maxLength 512 to maxLength 10"),
    ("bounded", setter("properties/images/maxItems", 4), "images: narrowed from maxItems None to maxItems 4"),
    ("closed", setter("additionalProperties", False), "record: other fields are treated differently"),
    ("item narrowed", lambda s: s["$defs"]["ImageReference"]["required"].append("version_id"), "ima"),
    ("other rule", lambda s: s["anyOf"].pop(), "record: the rule on which fields must be there has changed"),
]


@pytest.mark.parametrize(("change", "said"), [case[1:] for case in READ], ids=[case[0] for case in READ])
def test_what_breaks_writers_of_posts(change: Change, said: str) -> None:
    problems = changed("post", change)
    assert problems
    assert all(said in problem for problem in problems), problems


FINE: list[tuple[str, str, Change]] = [
    ("a field more that we write", "verdict", together(setter("properties/x", {}), required("x"))),
    ("a field more that we read", "post", setter("properties/x", {"type": "string"})),
    ("a value less that we write", "verdict", lambda s: s["$defs"]["Action"]["enum"].pop()),
    ("shorter than before", "verdict", setter("properties/rationale/maxLength", 10)),
    ("always there now", "verdict", required("reason")),
    ("never null now", "verdict", setter("properties/score", {"type": "number", "minimum": 0, "maximum": 1})),
    ("optional now", "post", optional("post_id")),
    ("longer than before", "post", setter("properties/post_id/maxLength", 1000)),
    ("more types", "post", setter("properties/language", {})),
    ("other words", "post", setter("description", "Said better.")),
    ("moved version", "verdict", together(without("properties/score"), setter("$id", "urn:proguard:x:2"))),
]


@pytest.mark.parametrize(("name", "change"), [case[1:] for case in FINE], ids=[case[0] for case in FINE])
def test_what_breaks_nobody(name: str, change: Change) -> None:
    assert changed(name, change) == []


@pytest.mark.parametrize("change", [case[1] for case in WRITTEN if case[0].startswith("enum")])
def test_an_enumeration_that_we_read_may_grow_but_not_shrink(change: Change) -> None:
    old = generate.json_schema("verdict")
    new = copy.deepcopy(old)
    change(new)
    assert breaks(old, new, Direction.READ) == []
    assert breaks(new, old, Direction.READ) != []


def test_reviews_are_held_in_both_directions() -> None:
    assert changed("review", lambda s: s["$defs"]["Decision"]["enum"].append("later"))
    assert changed("review", lambda s: s["$defs"]["Decision"]["enum"].pop())
    assert changed("review", setter("properties/x", {"type": "string"})) == []


def test_a_post_inside_a_hit_is_what_we_write() -> None:
    assert changed("retraining_hit", without("$defs/Post/properties/text")) == ["post.text: removed"]
    assert changed("retraining_hit", setter("$defs/Post/properties/y", {})) == []


def test_a_type_that_holds_itself_is_compared_once() -> None:
    tree = {"$id": "urn:x:1", "$ref": "#/$defs/T", "$defs": {"T": {"type": "object", "properties": {}}}}
    tree["$defs"]["T"]["properties"]["below"] = {"$ref": "#/$defs/T"}  # type: ignore[index]
    assert breaks(tree, copy.deepcopy(tree), Direction.BOTH) == []
    assert compatibility.version_of(tree) == "1"
