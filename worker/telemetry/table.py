"""Every metric of the worker, once: instruments, docs/metrics.md, dashboard and alerts are made from this table."""

import re
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """OpenTelemetry's instruments. Prometheus knows an up-down counter as a gauge."""

    COUNTER = "counter"
    UP_DOWN_COUNTER = "up-down counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """One metric. unit: UCUM; attributes: every point carries all of them; buckets: upper bounds of a histogram."""

    name: str
    kind: Kind
    unit: str
    attributes: tuple[str, ...]
    meaning: str
    buckets: tuple[float, ...] = ()

    @property
    def prometheus_name(self) -> str:
        """The metric's name in PromQL; of a histogram without _bucket, _sum and _count."""
        name = prometheus_label(self.name)
        suffix = _UNIT_SUFFIXES.get(self.unit, "")
        if suffix and not name.endswith(suffix):
            name += suffix
        return name + "_total" if self.kind is Kind.COUNTER else name

    @property
    def prometheus_type(self) -> str:
        """counter, gauge or histogram."""
        return "gauge" if self.kind is Kind.UP_DOWN_COUNTER else self.kind.value

    @property
    def prometheus_labels(self) -> tuple[str, ...]:
        """The attributes as label names."""
        return tuple(prometheus_label(attribute) for attribute in self.attributes)


def prometheus_label(attribute: str) -> str:
    """An attribute's name as Prometheus spells it."""
    return re.sub(r"[^a-zA-Z0-9]+", "_", attribute)


_UNIT_SUFFIXES = {"s": "_seconds", "By": "_bytes"}

SYSTEM = "messaging.system"
OPERATION = "messaging.operation.name"
DESTINATION = "messaging.destination.name"
PARTITION = "messaging.destination.partition.id"
GROUP = "messaging.consumer.group.name"
ERROR = "error.type"
OUTCOME = "proguard.outcome"
CATEGORY = "proguard.category"
ACTION = "proguard.action"
MODALITY = "proguard.modality"
LANGUAGE = "proguard.language"
REASON = "proguard.reason"
STAGE = "proguard.stage"
DEPENDENCY = "proguard.dependency"
EVENT = "proguard.event"
LOOP = "proguard.loop"
TOKEN = "proguard.token"
RESULT = "proguard.result"
GUARD_NAME = "proguard.guard.name"
GUARD_REVISION = "proguard.guard.revision"
POLICY_NAME = "proguard.policy.name"
POLICY_VERSION = "proguard.policy.version"
CPU_MODE = "cpu.mode"

ATTRIBUTES: dict[str, str] = {
    SYSTEM: "Always `kafka`.",
    OPERATION: "`poll`, `send`, `commit` or `judge`.",
    DESTINATION: "The topic.",
    PARTITION: "The partition's number.",
    GROUP: "The consumer group.",
    ERROR: "What failed: S3's error code, a reason of the verdict, or the type of the engine's exception.",
    OUTCOME: "`safe`, `unsafe` or `undetermined`.",
    CATEGORY: "The policy's code where the risk is known, else `none`, `novel` or `hallucinated`.",
    ACTION: "What the policy asks for: `allow`, `review`, `remove` or `escalate`.",
    MODALITY: "`text`, `text-image` or `image`.",
    LANGUAGE: "By the post's own `language`: `en` (with any region), `other`, or `unstated`.",
    REASON: "The closed enumerations of docs/records.md.",
    STAGE: "Where a record turned out to be no post: `decode`, `validate`, `erase`.",
    DEPENDENCY: "`guard`, or `s3://` and the bucket.",
    EVENT: "`assigned`, `revoked` or `lost`.",
    LOOP: "`stream` (talks to Kafka) or `judging` (fetches, batches, judges).",
    TOKEN: "`prompt` (those of a prefix cache included), `cached` (of these, from a prefix cache) or `completion`.",
    RESULT: "What became of it; the metric says which there are.",
    GUARD_NAME: "As in the verdicts.",
    GUARD_REVISION: "As in the verdicts.",
    POLICY_NAME: "As in the verdicts.",
    POLICY_VERSION: "As in the verdicts.",
    CPU_MODE: "`user` or `system`.",
}
"""What each attribute says. None takes a value that comes from a post's content."""

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_LONG_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21_600.0, 86_400.0)
_COUNTS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)

_COUNTER, _GAUGE, _HISTOGRAM, _SUM = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM, Kind.UP_DOWN_COUNTER

