"""W3C trace context from a post's headers to the headers of what is published about it."""

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

_TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?", re.DOTALL)
_INVALID_VERSION = b"ff"
_SAMPLED = 1
_NEVER_ZERO = 1 << 64 | 1


class Parent(NamedTuple):
    """A valid traceparent. trace, span and flags are lower-case hexadecimal, as in the header."""

    trace: str
    span: str
    flags: str

    @property
    def sampled(self) -> bool:
        """Whether whoever sent the post records its trace."""
        return bool(int(self.flags, 16) & _SAMPLED)


def parent(headers: Iterable[tuple[str, str | bytes | None]]) -> Parent | None:
    """The first valid traceparent of a post's headers."""
    for name, value in headers:
        if name.lower() != "traceparent" or value is None:
            continue
        match = _TRACEPARENT.fullmatch(value.encode() if isinstance(value, str) else value)
        if match is not None:
            version, trace, span, flags = match.groups()
            if version != _INVALID_VERSION and int(trace, 16) and int(span, 16):
                return Parent(trace.decode(), span.decode(), flags.decode())
    return None


def child_traceparent(headers: Iterable[tuple[str, str | bytes | None]], random_bits: Callable[[int], int]) -> str:
    """A new span of the post's trace, or of a new trace that is not sampled when the post has none or a broken one."""
    found = parent(headers)
    if found is None:
        return new_traceparent(random_bits)
    return f"00-{found.trace}-{random_bits(64) or 1:016x}-{found.flags}"


def new_traceparent(random_bits: Callable[[int], int]) -> str:
    """A trace of its own that is not sampled. One number makes both ids, with a bit set in each: zero is forbidden."""
    digits = (random_bits(192) | _NEVER_ZERO).to_bytes(24, "big").hex()
    return f"00-{digits[:32]}-{digits[32:]}-00"
