"""librdkafka's own settings in ours: which may be set, and how they are written."""

from typing import Any

# Promises rest on these; whoever could set them could break exactly-once without noticing.
RESERVED_CLIENT_KEYS = frozenset(
    {
        "enable.auto.commit",
        "auto.commit.enable",
        "partition.assignment.strategy",
        "test.mock.num.brokers",
        "enable.auto.offset.store",
        "isolation.level",
        "transactional.id",
        "enable.idempotence",
        "acks",
        "request.required.acks",
        "auto.offset.reset",
        "group.id",
        "group.protocol",
        "bootstrap.servers",
        "metadata.broker.list",
        "partitioner",
        "transaction.timeout.ms",
        "max.poll.interval.ms",
    }
)


def flatten(table: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested TOML tables and environment names to librdkafka's dotted names, values to the strings it takes."""
    flat: dict[str, str] = {}
    for key, value in table.items():
        name = prefix + key.replace("_", ".")
        if isinstance(value, dict):
            flat |= flatten(value, name + ".")
        else:
            flat[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return flat
