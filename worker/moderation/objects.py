"""Objects from S3: allow-listed buckets only, sizes checked before bodies are read, every failure told apart."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from schemas.common import Reason
from schemas.post import ImageReference, split_uri
from worker.moderation.s3_connection import Connection, NoCredentialsFound
from worker.moderation.s3_errors import (
    ANSWERS,
    CREDENTIALS,
    MISCONFIGURED,
    REDIRECT,
    Failure,
    failure_of,
    refusal_of,
    remedy_of,
)
from worker.settings import ObjectSettings

if TYPE_CHECKING:
    from obstore import GetOptions

_LOG = logging.getLogger(__name__)

# Asked for when no object is known to exist. S3 says NoSuchKey (or AccessDenied without ListBucket): it answers.
SENTINEL_KEY = ".proguard-probe"
_REMEMBERED = 8
_ACCESS_DENIED = "AccessDenied"
_NO_CREDENTIALS = "NoCredentials"


class ObjectRefused(Exception):
    """The post's fault: its picture cannot be had, whenever it is asked for."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class ObjectUnavailable(Exception):
    """Not now. dependency: the service is at fault for certain; else its probe must tell."""

    def __init__(self, code: str, message: str, dependency: bool) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.dependency = dependency


@dataclass(frozen=True, slots=True)
class AccessProblem:
    """Found at start-up. reachable False: no answer now, which may pass; True: somebody must change something."""

    bucket: str
    message: str
    reachable: bool


@dataclass(slots=True)
class _Bucket:
    """What we know of one bucket. denied counts AccessDenied answers since an object was last had."""

    store: S3Store | None = None
    denied: int = 0
    good: deque[str] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    refused: deque[str] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))


