"""Pictures beside a file of posts: the same reasons as from S3, and never a file outside the folder."""

import os
from pathlib import Path

import pytest

from schemas.common import Reason
from schemas.post import ImageReference
from tests.support import pictures
from worker.local.files import LocalImages, local_uri
from worker.settings import ObjectSettings


def images_of(root: Path, **settings: int) -> LocalImages:
    return LocalImages(root, ObjectSettings(**settings), 100_000)


async def reasons(images: LocalImages, *paths: str) -> list[Reason | None]:
    post = await images.fetch([ImageReference(uri=local_uri(path)) for path in paths], 0)
    post.release()
    assert (images.budget.held_bytes, images.budget.held_pixels) == (0, 0)
    await images.close()
    return [image.reason for image in post.images]


async def test_good_and_bad_files_have_the_reasons_of_s3(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    files = {"good.jpg": pictures.jpeg(), "folder/ü 1.png": pictures.encoded(pictures.gradient(9, 9), "PNG"), "0": b""}
    files |= {"cut.jpg": pictures.jpeg(400, 400)[:3000], "x.svg": pictures.SVG, "big": b"x" * 1_000_001}
    for name, body in files.items():
        (tmp_path / name).write_bytes(body)
    found = await reasons(images_of(tmp_path, max_bytes=1_000_000), *files, "missing", "folder", "./good.jpg")
    of_files = [None, None, Reason.IMAGE_EMPTY, Reason.IMAGE_UNREADABLE, Reason.IMAGE_FORMAT, Reason.IMAGE_TOO_LARGE]
    of_others = [Reason.IMAGE_MISSING, Reason.IMAGE_MISSING, Reason.TOO_MANY_IMAGES]
    assert found == of_files + of_others


@pytest.mark.parametrize("path", ["../secret", "/etc/hostname", "a/../../b", "", ".", "a/../b", "a\nb"])
def test_paths_that_leave_the_folder_are_no_references(path: str) -> None:
    with pytest.raises(ValueError, match=r"inside the folder|image reference"):
        local_uri(path)


async def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret.jpg").write_bytes(pictures.jpeg())
    (root / "out.jpg").symlink_to(tmp_path / "secret.jpg")
    (root / "up").symlink_to(tmp_path)
    (root / "circle").symlink_to(root / "circle")
    (root / "in.jpg").write_bytes(pictures.jpeg())
    (root / "fine.jpg").symlink_to(root / "in.jpg")
    found = await reasons(images_of(root), "out.jpg", "up/secret.jpg", "circle", "fine.jpg")
    assert found == [Reason.IMAGE_FORBIDDEN, Reason.IMAGE_FORBIDDEN, Reason.IMAGE_MISSING, None]


async def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert await reasons(images_of(tmp_path), "pipe") == [Reason.IMAGE_MISSING]


async def test_s3_references_are_not_read_from_disk(tmp_path: Path) -> None:
    images = images_of(tmp_path)
    post = await images.fetch([ImageReference(uri="s3://pictures/a.jpg")], 0)
    assert [image.reason for image in post.images] == [Reason.IMAGE_BUCKET_NOT_ALLOWED]
    await images.close()
