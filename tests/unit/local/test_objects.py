"""The embedded object store is a real S3 server: it keeps objects, checks keys and listens on loopback only."""

import re
from contextlib import suppress
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from worker.local.objects import LocalObjects, s3_client


def test_objects_survive_a_restart_in_the_same_folder(tmp_path: Path) -> None:
    with LocalObjects(folder=tmp_path / "store") as first:
        first.client().put_object(Bucket=first.bucket, Key="a/b.bin", Body=b"kept")
    with LocalObjects(folder=tmp_path / "store") as second:
        assert second.client().get_object(Bucket=second.bucket, Key="a/b.bin")["Body"].read() == b"kept"


def test_wrong_keys_are_refused_and_a_temporary_folder_goes_away() -> None:
    with LocalObjects(bucket="elsewhere") as objects:
        folder = objects._folder
        assert folder is not None
        assert folder.is_dir()
        stranger = s3_client(objects.endpoint_url, objects.access_key, "wrong")
        with pytest.raises(ClientError) as refused:
            stranger.get_object(Bucket="elsewhere", Key="x")
        assert refused.value.response["Error"]["Code"] == "SignatureDoesNotMatch"
        with pytest.raises(ClientError) as missing:
            objects.client().get_object(Bucket="elsewhere", Key="x")
        assert missing.value.response["Error"]["Code"] == "NoSuchKey"
    assert not folder.exists()


def test_nothing_listens_beyond_loopback_or_on_a_fixed_port() -> None:
    with LocalObjects() as objects:
        assert objects.pid is not None
        inodes: set[str] = set()
        for link in Path(f"/proc/{objects.pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # a busy server closes files while we look
                inodes.update(re.findall(r"socket:\[(\d+)\]", str(link.readlink())))
        rows = [line.split() for line in Path(f"/proc/{objects.pid}/net/tcp").read_text().splitlines()[1:]]
        listening = [row[1] for row in rows if row[3] == "0A" and row[9] in inodes]
    assert listening
    assert {address.partition(":")[0] for address in listening} == {"0100007F"}
    # SeaweedFS's own ports are below, gRPC's 10,000 above each.
    assert all(int(address.partition(":")[2], 16) >= 10_000 for address in listening)
