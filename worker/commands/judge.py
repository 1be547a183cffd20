"""`proguard judge`: the posts of a file become verdicts without Kafka, by the same pipeline as on the stream."""

import asyncio
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from proguard_core.guards.protocol import Guard, GuardError
from proguard_core.policy.policy import Policy
from worker.commands.posts_file import Line, PictureNotFound, lines, with_references
from worker.errors import ConfigurationError
from worker.local.files import LocalImages, local_uri
from worker.moderation.client_config import BROKER_MAX_MESSAGE_BYTES
from worker.moderation.decode import NotAPost, decode
from worker.moderation.judge import Judge
from worker.moderation.partitions import Outcome
from worker.moderation.pipeline import Pipeline, Work
from worker.moderation.poison import Journal
from worker.moderation.run import make_guard, make_policy, make_writer
from worker.settings import Settings

log = logging.getLogger(__name__)

# Posts on their way at once: enough to fill batches, little enough for a file of any length.
_ON_THE_WAY = 256
_SAY_EVERY_S = 1.0


class _Verdicts:
    """Takes outcomes in any order, gives verdicts in the order of the posts."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.on_the_way = 0
        self.written = 0
        self.changed = asyncio.Event()
        self.broken: BaseException | None = None
        self._write = write
        self._waiting: dict[int, bytes] = {}

    def deliver(self, done: list[tuple[object, Outcome]]) -> None:
        """The pipeline's callback: a token is the post's place in the order."""
        for token, outcome in done:
            assert isinstance(token, int)
            # The first record of an outcome is the verdict; risks and hits have no topic to go to here.
            self._waiting[token] = outcome.records[0][2] or b""
            self.on_the_way -= 1
        while (verdict := self._waiting.pop(self.written, None)) is not None:
            self._write(verdict)
            self.written += 1
        self.changed.set()

    def break_off(self, error: BaseException) -> None:
        """The pipeline cannot go on."""
        self.broken = error
        self.changed.set()

    async def wait_below(self, most: int) -> None:
        """Until fewer than `most` posts are on their way; raises what broke the pipeline."""
        while self.on_the_way >= most:
            self.changed.clear()
            if self.broken is not None:
                raise self.broken
            await self.changed.wait()


def run(settings: Settings, file: Path) -> int:
    """The command: verdicts on stdout; 0, or 1 if lines were no posts (each said on stderr)."""
    policy = make_policy(settings)
    guard = make_guard(settings, policy)

    def write(verdict: bytes) -> None:
        sys.stdout.buffer.write(verdict + b"\n")
        sys.stdout.buffer.flush()

    refused = asyncio.run(judge_file(settings, file, guard, policy, write))
    for number, why in refused:
        print(f"{file}:{number}: {why}", file=sys.stderr)
    return 1 if refused else 0


async def judge_file(
    settings: Settings, file: Path, guard: Guard, policy: Policy, write: Callable[[bytes], None]
) -> list[tuple[int, str]]:
    """Judge all posts of a file; write is called with each verdict's JSON, in the order of the posts.

    Returns (line number, why) of what is no post. The verdicts' source is (file name, 0, line number - 1).
    Raises ConfigurationError if the guard cannot be loaded.
    """
    try:
        await guard.start()
    except GuardError as error:
        raise ConfigurationError(f"the guard {settings.guard.engine!r} cannot be loaded: {error}") from error
    images = LocalImages(file.parent, settings.objects, guard.limits.max_pixels)
    await images.start()
    verdicts = _Verdicts(write)
    with tempfile.TemporaryDirectory(prefix="proguard-judge-") as folder:
        journal = Journal(Path(folder), "judge")
        pipeline = Pipeline(
            Judge(guard, settings.guard),
            images,
            make_writer(settings, policy, BROKER_MAX_MESSAGE_BYTES),
            policy,
            journal,
            settings.batching,
            settings.guard,
            verdicts.deliver,
        )
        try:
            return await _feed(pipeline, file, verdicts)
        finally:
            await pipeline.close()
            await images.close()
            await guard.close()
            journal.close()


async def _feed(pipeline: Pipeline, file: Path, verdicts: _Verdicts) -> list[tuple[int, str]]:
    asyncio.get_running_loop().set_exception_handler(
        lambda _loop, context: verdicts.break_off(context.get("exception") or RuntimeError(str(context["message"])))
    )
    refused: list[tuple[int, str]] = []
    said = time.monotonic()
    for order, work in enumerate(_works(file, refused)):
        work.token = order
        await verdicts.wait_below(_ON_THE_WAY)
        verdicts.on_the_way += 1
        pipeline.submit([work])
        if time.monotonic() - said > _SAY_EVERY_S:
            said = time.monotonic()
            _say(verdicts.written)
    while verdicts.on_the_way:
        await verdicts.wait_below(verdicts.on_the_way)
        _say(verdicts.written)
    if _shows_progress():
        print(file=sys.stderr)
    return refused


def _works(file: Path, refused: list[tuple[int, str]]) -> Iterator[Work]:
    for line in lines(file):
        try:
            yield _work(file.name, line)
        except PictureNotFound as error:
            refused.append((line.number, str(error)))
        except NotAPost as error:
            refused.append((line.number, f"{error.reason}: {error.message}"))


def _work(name: str, line: Line) -> Work:
    value, _ = with_references(line.value, _reference)
    source = (name, 0, line.number - 1)
    return Work(None, source, decode(value), None, time.monotonic(), cancelled=lambda: False)


def _reference(path: str) -> str:
    try:
        return local_uri(path)
    except ValueError as error:
        raise PictureNotFound(f"picture {path!r}: {error}") from None


def _shows_progress() -> bool:
    """Where verdicts appear on the same terminal, they are the progress, and a line of ours would run into them."""
    return sys.stderr.isatty() and not sys.stdout.isatty()


def _say(written: int) -> None:
    if _shows_progress():
        print(f"\r{written} posts judged", end="", file=sys.stderr, flush=True)
