"""`proguard demo`: sample posts become verdicts as you watch, on embedded parts or on your own broker and S3."""

import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
import uuid
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from worker.commands.posts_file import PictureNotFound
from worker.commands.send import Uploader, explained, s3_client
from worker.errors import EXIT_INTERRUPTED, WorkerError
from worker.interruption import Interruption
from worker.local.broker import LocalBroker, default_partitions
from worker.local.child import Child
from worker.local.console import open_console
from worker.local.objects import LocalObjects, make_bucket
from worker.local.outcomes import OutcomeReader
from worker.local.pictures import make_pictures
from worker.local.posts import Sample, load_samples, new_risk
from worker.local.table import Screen, summary
from worker.local.tally import Coordinates, Tally
from worker.moderation.client_config import BROKER_MAX_MESSAGE_BYTES, loader_config
from worker.settings import Settings, load

DEADLINE_S = 120.0
BUCKET = "proguard-demo"
_INTERVAL_S = 0.12
_NEW_POSTS, _NEW_INTERVAL_S = 40, 0.8
_READ_S = 0.05
_LOG_LINES = 15


class DemoFailed(WorkerError):
    """The demo cannot go on; the text says why. exit_code: of the process that made it fail, where that ended."""

    def __init__(self, why: str, exit_code: int = 1) -> None:
        super().__init__(why)
        self.exit_code = exit_code


@dataclass
class Stage:
    """Everything that runs: where it is, and what is known of it."""

    folder: Path
    environment: dict[str, str]
    objects: LocalObjects | None
    bucket: str
    own_broker: bool
    started: float
    interruption: Interruption
    worker: Child | None = None
    shown: dict[Coordinates, tuple[str, str, str]] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    first_verdict_s: float | None = None

    @property
    def log(self) -> Path:
        """Where the worker and the servers write."""
        return self.folder / "worker.log"


def run(
    bootstrap_servers: str | None = None,
    s3_endpoint: str | None = None,
    bucket: str = BUCKET,
    keep: bool = False,
    deadline_s: float = DEADLINE_S,
    screen: Screen | None = None,
) -> int:
    """Show the sample posts becoming verdicts. Parts that are not given are started here and ended with us.

    keep: go on until Ctrl-C, with the console and posts of a risk that nobody has a name for.
    Returns 0 if every record got its answer within deadline_s seconds, 1 if not, 78 where something must be
    configured, 130 when interrupted. On a broker of your own delivery is exactly-once and missing topics are made; S3
    keys come from AWS_* as everywhere.
    """
    screen = screen or Screen()
    started = time.monotonic()
    interruption = Interruption(KeyboardInterrupt(), signal.SIGTERM, signal.SIGINT)
    with ExitStack() as stack:
        stage: Stage | None = None
        try:
            with interruption.told():
                stage = _set_up(stack, bootstrap_servers, s3_endpoint, bucket, started, interruption)
                stack.enter_context(screen)
                return _play(stage, stack, screen, keep, deadline_s)
        except (WorkerError, KafkaException, RuntimeError, OSError) as error:
            _say_failure(screen, stage, f"The demo failed: {error}")
            return error.exit_code if isinstance(error, WorkerError) else 1
        except KeyboardInterrupt:
            screen.say("Stopped.")
            return EXIT_INTERRUPTED