CONSUMED = Metric(
    "messaging.client.consumed.messages", _COUNTER, "{message}", (SYSTEM, OPERATION, DESTINATION, GROUP),
    "Records received from the posts topic, those received again after a pause or a rebalance included.",
)  # fmt: skip
SENT = Metric(
    "messaging.client.sent.messages", _COUNTER, "{message}", (SYSTEM, OPERATION, DESTINATION),
    "Records handed to the producer, those of transactions that were aborted later included.",
)  # fmt: skip
PROCESS_DURATION = Metric(
    "messaging.process.duration", _HISTOGRAM, "s", (SYSTEM, OPERATION, DESTINATION, GROUP),
    "From the receipt of a batch's oldest post to the batch's outcomes; once a batch.", _LONG_SECONDS,
)  # fmt: skip
OPERATION_DURATION = Metric(
    "messaging.client.operation.duration", _HISTOGRAM, "s", (SYSTEM, OPERATION),
    "`poll`: one that brought records; `commit`: outcomes and offsets, from the first call to the confirmation.",
    _SECONDS,
)  # fmt: skip

OUTCOMES = Metric(
    "proguard.outcomes", _COUNTER, "{post}", (OUTCOME, CATEGORY, ACTION, MODALITY),
    "Posts whose verdict is committed.",
)  # fmt: skip
LANGUAGES = Metric(
    "proguard.languages", _COUNTER, "{post}", (OUTCOME, LANGUAGE),
    "Posts whose verdict is committed, by the language that they state. The embedded guard knows English only, and "
    "ProGuard's model cards promise no other: where `other` has another share of `unsafe` than `en`, look at both.",
)  # fmt: skip
UNDETERMINED = Metric(
    "proguard.undetermined", _COUNTER, "{post}", (REASON,), "Posts whose committed verdict is undetermined, and why."
)
DEAD_LETTERS = Metric(
    "proguard.dead_letters", _COUNTER, "{record}", (STAGE, REASON), "Records that are no posts, with the reason."
)
ERASURES = Metric("proguard.erasures", _COUNTER, "{record}", (), "Tombstones received, and passed on.")

BATCH_SIZE = Metric(
    "proguard.batch.size", _HISTOGRAM, "{question}", (), "Questions in a batch put to the guard.", _COUNTS
)
QUEUE_DURATION = Metric(
    "proguard.batch.queue.duration", _HISTOGRAM, "s", (),
    "How long the oldest post of a batch waited for it, pictures at hand; once a batch.", _SECONDS,
)  # fmt: skip
INFERENCE_DURATION = Metric(
    "proguard.guard.duration", _HISTOGRAM, "s", (), "Inference of one batch that the guard answered.", _SECONDS
)
GUARD_FAILURES = Metric(
    "proguard.guard.failures", _COUNTER, "{batch}", (ERROR,),
    "Batches that the guard failed at; each is asked again, whole or halved.",
)  # fmt: skip
SWAP_FAILURES = Metric(
    "proguard.guard.swap.failures", _COUNTER, "{attempt}", (),
    "Attempts to serve the wanted revision that failed; the one before it is still served.",
)  # fmt: skip
GUARD_TOKENS = Metric(
    "proguard.guard.tokens", _COUNTER, "{token}", (TOKEN,),
    "Tokens that a guard with a chat model read and wrote, second tries included. Completion tokens a verdict: "
    "the rate of `proguard_guard_tokens_total{proguard_token=\"completion\"}` over that of `proguard_outcomes_total`. "
    "0 where the engine does not say.",
)  # fmt: skip
CACHE_LOOKUPS = Metric(
    "proguard.cache.lookups", _COUNTER, "{question}", (RESULT,),
    "Questions that `guard.settings.cache_size` answered from memory, `hit`, or not, `miss`.",
)  # fmt: skip
SHADOW_QUESTIONS = Metric(
    "proguard.shadow.questions", _COUNTER, "{question}", (RESULT,),
    "Questions sampled for the shadow guard: `agreed`, `disagreed`, `dropped` (no room to wait) or `failed`.",
)  # fmt: skip
CASCADE_QUESTIONS = Metric(
    "proguard.cascade.questions", _COUNTER, "{question}", (RESULT,),
    "Where the cascade sent a question: `passed` (the first guard's answer stands), `forwarded` (the second's does) or "
    "`audited` (it would have passed, and was judged by the second guard all the same).",
)  # fmt: skip
CASCADE_UNSAFE = Metric(
    "proguard.cascade.unsafe", _COUNTER, "{question}", (RESULT,),
    "What the second guard found unsafe: `found` among the forwarded, `missed` among the audited. A missed one stands "
    "for those that passed without an audit: recall is about found / (found + missed x (passed + audited) / audited).",
)  # fmt: skip
BATCHES_IN_FLIGHT = Metric("proguard.batches.in_flight", _SUM, "{batch}", (), "Batches in the guard now.")
QUESTIONS_WAITING = Metric("proguard.questions.waiting", _SUM, "{question}", (), "Questions that wait for a batch.")

