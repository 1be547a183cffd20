"""A store that waits for its own return: a training of hours must not be lost because S3 was away for a minute."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential
from tenacity.nap import sleep as plain_sleep

from proguard_core.training.registry.store import Conflict, Store, Stored, Unavailable

_LONGEST_WAIT_S = 10.0

Value = TypeVar("Value")


class PatientStore:
    """Keeps the Store protocol over another store; Unavailable only after patience_s of trying.

    A conditional write whose first try got no answer may have been done: where the next one finds a conflict with
    exactly what was to be written, it was. So bodies must differ from writer to writer.
    """

    def __init__(self, store: Store, patience_s: float = 300.0, sleep: Callable[[float], None] = plain_sleep) -> None:
        self._store = store
        self._retrying = Retrying(
            retry=retry_if_exception_type(Unavailable),
            wait=wait_random_exponential(multiplier=0.2, max=_LONGEST_WAIT_S),
            stop=stop_after_delay(patience_s),
            sleep=sleep,
            reraise=True,
        )

    @property
    def address(self) -> str:
        """Where it is, for people."""
        return self._store.address

    def read(self, key: str) -> Stored:
        """A small object. Raises Missing."""
        return self._again(lambda: self._store.read(key))

    def read_unless(self, key: str, tag: str) -> Stored | None:
        """The same, or None while it still has this tag. Raises Missing."""
        return self._again(lambda: self._store.read_unless(key, tag))

    def create(self, key: str, body: bytes) -> str:
        """Write what was not there before; its tag. Raises Conflict."""
        return self._settled(key, body, lambda: self._store.create(key, body))

    def replace(self, key: str, body: bytes, tag: str) -> str:
        """Write over what has this tag; the new tag. Raises Conflict, also where nothing is there."""
        return self._settled(key, body, lambda: self._store.replace(key, body, tag))

    def upload(self, key: str, path: Path) -> None:
        """A file of any size, under a key that nobody else uses."""
        self._again(lambda: self._store.upload(key, path))

    def download(self, key: str, path: Path) -> None:
        """Into a file, which is written over. Raises Missing."""
        self._again(lambda: self._store.download(key, path))

    def names(self, prefix: str) -> list[str]:
        """What lies directly under a prefix, sorted."""
        return self._again(lambda: self._store.names(prefix))

    def _again(self, call: Callable[[], Value]) -> Value:
        return self._retrying.copy()(call)

    def _settled(self, key: str, body: bytes, write: Callable[[], str]) -> str:
        in_doubt = False

        def attempt() -> str:
            nonlocal in_doubt
            try:
                return write()
            except Unavailable:
                in_doubt = True
                raise
            except Conflict:
                if in_doubt and (stored := self._store.read(key)).body == body:
                    return stored.tag
                raise

        return self._again(attempt)
