"""`proguard send`: posts of a file onto the posts topic, their local pictures into the bucket."""

import hashlib
import logging
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException, Producer

from worker import topics
from worker.commands.connection import connect
from worker.commands.posts_file import Line, PictureNotFound, lines, with_references
from worker.errors import ConfigurationError, WorkerError
from worker.moderation.client_config import BROKER_MAX_MESSAGE_BYTES, loader_config
from worker.moderation.decode import NotAPost, decode
from worker.moderation.s3_errors import remedy_of
from worker.settings import ObjectSettings, Settings

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)

_FALLBACK_REGION = "us-east-1"
_FLUSH_S = 60.0
_SLICE_S = 0.1
_SAY_EVERY_S = 1.0


@dataclass(slots=True)
class SendReport:
    """What came of it. refused: (line number, why) of the lines that were not sent or not acknowledged."""

    sent: int = 0
    uploaded: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)


class Uploader:
    """Puts pictures into a bucket under the hash of their bytes: sent again, they are the same object."""

    def __init__(self, client: "S3Client", bucket: str, folder: Path) -> None:
        self.uploaded = 0
        self._client = client
        self._bucket = bucket
        self._folder = folder.resolve()
        self._known: dict[Path, str] = {}

    def reference(self, path: str) -> str:
        """The s3:// URI of a path relative to the folder. PictureNotFound if there is no such file inside it."""
        file = (self._folder / path).resolve()
        if not file.is_relative_to(self._folder):
            raise PictureNotFound(f"picture {path!r} lies outside the folder of the posts")
        if file not in self._known:
            self._known[file] = self._upload(file, path)
        return self._known[file]

    def _upload(self, file: Path, path: str) -> str:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            content = file.read_bytes()
        except OSError as error:
            raise PictureNotFound(f"picture {path!r} cannot be read: {error.strerror}") from None
        key = hashlib.sha256(content).hexdigest() + file.suffix.lower()
        try:
            self._client.put_object(Bucket=self._bucket, Key=key, Body=content)
        except (BotoCoreError, ClientError) as error:
            raise explained(f"picture {path!r} cannot be put into bucket {self._bucket}", error) from None
        self.uploaded += 1
        return f"s3://{self._bucket}/{key}"


def explained(what: str, error: "BotoCoreError | ClientError") -> WorkerError:
    """What failed, why, and what to do about it; a ConfigurationError where keys are missing."""
    from botocore.exceptions import ClientError, NoCredentialsError, PartialCredentialsError

    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return ConfigurationError(f"{what}: {error}. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile")
    remedy = remedy_of(error.response["Error"].get("Code", "")) if isinstance(error, ClientError) else ""
    return WorkerError(f"{what}: {error}{remedy}")


