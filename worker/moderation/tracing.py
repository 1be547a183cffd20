"""W3C trace context from a post's headers to the headers of what is published about it."""

import re
from collections.abc import Callable, Iterable

_TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?", re.DOTALL)
_INVALID_VERSION = b"ff"


def child_traceparent(headers: Iterable[tuple[str, str | bytes | None]], random_bits: Callable[[int], int]) -> str:
    """A new span of the post's trace, or of a new trace that is not sampled when the post has none or a broken one."""
    span = f"{random_bits(64) or 1:016x}"
    for name, value in headers:
        content = value.encode() if isinstance(value, str) else value
        if name.lower() == "traceparent" and content is not None and (match := _TRACEPARENT.fullmatch(content)):
            version, trace, parent, flags = match.groups()
            if version != _INVALID_VERSION and int(trace, 16) and int(parent, 16):
                return f"00-{trace.decode()}-{span}-{flags.decode()}"
    return f"00-{random_bits(128) or 1:032x}-{span}-00"
