"""Mining on a real Kafka: every record counts once, whatever ends the process, and reviews reach their topic."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from confluent_kafka import Producer
from sqlalchemy import func, select

from proguard_core.novelty.encoder import SentenceEncoder
from proguard_core.novelty.novelty import Novelty
from proguard_core.policy.loader import load_policy
from schemas.review import Decision, Review
from tests.support.fixtures import ForeignKafka
from tests.support.kafka_cluster import KafkaCluster
from tests.support.risks import hit, verdict
from tests.support.topics import TopicNames, create_topics
from worker.console.mining.audit_posts import AuditPosts
from worker.console.mining.feed import Feed
from worker.console.mining.intake import Batch, Intake
from worker.console.mining.miner import Miner
from worker.console.mining.publishing import ReviewPublisher
from worker.console.store import Store, reading, reviewing
from worker.console.store.arrivals import NewRisk
from worker.console.store.models import ClusterRow, QueueRow, ReviewRow, RiskRow
from worker.console.store.outbox import as_record, store_id
from worker.console.store.reviewing import Decided
from worker.errors import FencedError
from worker.local import emerging
from worker.settings import Settings, load

NOW = datetime.now(UTC)
TEXTS = ("Selling forty tickets for the concert, triple the price, my bots bought them all, lot {}.",)


@pytest.fixture
def settings(kafka: KafkaCluster | ForeignKafka, topic_names: TopicNames, tmp_path: Path) -> Settings:
    """Of a broker with the six topics, and a store of this test."""
    create_topics(kafka.client_config(), topic_names.all())
    return load(
        None,
        {
            "kafka": {"bootstrap_servers": kafka.client_config()["bootstrap.servers"]},
            "topics": asdict(topic_names),
            "console": {"audit_share": 1.0, "store_path": tmp_path / "risks.db"},
        },
    )


@pytest.fixture
def miner_of(store: Store, settings: Settings) -> Callable[[], Miner]:
    """Another mining process each time, on the same store."""
    return lambda: Miner(
        store, settings.console, SentenceEncoder(), Novelty(load_policy(None)), lambda: datetime.now(UTC)
    )


def send(settings: Settings, topic: str, records: Iterator[tuple[str, bytes | None]]) -> None:
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers})
    for key, value in records:
        producer.produce(topic, value, key.encode())
    assert producer.flush(20) == 0


def read(settings: Settings, store: Store, miner: Miner, expected: int, most: int = 2000) -> None:
    """Mine until so many records were taken, in batches of at most `most`."""
    feed = Feed(settings, store, Intake(settings.topics, settings.console))
    got = 0
    for _ in range(200):
        batch = Batch()
        feed.fill(batch, min(most, expected - got))  # ends of partitions take a place in what is polled
        if batch.records:
            miner.take(batch)
            feed.taken(batch)
            got += batch.records
        if got >= expected:
            break
    feed.close()
    assert got == expected


def hits(first: int, last: int) -> Iterator[tuple[str, bytes]]:
    for number in range(first, last):
        made = hit(number, text=TEXTS[0].format(number), observed_at=NOW - timedelta(minutes=number + 5))
        yield made.post_id, made.model_dump_json().encode()


def crowds(each: int) -> Iterator[tuple[str, bytes]]:
    """Posts of a risk, and harmless ones that a guard misread."""
    kinds = {emerging.POSTS: ("Match fixing", "Rigged matches"), emerging.NEIGHBOURS: ("Harsh words", "Harsh words")}
    number = 100
    for kind, names in kinds.items():
        for text in emerging.texts(kind, each, 1):
            number += 1
            observed = NOW - timedelta(minutes=number)
            made = hit(number, text=text, name=names[number % 7 == 0], observed_at=observed)
            yield made.post_id, made.model_dump_json().encode()


def count(store: Store) -> int:
    with store.reading() as session:
        return session.scalar(select(func.count()).select_from(RiskRow)) or 0


def test_a_process_that_dies_between_batches_counts_nothing_twice(
    settings: Settings, store: Store, miner_of: Callable[[], Miner]
) -> None:
    topics = settings.topics
    send(settings, topics.retraining, hits(0, 30))
    risks = (
        (key, orjson.dumps({k: v for k, v in orjson.loads(value).items() if k not in ("post", "post_truncated")}))
        for key, value in hits(0, 30)
    )
    send(settings, topics.risks, risks)
    send(settings, topics.verdicts, ((f"post-{at}", verdict(at, f"post-{at}", NOW)) for at in range(40)))
    read(settings, store, miner_of(), 50, most=10)
    read(settings, store, miner_of(), 50)
    assert count(store) == 30
    with store.reading() as session:
        counted = reading.rates(session, reading.RateFilter(NOW - timedelta(days=1), NOW + timedelta(days=1)))
    assert counted == {("safe",): 40}
    send(settings, topics.retraining, iter([("post-3", None), ("post-4", None)]))
    send(settings, topics.verdicts, iter([("post-39", None), ("x", b"no verdict")]))
    read(settings, store, miner_of(), 4)
    assert count(store) == 28
    with store.reading() as session:
        assert session.scalar(select(func.count()).where(QueueRow.post_id == "post-39")) == 0


def test_two_processes_on_one_store_are_told_apart(
    settings: Settings, store: Store, miner_of: Callable[[], Miner]
) -> None:
    send(settings, settings.topics.retraining, hits(0, 5))
    feeds = [Feed(settings, store, Intake(settings.topics, settings.console)) for _ in range(2)]
    batches = [Batch(), Batch()]
    for feed, batch in zip(feeds, batches, strict=True):
        for _ in itertools.takewhile(lambda _: batch.records < 5, range(100)):  # noqa: B023
            feed.fill(batch, 100)
        feed.close()
    first, second = miner_of(), miner_of()
    first.take(batches[0])
    with pytest.raises(FencedError):
        second.take(batches[1])
    assert count(store) == 5


def test_from_posts_to_a_cluster_and_its_review_on_the_topic(
    settings: Settings, store: Store, miner_of: Callable[[], Miner]
) -> None:
    send(settings, settings.topics.retraining, crowds(40))
    miner = miner_of()
    read(settings, store, miner, 80)
    miner.recluster()
    miner.refresh()
    with store.reading() as session:
        row = session.scalars(select(ClusterRow).where(ClusterRow.name == "Match fixing")).one()
        assert 35 <= row.size == row.authors <= 40
        assert {"bribe", "fixed", "lose", "pay", "rigged", "result"} & set(row.words)
        assert len(reading.exemplars(session, row.id)) == 5
    with store.writing() as session:
        said = Decided(Decision.CONFIRM, "ada", name="Touting", synonyms=("Scalping",), version=row.version)
        review = reviewing.decide(session, row.id, said, NOW).review
    publisher = ReviewPublisher(settings, store, lambda: NOW)
    assert publisher.publish() == 1
    assert publisher.publish() == 0
    read(settings, store, miner, 1)
    with store.reading() as session:
        (kept,) = reviewing.reviews_of(session, row.id)
        assert kept.published_at is not None
        record = as_record(kept, store_id(session))
        assert len(record.posts) == row.size
        assert record.cluster == f"{store_id(session)}-{row.id}"
        assert Review.model_validate_json(record.model_dump_json()).review_id == review.review_id


def test_posts_of_the_audit_sample_are_fetched_while_they_are_there(
    settings: Settings, store: Store, miner_of: Callable[[], Miner]
) -> None:
    topics = settings.topics
    post = orjson.dumps({"post_id": "post-0", "text": "an everyday post", "language": "en"})
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers})
    producer.produce(topics.posts, post, b"post-0", partition=0)
    producer.flush(20)
    moved = [orjson.loads(verdict(at, f"post-{at}", NOW)) for at in (0, 7)]
    for each in moved:
        each["source"]["topic"] = topics.posts
    send(settings, topics.verdicts, ((each["post_id"], orjson.dumps(each)) for each in moved))
    read(settings, store, miner_of(), 2)
    posts = AuditPosts(settings, store, lambda: NOW)
    assert posts.fetch() == 2
    posts.close()
    with store.reading() as session:
        found = {row.post_id: (row.text, row.missing) for row in session.scalars(select(QueueRow))}
    assert found == {"post-0": ("an everyday post", None), "post-7": (None, "its record has expired")}


def test_what_another_console_found_to_concern_minors_leaves_this_store(
    store: Store, miner_of: Callable[[], Miner]
) -> None:
    miner = miner_of()
    first, said = Batch(), Batch()
    for number in range(4):
        made = hit(number, text=TEXTS[0].format(number), observed_at=NOW - timedelta(minutes=9))
        first.arrivals.risks[made.risk_id] = NewRisk(made)
    miner.take(first)
    whole = {"reviewer": "eve", "reviewed_at": NOW}
    said.reviews += [
        Review(review_id="r1", post="post-1", decision=Decision.MERGE, code="C11S1", **whole),
        Review(review_id="r2", cluster="R9", posts=["post-2"], decision=Decision.MERGE, code="C11", **whole),
        Review(review_id="r3", post="post-3", decision=Decision.MERGE, code="C6S1", **whole),
    ]
    miner.take(said)
    miner.take(first)  # read again: they do not come back
    with store.reading() as session:
        assert set(session.scalars(select(RiskRow.post_id))) == {"post-0", "post-3"}
        assert session.get(ReviewRow, "r2") is not None
