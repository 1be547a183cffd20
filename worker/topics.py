"""The six topics: what we want of them, what the broker says of them, and how they are made."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewTopic

from worker.errors import ConfigurationError
from worker.moderation.client_config import (
    BROKER_MAX_MESSAGE_BYTES,
    OUTCOME_ENVELOPE_BYTES,
    ErrorCallback,
    admin_config,
)
from worker.settings import Settings

DEFAULT_PARTITIONS = 12
_REVIEW_PARTITIONS = 3
_MAX_REPLICATION = 3
_DAY_MS = 24 * 60 * 60 * 1000
_REQUEST_S = 10.0
_PASSWORD_HINT = "kafka.client.sasl.username, and the password by PROGUARD_KAFKA__CLIENT__SASL_PASSWORD"
_SHOWN_SETTINGS = ("cleanup.policy", "retention.ms", "max.message.bytes")

# Erasure must reach the disk in a bounded time: without this an idle topic is never compacted.
_COMPACTED = {"cleanup.policy": "compact,delete", "max.compaction.lag.ms": str(_DAY_MS), "segment.ms": str(_DAY_MS)}


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """How a topic is made, and what the worker needs of it.

    role: key of the section `topics`. rights: what the worker's principal needs. envelope: whether it takes posts with
    our words around them. erasable: whether a null value must remove what was said under a key.
    """

    role: str
    settings: Mapping[str, str]
    rights: tuple[AclOperation, ...] = ()
    partitions: int | None = None
    envelope: bool = False
    erasable: bool = False


_READ = (AclOperation.READ, AclOperation.DESCRIBE)
_WRITE = (AclOperation.WRITE, AclOperation.DESCRIBE)

# posts and dead letters expire within a week, since neither can be erased by key. Reviews are people's work and carry
# no post: each is kept for good under its own id, so that what was undone can be seen.
PLANS = (
    TopicPlan("posts", {"cleanup.policy": "delete", "retention.ms": str(7 * _DAY_MS)}, _READ),
    TopicPlan("verdicts", {**_COMPACTED, "retention.ms": str(90 * _DAY_MS)}, _WRITE, erasable=True),
    TopicPlan("risks", {**_COMPACTED, "retention.ms": str(90 * _DAY_MS)}, _WRITE, erasable=True),
    TopicPlan("retraining", {**_COMPACTED, "retention.ms": str(30 * _DAY_MS)}, _WRITE, envelope=True, erasable=True),
    TopicPlan("reviews", {"cleanup.policy": "compact"}, (), _REVIEW_PARTITIONS),
    TopicPlan("dead_letters", {"cleanup.policy": "delete", "retention.ms": str(7 * _DAY_MS)}, _WRITE, envelope=True),
)


@dataclass(frozen=True, slots=True)
class TopicState:
    """What the broker says of one topic. None where it does not say; error is its refusal.

    described False: the broker cannot describe topics, so nothing but existence is known.
    """

    plan: TopicPlan
    name: str
    partitions: int | None = None
    replication: int | None = None
    settings: Mapping[str, str] | None = None
    operations: frozenset[AclOperation] | None = None
    error: KafkaError | None = None
    settings_error: KafkaError | None = None
    described: bool = True

    @property
    def missing(self) -> bool:
        """Whether the broker knows no such topic."""
        return self.error is not None and self.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART

    @property
    def max_bytes(self) -> int | None:
        """Largest record batch that it takes."""
        return int(self.settings["max.message.bytes"]) if self.settings else None


def topic_name(settings: Settings, role: str) -> str:
    """The configured name of a role (posts, verdicts, ...)."""
    name: str = getattr(settings.topics, role)
    return name


def open_admin(settings: Settings, on_error: ErrorCallback | None = None) -> AdminClient:
    """An admin client. ConfigurationError if librdkafka refuses a setting of `[kafka.client]`."""
    try:
        return AdminClient(admin_config(settings, on_error))
    except (KafkaException, ValueError) as error:
        raise ConfigurationError(f"kafka.client: {text_of(error)}") from None


def text_of(error: BaseException) -> str:
    """What a Kafka error says, without Python's wrapping."""
    kafka = isinstance(error, KafkaException) and error.args and isinstance(error.args[0], KafkaError)
    text = error.args[0].str() if kafka else str(error)
    return f"{text} ({_PASSWORD_HINT})" if "sasl.password must be set" in text else text