def s3_client(settings: ObjectSettings) -> "S3Client":
    """A boto3 client by the same settings and credential chain as the worker's."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    style = settings.addressing_style or ("path" if settings.endpoint_url else "auto")
    config = Config(connect_timeout=settings.connect_timeout_s, s3={"addressing_style": style})
    try:
        session = boto3.Session(profile_name=settings.profile, region_name=settings.region)
        region = session.region_name or _FALLBACK_REGION
        return session.client("s3", region_name=region, endpoint_url=settings.endpoint_url, config=config)
    except (BotoCoreError, ValueError) as error:
        raise ConfigurationError(f"objects: {error}") from None


def send_posts(
    settings: Settings,
    posts: Iterable[Line],
    uploader: Uploader | None = None,
    *,
    raw: bool = False,
    rate: float | None = None,
    max_message_bytes: int = BROKER_MAX_MESSAGE_BYTES,
    on_progress: Callable[[SendReport], None] = lambda report: None,
) -> SendReport:
    """Send posts in order, keyed by post_id, and wait for all acknowledgements. Idempotent, not transactional.

    raw sends what is no post too. rate: posts a second. Without an uploader local pictures are refused.
    Raises WorkerError if S3 does not take a picture.
    """
    producer = Producer(loader_config(settings, max_message_bytes))
    report = SendReport()
    due = time.monotonic()
    for line in posts:
        prepared = _prepare(line, uploader, raw, report)
        if prepared is None:
            continue
        if rate is not None:
            _wait_until(due, producer)
            due = max(due + 1 / rate, time.monotonic() - 1)
        _produce(producer, settings.topics.posts, line.number, *prepared, report)
        report.uploaded = uploader.uploaded if uploader else 0
        on_progress(report)
    if left := producer.flush(_FLUSH_S):
        report.refused.append((0, f"{left} posts were not acknowledged within {_FLUSH_S:g} s"))
    return report


def _prepare(line: Line, uploader: Uploader | None, raw: bool, report: SendReport) -> tuple[bytes, bytes | None] | None:
    """Value and key, or None when the line was refused."""

    def refuse_local(path: str) -> str:
        raise PictureNotFound(f"picture {path!r} is a local file, and there is no bucket: give --bucket")

    try:
        value, post_id = with_references(line.value, uploader.reference if uploader else refuse_local)
        if not raw:
            post_id = decode(value).post_id
    except PictureNotFound as error:
        report.refused.append((line.number, str(error)))
        return None
    except NotAPost as error:
        report.refused.append((line.number, f"{error.reason}: {error.message}"))
        return None
    return value, None if post_id is None else post_id.encode("utf-8", "surrogatepass")


def _wait_until(due: float, producer: Producer) -> None:
    while (left := due - time.monotonic()) > 0:
        producer.poll(min(left, _SLICE_S))


def _produce(producer: Producer, topic: str, number: int, value: bytes, key: bytes | None, report: SendReport) -> None:
    def note(error: KafkaError | None, _message: object) -> None:
        if error is None:
            report.sent += 1
        else:
            report.refused.append((number, error.str()))

    while True:
        try:
            producer.produce(topic, value=value, key=key, on_delivery=note)
            break
        except BufferError:
            producer.poll(_SLICE_S)
        except KafkaException as error:  # larger than the topic takes
            report.refused.append((number, error.args[0].str()))
            return
    producer.poll(0)


def run(settings: Settings, file: Path, *, bucket: str | None, raw: bool, rate: float | None) -> int:
    """The command: 0 if everything was sent, 1 if lines were refused (each said on stderr)."""
    admin = connect(settings)
    try:
        states = topics.look(admin, settings)
    except KafkaException as error:
        raise WorkerError(f"the broker does not answer: {topics.text_of(error)}") from None
    posts = next(state for state in states if state.plan.role == "posts")
    if posts.missing:
        raise ConfigurationError(f"topic {posts.name} (topics.posts) does not exist: run `proguard topics create`")
    into = bucket or next(iter(settings.objects.buckets), None)
    uploader = Uploader(s3_client(settings.objects), into, file.parent) if into else None
    report = send_posts(
        settings,
        lines(file),
        uploader,
        raw=raw,
        rate=rate,
        max_message_bytes=topics.posts_max_bytes(states),
        on_progress=_progress(),
    )
    for number, why in report.refused:
        print(f"{file}:{number}: {why}" if number else why, file=sys.stderr)
    print(
        f"{report.sent} posts sent to {posts.name}, {report.uploaded} pictures uploaded, {len(report.refused)} refused"
    )
    return 1 if report.refused else 0


def _progress() -> Callable[[SendReport], None]:
    """A line that changes on a terminal, a log line now and then otherwise."""
    said = time.monotonic()

    def say(report: SendReport) -> None:
        nonlocal said
        if time.monotonic() - said < _SAY_EVERY_S:
            return
        said = time.monotonic()
        if sys.stderr.isatty():
            print(f"\r{report.sent} posts sent", end="", file=sys.stderr, flush=True)
        else:
            log.info("%d posts sent, %d refused", report.sent, len(report.refused))

    return say
