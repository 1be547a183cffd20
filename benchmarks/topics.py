"""The topics of a benchmark: large enough for the worker's check at its start, on as many partitions each time."""

from tests.support.kafka_cluster import ClientConfig
from tests.support.topics import TopicNames, create_topics

PARTITIONS = 12
# The broker's default for posts (1,048,588), our envelope, and some air.
_OUTCOME_MAX_BYTES = "1200000"


def create_stream(config: ClientConfig, prefix: str, **outcomes: str) -> TopicNames:
    """All six topics; `outcomes` are topic settings of all but posts."""
    posts = TopicNames.of(prefix).posts
    create_topics(config, [posts], PARTITIONS)
    return create_outcomes(config, prefix, posts, **outcomes)


def create_outcomes(config: ClientConfig, prefix: str, posts: str, **settings: str) -> TopicNames:
    """The topics that a worker writes, beside a posts topic that is there."""
    outcomes = TopicNames.of(prefix).all()[1:]
    create_topics(config, outcomes, PARTITIONS, -1, max_message_bytes=_OUTCOME_MAX_BYTES, **settings)
    return TopicNames(posts, *outcomes)
