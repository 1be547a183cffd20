"""Laws 1, 3, 5 and 8 for pictures: what is bad is named, what is down is waited for, what is held is bounded."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from schemas.common import Reason
from schemas.post import ImageReference
from tests.support import pictures
from tests.support.faulty_s3 import Answer, FaultyS3, failing
from tests.support.s3_server import S3Server
from worker.moderation.fetch import FetchedPost, Fetcher
from worker.moderation.objects import ObjectStore
from worker.settings import ObjectSettings

MAX_PIXELS = 100_000
Make = Callable[..., Fetcher]


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", S3Server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", S3Server.secret_key)
    monkeypatch.delenv("AWS_PROFILE", raising=False)


@pytest.fixture
def faulty() -> Iterator[FaultyS3]:
    with FaultyS3() as server:
        yield server


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    async with AsyncExitStack() as stack:

        def fetcher(endpoint: str, bucket: str = "pics", **others: Any) -> Fetcher:
            quick = {"connect_timeout_s": 0.5, "timeout_s": 2.0, "give_up_s": 0.5, "region": "us-east-1"}
            settings = ObjectSettings(endpoint_url=endpoint, buckets=(bucket,), **{**quick, **others})
            made = Fetcher(ObjectStore(settings), settings, MAX_PIXELS, max_backoff_s=0.1)
            stack.push_async_callback(made.close)
            return made

        yield fetcher


def refs(*keys: str, bucket: str = "pics") -> list[ImageReference]:
    return [ImageReference(uri=f"s3://{bucket}/{key}") for key in keys]


def reasons(post: FetchedPost) -> list[Reason | None]:
    return [image.reason for image in post.images]


def nothing_held(fetcher: Fetcher) -> bool:
    return (fetcher.budget.held_bytes, fetcher.budget.held_pixels, fetcher.budget.waiting) == (0, 0, 0)


BAD_INPUT = {
    "empty": (b"", Reason.IMAGE_EMPTY),
    "truncated.jpg": (pictures.jpeg(900, 700)[:9_000], Reason.IMAGE_UNREADABLE),
    "bomb.png": (pictures.png_bomb(20_000, 20_000), Reason.IMAGE_TOO_MANY_PIXELS),
    "drawing.svg": (pictures.SVG, Reason.IMAGE_FORMAT),
    "page.html": (pictures.HTML, Reason.IMAGE_FORMAT),
    "photo.heic": (pictures.HEIC, Reason.IMAGE_FORMAT),
    "photo2.heic": (pictures.HEIC_GENERIC, Reason.IMAGE_FORMAT),
    "large.bin": (b"x" * 3_000_001, Reason.IMAGE_TOO_LARGE),
    "good.jpg": (pictures.jpeg(), None),
    "polyglot.gif": (pictures.gif([7]) + pictures.HTML, None),
}


async def test_bad_pictures_have_their_reasons_on_a_real_server(s3: S3Server, bucket: str, make: Make) -> None:
    for key, (body, _reason) in BAD_INPUT.items():
        s3.client().put_object(Bucket=bucket, Key=key, Body=body)
    fetcher = make(s3.endpoint_url, bucket, max_images=20, max_bytes=3_000_000)
    post = await fetcher.fetch(refs(*BAD_INPUT, "missing", bucket=bucket), ("posts", 0))
    expected = [reason for _body, reason in BAD_INPUT.values()]
    assert reasons(post) == [*expected, Reason.IMAGE_MISSING]
    assert all(bool(image.pictures) == (image.reason is None) for image in post.images)
    post.release()
    assert nothing_held(fetcher)


async def test_a_gif_of_ten_thousand_frames_says_how_many_were_skipped(s3: S3Server, bucket: str, make: Make) -> None:
    s3.client().put_object(Bucket=bucket, Key="long.gif", Body=pictures.gif([at % 251 for at in range(10_000)]))
    post = await make(s3.endpoint_url, bucket).fetch(refs("long.gif", bucket=bucket), 0)
    (image,) = post.images
    assert (image.frames, len(image.pictures), image.reason) == (10_000, 8, None)


async def test_pictures_beyond_the_limit_are_not_fetched(faulty: FaultyS3, make: Make) -> None:
    faulty.missing = Answer(body=pictures.jpeg())
    post = await make(faulty.endpoint_url, max_images=3).fetch(refs("a", "b", "c", "d", "e"), 0)
    assert reasons(post) == [None] * 3 + [Reason.TOO_MANY_IMAGES] * 2
    assert faulty.total == 3


async def test_a_post_without_pictures_holds_nothing(faulty: FaultyS3, make: Make) -> None:
    fetcher = make(faulty.endpoint_url)
    post = await fetcher.fetch([], 0)
    assert post.images == []
    post.release()
    assert nothing_held(fetcher)


async def test_bytes_are_swapped_for_pixels_and_both_come_back(faulty: FaultyS3, make: Make) -> None:
    faulty.put("pics/a", pictures.jpeg(200, 100))
    faulty.put("pics/b", pictures.jpeg(2000, 1000))
    faulty.objects["pics/c"] = Answer(404, "NoSuchKey")
    fetcher = make(faulty.endpoint_url)
    post = await fetcher.fetch(refs("a", "b", "c"), 0)
    pixels = sum(picture.pixels for image in post.images for picture in image.pictures)
    assert fetcher.budget.held_bytes == 0
    assert fetcher.budget.held_pixels == pixels
    assert 20_000 < pixels <= 20_000 + MAX_PIXELS
    post.release()
    post.release()
    assert nothing_held(fetcher)


async def test_room_shrinks_to_the_real_size_before_the_body_is_there(faulty: FaultyS3, make: Make) -> None:
    faulty.objects["pics/a"] = Answer(body=b"x" * 100, declared=5_000_000)
    fetcher = make(faulty.endpoint_url, timeout_s=0.6, give_up_s=0.0)
    seen: list[int] = []
    store = fetcher._store
    original = store.get

    async def watched(reference: ImageReference, on_size: Callable[[int], None] | None = None) -> bytes:
        def noted(size: int) -> None:
            assert on_size is not None
            on_size(size)
            seen.append(fetcher.budget.held_bytes)

        return await original(reference, noted)

    store.get = watched  # type: ignore[method-assign]
    post = await fetcher.fetch(refs("a"), 0)
    assert seen == [5_000_000]
    assert reasons(post) == [Reason.IMAGE_UNAVAILABLE]


async def test_memory_stays_within_the_budget_under_load(faulty: FaultyS3, make: Make) -> None:
    faulty.missing = Answer(body=pictures.jpeg(640, 480))
    fetcher = make(faulty.endpoint_url, max_bytes=1_000_000, max_held_bytes=3_000_000, max_held_pixels=3_000_000)
    most = [0, 0]

    async def one(number: int) -> None:
        post = await fetcher.fetch(refs(f"{number}"), number % 3)
        most[0] = max(most[0], fetcher.budget.held_bytes)
        most[1] = max(most[1], fetcher.budget.held_pixels)
        post.release()

    await asyncio.gather(*(one(number) for number in range(60)))
    assert most[0] <= 3_000_000
    assert most[1] <= 3_000_000
    assert nothing_held(fetcher)


async def test_cancellation_gives_everything_back(faulty: FaultyS3, make: Make) -> None:
    faulty.objects["pics/slow"] = Answer(body=pictures.jpeg(), delay_s=1.0)
    fetcher = make(faulty.endpoint_url, max_held_bytes=21_000_000)
    tasks = [asyncio.create_task(fetcher.fetch(refs("slow"), 0)) for _ in range(4)]
    await asyncio.sleep(0.1)
    assert fetcher.budget.waiting == 3
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert nothing_held(fetcher)


async def test_s3_that_is_down_is_waited_for_and_nothing_is_undetermined(s3: S3Server, bucket: str, make: Make) -> None:
    for number in range(20):
        s3.client().put_object(Bucket=bucket, Key=f"{number}.jpg", Body=pictures.jpeg(64, 64 + number))
    fetcher = make(s3.endpoint_url, bucket, give_up_s=0.3)
    (await fetcher.fetch(refs("0.jpg", bucket=bucket), 0)).release()
    s3.stop()
    try:
        tasks = [asyncio.create_task(fetcher.fetch(refs(f"{at}.jpg", bucket=bucket), 0)) for at in range(20)]
        await asyncio.sleep(3)  # ten times give_up_s
        assert not any(task.done() for task in tasks)
        (dependency,) = fetcher.dependencies
        assert dependency.down_since is not None
        assert dependency.snapshot().waiting == 20
    finally:
        await asyncio.to_thread(s3.start)
    posts = await asyncio.wait_for(asyncio.gather(*tasks), 30)
    assert [reasons(post) for post in posts] == [[None]] * 20
    assert dependency.down_since is None


async def test_s3_that_hangs_is_waited_for(s3: S3Server, bucket: str, make: Make) -> None:
    s3.client().put_object(Bucket=bucket, Key="a.jpg", Body=pictures.jpeg())
    fetcher = make(s3.endpoint_url, bucket, timeout_s=1.0, give_up_s=0.2)
    (await fetcher.fetch(refs("a.jpg", bucket=bucket), 0)).release()
    s3.suspend()
    try:
        task = asyncio.create_task(fetcher.fetch(refs("a.jpg", bucket=bucket), 0))
        await asyncio.sleep(4)
        assert not task.done()
    finally:
        s3.resume()
    assert reasons(await asyncio.wait_for(task, 20)) == [None]


@pytest.mark.parametrize(
    "down",
    [failing(500, "InternalError"), failing(503, "SlowDown"), failing(404, None), failing(403, "ExpiredToken"),
     failing(404, "NoSuchBucket"), failing(403, "InvalidAccessKeyId"), Answer(0)],
    ids=["500", "SlowDown", "gateway", "ExpiredToken", "NoSuchBucket", "InvalidAccessKeyId", "reset"],
)  # fmt: skip
async def test_whatever_is_wrong_with_the_service_is_waited_for(faulty: FaultyS3, make: Make, down: Answer) -> None:
    faulty.missing = Answer(body=pictures.jpeg(64, 64))
    fetcher = make(faulty.endpoint_url, give_up_s=0.1)
    faulty.everything = down
    tasks = [asyncio.create_task(fetcher.fetch(refs(f"{number}"), 0)) for number in range(10)]
    (dependency,) = fetcher.dependencies
    while dependency.snapshot().waiting < 10:  # noqa: ASYNC110  nothing tells of it
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)  # five times give_up_s
    assert not any(task.done() for task in tasks)
    faulty.everything = None
    posts = await asyncio.wait_for(asyncio.gather(*tasks), 10)
    assert [reasons(post) for post in posts] == [[None]] * 10


@pytest.mark.parametrize(
    "bad",
    [failing(500, "InternalError"), Answer(body=b"x" * 9_000, reset=True), Answer(body=b"x", declared=100),
     Answer(body=b"x", delay_s=5.0), Answer(307, headers={"Location": "http://127.0.0.2:1/x"})],
    ids=["500", "reset", "short", "slow", "redirect"],
)  # fmt: skip
async def test_one_object_that_always_fails_is_unavailable_alone(faulty: FaultyS3, make: Make, bad: Answer) -> None:
    faulty.missing = Answer(body=pictures.jpeg(64, 64))
    faulty.objects["pics/bad"] = bad
    fetcher = make(faulty.endpoint_url, timeout_s=2.0, give_up_s=6.0)
    failing_post = asyncio.create_task(fetcher.fetch(refs("bad", "fine"), 0))
    others = await asyncio.wait_for(asyncio.gather(*(fetcher.fetch(refs(f"{at}"), 0) for at in range(10))), 20)
    assert [reasons(post) for post in others] == [[None]] * 10
    assert reasons(await asyncio.wait_for(failing_post, 60)) == [Reason.IMAGE_UNAVAILABLE, None]
    assert faulty.requests["pics/bad"] >= 2


async def test_errors_that_pass_are_tried_again(faulty: FaultyS3, make: Make) -> None:
    faulty.objects["pics/a"] = failing(503, "SlowDown", pictures.jpeg(), times=3)
    post = await make(faulty.endpoint_url, give_up_s=30.0).fetch(refs("a"), 0)
    assert reasons(post) == [None]
    assert faulty.requests["pics/a"] == 4


async def test_time_in_which_s3_was_down_is_not_held_against_the_object(faulty: FaultyS3, make: Make) -> None:
    faulty.missing = Answer(404, "NoSuchKey")
    # Long enough for a machine that is busy elsewhere, and shorter than the outage.
    fetcher = make(faulty.endpoint_url, give_up_s=2.0)
    faulty.everything = failing(500, "InternalError")
    task = asyncio.create_task(fetcher.fetch(refs("a"), 0))
    await asyncio.sleep(4.0)
    faulty.objects["pics/a"] = failing(500, "InternalError", pictures.jpeg(), times=faulty.requests["pics/a"] + 1)
    faulty.everything = None
    assert reasons(await asyncio.wait_for(task, 15)) == [None]


async def test_access_denied_in_a_row_is_not_published(faulty: FaultyS3, make: Make) -> None:
    body = pictures.jpeg(64, 64)
    for number in range(30):
        faulty.put(f"pics/{number}", body)
    fetcher = make(faulty.endpoint_url, forbidden_run=5)
    faulty.everything = failing(403, "AccessDenied")
    tasks = [asyncio.create_task(fetcher.fetch(refs(f"{number}"), 0)) for number in range(30)]
    waiting = set(tasks)
    while len(waiting) > len(tasks) - 4:  # however slow the machine; the test's time limit ends it
        _finished, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.sleep(0.5)
    done = [task for task in tasks if task.done()]
    assert [reasons(task.result()) for task in done] == [[Reason.IMAGE_FORBIDDEN]] * 4
    faulty.everything = None
    posts = await asyncio.wait_for(asyncio.gather(*tasks), 10)
    assert [reasons(post) for post in posts].count([None]) == 26


async def test_no_more_objects_at_once_than_allowed(faulty: FaultyS3, make: Make) -> None:
    faulty.missing = Answer(body=pictures.jpeg(32, 32), delay_s=0.05)
    fetcher = make(faulty.endpoint_url, concurrency=3)
    running = [0, 0]
    original = fetcher._store.get

    async def counted(reference: ImageReference, on_size: Callable[[int], None] | None = None) -> bytes:
        running[0] += 1
        running[1] = max(running)
        try:
            return await original(reference, on_size)
        finally:
            running[0] -= 1

    fetcher._store.get = counted  # type: ignore[method-assign]
    await asyncio.gather(*(fetcher.fetch(refs(f"{number}"), 0) for number in range(12)))
    assert running[1] == 3
