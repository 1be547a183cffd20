"""The pictures of a post: fetched and decoded within budget. What is down is waited for, bad pictures named."""

import asyncio
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from proguard_core.guards.protocol import Picture
from proguard_core.images import DecodedImage, ImageError, ImageLimits, decode
from schemas.common import Reason
from schemas.post import ImageReference, split_uri
from worker.moderation.decoding_room import DecodingRoom
from worker.moderation.dependency import FIRST_BACKOFF_S, MAX_BACKOFF_S, Dependency
from worker.moderation.image_budget import Grant, ImageBudget
from worker.moderation.objects import ObjectRefused, ObjectStore, ObjectUnavailable
from worker.settings import ObjectSettings
from worker.telemetry.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class FetchedImage:
    """One reference of a post. pictures is empty where reason says why; frames > len(pictures): frames were skipped."""

    pictures: tuple[Picture, ...]
    frames: int
    reason: Reason | None


class FetchedPost:
    """All pictures of a post, in the order of its references, and the memory they hold until `release`."""

    def __init__(self, images: list[FetchedImage], grant: Grant | None = None) -> None:
        self.images = images
        self._grant = grant

    def release(self) -> None:
        """Give the budget back: the pictures are not needed any more. Idempotent."""
        if self._grant is not None:
            self._grant.release()


Decoder = Callable[[], AbstractAsyncContextManager[object]]
"""Entered around the decoding of each picture, on the event loop."""


def not_noted() -> AbstractAsyncContextManager[object]:
    """Decoding that nobody has to know of."""
    return nullcontext()


class ImageSource(Protocol):
    """Where pictures come from. Lives on one event loop."""

    @property
    def dependencies(self) -> Sequence[Dependency]: ...

    async def start(self) -> None: ...

    async def fetch(self, images: Sequence[ImageReference], partition: Hashable, decoder: Decoder = ...) -> FetchedPost:
        """One FetchedImage a reference, in order. Never raises for a bad picture; waits while a service is down."""
        ...

    async def close(self) -> None: ...


def image_limits(settings: ObjectSettings, guard_max_pixels: int) -> ImageLimits:
    """What is decoded under these settings for a guard that looks at guard_max_pixels a picture."""
    return ImageLimits(settings.max_pixels, guard_max_pixels, settings.max_frames, settings.formats)


def refused(reason: Reason) -> FetchedImage:
    """A picture that could not be had."""
    return FetchedImage((), 0, reason)


