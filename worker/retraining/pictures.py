"""Pictures that rows name, for a dataset: from S3 as the workers fetch them, or from files. Each is fetched once."""

import asyncio
import hashlib
import time
from pathlib import Path

from proguard_core.dataset.pictures import PictureGone, local
from schemas.post import ImageReference
from worker.errors import WorkerError
from worker.moderation.objects import ObjectRefused, ObjectStore, ObjectUnavailable
from worker.settings import ObjectSettings

_PAUSE_S = 2.0
_VERSION = "?versionId="


class Pictures:
    """A proguard_core.dataset.pictures.Fetch. folder: keeps what was fetched, under names that say nothing."""

    def __init__(self, settings: ObjectSettings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._store: ObjectStore | None = None
        self._runner = asyncio.Runner()

    def __call__(self, reference: str) -> bytes:
        """Bytes. Raises PictureGone, and WorkerError where S3 does not answer for objects.give_up_s."""
        if "://" not in reference:
            return local(reference)
        kept = self._folder / hashlib.sha256(reference.encode()).hexdigest()
        if kept.is_file():
            return kept.read_bytes()
        data = self._fetched(reference)
        self._folder.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(data)
        return data

    def _fetched(self, reference: str) -> bytes:
        uri, _, version = reference.partition(_VERSION)
        try:
            asked = ImageReference(uri=uri, version_id=version or None)
        except ValueError as error:
            raise PictureGone("no reference") from error
        until = time.monotonic() + self._settings.give_up_s
        while True:
            try:
                return self._runner.run(self._get(asked))
            except ObjectRefused as error:
                raise PictureGone(error.reason.value) from error
            except ObjectUnavailable as error:
                if time.monotonic() > until:
                    raise WorkerError(f"S3 does not give a picture: {error.code}") from None
            time.sleep(_PAUSE_S)

    async def _get(self, reference: ImageReference) -> bytes:
        self._store = self._store or ObjectStore(self._settings)  # it belongs to the runner's loop
        return await self._store.get(reference)
