"""One whole round of `proguard retrain` with GRPO on the tiny Qwen2.5-VL: real TRL, Kafka and S3, killed in training.

A test of mechanics: so few rows and steps teach nothing.
"""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.engines.grpo import SHORT
from tests.support.circle import Circle, circle_on
from tests.support.fixtures import ForeignKafka
from tests.support.kafka_cluster import KafkaCluster
from tests.support.s3_server import S3Server
from tests.support.streams import StreamUnderTest
from tests.support.topics import TopicNames, produce
from tests.unit.dataset.builders import base, hit, item, picture
from worker.retraining.labels import write_items

PATIENCE_S = 900.0
CODES = ("C9S3", "C7S1", "C10S2", "C6S1")


@pytest.fixture
def circle(
    kafka: KafkaCluster | ForeignKafka, topic_names: TopicNames, s3: S3Server, bucket: str, tmp_path: Path
) -> Circle:
    stream = StreamUnderTest(kafka.client_config(), topic_names, tmp_path).create()
    made = circle_on(stream, s3, bucket, tmp_path)
    made.environment = {**made.environment, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    stream.environment = made.environment
    return made


def replay(folder: Path) -> Path:
    """Rows of all modalities, with pictures beside the file."""
    (folder / "pictures").mkdir()
    for at in range(16):
        (folder / "pictures" / f"{at}.png").write_bytes(picture(at))
    shown = [(f"pictures/{at}.png",) for at in range(16)]
    pictures = [item(f"p{at}", "", CODES[at % 4] if at % 2 else None, images=shown[at]) for at in range(8)]
    both = [item(f"b{at}", code=CODES[at % 4] if at % 2 else None, images=shown[at]) for at in range(8, 16)]
    write_items([*base(12), *pictures, *both], folder / "replay.jsonl")
    return folder / "replay.jsonl"


def teach(circle: Circle, model: Path, folder: Path) -> None:
    """The settings of a chat model's loop."""
    guard = circle.sections["guard"]
    circle.sections["guard"] = guard | {
        "engine": "transformers",
        "model": str(model),
        "settings": {**guard["settings"], "output_cap": 64, "max_pixels": SHORT["max_pixels"]},
    }
    circle.sections["objects"]["buckets"] = [circle.bucket]
    circle.sections["retraining"] |= {
        "trainer": "grpo",
        "work": str(folder / "work"),
        "recipe": {**SHORT, "max_rollouts": 2},
        "replay": [str(replay(folder))],
        "min_new": 20,
        "follow_every_s": 1.0,
    }


def fill(circle: Circle) -> None:
    """Hits, every third with a picture in S3, and two people's words about them."""
    posts = []
    for at in range(24):
        images = []
        if at % 3 == 0:
            circle.s3.client().put_object(Bucket=circle.bucket, Key=f"hits/{at}.png", Body=picture(100 + at))
            images = [f"s3://{circle.bucket}/hits/{at}.png"]
        posts.append(hit(f"post-{at}", images=images))
    values = [(each.post_id.encode(), each.model_dump_json().encode()) for each in posts]
    produce(circle.stream.config, circle.stream.topics.retraining, values)
    names = [each.post_id for each in posts]
    circle.review(names[:16], ["ada", "grace"], decision="merge", code="C9S3")
    circle.review(names[16:], ["ada", "grace"], decision="reject")


def started(circle: Circle, log: Path, *arguments: str) -> subprocess.Popen[bytes]:
    with log.open("ab") as errors, log.with_suffix(".out").open("wb") as out:
        command = [sys.executable, "-m", "worker.cli", "retrain", *arguments]
        return subprocess.Popen(command, env=circle.variables(), stdout=out, stderr=errors)


def ended(circle: Circle, log: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    process = started(circle, log, *arguments)
    assert process.wait(PATIENCE_S) == code, log.read_text()
    lines = log.with_suffix(".out").read_text().splitlines()
    return dict(json.loads(lines[-1])) if lines else {}


def until(path: Path, pattern: str, process: subprocess.Popen[bytes], log: Path) -> Path:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := list(path.glob(pattern))):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    return found[0]


@pytest.mark.timeout(3600)
def test_a_round_with_grpo_is_killed_goes_on_waits_and_is_served(
    circle: Circle, tiny_taught_model: Path, tiny_random_model: Path, tmp_path: Path
) -> None:
    teach(circle, tiny_taught_model, tmp_path)
    fill(circle)
    log = tmp_path / "retrain.log"
    process = started(circle, log, "--once")
    seal = until(tmp_path / "work", "*/training/checkpoint-2/seal.json", process, log)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not circle.keys("/train.json")
    first = seal.read_bytes()
    waits = ended(circle, log, "--once")
    assert waits["end"] == "waits for a signature", waits
    run = waits["run"]
    assert "going on with run" in log.read_text()
    assert len(circle.keys("/run.json")) == len(circle.keys("/train.json")) == 1
    result = json.loads(circle.body(next(key for key in circle.keys("/result.json"))))
    assert (result["status"], result["updates"]) == ("trained", 4)
    assert result["weights"]["before"] == json.loads(first)["state"]["untrained"], "it began anew"
    assert not list((tmp_path / "work").glob(f"{run}/training/checkpoint-*")), "checkpoints stay until then only"
    report = circle.body(next(key for key in circle.keys("/gate.json") if "gate." in key and "/gate.json" in key))
    assert json.loads(report)["served"]["engine"].startswith("transformers ")
    ended(circle, log, "sign", run, "--by", "Ada", "--report", waits["report"])
    assert ended(circle, log, "--once")["end"] == "promoted"
    with circle.stream.worker(0, **circle.sections):
        circle.until_served(run)
    assert (tmp_path / "adapters" / run / "adapter_model.safetensors").is_file()
    refuses_another_base(circle, tiny_random_model, log)


def refuses_another_base(circle: Circle, other: Path, log: Path) -> None:
    """The same registry, read by a loop and by a worker whose guard is another model."""
    circle.sections["guard"]["model"] = str(other)
    ended(circle, log, "--once", code=78)
    assert "give another base a retraining.registry of its own" in log.read_text()
    Path(circle.sections["guard"]["revision_file"]).unlink()
    with circle.stream.worker(1, **circle.sections) as worker:
        worker.wait_for_log("the champion cannot be fetched", PATIENCE_S)
        assert f"not on {other.name}" in worker.log
        (verdict,) = circle.judged("after", ["The bakery opens at eight."])
        assert not verdict["guard"]["revision"].startswith("2")