class _Holding:
    """The grant of a post, split by picture: each shrinks its own part as it learns more."""

    def __init__(self, grant: Grant, count: int) -> None:
        self._grant = grant
        self._bytes = [grant.bytes // count] * count
        self._pixels = [grant.pixels // count] * count

    def set_bytes(self, index: int, held: int) -> None:
        self._bytes[index] = held
        self._grant.shrink(bytes=sum(self._bytes))

    def set_pixels(self, index: int, held: int) -> None:
        """The picture is decoded (or given up): its bytes are not needed any more."""
        self._bytes[index], self._pixels[index] = 0, held
        self._grant.shrink(bytes=sum(self._bytes), pixels=sum(self._pixels))


class Fetcher:
    """Pictures from S3. The store's buckets are its dependencies, one each."""

    def __init__(
        self,
        store: ObjectStore,
        settings: ObjectSettings,
        guard_max_pixels: int,
        clock: Callable[[], float] = time.monotonic,
        *,
        max_backoff_s: float = MAX_BACKOFF_S,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._store = store
        self._settings = settings
        self._telemetry = telemetry or Telemetry()
        self._limits = image_limits(settings, guard_max_pixels)
        self._clock = clock
        self._max_backoff_s = max_backoff_s
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._room = DecodingRoom(settings.max_decoding_pixels)
        self._threads = ThreadPoolExecutor(settings.decode_threads, thread_name_prefix="decode")
        self.budget = ImageBudget(settings.max_held_bytes, settings.max_held_pixels)
        self._dependencies = {
            bucket: Dependency(
                f"s3://{bucket}",
                partial(store.probe, bucket),
                clock,
                max_backoff_s=max_backoff_s,
            )
            for bucket in store.buckets
        }

    @property
    def dependencies(self) -> Sequence[Dependency]:
        """One a bucket, for the status."""
        return tuple(self._dependencies.values())

    async def start(self) -> None:
        """Nothing to wait for: a bucket that is down at start is waited for by the first post that needs it."""

    async def close(self) -> None:
        """End the probers and the decoding threads. Fetches in flight must have been cancelled."""
        for dependency in self._dependencies.values():
            await dependency.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def fetch(
        self, images: Sequence[ImageReference], partition: Hashable, decoder: Decoder = not_noted
    ) -> FetchedPost:
        """The first max_images pictures; those beyond are `too_many_images`, unfetched. See ImageSource.

        Room for the whole post is asked for at once, in the order of the calls of a partition, and shrinks as sizes
        become known. Cancellation and errors give it back.
        """
        wanted = images[: self._settings.max_images]
        if not wanted:
            return FetchedPost([])
        most_bytes = self._settings.max_bytes * len(wanted)
        most_pixels = self._limits.max_pixels * self._limits.max_frames * len(wanted)
        grant = await self.budget.acquire(partition, most_bytes, most_pixels)
        try:
            holding = _Holding(grant, len(wanted))
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._image(image, index, holding, decoder)) for index, image in enumerate(wanted)
                ]
        except BaseException:
            grant.release()
            raise
        beyond = [refused(Reason.TOO_MANY_IMAGES)] * (len(images) - len(wanted))
        return FetchedPost([task.result() for task in tasks] + beyond, grant)

    async def _image(self, reference: ImageReference, index: int, holding: _Holding, decoder: Decoder) -> FetchedImage:
        try:
            began = self._clock()
            data = await self._patiently(reference, partial(holding.set_bytes, index))
            self._telemetry.fetch_duration(self._clock() - began)
            self._telemetry.fetched_bytes += len(data)
            async with decoder():
                began = self._clock()
                decoded = await self._decoded(data)
            self._telemetry.decode_duration(self._clock() - began)
        except (ObjectRefused, ImageError) as error:
            self._telemetry.fetch_errors[error.reason.value] += 1
            error.__traceback__ = None  # it holds frames that hold the error: work for a collector that seldom looks
            holding.set_pixels(index, 0)
            return refused(error.reason)
        holding.set_pixels(index, decoded.pixels)
        return FetchedImage(decoded.pictures, decoded.frames, None)

    async def _decoded(self, data: bytes) -> DecodedImage:
        """A thread cannot be cancelled: what is being decoded is waited for, so that it stays noted meanwhile."""
        decoding = self._threads.submit(decode, data, self._limits, self._room)
        done = asyncio.wrap_future(decoding)
        cancelled = False
        while not done.done():
            try:
                await asyncio.wait((done,))
            except asyncio.CancelledError:
                cancelled = True
                decoding.cancel()  # while it still waits for a thread
        if cancelled and not done.cancelled():
            done.exception()  # nobody wants it; asyncio would complain that nobody looked
            raise asyncio.CancelledError
        return done.result()

    async def _patiently(self, reference: ImageReference, on_size: Callable[[int], None]) -> bytes:
        """The object, through errors that pass. Raises ObjectRefused, also when only this object keeps failing."""
        patience = _Patience(self._settings.give_up_s, self._clock)
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(ObjectUnavailable),
            wait=wait_random_exponential(multiplier=FIRST_BACKOFF_S, max=self._max_backoff_s),
        )
        return await retrying(self._attempt, reference, on_size, patience)

    async def _attempt(
        self,
        reference: ImageReference,
        on_size: Callable[[int], None],
        patience: "_Patience",
    ) -> bytes:
        try:
            async with self._slots:
                began = patience.begin()
                return await self._store.get(reference, on_size)
        except ObjectUnavailable as error:
            self._telemetry.fetch_errors[error.code] += 1
            dependency = self._dependencies[split_uri(reference.uri)[0]]
            if error.dependency or not await dependency.check():
                await dependency.wait_until_up()
                patience.excuse()
            elif dependency.failed_since(began):
                patience.excuse()  # it came back while this attempt was still failing
            elif patience.is_exhausted():
                raise ObjectRefused(Reason.IMAGE_UNAVAILABLE) from None
            raise


class _Patience:
    """How long one object has been failing while its service answered. Time it was down is excused."""

    def __init__(self, limit_s: float, clock: Callable[[], float]) -> None:
        self._limit_s = limit_s
        self._clock = clock
        self._spent_s = 0.0
        self._since: float | None = None

    def begin(self) -> float:
        """An attempt starts: when. The pause before it counts, the wait for a free slot before the first does not."""
        now = self._clock()
        if self._since is None:
            self._since = now
        return now

    def excuse(self) -> None:
        """What happened since the last failure was the service's fault."""
        self._since = None

    def is_exhausted(self) -> bool:
        """Count the time since the last look against the object."""
        now = self._clock()
        self._spent_s += now - (now if self._since is None else self._since)
        self._since = now
        return self._spent_s >= self._limit_s