def look(admin: AdminClient, settings: Settings, plans: Sequence[TopicPlan] = PLANS) -> list[TopicState]:
    """The state of the topics, in the order of the plans; nothing is created. KafkaException if no answer comes."""
    metadata = admin.list_topics(timeout=_REQUEST_S)
    if metadata.controller_id not in metadata.brokers:
        return [_from_metadata(metadata.topics, plan, topic_name(settings, plan.role)) for plan in plans]
    names = [topic_name(settings, plan.role) for plan in plans]
    described = admin.describe_topics(
        TopicCollection(names), include_authorized_operations=True, request_timeout=_REQUEST_S
    )
    resources = {name: ConfigResource(ResourceType.TOPIC, name) for name in names}
    configured = admin.describe_configs(list(resources.values()), request_timeout=_REQUEST_S)
    states = []
    for plan, name in zip(plans, names, strict=True):
        try:
            topic = described[name].result(2 * _REQUEST_S)
        except KafkaException as error:
            states.append(TopicState(plan, name, error=_about_topic(error)))
            continue
        values, settings_error = _settings_of(configured[resources[name]])
        operations = topic.authorized_operations
        states.append(
            TopicState(
                plan,
                name,
                partitions=len(topic.partitions),
                replication=min((len(each.replicas) for each in topic.partitions), default=0),
                settings=values,
                operations=None if operations is None else frozenset(operations),
                settings_error=settings_error,
            )
        )
    return states


# Answers about a topic; anything else is a broker that does not answer.
_TOPIC_ERRORS = frozenset(
    {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.TOPIC_EXCEPTION}
)


def _about_topic(error: KafkaException) -> KafkaError:
    reason: KafkaError = error.args[0]
    if reason.code() not in _TOPIC_ERRORS:
        raise error
    return reason


def _settings_of(future: object) -> tuple[dict[str, str] | None, KafkaError | None]:
    try:
        entries = future.result(2 * _REQUEST_S)  # type: ignore[attr-defined]
    except KafkaException as error:
        return None, error.args[0]
    return {name: entry.value for name, entry in entries.items() if entry.value is not None}, None


def _from_metadata(topics: Mapping[str, object], plan: TopicPlan, name: str) -> TopicState:
    """A broker without a controller (librdkafka's mock) describes nothing."""
    topic = topics.get(name)
    if topic is None:
        return TopicState(plan, name, error=KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART), described=False)
    partitions = topic.partitions  # type: ignore[attr-defined]
    replication = min((len(each.replicas) for each in partitions.values()), default=0)
    return TopicState(plan, name, partitions=len(partitions), replication=replication, described=False)


def posts_max_bytes(states: Sequence[TopicState]) -> int:
    """Largest post that the broker takes; Kafka's default where it does not say."""
    return next((state.max_bytes for state in states if state.plan.role == "posts"), None) or BROKER_MAX_MESSAGE_BYTES


def errors_of(state: TopicState, posts_bytes: int) -> list[str]:
    """What makes the worker unable to keep its promises, with what to do."""
    name, role = state.name, state.plan.role
    if state.missing:
        return [f"topic {name} (topics.{role}) does not exist: run `proguard topics create`, or correct topics.{role}"]
    if state.error is not None and state.plan.rights:
        return [f"topic {name} (topics.{role}): no DESCRIBE right; grant {_names(state.plan.rights)} to the principal"]
    found = []
    if state.operations is not None and (
        lacking := [each for each in state.plan.rights if each not in state.operations]
    ):
        found.append(f"topic {name} (topics.{role}): the principal lacks {_names(lacking)}; grant it on this topic")
    needed = posts_bytes + OUTCOME_ENVELOPE_BYTES
    if state.plan.envelope and state.max_bytes is not None and state.max_bytes < needed:
        found.append(
            f"topic {name} (topics.{role}): max.message.bytes is {state.max_bytes}, but a post of {posts_bytes} bytes "
            f"with our headers needs {needed}; raise it to that"
        )
    return found


