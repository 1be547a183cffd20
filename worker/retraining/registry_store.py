"""The registry in S3: boto3 with conditional puts. A prefix of a bucket that nothing else writes to.

boto3, not obstore: calls here block, are few, and may take long; files of gigabytes go in parts.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from proguard_core.training.registry.folder import FolderStore
from proguard_core.training.registry.store import (
    Conflict,
    Missing,
    Refused,
    Store,
    Stored,
    StoreError,
    Unavailable,
    checked,
)
from worker.errors import ConfigurationError
from worker.moderation.s3_errors import MISCONFIGURED, remedy_of
from worker.settings import ObjectSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_SCHEME = "s3://"
_MISSING = frozenset({"NoSuchKey", "404"})
# 412, or 409 where two conditional writes of one key ran at the same moment: S3 says to look again.
_CONFLICT = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict"})
_UNCHANGED = frozenset({"304", "NotModified"})
_NO_TAG = '"00000000000000000000000000000000"'
_LASTING = MISCONFIGURED | {"AccessDenied", "403", "NotImplemented", "MethodNotAllowed", "QuotaExceeded"}


def open_store(address: str, objects: ObjectSettings) -> Store:
    """`s3://BUCKET/PREFIX`, reached as the pictures are (endpoint, region, profile, AWS_*), or a folder.

    Raises ConfigurationError. Nothing is asked of S3 yet.
    """
    if not address.startswith(_SCHEME):
        if "://" in address or not address.strip():
            raise ConfigurationError(f"the registry {address!r} must be s3://bucket/prefix or a folder")
        return FolderStore(Path(address).expanduser().resolve())
    bucket, _, prefix = address.removeprefix(_SCHEME).partition("/")
    try:
        prefix = checked(prefix.strip("/")) if prefix.strip("/") else ""
    except ValueError:
        raise ConfigurationError(
            f"the registry {address!r}: the prefix has letters, digits, ._+=- and / only"
        ) from None
    if not bucket:
        raise ConfigurationError(f"the registry {address!r} names no bucket")
    return S3Store(registry_client(objects), bucket, prefix)


def registry_client(objects: ObjectSettings) -> "S3Client":
    """A boto3 client without hidden retries: a repeated conditional put would find its own work and call it a loss."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    style = objects.addressing_style or ("path" if objects.endpoint_url else "auto")
    config = Config(
        connect_timeout=objects.connect_timeout_s,
        read_timeout=objects.timeout_s,
        retries={"total_max_attempts": 1},
        s3={"addressing_style": style},
    )
    try:
        session = boto3.Session(profile_name=objects.profile, region_name=objects.region)
        region = session.region_name or "us-east-1"
        return session.client("s3", region_name=region, endpoint_url=objects.endpoint_url, config=config)
    except BotoCoreError as error:
        raise ConfigurationError(f"the registry's S3 cannot be reached: {error}") from None


class S3Store:
    """Keeps the Store protocol. The server must keep If-Match and If-None-Match on PUT, see `check`."""

    def __init__(self, client: "S3Client", bucket: str, prefix: str = "") -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""

    @property
    def address(self) -> str:
        """s3://bucket/prefix."""
        return f"{_SCHEME}{self._bucket}/{self._prefix}".rstrip("/")

    def check(self) -> None:
        """Refused where the server writes over an object although it was told not to (some ignore the condition).

        It leaves one small object, `conditional-writes`. Call it once before a run.
        """
        key = "conditional-writes"
        with suppress(Conflict):
            self.create(key, b"written once\n")
        if not (self._conflicts(key, None) and self._conflicts(key, _NO_TAG)):
            raise Refused(
                f"{self.address}: this S3 ignores conditions on PUT, so two runs could undo each other's work"
            )

    def _conflicts(self, key: str, tag: str | None) -> bool:
        try:
            if tag is None:
                self.create(key, b"written twice\n")
            else:
                self.replace(key, b"written over\n", tag)
        except Conflict:
            return True
        return False

    def read(self, key: str) -> Stored:
        """A small object. Raises Missing."""
        with _explained(key):
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key(key))
            return Stored(answer["Body"].read(), answer["ETag"])

    def read_unless(self, key: str, tag: str) -> Stored | None:
        """The same, or None while it still has this tag. Raises Missing."""
        try:
            with _explained(key):
                answer = self._client.get_object(Bucket=self._bucket, Key=self._key(key), IfNoneMatch=tag)
                return Stored(answer["Body"].read(), answer["ETag"])
        except _Unchanged:
            return None

    def create(self, key: str, body: bytes) -> str:
        """Write what was not there before; its tag. Raises Conflict."""
        with _explained(key):
            put = self._client.put_object(Bucket=self._bucket, Key=self._key(key), Body=body, IfNoneMatch="*")
            return put["ETag"]

    def replace(self, key: str, body: bytes, tag: str) -> str:
        """Write over what has this tag; the new tag. Raises Conflict, also where nothing is there."""
        try:
            with _explained(key):
                put = self._client.put_object(Bucket=self._bucket, Key=self._key(key), Body=body, IfMatch=tag)
                return put["ETag"]
        except Missing:
            raise Conflict(f"{key} was removed by somebody else") from None

    def upload(self, key: str, path: Path) -> None:
        """A file of any size, under a key that nobody else uses."""
        with _explained(key):
            self._client.upload_file(str(path), self._bucket, self._key(key))

    def download(self, key: str, path: Path) -> None:
        """Into a file, which is written over. Raises Missing."""
        with _explained(key):
            self._client.download_file(self._bucket, self._key(key), str(path))

    def names(self, prefix: str) -> list[str]:
        """What lies directly under a prefix, sorted."""
        start = f"{self._key(prefix)}/"
        found: list[str] = []
        with _explained(prefix):
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=start, Delimiter="/"):
                found += [each["Key"].removeprefix(start) for each in page.get("Contents", [])]
                found += [each["Prefix"].removeprefix(start) for each in page.get("CommonPrefixes", [])]
        return sorted(name for name in found if name)

    def _key(self, key: str) -> str:
        return f"{self._prefix}{checked(key)}"


class _Unchanged(StoreError):
    """304."""


@contextmanager
def _explained(key: str) -> Iterator[None]:
    """botocore's errors as ours, by S3's code. Messages of S3 are left out: they may hold what they like."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

    try:
        yield
    except ClientError as error:
        raise _of_code(key, str(error.response.get("Error", {}).get("Code", ""))) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise Refused("no S3 credentials were found (environment, profile, web identity, instance)") from error
    except Boto3Error as error:  # upload_file wraps what S3 said
        cause = error.__context__
        code = str(cause.response.get("Error", {}).get("Code", "")) if isinstance(cause, ClientError) else ""
        raise _of_code(key, code) from error
    except BotoCoreError as error:
        raise Unavailable(f"{key}: no answer from S3 ({type(error).__name__})") from error
    except OSError as error:
        raise Refused(f"{key}: {error.strerror}") from error  # our own disk


def _of_code(key: str, code: str) -> StoreError:
    if code in _UNCHANGED:
        return _Unchanged(key)
    if code in _MISSING:
        return Missing(f"{key} is not there")
    if code in _CONFLICT:
        return Conflict(f"{key} was written by somebody else")
    said = f"{key}: S3 answered {code or 'without a code'}{remedy_of(code)}"
    return Refused(said) if code in _LASTING else Unavailable(said)
