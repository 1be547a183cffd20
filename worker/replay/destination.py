"""Where a replay writes: topics beside the live ones, never those themselves."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from worker import topics
from worker.errors import ConfigurationError, WorkerError
from worker.moderation.startup import may_read_group
from worker.settings import Settings

DEFAULT_SUFFIX = ".replay"
_WRITTEN = ("verdicts", "risks", "retraining")
# An erasure after the run does not reach these topics: their retention is the bound, as with dead letters.
_RETENTION_MS = 7 * 24 * 60 * 60 * 1000


def beside(settings: Settings, suffix: str) -> Settings:
    """The settings with outcome topics and a group of the replay's own, at least once. The reviews topic stays.

    ConfigurationError if one of the names would be a live topic's.
    """
    live = set(settings.topics.model_dump().values())
    names = {role: f"{topics.topic_name(settings, role)}{suffix}" for role in (*_WRITTEN, "dead_letters")}
    if taken := sorted(live & set(names.values())):
        raise ConfigurationError(f"a replay never writes to the live topics: choose a suffix other than for {taken[0]}")
    kafka = settings.kafka.model_copy(
        update={"group_id": f"{settings.kafka.group_id}.replay", "delivery": "at-least-once"}
    )
    return settings.model_copy(update={"topics": settings.topics.model_copy(update=names), "kafka": kafka})


def written(settings: Settings) -> tuple[str, ...]:
    """The names of the topics that a replay with these settings (of `beside`) writes."""
    return tuple(topics.topic_name(settings, role) for role in _WRITTEN)


def prepare(admin: AdminClient, live: Settings, replay: Settings, *, create: bool) -> int:
    """Check what is read and written, and make what is missing if create says so. Returns the posts topic's max bytes.

    Raises ConfigurationError that names every topic and right that is wrong.
    """
    plans = _plans()
    try:
        (verdicts,) = topics.look(admin, live, [plan for plan in topics.PLANS if plan.role == "verdicts"])
        states = topics.look(admin, replay, plans)
        if create and not states[0].missing:
            topics.create(admin, replay, verdicts.partitions or topics.DEFAULT_PARTITIONS, None, plans)
            states = topics.look(admin, replay, plans)
    except KafkaException as error:
        raise WorkerError(f"the broker does not answer: {topics.text_of(error)}") from None
    largest = topics.posts_max_bytes(states)
    errors = _errors(states, largest)
    # Asked now: the client that reads the group's offsets waits in vain for a refusal.
    if any(state.described for state in states) and not may_read_group(admin, group_of(replay)):
        group = replay.kafka.group_id
        errors.append(f"groups that begin with {group}: the principal lacks READ; grant it, with the pattern prefixed")
    if errors:
        raise ConfigurationError("\n".join(errors))
    return largest


def _errors(states: Sequence[topics.TopicState], posts_bytes: int) -> list[str]:
    errors = []
    for state in states:
        if state.missing and state.plan.role != "posts":
            errors.append(f"topic {state.name} does not exist: --create-topics makes it")
        else:
            errors += topics.errors_of(state, posts_bytes)
    return errors


def _plans() -> tuple[topics.TopicPlan, ...]:
    """The posts topic as it is, and what a replay writes, kept shorter than what is live."""
    plans = [plan for plan in topics.PLANS if plan.role in ("posts", *_WRITTEN)]
    short = {"retention.ms": str(_RETENTION_MS)}
    return tuple(plan if plan.role == "posts" else replace(plan, settings={**plan.settings, **short}) for plan in plans)


def group_of(replay: Settings, *identity: object) -> str:
    """The group that notes how far this very replay is: the same for the same range, policy, guard and topics."""
    content = json.dumps([written(replay), replay.topics.posts, *identity], default=str).encode()
    return f"{replay.kafka.group_id}.{hashlib.sha256(content).hexdigest()[:12]}"
