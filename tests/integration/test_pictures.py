"""Pictures through the whole worker, from a real S3 to the verdict: what could not be seen is never safe."""

import time
from typing import Any

import pytest

from schemas.verdict import Verdict
from tests.support.pictures import animation, gif, gif_with_red, jpeg, png_bomb
from tests.support.s3_server import S3Server
from tests.support.streams import StreamUnderTest

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + b"\x00" * 64

OBJECTS: dict[str, tuple[bytes, str, str | None]] = {
    "fine.jpg": (jpeg(), "safe", None),
    "fine.gif": (animation("GIF", 3), "safe", None),
    "polyglot.gif": (gif([1]) + b"<html><script>alert(1)</script></html>", "safe", None),
    "long.gif": (animation("GIF", 9_500, (8, 8)), "undetermined", "frames_skipped"),
    "empty.jpg": (b"", "undetermined", "image_empty"),
    "truncated.jpg": (jpeg()[:-600], "undetermined", "image_unreadable"),
    "bomb.png": (png_bomb(20_000, 20_000), "undetermined", "image_too_many_pixels"),
    "drawing.svg": (SVG, "undetermined", "image_format"),
    "photo.heic": (HEIC, "undetermined", "image_format"),
    "big.jpg": (jpeg() + b"\x00" * 2_000_000, "undetermined", "image_too_large"),
}


def _post(name: str, *uris: str, **fields: Any) -> dict[str, Any]:
    return {"post_id": name, "images": [{"uri": uri} for uri in uris], **fields}


@pytest.mark.timeout(240)
def test_laws_1_and_8_pictures_of_every_kind(plain_stream: StreamUnderTest, s3: S3Server, bucket: str) -> None:
    """Good ones are judged; each bad one leaves its post undetermined with the reason, and nobody else's."""
    for name, (body, _outcome, _reason) in OBJECTS.items():
        s3.client().put_object(Bucket=bucket, Key=name, Body=body)
    plain_stream.environment = s3.environment
    at = f"s3://{bucket}"
    plain_stream.send(
        *(_post(name, f"{at}/{name}") for name in OBJECTS),
        _post("missing", f"{at}/nothing-here.jpg"),
        _post("forbidden-bucket", "s3://somebody-elses/fine.jpg"),
        _post("many", *([f"{at}/fine.jpg"] * 12)),
        _post("unsafe-text", f"{at}/empty.jpg", text="unsafe:C3S1"),
        _post("etag", f"{at}/fine.jpg") | {"images": [{"uri": f"{at}/fine.jpg", "etag": '"0123"'}]},
    )
    plain_stream.send_raw([(b"climbing", b'{"post_id": "climbing", "images": [{"uri": "s3://../x"}]}')])
    objects = {"endpoint_url": s3.endpoint_url, "buckets": [bucket], "max_bytes": 1_000_000}
    with plain_stream.worker(objects=objects) as worker:
        found = plain_stream.answers(len(OBJECTS) + 6, 120)
        assert worker.terminate() == 0
    said = {post: (verdict["outcome"], verdict["reason"]) for post, verdict in found.by_post().items()}
    assert said == {name: (outcome, reason) for name, (_body, outcome, reason) in OBJECTS.items()} | {
        "missing": ("undetermined", "image_missing"),
        "forbidden-bucket": ("undetermined", "image_bucket_not_allowed"),
        "many": ("undetermined", "too_many_images"),
        "unsafe-text": ("unsafe", "image_empty"),
        "etag": ("undetermined", "image_changed"),
    }
    assert len(found.dead_letters) == 1
    verdict = Verdict.model_validate(found.by_post()["long.gif"])
    assert verdict.coverage.frames > verdict.coverage.frames_judged > 0
    assert found.by_post()["unsafe-text"]["action"] == "remove"


@pytest.mark.timeout(240)
def test_law_1_harm_in_one_frame_of_ten_thousand_is_never_safe(
    plain_stream: StreamUnderTest, s3: S3Server, bucket: str
) -> None:
    """Sampled, it is unsafe; between the samples it was not looked at, and what was not looked at is not safe."""
    for frame in (0, 8571, 9000, 9999):
        s3.client().put_object(Bucket=bucket, Key=f"{frame}.gif", Body=gif_with_red(frame))
    s3.client().put_object(Bucket=bucket, Key="short.gif", Body=gif_with_red(5, 8))
    plain_stream.environment = s3.environment
    names = ("0", "8571", "9000", "9999", "short")
    plain_stream.send(*(_post(name, f"s3://{bucket}/{name}.gif") for name in names))
    with plain_stream.worker(objects={"endpoint_url": s3.endpoint_url, "buckets": [bucket]}) as worker:
        found = plain_stream.answers(len(names), 120)
        assert worker.terminate() == 0
    said = {post: (verdict["outcome"], verdict["reason"]) for post, verdict in found.by_post().items()}
    assert said == {
        "0": ("unsafe", "frames_skipped"),
        "8571": ("unsafe", "frames_skipped"),
        "9000": ("undetermined", "frames_skipped"),
        "9999": ("unsafe", "frames_skipped"),
        "short": ("unsafe", None),
    }
    coverage = Verdict.model_validate(found.by_post()["9000"]).coverage
    assert (coverage.frames, coverage.frames_judged) == (10_000, 8)


def test_law_5_a_picture_that_s3_does_not_let_us_read(plain_stream: StreamUnderTest, s3: S3Server, bucket: str) -> None:
    """A real 403: its post alone is undetermined. Behind it S3 does not say whether there is anything."""
    for name in ("open/a.jpg", "closed/a.jpg"):
        s3.client().put_object(Bucket=bucket, Key=name, Body=jpeg())
    plain_stream.environment = s3.reader_environment
    plain_stream.send(
        *(_post(name, f"s3://{bucket}/{name}.jpg") for name in ("open/a", "closed/a", "open/b", "closed/b")),
        _post("unsafe", f"s3://{bucket}/closed/a.jpg", text="unsafe:C3S1"),
    )
    with plain_stream.worker(objects={"endpoint_url": s3.endpoint_url, "buckets": [bucket]}) as worker:
        found = plain_stream.answers(5, 60)
        assert worker.terminate() == 0
    said = {post: (verdict["outcome"], verdict["reason"]) for post, verdict in found.by_post().items()}
    assert said == {
        "open/a": ("safe", None),
        "closed/a": ("undetermined", "image_forbidden"),
        "open/b": ("undetermined", "image_missing"),
        "closed/b": ("undetermined", "image_forbidden"),
        "unsafe": ("unsafe", "image_forbidden"),
    }
    assert found.dead_letters == []


def test_law_5_keys_that_may_read_nothing_are_waited_for(
    plain_stream: StreamUnderTest, s3: S3Server, bucket: str
) -> None:
    """AccessDenied in a row is a lost right, not lost pictures: no more verdicts than the run before it shows."""
    for number in range(30):
        s3.client().put_object(Bucket=bucket, Key=f"closed/{number}.jpg", Body=jpeg())
    plain_stream.environment = s3.reader_environment
    plain_stream.send(*(_post(str(number), f"s3://{bucket}/closed/{number}.jpg") for number in range(30)))
    objects = {"endpoint_url": s3.endpoint_url, "buckets": [bucket], "forbidden_run": 10}
    worker = plain_stream.worker(objects=objects)
    with worker:
        worker.wait_for_log("is down, waiting")
        time.sleep(3)
        assert len(plain_stream.found().verdicts) < 10
        worker.terminate()