class ObjectStore:
    """S3 by obstore with boto3's credential chain. Lives on one event loop. obstore's retries are off: ours decide."""

    def __init__(self, settings: ObjectSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._buckets = {name: _Bucket() for name in settings.buckets}
        self._connection: Connection | None = None
        self._connecting = asyncio.Lock()

    @property
    def buckets(self) -> tuple[str, ...]:
        """The buckets that may be read."""
        return self._settings.buckets

    async def get(self, reference: ImageReference, on_size: Callable[[int], None] | None = None) -> bytes:
        """The object's bytes, at most max_bytes. on_size is told the size once the header is there, before the body.

        Raises ObjectRefused and ObjectUnavailable.
        """
        name, key = self._located(reference)
        options = _options(reference)
        store = await self._store(name)
        try:
            answer = await obstore.get_async(store, key, options=options)
            size = int(answer.meta["size"])
            if size > self._settings.max_bytes:
                del answer  # closes the connection unread, at once: the error's traceback would keep it
                raise ObjectRefused(Reason.IMAGE_TOO_LARGE)
            if on_size is not None:
                on_size(size)
            body = (await answer.bytes_async()).to_bytes()
        except (BaseError, OSError) as error:
            raise self._explained(name, key, error, store, "version" in options, "if_match" in options) from None
        except ValueError:
            raise ObjectRefused(Reason.IMAGE_MISSING) from None  # obstore: no such key can exist
        if len(body) != size:
            del body  # the error's traceback would keep it beyond its budget
            raise ObjectUnavailable("IncompleteBody", "the body ended early", dependency=False)
        self._had(self._buckets[name], key)
        return body

    async def probe(self, bucket: str) -> None:
        """Return if S3 serves this bucket, judged by an object that was had before, else by one that is not there.

        After a run of AccessDenied only an object that can be read counts. Raises ObjectUnavailable.
        """
        known = self._buckets[bucket]
        if known.denied >= self._settings.forbidden_run:
            await self._probe_rights(bucket, known)
        else:
            failure = await self._ask(bucket, known.good[-1] if known.good else SENTINEL_KEY)
            if failure is not None and failure.code not in ANSWERS:
                raise ObjectUnavailable(failure.code, failure.message, dependency=True)

    async def check_access(self) -> list[AccessProblem]:
        """For start-up: what is wrong with keys, buckets, region or endpoint. An empty list means that all answer."""
        problems = []
        for bucket in self._settings.buckets:
            failure = await self._ask(bucket, SENTINEL_KEY)
            if failure is not None and failure.code not in ANSWERS:
                lasting = failure.code in MISCONFIGURED | {REDIRECT, _NO_CREDENTIALS}
                message = f"bucket {bucket}: {failure.message}{remedy_of(failure.code)}"
                problems.append(AccessProblem(bucket, message, lasting))
        return problems

    def _located(self, reference: ImageReference) -> tuple[str, str]:
        try:
            name, key = split_uri(reference.uri)
        except ValueError:
            raise ObjectRefused(Reason.IMAGE_MISSING) from None
        if name not in self._buckets:
            raise ObjectRefused(Reason.IMAGE_BUCKET_NOT_ALLOWED)
        return name, key

    async def _store(self, name: str) -> S3Store:
        known = self._buckets[name]
        if known.store is not None:
            return known.store
        async with self._connecting:
            try:
                if self._connection is None:
                    # Looking for credentials may read files and ask a metadata service.
                    self._connection = await asyncio.to_thread(Connection, self._settings)
                known.store = self._connection.open(name)
            except NoCredentialsFound as error:
                raise ObjectUnavailable(_NO_CREDENTIALS, str(error), dependency=True) from None
        return known.store

    def _explained(
        self, name: str, key: str, error: Exception, store: S3Store, has_version: bool, has_etag: bool
    ) -> ObjectRefused | ObjectUnavailable:
        failure = failure_of(error, key)
        if failure.code in CREDENTIALS:
            self._forget_credentials(store)
        if failure.code == _ACCESS_DENIED:
            return self._denied(self._buckets[name], name, key)
        reason = refusal_of(failure.code, has_version=has_version, has_etag=has_etag)
        if reason is not None:
            return ObjectRefused(reason)
        return ObjectUnavailable(failure.code, failure.message, failure.code in MISCONFIGURED)

    def _denied(self, known: _Bucket, name: str, key: str) -> ObjectRefused | ObjectUnavailable:
        """S3 says AccessDenied for a missing object too, unless we may list; but many in a row mean lost rights."""
        known.denied += 1
        if key not in known.refused:
            known.refused.append(key)
        if known.denied < self._settings.forbidden_run:
            return ObjectRefused(Reason.IMAGE_FORBIDDEN)
        return ObjectUnavailable(_ACCESS_DENIED, self._denied_message(known, name), dependency=True)

    def _denied_message(self, known: _Bucket, name: str) -> str:
        return f"bucket {name}: AccessDenied {known.denied} times in a row; the right to read it seems to be lost"

    def _had(self, known: _Bucket, key: str) -> None:
        known.denied = 0
        known.refused.clear()
        if not known.good or known.good[-1] != key:
            known.good.append(key)

    async def _probe_rights(self, bucket: str, known: _Bucket) -> None:
        message = self._denied_message(known, bucket)
        for key in [*reversed(known.good), *known.refused]:
            failure = await self._ask(bucket, key)
            if failure is None:
                self._had(known, key)
                return
            if failure.code not in ANSWERS:
                raise ObjectUnavailable(failure.code, failure.message, dependency=True)
        raise ObjectUnavailable(_ACCESS_DENIED, message, dependency=True)

    async def _ask(self, bucket: str, key: str) -> Failure | None:
        """GET an object and drop its body unread; None if it can be read. A HEAD would carry no S3 code."""
        try:
            store = await self._store(bucket)
        except ObjectUnavailable as error:
            return Failure(error.code, error.message)
        try:
            await obstore.get_async(store, key)
        except (BaseError, OSError) as error:
            failure = failure_of(error, key)
            if failure.code in CREDENTIALS:
                self._forget_credentials(store)
            return failure
        return None

    def _forget_credentials(self, failed: S3Store) -> None:
        """Look for credentials afresh: a rotated file or secret must not need a restart."""
        if any(known.store is failed for known in self._buckets.values()):
            _LOG.info("credentials were refused by S3, reading them again")
            self._connection = None
            for known in self._buckets.values():
                known.store = None


def _options(reference: ImageReference) -> "GetOptions":
    options: GetOptions = {}
    if reference.version_id is not None:
        options["version"] = reference.version_id
    if (etag := reference.etag) is not None:
        if not (etag.isascii() and etag.isprintable()):  # no object has such an ETag, and no header can hold it
            raise ObjectRefused(Reason.IMAGE_CHANGED)
        options["if_match"] = etag if etag.startswith(('"', "W/")) else f'"{etag}"'
    return options
