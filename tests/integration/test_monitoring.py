"""A real Prometheus scrapes a running worker: the dashboard's queries are answered, and an alert fires for real."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from deploy.dashboard import ROWS
from deploy.generate import RULES
from deploy.queries import INTERVAL
from tests.support.pictures import jpeg
from tests.support.prometheus_server import PrometheusServer, prometheus_program
from tests.support.s3_server import S3Server
from tests.support.streams import StreamUnderTest, text_post
from tests.support.worker_process import WorkerProcess
from worker.local.child import free_ports

Watched = Callable[..., AbstractContextManager[tuple[WorkerProcess, PrometheusServer]]]

# What a stream that is well never counts, so that Prometheus has nothing to answer.
_ONLY_IN_TROUBLE = {"proguard_aborts_total", "proguard_recoveries_total"}


@pytest.fixture
def watched(plain_stream: StreamUnderTest, s3: S3Server, bucket: str, tmp_path: Path) -> Watched:
    """A function of alert rules and settings: a worker that runs, and a Prometheus that scrapes it."""
    program = prometheus_program("prometheus")
    if program is None:
        pytest.skip("no Prometheus here: scripts/install-system-requirements.sh")
    [port] = free_ports(1)
    plain_stream.environment = s3.environment
    where = {"endpoint_url": s3.endpoint_url, "buckets": [bucket]}

    @contextmanager
    def start(
        rules: Path, objects: dict[str, Any] | None = None, breaker: dict[str, Any] | None = None
    ) -> Iterator[tuple[WorkerProcess, PrometheusServer]]:
        with (
            plain_stream.worker(
                objects=where | (objects or {}), telemetry={"port": port}, breaker=breaker or {}
            ) as worker,
            PrometheusServer(program, tmp_path / "prometheus", [port], rules) as prometheus,
        ):
            yield worker, prometheus

    return start


def queries() -> dict[str, str]:
    """Each query of the dashboard by panel and number, as Grafana would put it for all workers."""
    return {
        f"{panel.title} {index}": query.expression.replace(INTERVAL, "20s").replace("$instance", ".*")
        for _row, panels in ROWS
        for panel in panels
        for index, query in enumerate(panel.queries)
    }


def send_all_kinds(stream: StreamUnderTest, s3: S3Server, bucket: str, start: int) -> None:
    """Posts of every outcome, a picture that is there and one that is not, no post, an erasure, a failing guard."""
    s3.client().put_object(Bucket=bucket, Key="fine.jpg", Body=jpeg())
    stream.send(*(text_post(number) for number in range(start, start + 20)))
    stream.send(text_post(start + 20, "unsafe:C2S2"), text_post(start + 21, "novel:loud drumming"))
    pictured = text_post(start + 22) | {"images": [{"uri": f"s3://{bucket}/fine.jpg"}]}
    lost = text_post(start + 23) | {"images": [{"uri": f"s3://{bucket}/lost.jpg"}]}
    stream.send(pictured, lost, text_post(start + 24, "guard:raise"))
    stream.send_raw([(b"key", b"no json"), (f"post-{start}".encode(), None)])


@pytest.mark.timeout(240)
def test_dashboard_and_alerts_on_a_real_prometheus(
    plain_stream: StreamUnderTest, s3: S3Server, bucket: str, watched: Watched
) -> None:
    with watched(RULES, objects={"give_up_s": 0.5}, breaker={"max_run": 30}) as (worker, prometheus):
        send_all_kinds(plain_stream, s3, bucket, 0)
        plain_stream.answers(26)
        # Else both lots may fall between two scrapes, and a counter that never rose has no rate.
        prometheus.wait(lambda: prometheus.query("sum(proguard_outcomes_total) == 25"), "the first lot")
        send_all_kinds(plain_stream, s3, bucket, 100)
        plain_stream.answers(52)
        prometheus.wait(lambda: prometheus.query("sum(rate(proguard_outcomes_total[20s])) > 0"), "a rate")
        silent = {name: query for name, query in queries().items() if not prometheus.query(query)}
        unexpected = [name for name, query in silent.items() if not any(each in query for each in _ONLY_IN_TROUBLE)]
        assert unexpected == []
        assert "ProguardBreakerTripped" not in prometheus.firing()
        plain_stream.send_raw([(b"key", b"no json")] * 200, partition=0)
        prometheus.wait(lambda: "ProguardBreakerTripped" in prometheus.firing(), "the breaker's alert")
        labels = prometheus.firing()["ProguardBreakerTripped"]
        assert labels["severity"] == "page"
        assert labels["instance"] == f"127.0.0.1:{worker.settings['telemetry']['port']}"
        assert [each["value"][1] for each in prometheus.query("max(proguard_breaker_tripped)")] == ["1"]


@pytest.mark.timeout(240)
def test_an_outage_of_s3_fires_its_alert_and_a_worker_that_died_too(
    plain_stream: StreamUnderTest, s3: S3Server, bucket: str, watched: Watched, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.yml"
    # The same rules, but nobody waits for minutes here.
    hurried = [
        line.split("for:")[0] + "for: 2s" if "  for: " in line else line for line in RULES.read_text().splitlines()
    ]
    rules.write_text("\n".join(hurried) + "\n")
    with watched(rules) as (worker, prometheus):
        plain_stream.send(text_post(1))
        plain_stream.answers(1)
        s3.stop()
        try:
            plain_stream.send(text_post(2) | {"images": [{"uri": f"s3://{bucket}/fine.jpg"}]})
            prometheus.wait(lambda: "ProguardDependencyDown" in prometheus.firing(), "the outage's alert", 60)
            assert prometheus.firing()["ProguardDependencyDown"]["proguard_dependency"] == f"s3://{bucket}"
        finally:
            s3.start()
        plain_stream.answers(2)
        prometheus.wait(lambda: "ProguardDependencyDown" not in prometheus.firing(), "the end of the alert")
        worker.kill()
        prometheus.wait(lambda: {"ProguardWorkerDown", "ProguardNoWorker"} <= prometheus.firing().keys(), "its death")
