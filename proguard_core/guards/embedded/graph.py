"""The network gives its pooled features beside its logits, so that other heads can stand on the same encoder.

model.onnx names one output, the logits. Files of ONNX are protocol buffers, in which a message that stands twice is
merged: a few bytes behind the file's own ask for one more output, and nothing that the network computes changes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

# Field numbers of onnx.proto3.
_GRAPH = 7
_NODES, _OUTPUTS, _VALUE_NAME = 1, 12, 1
_INPUT, _OUTPUT, _OPERATION = 1, 2, 4
_BYTES = 2
_FIXED = {1: 8, 5: 4}
POOLING = "Concat"


@dataclass(frozen=True, slots=True)
class _Node:
    operation: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def with_features(model: bytes) -> tuple[bytes, str]:
    """The model with one output more, and that output's name: what the heads read, rows x width.

    It is the last concatenation (first token and mean of all tokens) before the logits. ValueError where there is none,
    or where the bytes are no ONNX model.
    """
    name = _pooled(model)
    added = _message(_GRAPH, _message(_OUTPUTS, _message(_VALUE_NAME, name.encode())))
    return model + added, name


def _pooled(model: bytes) -> str:
    try:
        graph = next(value for number, value in _fields(memoryview(model)) if number == _GRAPH)
        makers, wanted = _read(graph)
    except (StopIteration, IndexError, UnicodeDecodeError) as error:
        raise ValueError("model.onnx is no ONNX model") from error
    seen: set[str] = set()
    while wanted:
        tensor = wanted.pop(0)
        node = makers.get(tensor)
        if node is None or tensor in seen:
            continue
        if node.operation == POOLING:
            return tensor
        seen.add(tensor)
        wanted += node.inputs
    raise ValueError("model.onnx has no pooled features that heads could stand on")


def _read(graph: memoryview) -> tuple[dict[str, _Node], list[str]]:
    """Which node makes a tensor, and the graph's outputs."""
    makers: dict[str, _Node] = {}
    outputs = []
    for number, value in _fields(graph):
        if number == _NODES:
            parts = list(_fields(value))
            found = {kind: tuple(_text(part) for at, part in parts if at == kind) for kind in (_INPUT, _OUTPUT)}
            operation = next((_text(part) for at, part in parts if at == _OPERATION), "")
            node = _Node(operation, found[_INPUT], found[_OUTPUT])
            makers.update(dict.fromkeys(node.outputs, node))
        elif number == _OUTPUTS:
            outputs += [_text(part) for at, part in _fields(value) if at == _VALUE_NAME]
    return makers, outputs


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and bytes of each field that has bytes; numbers are passed over. IndexError where it is cut off."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == _BYTES:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise IndexError
            yield number, message[at : at + length]
            at += length
        elif kind == 0:
            _, at = _varint(message, at)
        elif kind in _FIXED:
            at += _FIXED[kind]
        else:
            raise IndexError


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _text(part: memoryview) -> str:
    return bytes(part).decode("utf-8")


def _message(number: int, content: bytes) -> bytes:
    made, length = bytearray([number << 3 | _BYTES]), len(content)
    while length > 0x7F:
        made.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes(made) + bytes([length]) + content
