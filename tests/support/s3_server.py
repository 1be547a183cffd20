"""A real S3 server (SeaweedFS) on 127.0.0.1 that can be stopped, suspended and started again on the same port."""

import json
import signal
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.support.processes import start_server, tail
from worker.local.child import Child, free_ports

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

REGION = "us-east-1"
_LISTENERS = ("s3", "master", "filer", "volume", "admin")
_READY_S = 60.0


class S3Server:
    """SeaweedFS as a child process; a context manager. Objects, keys and port stay the same over stop() and start()."""

    access_key = "tests-access-key"
    secret_key = "tests-secret-key"
    reader_key = "tests-reader-key"
    reader_secret = "tests-reader-secret"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._ports = dict(zip(_LISTENERS, free_ports(len(_LISTENERS)), strict=True))
        self._child: Child | None = None

    @property
    def endpoint_url(self) -> str:
        """http://127.0.0.1:PORT, also while the server is down."""
        return f"http://127.0.0.1:{self._ports['s3']}"

    @property
    def environment(self) -> dict[str, str]:
        """AWS_* variables with which a client finds its keys."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
        }

    @property
    def reader_environment(self) -> dict[str, str]:
        """AWS_* variables of somebody who may list buckets and read what lies under open/, and nothing else."""
        return {
            **self.environment,
            "AWS_ACCESS_KEY_ID": self.reader_key,
            "AWS_SECRET_ACCESS_KEY": self.reader_secret,
        }

    def client(self) -> "S3Client":
        """A boto3 client that fails fast and never repeats by itself."""
        config = Config(
            connect_timeout=2, read_timeout=20, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}
        )
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=REGION,
            config=config,
        )

    def start(self) -> Self:
        """Start it, or start it again; returns when it answers and takes writes."""
        self.directory.mkdir(parents=True, exist_ok=True)
        command = [str(Path(sys.executable).with_name("weed")), "mini", f"-dir={self.directory}", "-webdav=false"]
        command += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-admin.ui=false", "-master.telemetry=false"]
        # A bucket takes a volume of its own, and by itself the server makes room for as many as the disk has GiB free.
        command += ["-master.volumeSizeLimitMB=64", "-volume.max=2000"]
        command += [f"-{name}.port={port}" for name, port in self._ports.items()]
        command.append(f"-s3.config={self._identities()}")
        # HOME too is the test's: the server keeps nothing of this machine, and no AWS_* of it gets in.
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.directory), **self.environment}
        self._child = start_server(command, self._log, environment)
        self._wait_ready()
        return self

    def stop(self) -> None:
        """Kill it as a power cut would; its port refuses connections from now on."""
        if self._child is not None:
            self._child.process.send_signal(signal.SIGCONT)
            self._child.process.kill()
            self._child.stop()
            self._child = None

    def suspend(self) -> None:
        """SIGSTOP: connections are accepted and never answered."""
        self._running().process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT after suspend()."""
        self._running().process.send_signal(signal.SIGCONT)

    def _identities(self) -> Path:
        """Who may do what, as SeaweedFS reads it."""
        identities = [
            _identity("owner", self.access_key, self.secret_key, "Admin", "Read", "Write", "List", "Tagging"),
            _identity("reader", self.reader_key, self.reader_secret, "Read:*/open/*", "List"),
        ]
        path = self.directory.with_name(self.directory.name + ".identities.json")
        path.write_text(json.dumps({"identities": identities}))
        return path

    @property
    def _log(self) -> Path:
        return self.directory.with_name(self.directory.name + ".log")

    def _running(self) -> Child:
        if self._child is None:
            raise RuntimeError("the S3 server is not running")
        return self._child

    def _wait_ready(self) -> None:
        """A write must succeed: the S3 port answers before there is a volume to write to."""
        client, child = self.client(), self._running()
        deadline = time.monotonic() + _READY_S
        while True:
            try:
                if "ready" not in [bucket.get("Name") for bucket in client.list_buckets()["Buckets"]]:
                    client.create_bucket(Bucket="ready")
                client.put_object(Bucket="ready", Key="ready", Body=b"ready")
                return
            except (BotoCoreError, ClientError) as error:
                if child.returncode is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the S3 server did not get ready: {error}\n{tail(self._log)}") from error
            time.sleep(0.1)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _identity(name: str, key: str, secret: str, *actions: str) -> dict[str, object]:
    return {"name": name, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": list(actions)}
