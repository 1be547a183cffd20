"""Types of columns that SQLite and PostgreSQL must hold alike."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import DateTime, Dialect, LargeBinary, Text
from sqlalchemy.types import TypeDecorator

_NUL, _REPLACEMENT = "\x00", "\ufffd"


class UtcTime(TypeDecorator[datetime]):
    """Aware times in, aware UTC times out. SQLite has no zones, so it is given UTC without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database. ValueError for a time without a zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class SafeText(TypeDecorator[str]):
    """Text of strangers: NUL, which PostgreSQL refuses, and lone surrogates, which are no UTF-8, become U+FFFD."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """To the database."""
        return None if value is None else clean(value)


class Vector(TypeDecorator[Any]):
    """A float32 vector as float16 bytes, little endian."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: NDArray[np.floating] | None, dialect: Dialect) -> bytes | None:
        """To the database."""
        return None if value is None else np.asarray(value, dtype="<f2").tobytes()

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> NDArray[np.float32] | None:
        """From the database."""
        return None if value is None else np.frombuffer(value, dtype="<f2").astype(np.float32)


def clean(text: str) -> str:
    """The text as a database can hold it."""
    if _NUL in text:
        text = text.replace(_NUL, _REPLACEMENT)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def utc(value: datetime) -> datetime:
    """In UTC, to the second below: equal in both databases."""
    return value.astimezone(UTC)
