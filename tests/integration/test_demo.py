"""`proguard demo` as a user runs it: on the embedded parts, on a real Kafka and S3, when it fails, and on Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.support.kafka_cluster import KafkaCluster
from tests.support.s3_server import S3Server
from tests.support.topics import TopicNames
from worker.local.posts import read_lines

COMMAND = [sys.executable, "-m", "worker.cli", "demo"]
RECORDS = len(read_lines()) + 1  # the tombstone


def run_demo(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        env=os.environ | (environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
        check=False,
    )


def assert_complete(result: subprocess.CompletedProcess[str]) -> None:
    output = result.stdout
    assert result.returncode == 0, output
    assert f"{RECORDS} of {RECORDS} records answered" in output
    assert "dead letters    1 (1 decode: not_json)" in output
    assert "1 image_missing" in output
    assert "erasures        1: p31" in output
    risks = next(line for line in output.splitlines() if line.strip().startswith("new risks"))
    assert int(risks.split()[2].rstrip(":")) >= 1
    assert "p22" in risks


@pytest.mark.timeout(480)
def test_on_the_embedded_parts() -> None:
    result = run_demo()
    assert_complete(result)
    assert "embedded, at-least-once" in result.stdout


@pytest.mark.timeout(480)
def test_on_a_real_kafka_and_s3(kafka: KafkaCluster, s3: S3Server, bucket: str, topic_names: TopicNames) -> None:
    names = {
        f"PROGUARD_TOPICS__{role.upper()}": getattr(topic_names, role)
        for role in ("posts", "verdicts", "risks", "retraining", "reviews", "dead_letters")
    }
    arguments = ("--bootstrap-servers", kafka.bootstrap_servers, "--s3-endpoint", s3.endpoint_url, "--bucket", bucket)
    result = run_demo(*arguments, environment=s3.environment | names)
    assert_complete(result)
    assert "yours, exactly-once" in result.stdout


def test_a_worker_that_cannot_start_fails_the_demo_and_says_why() -> None:
    result = run_demo(environment={"PROGUARD_GUARD__ENGINE": "no-such-engine"})
    assert result.returncode == 78
    assert "no-such-engine" in result.stdout
    assert "the worker ended with status 78" in result.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("endpoint", "said"), [("foo", "objects.endpoint_url: must begin"), ("http://127.0.0.1:1", "AWS_ACCESS_KEY_ID")]
)
def test_what_must_be_configured_is_78_and_named(endpoint: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    nobody = dict.fromkeys(("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"), os.devnull)
    result = run_demo("--s3-endpoint", endpoint, environment={**nobody, "AWS_EC2_METADATA_DISABLED": "true"})
    assert result.returncode == 78
    assert said in result.stdout


def clusters_of(console: str) -> list[str]:
    """Names on the page of clusters, for whoever has the address that the demo says; none while nobody answers."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    try:
        opener.open(console, timeout=10).close()
        with opener.open(console.partition("/login")[0] + "/clusters", timeout=10) as page:
            return re.findall(r'href="/clusters/R\d+"[^>]*>([^<]+)<', page.read().decode())
    except OSError:
        return []


@pytest.mark.timeout(480)
def test_kept_it_has_a_console_whose_clusters_fill_in() -> None:
    demo = subprocess.Popen([*COMMAND, "--keep"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said: list[str] = []
    try:
        assert demo.stdout is not None
        console = ""
        while not console:
            said.append(demo.stdout.readline())
            assert said[-1], "".join(said)
            console = said[-1].split()[1] if said[-1].startswith("Console: ") else ""
        deadline = time.monotonic() + 300
        while not clusters_of(console):
            assert time.monotonic() < deadline, "".join(said)
            time.sleep(1)
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 0
    finally:
        demo.kill()
        demo.communicate()


def children_of(pid: int) -> set[int]:
    found = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        found |= {int(child) for child in (task / "children").read_text().split()}
    return found


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_the_demo_ends_its_children(sent: signal.Signals) -> None:
    demo = subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert demo.stdout is not None
        assert "guard is loading" in demo.stdout.readline()
        children = children_of(demo.pid)
        assert len(children) == 3, "broker, object store and worker"
        demo.send_signal(sent)
        assert demo.wait(30) == (-signal.SIGKILL if sent is signal.SIGKILL else 130)
        deadline = time.monotonic() + 10
        while any(map(is_running, children)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(map(is_running, children))
    finally:
        demo.kill()
        demo.communicate()
