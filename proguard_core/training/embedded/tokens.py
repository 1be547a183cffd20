"""Token ids of examples, as the guard at run time makes them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from proguard_core.training.embedded.rows import Example

REQUEST_TOKENS_BEFORE_RESPONSE = 48
CHARACTERS_KEPT = 4000


@dataclass(frozen=True, slots=True)
class Encoded:
    """ids and type_ids (0 request, 1 response) of one example, special tokens included."""

    ids: list[int]
    type_ids: list[int]


def load(path: Path) -> Tokenizer:
    """The tokenizer without padding and truncation of its own."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def encode(tokenizer: Tokenizer, example: Example, length: int) -> Encoded:
    """At most `length` tokens: of a conversation, at most REQUEST_TOKENS_BEFORE_RESPONSE belong to the request."""
    start, *_, end = tokenizer.encode("").ids
    request = tokenizer.encode(example.request[:CHARACTERS_KEPT], add_special_tokens=False).ids
    if example.response is None:
        ids = [start, *request[: length - 2], end]
        return Encoded(ids, [0] * len(ids))
    first = [start, *request[:REQUEST_TOKENS_BEFORE_RESPONSE], end]
    response = tokenizer.encode(example.response[:CHARACTERS_KEPT], add_special_tokens=False).ids
    second = [*response[: length - len(first) - 1], end]
    return Encoded(first + second, [0] * len(first) + [1] * len(second))


def pad(batch: list[Encoded]) -> dict[str, NDArray[np.int64]]:
    """input_ids, attention_mask, token_type_ids: each rows x longest."""
    longest = max(len(row.ids) for row in batch)
    names = ("input_ids", "attention_mask", "token_type_ids")
    arrays = {name: np.zeros((len(batch), longest), dtype=np.int64) for name in names}
    for index, row in enumerate(batch):
        arrays["input_ids"][index, : len(row.ids)] = row.ids
        arrays["attention_mask"][index, : len(row.ids)] = 1
        arrays["token_type_ids"][index, : len(row.ids)] = row.type_ids
    return arrays
