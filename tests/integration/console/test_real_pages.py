"""The pages on what the parts really write: dead letters of a worker, a registry of a round, a stream that stops.

With the brokers or the registry away those pages say so, and all others go on.
"""

from pathlib import Path

import pytest

from tests.support.command_line import overrides_for
from tests.support.console_process import PEOPLE, ConsoleProcess, Pages
from tests.support.kafka_cluster import KafkaCluster
from tests.support.risks import hit
from tests.support.rounds import Rounds, confirmations, novel_hits
from tests.support.streams import StreamUnderTest, text_post
from tests.support.topics import TopicNames, produce

POSTS = 45


def pages(stream: StreamUnderTest, folder: Path, **tables: dict[str, object]) -> Pages:
    own = {**PEOPLE, "store_path": str(folder / "risks.db")}
    log = folder / f"pages-{len(list(folder.glob('pages-*')))}.log"
    return Pages(overrides_for(stream.config, stream.topics, console=own, **tables), log)


def mining(stream: StreamUnderTest, folder: Path) -> ConsoleProcess:
    own = {"store_path": str(folder / "risks.db"), "refresh_every_s": 1}
    return ConsoleProcess(overrides_for(stream.config, stream.topics, console=own), folder / "mine.log", "mine")


def send_hits(stream: StreamUnderTest, first: int, last: int) -> None:
    values = [(b"%d" % at, hit(at).model_dump_json().encode()) for at in range(first, last)]
    produce(stream.config, stream.topics.retraining, values)


@pytest.mark.timeout(300)
def test_dead_letters_of_a_real_worker(plain_stream: StreamUnderTest, tmp_path: Path) -> None:
    with plain_stream.worker():
        plain_stream.send_raw([(b"broken", b"{no json <script>"), (None, b'{"text": "no id"}')])
        plain_stream.send(text_post(1))
        plain_stream.answers(3)
    with pages(plain_stream, tmp_path) as console:
        status, shown = console.get("/dead-letters")
        assert status == 200
        assert "2 dead letters, the latest first" in shown
        assert f"{plain_stream.topics.posts}:" in shown
        assert "not_json" in shown
        assert "no json" not in shown, "the content is not shown"
        _, of_one_reason = console.get("/dead-letters?reason=not_json")
        assert "1 dead letters, the latest first" in of_one_reason
        assert console.terminate() == 0
    nowhere = StreamUnderTest({"bootstrap.servers": "127.0.0.1:1"}, plain_stream.topics, tmp_path)
    with pages(nowhere, tmp_path) as console:
        assert "There is nothing to show from Kafka now" in console.get("/dead-letters")[1]
        assert console.get("/")[0] == console.get("/clusters")[0] == 200
    assert "Traceback" not in console.log


@pytest.mark.timeout(300)
def test_champions_and_runs_of_a_real_round(plain_stream: StreamUnderTest, tmp_path: Path) -> None:
    settings = {"registry": str(tmp_path / "registry")}
    rounds = Rounds(plain_stream, "none", "http://127.0.0.1:1", settings=settings)
    hits = novel_hits(POSTS)
    rounds.hits(hits)
    rounds.reviews(confirmations(hits, "ada", "grace"))
    run = rounds.run()["run"]
    with pages(plain_stream, tmp_path, retraining={"registry": settings["registry"]}) as console:
        status, shown = console.get("/guards")
        assert status == 200
        assert f'href="/guards/runs/{run}"' in shown
        assert "release: " in shown, "the champion's history"
        status, report = console.get(f"/guards/runs/{run}")
        assert status == 200
        assert "Match fixing in sport: approvals" in report, "the gate's report"
        assert console.get("/guards/runs/20200101t000000-00000000-0000000000000000")[0] == 404
        (tmp_path / "registry").rename(tmp_path / "elsewhere")
        assert console.get("/guards")[0] == console.get("/")[0] == 200
    assert "Traceback" not in console.log


@pytest.mark.timeout(400)
def test_the_brokers_are_away_for_a_while(kafka_three: KafkaCluster, topic_names: TopicNames, tmp_path: Path) -> None:
    """Mining waits and goes on, nothing is lost or counted twice, and the pages are read meanwhile."""
    stream = StreamUnderTest(kafka_three.client_config(), topic_names, tmp_path).create()
    send_hits(stream, 0, 20)
    with mining(stream, tmp_path) as miner, pages(stream, tmp_path) as console:
        miner.until(lambda: "20 risks, " in console.get("/")[1])
        for broker in (1, 2, 3):
            kafka_three.kill(broker)
        assert console.get("/")[0] == console.get("/search?q=ticket")[0] == 200
        assert "There is nothing to show from Kafka now" in console.get("/dead-letters")[1]
        for broker in (1, 2, 3):
            kafka_three.restart(broker, wait=broker == 3)
        send_hits(stream, 20, 30)
        miner.until(lambda: "30 risks, " in console.get("/")[1], 120)
        assert miner.terminate() == 0
    assert "Traceback" not in miner.log + console.log
