"""The openai engine behind the worker on a real broker: its server is killed and comes back in mid-stream."""

import time

from tests.support.openai_server import OpenAIServer
from tests.support.streams import StreamUnderTest, text_post
from tests.support.worker_process import WorkerProcess


def _worker(stream: StreamUnderTest, *servers: OpenAIServer, **more: object) -> WorkerProcess:
    urls = [server.base_url for server in servers]
    settings = {"request_timeout_s": 3.0, "cache_size": 100, **more}
    guard = {"engine": "openai", "model": "proguard", "base_urls": urls, "settings": settings}
    return stream.worker(guard=guard)


def test_a_guard_server_that_dies_in_mid_stream_loses_nothing(plain_stream: StreamUnderTest) -> None:
    """No dead letter, nothing undetermined, no safe by default: what was asked of the dead server is asked again."""
    posts = [
        text_post(number, f"unsafe:C3S1 {number}" if number % 4 == 0 else f"post {number}") for number in range(120)
    ]
    with OpenAIServer(delay_s=0.02) as server, _worker(plain_stream, server) as worker:
        plain_stream.send(*posts[:60])
        plain_stream.wait(lambda found: len(found.verdicts) >= 20)
        server.stop()
        plain_stream.send(*posts[60:])
        worker.wait_for_log("guard is down")
        before = len(plain_stream.found().verdicts)
        time.sleep(2)
        assert len(plain_stream.found().verdicts) == before
        server.start()
        found = plain_stream.answers(120)
        assert worker.terminate() == 0
    assert not found.dead_letters
    assert not found.reordered()
    assert set(found.sources().values()) == {1}
    outcomes = {post: verdict["outcome"] for post, verdict in found.by_post().items()}
    assert outcomes == {f"post-{number}": "safe" if number % 4 else "unsafe" for number in range(120)}
    assert {verdict["guard"]["name"] for verdict in found.verdicts} == {"openai:proguard"}


def test_one_of_two_guard_servers_dies_and_nobody_waits(plain_stream: StreamUnderTest) -> None:
    with OpenAIServer() as first, OpenAIServer() as second, _worker(plain_stream, first, second) as worker:
        plain_stream.send(*(text_post(number, f"post {number}") for number in range(40)))
        plain_stream.answers(40)
        first.stop()
        plain_stream.send(*(text_post(40 + number, f"post {40 + number}") for number in range(40)))
        found = plain_stream.answers(80)
        assert worker.terminate() == 0
        assert "guard is down" not in worker.log
        assert "is left out" in worker.log
    assert {verdict["outcome"] for verdict in found.verdicts} == {"safe"}


def test_a_model_that_the_server_does_not_have_is_78(plain_stream: StreamUnderTest) -> None:
    with OpenAIServer(model="another-model") as server, _worker(plain_stream, server) as worker:
        assert worker.process.wait(60) == 78
        assert "another-model" in worker.log