def warnings_of(state: TopicState) -> list[str]:
    """What works, but not as it should."""
    name, role = state.name, state.plan.role
    if state.error is not None:
        return (
            []
            if state.plan.rights or state.missing
            else [f"topic {name} (topics.{role}): the principal may not DESCRIBE it"]
        )
    if state.settings is None and not state.plan.rights:
        return []  # the worker does not use it
    if state.settings is None:
        why = state.settings_error.str() if state.settings_error else "the broker does not say"
        return [
            f"topic {name} (topics.{role}): its settings are not known, grant DESCRIBE_CONFIGS to check them: {why}"
        ]
    found = []
    cleanup = {part.strip() for part in state.settings.get("cleanup.policy", "").split(",")}
    if state.plan.erasable and "compact" not in cleanup:
        found.append(
            f"topic {name} (topics.{role}): cleanup.policy is {','.join(sorted(cleanup))}; erased posts stay "
            "readable until they expire (wanted: compact,delete)"
        )
    bounded = state.plan.role in {"risks", "retraining", "dead_letters"}
    if bounded and ("delete" not in cleanup or int(state.settings.get("retention.ms", "-1")) < 0):
        found.append(f"topic {name} (topics.{role}): keeps posts' content for ever; set a retention.ms")
    in_sync = int(state.settings.get("min.insync.replicas", "1"))
    if state.replication is not None and in_sync > state.replication:
        found.append(
            f"topic {name} (topics.{role}): min.insync.replicas {in_sync} is above {state.replication} replicas"
        )
    return found


def _names(operations: Sequence[AclOperation]) -> str:
    return " and ".join(operation.name for operation in operations)


def create(
    admin: AdminClient,
    settings: Settings,
    partitions: int = DEFAULT_PARTITIONS,
    replication: int | None = None,
    plans: Sequence[TopicPlan] = PLANS,
) -> list[str]:
    """Make the topics that are missing and leave the others as they are; returns the names of those made.

    The posts topic first: how much a dead letter may weigh follows from it. Raises ConfigurationError that names the
    topic and the right, and KafkaException if the broker does not answer.
    """
    replicas = replication or min(_MAX_REPLICATION, len(admin.list_topics(timeout=_REQUEST_S).brokers))
    made = []
    for roles in (("posts",), tuple(plan.role for plan in plans if plan.role != "posts")):
        states = look(admin, settings, plans)
        largest = posts_max_bytes(states)
        wanted = [
            _new_topic(state, state.plan.partitions or partitions, replicas, largest)
            for state in states
            if state.missing and state.plan.role in roles
        ]
        if wanted:
            made += _create(admin, wanted)
            _wait_known(admin, [topic.topic for topic in wanted])
    return made


def _new_topic(state: TopicState, partitions: int, replicas: int, posts_bytes: int) -> NewTopic:
    config = dict(state.plan.settings)
    if state.plan.envelope:
        config["max.message.bytes"] = str(posts_bytes + OUTCOME_ENVELOPE_BYTES)
    return NewTopic(state.name, partitions, replicas, config=config)


def _create(admin: AdminClient, topics: list[NewTopic]) -> list[str]:
    made = []
    for name, future in admin.create_topics(topics, request_timeout=3 * _REQUEST_S).items():
        try:
            future.result(4 * _REQUEST_S)
            made.append(name)
        except KafkaException as error:
            reason: KafkaError = error.args[0]
            if reason.code() == KafkaError.TOPIC_ALREADY_EXISTS:
                continue
            if reason.retriable() or reason.code() in {KafkaError._TIMED_OUT, KafkaError._TRANSPORT}:
                raise
            raise ConfigurationError(
                f"topic {name} cannot be created: {reason.str()}; creating needs CREATE on the cluster or on the topic"
            ) from None
    return made


def _wait_known(admin: AdminClient, names: list[str]) -> None:
    """Creation is answered before every broker knows of it."""
    deadline = time.monotonic() + _REQUEST_S
    while time.monotonic() < deadline:
        known = admin.list_topics(timeout=_REQUEST_S).topics
        if all(name in known and known[name].partitions for name in names):
            return
        time.sleep(0.1)
