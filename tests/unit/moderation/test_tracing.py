"""W3C trace context: a post's trace goes on in what is published about it; a broken one is not carried on."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.moderation.tracing import child_traceparent

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SHAPE = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def bits(count: int) -> int:
    return (1 << count) - 1


@pytest.mark.parametrize("flags", ["00", "01"])
@pytest.mark.parametrize("name", ["traceparent", "Traceparent"])
@pytest.mark.parametrize("as_bytes", [True, False])
def test_a_new_span_of_the_same_trace(flags: str, name: str, as_bytes: bool) -> None:
    value = f"00-{TRACE}-{PARENT}-{flags}"
    header = (name, value.encode() if as_bytes else value)
    assert child_traceparent([("x", None), header], bits) == f"00-{TRACE}-{'f' * 16}-{flags}"


def test_a_later_version_is_read_as_far_as_we_know_it() -> None:
    assert child_traceparent([("traceparent", f"01-{TRACE}-{PARENT}-01-more")], bits).startswith(f"00-{TRACE}-")


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"nonsense",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-0",
    ],
)
def test_a_broken_one_begins_a_trace_that_is_not_sampled(value: str | bytes | None) -> None:
    assert child_traceparent([("traceparent", value)], bits) == f"00-{'f' * 32}-{'f' * 16}-00"


def test_identifiers_are_never_zero() -> None:
    assert child_traceparent([], lambda _count: 0) == f"00-{1:032x}-{1:016x}-00"


@given(st.lists(st.tuples(st.sampled_from(["traceparent", "a"]), st.none() | st.text() | st.binary())))
def test_no_header_raises(headers: list[tuple[str, str | bytes | None]]) -> None:
    clean = [(name, value) for name, value in headers if not isinstance(value, str) or value.isascii()]
    assert SHAPE.fullmatch(child_traceparent(clean, bits))
