"""`proguard retrain --schedule` on a real broker and a real S3: rounds at their times, SIGTERM in the middle of one."""

import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.circle import Circle, circle_on
from tests.support.s3_server import S3Server
from tests.support.streams import StreamUnderTest
from tests.support.topics import produce
from tests.unit.dataset.builders import hit
from worker.local import emerging
from worker.local.child import free_ports

EVERY_2_S = "*/2 * * * * *"
PATIENCE_S = 60.0


@pytest.fixture
def circle(plain_stream: StreamUnderTest, s3: S3Server, bucket: str, tmp_path: Path) -> Circle:
    return circle_on(plain_stream, s3, bucket, tmp_path)


class Running:
    def __init__(self, process: subprocess.Popen[bytes], log: Path, port: int) -> None:
        self.process = process
        self.log = log
        self.port = port

    def metric(self, line: str) -> float:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
                said = answer.read().decode()
        except OSError:
            return 0.0
        return sum(float(each.rsplit(" ", 1)[1]) for each in said.splitlines() if each.startswith(line))

    def until(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not is_so():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


@contextmanager
def scheduled(circle: Circle, expression: str) -> Iterator[Running]:
    (port,) = free_ports(1)
    log = circle.stream.directory / "schedule.log"
    temporary = circle.stream.directory / "temporary"
    temporary.mkdir(exist_ok=True)
    own = {"PROGUARD_TELEMETRY__PORT": str(port), "TMPDIR": str(temporary)}
    with log.open("ab") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "worker.cli", "retrain", "--schedule", expression],
            env={**circle.variables(), **own},
            stdout=said,
            stderr=said,
        )
    try:
        yield Running(process, log, port)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def rounds(end: str) -> str:
    return f'proguard_retraining_rounds_total{{proguard_result="{end}"}}'


def test_rounds_at_their_times_and_a_signal_within_one_loses_nothing(circle: Circle) -> None:
    posts = [
        hit(f"post-{at}", text, author=f"author-{at}") for at, text in enumerate(emerging.texts(emerging.POSTS, 60, 1))
    ]
    with scheduled(circle, EVERY_2_S) as running:
        running.until(lambda: running.metric(rounds("nothing to learn")) >= 1)
        values = [(each.post_id.encode(), each.model_dump_json().encode()) for each in posts]
        produce(circle.stream.config, circle.stream.topics.retraining, values)
        circle.review([each.post_id for each in posts], ["ada", "grace"], decision="confirm", name="match fixing")
        running.until(lambda: bool(circle.keys("/dataset.json")))
        assert running.terminate() == 0
        said = running.log.read_text()
    assert '"end": "interrupted"' in said, said
    assert not circle.keys("/gate.json")
    assert not list((circle.stream.directory / "temporary").iterdir()), "files were left behind"
    with scheduled(circle, EVERY_2_S) as running:
        running.until(lambda: running.metric(rounds("waits for a signature")) >= 1)
        assert running.metric("proguard_retraining_skipped_total") >= 1, "a round takes longer than two seconds"
        assert running.terminate() == 0
    assert len(circle.keys("/run.json")) == len(circle.keys("/train.json")) == 1
