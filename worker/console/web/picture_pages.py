"""Pictures of posts, through the console: fetched with the worker's caps, decoded, and written anew as JPEG.

A browser never gets the object's own bytes or address: what it gets has no metadata, and cannot be anything but pixels.
"""

import asyncio
from io import BytesIO
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from proguard_core.images import ImageError, ImageLimits, decode
from schemas.post import ImageReference
from worker.console.store import reading
from worker.console.store.models import QueueRow
from worker.console.web import shown
from worker.console.web.inputs import Plain, RowId
from worker.console.web.parts import Console, Here, Refused, Viewer, reviewer
from worker.moderation.objects import ObjectRefused, ObjectStore, ObjectUnavailable

router = APIRouter(include_in_schema=False)
_SHOWN_PIXELS = 640_000
_QUALITY = 80
_AT_ONCE = 2


class Fetching:
    """The objects, on the event loop of the server; few pictures at a time."""

    def __init__(self, console: Console) -> None:
        self._objects = ObjectStore(console.settings.objects)
        self._room = asyncio.Semaphore(_AT_ONCE)
        given = console.settings.objects
        self._limits = ImageLimits(given.max_pixels, _SHOWN_PIXELS, 1, given.formats)

    async def jpeg(self, reference: ImageReference) -> bytes:
        """The picture, small. Raises ObjectRefused, ObjectUnavailable, ImageError."""
        async with self._room:
            data = await self._objects.get(reference)
            return await run_in_threadpool(self._written, data)

    def _written(self, data: bytes) -> bytes:
        out = BytesIO()
        decode(data, self._limits).pictures[0].image.save(out, "JPEG", quality=_QUALITY)
        return out.getvalue()


@router.get("/picture")
async def picture(
    console: Here,
    person: Viewer,
    n: Annotated[int, Query(ge=0, le=100)] = 0,
    risk: Annotated[Plain | None, Query()] = None,
    post: Annotated[RowId | None, Query()] = None,
) -> Response:
    """One picture of a risk's post, or, for reviewers, of a post of the queue. Who looked is in the audit log."""
    if risk is None:
        reviewer(person)
    reference = await run_in_threadpool(_reference, console, n, risk, post)
    if reference is None:
        raise Refused(404, "There is no such picture")
    await run_in_threadpool(console.note, person, "picture", risk or f"post {post}", n=n)
    try:
        body = await asyncio.wait_for(_fetching(console).jpeg(reference), console.settings.objects.timeout_s)
    except ObjectRefused as error:
        raise Refused(404, "This picture cannot be had", error.reason.value) from None
    except ImageError as error:
        raise Refused(404, "This picture cannot be shown", error.reason.value) from None
    except (ObjectUnavailable, TimeoutError):
        raise Refused(503, "S3 does not answer", "Try again later.") from None
    return Response(body, media_type="image/jpeg")


def _reference(console: Console, n: int, risk: str | None, post: int | None) -> ImageReference | None:
    with console.store.reading() as session:
        if risk is not None:
            row = reading.risk(session, risk)
            cluster = None if row is None or row.cluster_id is None else reading.cluster(session, row.cluster_id)
            if row is None or shown.shown_risk(row, (), cluster) is None:
                return None
            images = row.images
        else:
            queued = None if post is None else session.get(QueueRow, post)
            images = [] if queued is None else queued.images
    return ImageReference.model_validate(images[n]) if n < len(images) else None


def _fetching(console: Console) -> Fetching:
    """Made on the loop that uses it."""
    if console.fetching is None:
        console.fetching = Fetching(console)
    found = console.fetching
    assert isinstance(found, Fetching)
    return found
