"""The AsyncAPI document says what the worker does with topics, keys and headers; its syntax is an integration test."""

import random
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from schemas import asyncapi, cloudevents, generate
from worker.settings import TopicSettings

ROOT = Path(generate.__file__).resolve().parents[1]
DOCUMENT = asyncapi.document()


def test_every_topic_of_the_settings_is_there_under_its_default_name() -> None:
    addresses = {channel["address"] for channel in DOCUMENT["channels"].values()}
    assert addresses == set(TopicSettings().model_dump().values())


def test_the_worker_reads_posts_and_writes_what_the_settings_call_outcomes() -> None:
    operations = DOCUMENT["operations"].values()
    topics = {"receive": set[str](), "send": set[str]()}
    for operation in operations:
        name = operation["channel"]["$ref"].rpartition("/")[2]
        topics[operation["action"]].add(DOCUMENT["channels"][name]["address"])
    assert topics == {"receive": {TopicSettings().posts}, "send": set(TopicSettings().outcomes)}


def test_every_record_is_a_payload_or_headers() -> None:
    found = {
        Path(part["schema"]["$ref"]).name.removesuffix(".schema.json")
        for message in DOCUMENT["components"]["messages"].values()
        for part in (message["payload"], message.get("headers", {}))
        if "schema" in part
    }
    assert found == set(generate.RECORDS)


@pytest.mark.parametrize("message", ["verdict", "risk", "retrainingHit", "review"])
def test_the_headers_are_those_that_are_written(message: str) -> None:
    said: dict[str, Any] = DOCUMENT["components"]["messages"][message]["headers"]
    kind = said["properties"]["ce_type"]["const"]
    trace = f"00-{random.getrandbits(128):032x}-{random.getrandbits(64):016x}-01"
    written = cloudevents.headers(kind, "id", "moderation.posts", "post", "2026-11-24T08:00:00.000Z", trace)
    headers = dict(written)
    assert list(headers) == said["required"] == list(said["properties"])
    Draft202012Validator(said).validate(headers)


def test_its_version_is_the_projects() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == asyncapi.VERSION
