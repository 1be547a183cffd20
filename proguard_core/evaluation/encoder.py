"""The sentence encoder that scores names, in one place: novelty's, which is not the embedded guard's own network."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class NameEncoder:
    """all-MiniLM-L6-v2 as novelty carries it. The embedded guard is a fine-tuned BGE-small, so it judges no names of
    its own making. A text is encoded once: guards, sets and splits share most phrases.
    """

    name = "all-MiniLM-L6-v2 (int8 weights)"

    def __init__(self) -> None:
        from proguard_core.novelty.encoder import SentenceEncoder

        self._encoder = SentenceEncoder()
        self._known: dict[str, NDArray[np.float32]] = {}

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, 384), each row of length 1."""
        unknown = sorted(set(texts) - set(self._known))
        self._known.update(zip(unknown, self._encoder.encode(unknown), strict=True))
        return np.array([self._known[text] for text in texts], np.float32)
