"""Vectors of risks: the post's with the guard's name for it beside. Repeated texts and names are encoded once."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from proguard_core.novelty.clusters import Floats, beside

_REMEMBERED = 8192
# The encoder reads 64 tokens; longer texts are cut before they are cut into tokens, which is slow.
_CHARACTERS = 600


class Encoder(Protocol):
    """Texts to unit vectors, a row each (proguard_core/novelty/encoder.py)."""

    def encode(self, texts: Sequence[str]) -> Floats:
        """texts x dimensions."""


class Embedder:
    """One encoder and what it said lately. Not for several threads."""

    def __init__(self, encoder: Encoder, name_weight: float) -> None:
        self._encoder = encoder
        self._weight = name_weight
        self._known: OrderedDict[str, Floats] = OrderedDict()

    def embed(self, posts: Sequence[str], names: Sequence[str]) -> Floats:
        """Unit vectors of risks, from what their posts say and what the guard calls them."""
        if not posts:
            return np.zeros((0, 0), dtype=np.float32)
        return beside(self.encode(posts), self.encode(names), self._weight)

    def encode(self, texts: Sequence[str]) -> Floats:
        """Unit vectors of texts."""
        cut = [text[:_CHARACTERS] for text in texts]
        # By length, so that a batch is not padded to its longest text.
        new = sorted({text for text in cut if text not in self._known}, key=len)
        found = dict(zip(new, self._encoder.encode(new), strict=True)) if new else {}
        rows = []
        for text in cut:
            vector = found.get(text)
            if vector is None:
                vector = self._known[text]
                self._known.move_to_end(text)
            rows.append(vector)
        self._known.update(found)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return np.stack(rows)


def words_of(text: str | None, response: str | None, rationale: str) -> str:
    """What of a post is encoded: its text and the answer; of a picture alone what the guard said it shows."""
    said = "\n".join(part for part in (text, response) if part and part.strip())
    return said or rationale
