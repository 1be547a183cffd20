"""CloudEvents 1.0 attributes in Kafka's binary mode (`ce_*` headers), one event type a record."""

SPEC_VERSION = "1.0"
CONTENT_TYPE = "application/json"

VERDICT_TYPE = "org.proguard.moderation.verdict.v1"
RISK_TYPE = "org.proguard.moderation.risk.v1"
RETRAINING_HIT_TYPE = "org.proguard.moderation.retraining-hit.v1"
REVIEW_TYPE = "org.proguard.moderation.review.v1"


_SPEC_VERSION = ("ce_specversion", SPEC_VERSION)
_CONTENT_TYPE = ("content-type", CONTENT_TYPE)


def headers(
    event_type: str, event_id: str, source: str, subject: str, time: str, traceparent: str
) -> list[tuple[str, str | bytes | None]]:
    """Headers of one published record; the client writes text as UTF-8.

    source is the posts topic as a URI reference, subject the post_id, time RFC 3339 UTC, traceparent W3C.
    """
    return [
        _SPEC_VERSION,
        ("ce_type", event_type),
        ("ce_id", event_id),
        ("ce_source", source),
        ("ce_subject", subject),
        ("ce_time", time),
        _CONTENT_TYPE,
        ("traceparent", traceparent),
    ]
