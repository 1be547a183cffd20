"""From the settings to librdkafka's configuration of each kind of client.

Order of precedence: what promises rest on (never the user's) > `[kafka.consumer]` or `[kafka.producer]` >
`[kafka.client]` > the bounds below.
"""

import logging
import re
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError

from worker.client_keys import RESERVED_CLIENT_KEYS
from worker.secret_values import masked
from worker.settings import Settings

ClientConfig = dict[str, Any]
ErrorCallback = Callable[[KafkaError], None]

KIBIBYTE = 1024
MEBIBYTE = 1024 * KIBIBYTE

# What the broker accepts in one record where nobody says otherwise; librdkafka's own default is lower.
BROKER_MAX_MESSAGE_BYTES = 1_048_588
# Dead letters and retraining hits are a post and what we say about it: that much more than a post.
OUTCOME_ENVELOPE_BYTES = 64 * KIBIBYTE

# Bounds of librdkafka's own buffers, outside of kafka.max_bytes and counted beside it: 16 MiB fetched ahead, one fetch
# of 16 MiB under way, 112 MiB waiting to be sent. 1 KiB posts at 50,000 a second fill the first in 0.3 s.
QUEUED_MAX_KIBIBYTES = 16 * KIBIBYTE
FETCH_MAX_BYTES = 16 * MEBIBYTE
# More than the largest record that the consumer unpacks (receive.message.max.bytes, 100 MB): its dead letter must fit.
PRODUCER_MAX_KIBIBYTES = 112 * KIBIBYTE
PRODUCER_MAX_MESSAGES = 100_000
# What librdkafka allows at most, and its own batch size: the broker's limits decide, on packed sizes.
LARGEST_MESSAGE_BYTES = 1_000_000_000
LARGEST_BATCH_BYTES = 1_000_000
# A commit sends what lingers at once, so batches may fill until then. Without transactions each one is waited for.
LINGER_MS = {"exactly-once": 50, "at-least-once": 5}

# With KIP-848 the broker decides these; librdkafka refuses a client that sets them.
_CLASSIC_ONLY_KEYS = (
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "partition.assignment.strategy",
    "group.protocol.type",
)

_ADMIN_METADATA_MS = 3000
_REPEATED_AFTER_S = 30.0
_REMEMBERED_LINES = 1000
_VARYING = re.compile(r"\(after [^)]*\)|0x[0-9a-f]+|\d+")
_RECOVERS = re.compile(
    r"^(?:ADDOFFSETS|ADDPARTS) .*: (?:Local: (?:Timed out|Broker transport failure)|Broker: (?:Not c|C)oordinator )"
)

logger = logging.getLogger("proguard.kafka")


class _Repeats(logging.Filter):
    """Lets a line through once in a while: a client without a broker says the same thing many times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether nothing of the same words, numbers apart, was said lately."""
        if record.levelno >= logging.CRITICAL or record.levelno <= logging.DEBUG:
            return True
        message = record.getMessage()
        if message.startswith("FAIL ") and record.levelno >= logging.ERROR:
            return False  # the error callback says the same
        words = _VARYING.sub("", message)
        if record.created - self._said.get(words, -_REPEATED_AFTER_S) < _REPEATED_AFTER_S:
            return False
        if len(self._said) >= _REMEMBERED_LINES:
            self._said.clear()
        self._said[words] = record.created
        return True


class _Recovering(logging.Filter):
    """Lowers to WARNING what librdkafka calls an error of a transaction although the same request is sent again.

    On a fresh broker the first one may time out while the coordinators' topics are made. What does not pass comes
    back from the call itself, and the publisher says what it does about it.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is still to be said."""
        if record.levelno == logging.ERROR and _RECOVERS.search(record.getMessage()):
            record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
        return logger.isEnabledFor(record.levelno)


logger.addFilter(_Recovering())
logger.addFilter(_Repeats())


def log_error(error: KafkaError) -> None:
    """librdkafka's client errors: it reconnects by itself, so only a fatal one is an error here."""
    level = logging.ERROR if error.fatal() else logging.WARNING
    logger.log(level, "Kafka client: %s", error.str(), extra={"kafka_error": error.name()})


def _base(settings: Settings, role: str, on_error: ErrorCallback | None) -> ClientConfig:
    """What all clients share. Events reach Python only while the client is polled."""
    kafka = settings.kafka
    return {
        "client.id": f"proguard-{role}-{kafka.hostname}-{kafka.slot}",
        **kafka.client,
        "bootstrap.servers": kafka.bootstrap_servers,
        "error_cb": on_error or log_error,
        "logger": logger,
    }