FETCH_DURATION = Metric(
    "proguard.fetch.duration", _HISTOGRAM, "s", (),
    "One picture, from the first request to the last byte, pauses between attempts included.", _SECONDS,
)  # fmt: skip
DECODE_DURATION = Metric(
    "proguard.decode.duration", _HISTOGRAM, "s", (), "Decoding and scaling of one picture, the wait for a thread too.",
    _SECONDS,
)  # fmt: skip
FETCHED_BYTES = Metric("proguard.fetch.size", _COUNTER, "By", (), "Bytes of pictures fetched.")
FETCH_ERRORS = Metric(
    "proguard.fetch.errors", _COUNTER, "{error}", (ERROR,), "Attempts at a picture that failed, each counted."
)
IMAGE_BYTES_HELD = Metric("proguard.images.held", _SUM, "By", (), "Bytes of pictures in flight, room granted included.")
IMAGE_PIXELS_HELD = Metric("proguard.pixels.held", _SUM, "{pixel}", (), "Pixels in flight, room granted included.")
IMAGE_WAITING = Metric("proguard.images.waiting", _SUM, "{post}", (), "Posts that wait for room for their pictures.")

POSTS_HELD = Metric("proguard.posts.held", _SUM, "{post}", (), "Posts held, from receipt to the confirmed commit.")
BYTES_HELD = Metric("proguard.posts.held.size", _SUM, "By", (), "Bytes of posts and outcomes held.")
UNCONFIRMED = Metric("proguard.posts.unconfirmed", _SUM, "{post}", (), "Posts answered whose commit is not confirmed.")
LAG = Metric(
    "proguard.consumer.lag", _GAUGE, "{record}", (DESTINATION, PARTITION, GROUP),
    "Records of an assigned partition not received yet, up to the end of what is committed. The broker is asked once a "
    "second, while the partition is paused too.",
)  # fmt: skip
RECEIPT_AGE = Metric(
    "proguard.receipt.age", _HISTOGRAM, "s", (), "How old the first record of a poll was, by its timestamp.",
    _LONG_SECONDS,
)  # fmt: skip
PARTITIONS = Metric("proguard.partitions.assigned", _SUM, "{partition}", (), "Partitions assigned to this worker.")
PAUSED = Metric("proguard.partitions.paused", _SUM, "{partition}", (), "Of these, paused to bound memory or by a halt.")
STOPPED = Metric(
    "proguard.partitions.stopped", _SUM, "{partition}", (), "Partitions that stand still until the operator decides."
)
REBALANCES = Metric("proguard.rebalances", _COUNTER, "{rebalance}", (EVENT,), "Changes of the assignment.")

COMMITS = Metric("proguard.commits", _COUNTER, "{commit}", (), "Commits confirmed by the broker.")
ABORTS = Metric("proguard.aborts", _COUNTER, "{transaction}", (), "Transactions aborted; their outcomes go out again.")
RECOVERIES = Metric("proguard.recoveries", _COUNTER, "{recovery}", (), "Producers lost and made anew.")
BREAKER = Metric("proguard.breaker.tripped", _GAUGE, "1", (), "1 while the breaker holds the stream, else 0.")
DEPENDENCY_UP = Metric("proguard.dependency.up", _GAUGE, "1", (DEPENDENCY,), "1 up (or never in doubt), 0 down.")
READY = Metric("proguard.ready", _GAUGE, "1", (), "1 while /readyz answers 200, else 0.")
HEARTBEAT = Metric("proguard.heartbeat.age", _GAUGE, "s", (LOOP,), "Time since a loop last came round.")
VERSIONS = Metric(
    "proguard.versions", _GAUGE, "1", (GUARD_NAME, GUARD_REVISION, POLICY_NAME, POLICY_VERSION),
    "Always 1; the attributes name what judges now.",
)  # fmt: skip
CPU_TIME = Metric("process.cpu.time", _COUNTER, "s", (CPU_MODE,), "CPU time of the process.")
MEMORY = Metric("process.memory.usage", _SUM, "By", (), "Resident memory of the process.")

METRICS: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
"""All of them, in the order above."""
