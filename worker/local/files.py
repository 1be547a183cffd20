"""Pictures that lie beside a file of posts, for judging without S3. The same caps and the same reasons as from S3."""

import asyncio
import stat
from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from proguard_core.images import ImageError, decode
from schemas.common import Reason
from schemas.post import ImageReference, split_uri
from worker.moderation.decoding_room import DecodingRoom
from worker.moderation.dependency import Dependency
from worker.moderation.fetch import Decoder, FetchedImage, FetchedPost, image_limits, not_noted, refused
from worker.moderation.image_budget import ImageBudget
from worker.moderation.objects import ObjectRefused
from worker.settings import ObjectSettings

# A post's schema knows only s3:// references; a path beside the file takes this bucket's name.
LOCAL_BUCKET = "local-files"


def local_uri(path: str) -> str:
    """The reference under which LocalImages finds a path relative to its root.

    Raises ValueError for absolute paths and those that climb with `..`.
    """
    parts = PurePosixPath(path).parts
    if not parts or parts[0] == "/" or ".." in parts:
        raise ValueError("an image must be a path inside the folder of the posts")
    uri = f"s3://{LOCAL_BUCKET}/{'/'.join(parts)}"
    split_uri(uri)
    return uri


class LocalImages:
    """An ImageSource of files under root. Nothing outside of root is ever read, symbolic links included."""

    def __init__(self, root: Path, settings: ObjectSettings, guard_max_pixels: int) -> None:
        self._root = root.resolve()
        self._settings = settings
        self._limits = image_limits(settings, guard_max_pixels)
        self._room = DecodingRoom(settings.max_decoding_pixels)
        self._threads = ThreadPoolExecutor(settings.decode_threads, thread_name_prefix="decode")
        self.budget = ImageBudget(settings.max_held_bytes, settings.max_held_pixels)

    @property
    def dependencies(self) -> Sequence[Dependency]:
        """A disk has none."""
        return ()

    async def start(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def fetch(
        self, images: Sequence[ImageReference], partition: Hashable, decoder: Decoder = not_noted
    ) -> FetchedPost:
        """See ImageSource."""
        wanted = images[: self._settings.max_images]
        if not wanted:
            return FetchedPost([])
        most_pixels = self._limits.max_pixels * self._limits.max_frames * len(wanted)
        grant = await self.budget.acquire(partition, self._settings.max_bytes * len(wanted), most_pixels)
        loop = asyncio.get_running_loop()
        try:
            fetched = await asyncio.gather(
                *(loop.run_in_executor(self._threads, self._image, image) for image in wanted)
            )
        except BaseException:
            grant.release()
            raise
        grant.shrink(
            bytes=0,
            pixels=sum(picture.pixels for image in fetched for picture in image.pictures),
        )
        beyond = [refused(Reason.TOO_MANY_IMAGES)] * (len(images) - len(wanted))
        return FetchedPost([*fetched, *beyond], grant)

    def _image(self, reference: ImageReference) -> FetchedImage:
        try:
            decoded = decode(self._read(reference), self._limits, self._room)
        except (ObjectRefused, ImageError) as error:
            return refused(error.reason)
        return FetchedImage(decoded.pictures, decoded.frames, None)

    def _read(self, reference: ImageReference) -> bytes:
        bucket, key = split_uri(reference.uri)
        if bucket != LOCAL_BUCKET:
            raise ObjectRefused(Reason.IMAGE_BUCKET_NOT_ALLOWED)
        try:
            path = (self._root / key).resolve()
            if not path.is_relative_to(self._root):
                raise ObjectRefused(Reason.IMAGE_FORBIDDEN)
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                raise ObjectRefused(Reason.IMAGE_MISSING)
            if status.st_size > self._settings.max_bytes:
                raise ObjectRefused(Reason.IMAGE_TOO_LARGE)
            with path.open("rb") as file:
                data = file.read(self._settings.max_bytes + 1)
        except PermissionError:
            raise ObjectRefused(Reason.IMAGE_FORBIDDEN) from None
        except (
            FileNotFoundError,
            NotADirectoryError,
            RuntimeError,
        ):  # RuntimeError: a circle of links
            raise ObjectRefused(Reason.IMAGE_MISSING) from None
        except OSError:
            raise ObjectRefused(Reason.IMAGE_UNAVAILABLE) from None
        if len(data) > self._settings.max_bytes:
            raise ObjectRefused(Reason.IMAGE_TOO_LARGE)
        return data