def consumer_config(settings: Settings, on_error: ErrorCallback | None = None) -> ClientConfig:
    """The worker's one consumer: reads committed records, never commits by itself, never jumps over expired posts."""
    kafka = settings.kafka
    config = _base(settings, "consumer", on_error)
    for key, bound in (("queued.max.messages.kbytes", QUEUED_MAX_KIBIBYTES), ("fetch.max.bytes", FETCH_MAX_BYTES)):
        config.setdefault(key, bound)
    if kafka.group_protocol == "classic":
        config.setdefault("partition.assignment.strategy", "cooperative-sticky")
    config |= kafka.consumer
    if kafka.group_protocol == "consumer":
        for key in _CLASSIC_ONLY_KEYS:
            config.pop(key, None)
    return config | {
        "group.id": kafka.group_id,
        "group.protocol": kafka.group_protocol,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "isolation.level": "read_committed",
        "auto.offset.reset": "error",
        "allow.auto.create.topics": False,
        "max.poll.interval.ms": kafka.max_poll_interval_ms,
    }


def producer_config(
    settings: Settings, max_message_bytes: int = BROKER_MAX_MESSAGE_BYTES, on_error: ErrorCallback | None = None
) -> ClientConfig:
    """The worker's one producer; max_message_bytes is the largest post of the topic (StartupReport.posts_max_bytes).

    Room for our envelope around such a post is added here. Idempotent always; transactional for exactly-once.
    """
    kafka = settings.kafka
    config: ClientConfig = {
        "linger.ms": LINGER_MS[kafka.delivery],
        # A broker limits what is packed, librdkafka what is not: a dead letter must pack as well as its post did.
        "compression.type": "zstd",
        "message.max.bytes": LARGEST_MESSAGE_BYTES,
        "batch.size": min(LARGEST_BATCH_BYTES, max_message_bytes + OUTCOME_ENVELOPE_BYTES),
        "queue.buffering.max.kbytes": PRODUCER_MAX_KIBIBYTES,
        "queue.buffering.max.messages": PRODUCER_MAX_MESSAGES,
        **_base(settings, "producer", on_error),
        **kafka.producer,
    }
    config |= {
        "enable.idempotence": True,
        "acks": "all",
        # Java's clients place a key by murmur2; ours must land beside theirs.
        "partitioner": "murmur2_random",
        "delivery.report.only.error": True,
    }
    if kafka.delivery == "exactly-once":
        config |= {"transactional.id": kafka.transactional_id, "transaction.timeout.ms": kafka.transaction_timeout_ms}
    return config


def loader_config(settings: Settings, max_message_bytes: int, on_error: ErrorCallback | None = None) -> ClientConfig:
    """Writes posts from the command line: idempotent, never transactional; max_message_bytes as in producer_config.

    Every delivery is reported, since somebody counts them.
    """
    config = producer_config(settings, max_message_bytes, on_error)
    for key in ("transactional.id", "transaction.timeout.ms"):
        config.pop(key, None)
    return config | {
        "client.id": f"proguard-loader-{settings.kafka.hostname}",
        "delivery.report.only.error": False,
    }


def admin_config(settings: Settings, on_error: ErrorCallback | None = None) -> ClientConfig:
    """Looks at topics and offsets, and makes topics. It soon asks anew who leads: librdkafka does not do so where a
    broker refuses an old leader epoch, and a partition's start would wait for minutes."""
    return _base(settings, "admin", on_error) | {"metadata.max.age.ms": _ADMIN_METADATA_MS}


def reader_config(settings: Settings, group: str, on_error: ErrorCallback | None = None) -> ClientConfig:
    """Reads a topic from its start to some end without committing anything; aborted transactions are not seen.

    group only names the reader: with assign() instead of subscribe() no group is joined.
    """
    config = _base(settings, "reader", on_error) | settings.kafka.consumer
    for key in _CLASSIC_ONLY_KEYS:
        config.pop(key, None)
    return config | {
        "group.id": group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "isolation.level": "read_committed",
        "auto.offset.reset": "earliest",
        "allow.auto.create.topics": False,
        "enable.partition.eof": False,
    }


def shown(config: ClientConfig) -> dict[str, str]:
    """A configuration as it may be logged: no secrets, no callbacks; our own keys marked by being last."""
    printable = {key: value for key, value in masked(config).items() if key not in {"error_cb", "logger"}}
    return {key: str(printable[key]) for key in sorted(printable, key=lambda key: (key in RESERVED_CLIENT_KEYS, key))}
