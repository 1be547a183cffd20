"""One life of a worker's pipeline in which decoding one picture kills the process. Run with the state folder.

Prints the answers as JSON once all posts have one.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Hashable, Sequence
from pathlib import Path

from schemas.post import ImageReference
from tests.unit.moderation.test_pipeline import Bench, Images
from worker.moderation.fetch import Decoder, FetchedPost, not_noted

POISON = 4
POSTS = 8


class KillingImages(Images):
    """Decodes side by side, as threads do; the third picture of the one post is never survived."""

    async def fetch(
        self, images: Sequence[ImageReference], partition: Hashable, decoder: Decoder = not_noted
    ) -> FetchedPost:
        await asyncio.gather(*(self._decode(image, len(images), decoder) for image in images))
        return await super().fetch(images, partition)

    async def _decode(self, image: ImageReference, of: int, decoder: Decoder) -> None:
        async with decoder():
            await asyncio.sleep(0.01)
            if of == 3 and image.uri.endswith("2"):
                os.kill(os.getpid(), signal.SIGKILL)


async def live(folder: Path) -> None:
    """Posts with two pictures each, some without, and the one with three."""
    bench = Bench(folder, images=KillingImages())
    pictures = [3 if number == POISON else (number % 2) * 2 for number in range(POSTS)]
    bench.pipeline.submit([bench.work(number, pictures=count) for number, count in enumerate(pictures)])
    answers = await bench.answers(POSTS)
    bench.journal.close()
    print(json.dumps({str(token): answer["reason"] for token, answer in answers.items()}))


if __name__ == "__main__":
    asyncio.run(live(Path(sys.argv[1])))