def _set_up(
    stack: ExitStack,
    servers: str | None,
    endpoint: str | None,
    bucket: str,
    started: float,
    interruption: Interruption,
) -> Stage:
    """Start what is not given: both at once, then wait for each."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="proguard-demo-")))
    broker = None if servers else LocalBroker(default_partitions(), folder / "broker.log")
    objects = None if endpoint else LocalObjects(bucket, log=folder / "objects.log")
    for part in (broker, objects):
        if part is not None:
            stack.callback(part.stop)
            part.launch()
    environment = _environment(broker.start() if broker else servers or "", folder, own_broker=broker is not None)
    if objects is not None:
        environment |= {"PROGUARD_OBJECTS__ENDPOINT_URL": objects.start()} | objects.environment
        environment.pop("AWS_SESSION_TOKEN", None)
        environment.pop("AWS_PROFILE", None)
    else:
        environment["PROGUARD_OBJECTS__ENDPOINT_URL"] = endpoint or ""
    environment["PROGUARD_OBJECTS__BUCKETS"] = f'["{bucket}"]'
    return Stage(folder, environment, objects, bucket, broker is not None, started, interruption)


def _environment(servers: str, folder: Path, own_broker: bool) -> dict[str, str]:
    """The worker's environment. On the embedded broker no Kafka setting of the user's may reach it."""
    inherited = dict(os.environ)
    if own_broker:
        alien = ("PROGUARD_KAFKA__", "PROGUARD_TOPICS__", "PROGUARD_CONFIG")
        inherited = {name: value for name, value in inherited.items() if not name.startswith(alien)}
    wanted = {
        "BOOTSTRAP_SERVERS": servers,
        "GROUP_ID": f"proguard-demo-{uuid.uuid4().hex[:8]}",
        "STATE_DIR": str(folder / "state"),
        "DELIVERY": "at-least-once" if own_broker else "exactly-once",
        # What others left on a topic of yours is not ours to judge.
        "START_FROM": "earliest" if own_broker else datetime.now(UTC).isoformat(),
    }
    if own_broker:
        wanted["GROUP_PROTOCOL"] = "consumer"
    # The demo needs no metrics, and whatever is at their port already must not stop it.
    served = {"PROGUARD_TELEMETRY__PORT": inherited.get("PROGUARD_TELEMETRY__PORT", "0")}
    return inherited | served | {f"PROGUARD_KAFKA__{name}": value for name, value in wanted.items()}


def _play(stage: Stage, stack: ExitStack, screen: Screen, keep: bool, deadline_s: float) -> int:
    """Start the worker, send, show, sum up."""
    if not stage.own_broker:
        _create_topics(stage)
    stage.worker = stack.enter_context(Child(_proguard("moderate"), stage.log, stage.environment))
    screen.say(_where(stage))
    settings = _settings(stage)
    samples = _samples(stage, settings)
    reader = OutcomeReader(settings)
    stack.callback(reader.close)
    screen.header()
    complete = _stream(stage, samples, settings, reader, screen, deadline_s)
    screen.progress("")
    _sum_up(stage, screen, complete, deadline_s)
    if complete:
        _say_next(screen, keep)
    if keep and complete:
        # Not before: two more processes would make the first verdict wait.
        screen.say(f"Console: {open_console(stack, stage.environment, stage.folder)} (in some seconds)")
        _keep(stage, settings, reader, screen)
    return 0 if complete else 1


def _proguard(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "worker.cli", *arguments]


def _create_topics(stage: Stage) -> None:
    child = Child(_proguard("topics", "create"), stage.log, stage.environment)
    if code := child.process.wait():
        raise DemoFailed(f"`proguard topics create` ended with {code}; its last lines are above", code)
    child.stop()


def _settings(stage: Stage) -> Settings:
    """The settings that the worker sees, for our own producer and reader."""
    before = dict(os.environ)
    try:
        os.environ.clear()
        os.environ.update(stage.environment)
        return load()
    finally:
        os.environ.clear()
        os.environ.update(before)


def _samples(stage: Stage, settings: Settings) -> list[Sample]:
    """Draw the pictures, put them into the bucket, and return the records that speak of them."""
    from botocore.exceptions import BotoCoreError, ClientError

    client = stage.objects.client() if stage.objects else s3_client(settings.objects)
    folder = stage.folder / "pictures"
    make_pictures(folder)
    uploader = Uploader(client, stage.bucket, folder)

    def reference(name: str) -> str:
        try:
            return uploader.reference(name)
        except PictureNotFound:  # one is missing on purpose
            return f"s3://{stage.bucket}/{name}"

    try:
        make_bucket(client, stage.bucket)
        return load_samples(reference)
    except (BotoCoreError, ClientError) as error:
        raise explained(f"the pictures could not be put into bucket {stage.bucket}", error) from None


def _stream(
    stage: Stage, samples: list[Sample], settings: Settings, reader: OutcomeReader, screen: Screen, deadline_s: float
) -> bool:
    """Send at a pace one can watch and show answers until all are there; False at the deadline."""
    producer = Producer({**loader_config(settings, BROKER_MAX_MESSAGE_BYTES), "linger.ms": 0})
    waiting = deque(samples)
    total, next_at = len(waiting), time.monotonic()
    deadline = next_at + deadline_s
    while (now := time.monotonic()) < deadline:
        if waiting and now >= next_at and _may_go(waiting[0], stage, len(producer)):
            _send(producer, settings.topics.posts, waiting.popleft(), stage)
            next_at = now + _INTERVAL_S
        producer.poll(0)
        _show(stage, reader, screen)
        answered = stage.tally.answered
        screen.progress(f"{total - len(waiting)} sent, {answered} answered of {total}")
        if not waiting and answered == total:
            return True
        _check(stage)
    return False


def _may_go(sample: Sample, stage: Stage, undelivered: int) -> bool:
    """A tombstone waits until all else is answered, so that one sees what it erases."""
    return sample.value is not None or not (undelivered or stage.tally.missing)


def _send(producer: Producer, topic: str, sample: Sample, stage: Stage) -> None:
    def delivered(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            raise KafkaException(error)
        place = (message.partition() or 0, message.offset() or 0)
        stage.shown[place] = (sample.key, sample.modality, sample.shown)
        stage.tally.sent(*place, sample.key, tombstone=sample.value is None)

    producer.produce(topic, sample.value, key=sample.key, on_delivery=delivered)


def _show(stage: Stage, reader: OutcomeReader, screen: Screen) -> None:
    for arrival in reader.read(stage.tally, _READ_S):
        if stage.first_verdict_s is None:
            stage.first_verdict_s = time.monotonic() - stage.started
        screen.row(arrival, stage.shown)


def _check(stage: Stage) -> None:
    """Raise what ends the demo: a lost KeyboardInterrupt, DemoFailed where the worker ended."""
    stage.interruption.check()
    if stage.worker is not None and (code := stage.worker.returncode) is not None:
        raise DemoFailed(f"the worker ended with status {code}; its last lines are above", max(code, 0) or 1)


def _where(stage: Stage) -> str:
    kind = "embedded, at-least-once" if stage.own_broker else "yours, exactly-once"
    servers = stage.environment["PROGUARD_KAFKA__BOOTSTRAP_SERVERS"]
    return (
        f"Kafka {servers} ({kind}), S3 {stage.environment['PROGUARD_OBJECTS__ENDPOINT_URL']}; the guard is loading ..."
    )


def _sum_up(stage: Stage, screen: Screen, complete: bool, deadline_s: float) -> None:
    screen.say("")
    for line in summary(stage.tally):
        screen.say(line)
    if stage.first_verdict_s is not None:
        screen.say(f"  first verdict   {stage.first_verdict_s:.1f} s after the start")
    if not complete:
        missing = ", ".join(stage.tally.missing[:10]) or "records were not sent"
        _say_failure(screen, stage, f"Not everything was answered within {deadline_s:.0f} s: {missing}")


def _say_next(screen: Screen, keep: bool) -> None:
    program = _program()
    goes_on = f"`{program} demo --keep` goes on, with the console beside it; "
    screen.say(
        "\nThe records are on moderation.verdicts, moderation.risks, moderation.retraining and moderation.dead-letters."
    )
    screen.say(f"Next: `{program} judge FILE.jsonl` without Kafka;")
    screen.say(f"      `{program} console --demo-data`, a month of invented risks;")
    screen.say(f"      {'' if keep else goes_on}your own Kafka and S3: README.md.")


def _program() -> str:
    """What a shell runs as this program: its environment need not be active there."""
    beside = Path(sys.executable).with_name("proguard")
    if not beside.is_file():
        return f"{shlex.quote(sys.executable)} -m worker.cli"
    on_path = shutil.which("proguard")
    return "proguard" if on_path and Path(on_path).samefile(beside) else shlex.quote(str(beside))


def _keep(stage: Stage, settings: Settings, reader: OutcomeReader, screen: Screen) -> None:
    """Go on until Ctrl-C: posts of a new risk come in, and whatever the user sends; the console sees their crowd."""
    exports = stage.folder / "demo.env"
    kept = {name: value for name, value in stage.environment.items() if name.startswith(("PROGUARD_", "AWS_"))}
    exports.touch(mode=0o600)
    exports.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in kept.items()))
    screen.say(f"\nStill running. In another terminal: source {exports}; {_program()} send FILE.jsonl")
    screen.say("Ctrl-C ends it.")
    screen.say(
        "Meanwhile people begin to offer fixed matches, which no policy lists: look at the console's clusters.\n"
    )
    producer = Producer({**loader_config(settings, BROKER_MAX_MESSAGE_BYTES), "linger.ms": 0})
    waiting, next_at = deque(new_risk(_NEW_POSTS)), time.monotonic()
    try:
        with stage.interruption.told():
            while True:
                if waiting and time.monotonic() >= next_at:
                    _send(producer, settings.topics.posts, waiting.popleft(), stage)
                    next_at = time.monotonic() + _NEW_INTERVAL_S
                producer.poll(0)
                _show(stage, reader, screen)
                screen.progress(f"{len(stage.tally.verdicts)} verdicts so far")
                _check(stage)
    except KeyboardInterrupt:
        screen.say("Stopped.")


def _say_failure(screen: Screen, stage: Stage | None, cause: str) -> None:
    """The cause last, where eyes are: most of what was logged before it is harmless."""
    for line in _last_lines(stage):
        screen.say(f"  {line}", "dim")
    screen.say(cause, "bold red")


def _last_lines(stage: Stage | None) -> list[str]:
    if stage is None or not stage.log.exists():
        return []
    return stage.log.read_text(errors="replace").splitlines()[-_LOG_LINES:]


if __name__ == "__main__":
    sys.exit(run())
