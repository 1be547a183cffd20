"""The README's reader of verdicts runs as it stands there, and sees nothing of an aborted transaction."""

import json
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests.support.fixtures import ForeignKafka
from tests.support.kafka_cluster import ClientConfig, KafkaCluster
from tests.support.topics import TopicNames, create_topics
from tests.unit.test_readme import blocks


def write(config: ClientConfig, topic: str, post_id: str, *, commit: bool) -> None:
    producer = Producer({**config, "transactional.id": uuid.uuid4().hex})
    producer.init_transactions(30)
    producer.begin_transaction()
    verdict = {"post_id": post_id, "outcome": "safe", "action": "allow"}
    producer.produce(topic, json.dumps(verdict).encode(), key=post_id)
    producer.flush(30)
    producer.commit_transaction(30) if commit else producer.abort_transaction(30)


@pytest.mark.timeout(120)
def test_its_reader_of_verdicts(kafka: KafkaCluster | ForeignKafka, topic_names: TopicNames, tmp_path: Path) -> None:
    create_topics(kafka.client_config(), [topic_names.verdicts], partitions=1)
    write(kafka.client_config(), topic_names.verdicts, "aborted", commit=False)
    write(kafka.client_config(), topic_names.verdicts, "committed", commit=True)
    (code,) = blocks("python")
    servers = str(kafka.client_config()["bootstrap.servers"])
    names = {"127.0.0.1:9092": servers, "moderation.verdicts": topic_names.verdicts, "my-readers": topic_names.posts}
    for written, meant in names.items():
        assert code.count(written) == 1
        code = code.replace(written, meant)
    script = tmp_path / "reader.py"
    script.write_text(code)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as reader:
        try:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "committed safe allow\n"
        finally:
            reader.kill()
