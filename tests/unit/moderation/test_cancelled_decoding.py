"""Law 6: a thread that decodes cannot be cancelled, so its picture stays noted until the thread is done with it."""

import asyncio
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from proguard_core.images import DecodedImage, ImageError
from schemas.common import Reason
from schemas.post import ImageReference
from tests.unit.moderation.test_poison import journal
from worker.moderation import fetch
from worker.moderation.fetch import Fetcher
from worker.moderation.objects import ObjectStore
from worker.moderation.poison import Journal
from worker.moderation.turns import Turns
from worker.settings import ObjectSettings

PICTURE = [ImageReference(uri="s3://pictures/a")]


class Store:
    buckets = ("pictures",)

    async def probe(self, bucket: str) -> None: ...

    async def get(self, reference: ImageReference, on_size: object) -> bytes:
        return b"picture"


class Decoder:
    """A picture that takes until it is let go, and then turns out to be broken."""

    def __init__(self) -> None:
        self.begun, self.let_go = threading.Semaphore(0), threading.Event()
        self.count = 0

    def __call__(self, *_of_a_picture: object) -> DecodedImage:
        self.count += 1
        self.begun.release()
        self.let_go.wait(10)
        raise ImageError(Reason.IMAGE_UNREADABLE, "broken")


@pytest.fixture
def decoder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Decoder]:
    made = Decoder()
    monkeypatch.setattr(fetch, "decode", made)
    yield made
    made.let_go.set()


def begin(fetcher: Fetcher, noted: Journal, *offsets: int) -> list[asyncio.Task[object]]:
    turns = Turns(noted, lambda: False, lambda: None)
    return [
        asyncio.ensure_future(fetcher.fetch(PICTURE, 0, partial(turns.decoder, ("posts", 0, offset))))
        for offset in offsets
    ]


def noted_offsets(noted: Journal) -> list[int]:
    return [
        offset for entry in noted._open.values() for *_place, offset in cast(list[tuple[str, int, int]], entry["posts"])
    ]


async def test_what_is_being_decoded_is_noted_although_nobody_waits_for_it(tmp_path: Path, decoder: Decoder) -> None:
    """Its partition is gone; a death is its fault all the same, and not that of whoever runs beside it."""
    noted = journal(tmp_path)
    settings = ObjectSettings(buckets=("pictures",), decode_threads=1)
    fetcher = Fetcher(cast(ObjectStore, Store()), settings, 1_000_000)
    decoding, waiting = begin(fetcher, noted, 1, 2)
    await asyncio.to_thread(decoder.begun.acquire)
    for _ in range(3):  # the pipeline does so every second
        decoding.cancel()
        waiting.cancel()
        await asyncio.wait((decoding, waiting), timeout=0.05)
    assert (decoding.done(), waiting.cancelled()) == (False, True)
    assert noted_offsets(noted) == [1]
    assert fetcher.budget.held_pixels > 0
    decoder.let_go.set()
    await asyncio.wait((decoding,), timeout=5)
    assert decoding.cancelled()
    assert (noted_offsets(noted), decoder.count, fetcher.budget.held_pixels) == ([], 1, 0)
    await fetcher.close()
    noted.close()
