"""The AsyncAPI 3 document of the topics: who writes and reads what, under which keys and headers.

Payloads are `$ref`s to `schemas/json/`. Written by `python -m schemas.generate`, depends on the models only.
"""

from typing import Any

from schemas import cloudevents
from schemas.common import SCHEMA_VERSION

VERSION = "0.1.0"
_BINDING = "0.5.0"
_SCHEMA_FORMAT = "application/schema+json;version=draft-2020-12"
_TRACEPARENT = {
    "type": "string",
    "pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}",
    "description": "W3C trace context.",
}
_POST_ID_KEY = {"type": "string", "minLength": 1, "description": "The post_id, UTF-8, placed by murmur2."}
_ANY_KEY = {"type": ["string", "null"], "description": "Whatever the record had, byte for byte."}
_POSTS_KEY = {
    "type": ["string", "null"],
    "description": "Should be the post_id, so that edits of a post are judged in order. An erasure's key must be it.",
}
_DEFAULT_NAMES = {
    "posts": "moderation.posts",
    "verdicts": "moderation.verdicts",
    "risks": "moderation.risks",
    "retraining": "moderation.retraining",
    "reviews": "moderation.reviews",
    "deadLetters": "moderation.dead-letters",
}
_ABOUT = {
    "posts": "Posts as platforms write them. A null value whose key is a post_id erases what was said of the post.",
    "verdicts": "One answer for each post. Compacted: a null value means that the post was erased.",
    "risks": "Unsafe posts whose risk the policy has no category for. Compacted, erased as verdicts are.",
    "retraining": "Such risks with their posts: what a guard can learn from. Compacted, erased as verdicts are.",
    "reviews": "What people decided. Compacted by review; written by the console, read by the retraining job.",
    "deadLetters": "Records that were no posts: key, value and headers as they came, with Kafka Connect's beside them.",
}
_CARRIED = {
    "posts": ("post", "erasure"),
    "verdicts": ("verdict", "erasure"),
    "risks": ("risk", "erasure"),
    "retraining": ("retrainingHit", "erasure"),
    "reviews": ("review",),
    "deadLetters": ("deadLetter",),
}
_OPERATIONS = {
    "readPosts": ("receive", "posts", "The worker reads posts with isolation.level=read_committed."),
    "writeVerdicts": ("send", "verdicts", "In the transaction that commits the post's offset."),
    "writeRisks": ("send", "risks", "In the same transaction, for a risk without a category."),
    "writeRetrainingHits": ("send", "retraining", "In the same transaction; never what concerns minors."),
    "writeDeadLetters": ("send", "deadLetters", "In the transaction that commits the record's offset."),
}


def document() -> dict[str, Any]:
    """The document."""
    return {
        "asyncapi": "3.0.0",
        "id": "urn:org:proguard:moderation",
        "info": {
            "title": "ProGuard stream moderation",
            "version": VERSION,
            "description": (
                "Posts in, reasoned verdicts out, over Kafka. Readers of the outcome topics must set "
                "isolation.level=read_committed and must ignore fields that they do not know. Enumerations are closed "
                f"within a schema_version, which is {SCHEMA_VERSION}. Topics can be renamed in the settings."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": cloudevents.CONTENT_TYPE,
        "channels": {name: _channel(name) for name in _DEFAULT_NAMES},
        "operations": {name: _operation(*what) for name, what in _OPERATIONS.items()},
        "components": {"messages": _messages()},
    }


def _channel(name: str) -> dict[str, Any]:
    return {
        "address": _DEFAULT_NAMES[name],
        "description": _ABOUT[name],
        "messages": {message: {"$ref": f"#/components/messages/{message}"} for message in _CARRIED[name]},
        "bindings": {"kafka": {"topic": _DEFAULT_NAMES[name], "bindingVersion": _BINDING}},
    }


def _operation(action: str, channel: str, summary: str) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{channel}/messages/{message}"} for message in _CARRIED[channel]],
    }


def _messages() -> dict[str, Any]:
    written = {
        "verdict": ("verdict", cloudevents.VERDICT_TYPE),
        "risk": ("risk", cloudevents.RISK_TYPE),
        "retrainingHit": ("retraining_hit", cloudevents.RETRAINING_HIT_TYPE),
        "review": ("review", cloudevents.REVIEW_TYPE),
    }
    messages = {name: _message(name, _file(record), _event(kind)) for name, (record, kind) in written.items()}
    messages["review"]["bindings"] = _keyed({"type": "string", "description": "The review_id: every decision is kept."})
    return {
        "post": _message("post", _file("post"), _trace_only(), _POSTS_KEY),
        "erasure": {
            "name": "erasure",
            "summary": "A null value: forget the post of this key.",
            "payload": {"type": "null"},
            "bindings": _keyed(_POST_ID_KEY),
        },
        **messages,
        "deadLetter": {
            "name": "deadLetter",
            "summary": "The record's own bytes, which may be no JSON.",
            "contentType": "application/octet-stream",
            "headers": _reference(_file("dead_letter_headers")),
            "payload": {"description": "Any bytes, or null."},
            "bindings": _keyed(_ANY_KEY),
        },
    }


def _message(name: str, file: str, headers: dict[str, Any], key: dict[str, Any] = _POST_ID_KEY) -> dict[str, Any]:
    return {
        "name": name,
        "contentType": cloudevents.CONTENT_TYPE,
        "headers": headers,
        "payload": _reference(file),
        "bindings": _keyed(key),
    }


def _file(record: str) -> str:
    return f"json/{record}.schema.json"


def _reference(file: str) -> dict[str, Any]:
    return {"schemaFormat": _SCHEMA_FORMAT, "schema": {"$ref": f"./{file}"}}


def _keyed(key: dict[str, Any]) -> dict[str, Any]:
    return {"kafka": {"key": key, "bindingVersion": _BINDING}}


def _trace_only() -> dict[str, Any]:
    return {"type": "object", "properties": {"traceparent": _TRACEPARENT}}


def _event(kind: str) -> dict[str, Any]:
    """Headers that `cloudevents.headers` writes."""
    meanings: dict[str, dict[str, Any]] = {
        "ce_specversion": {"const": cloudevents.SPEC_VERSION},
        "ce_type": {"const": kind},
        "ce_id": {"description": "The record's own id; the same on every delivery."},
        "ce_source": {"description": "Name of the posts topic."},
        "ce_subject": {"description": "The post_id."},
        "ce_time": {"format": "date-time", "description": "RFC 3339, UTC."},
        "content-type": {"const": cloudevents.CONTENT_TYPE},
        "traceparent": _TRACEPARENT,
    }
    properties = {name: {"type": "string", **meaning} for name, meaning in meanings.items()}
    return {"type": "object", "required": list(properties), "properties": properties}
