"""The sentence encoder that scores names, in one place: novelty's, which is not the embedded guard's own network."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class NameEncoder:
    """all-MiniLM-L6-v2 as novelty carries it. The embedded guard is a fine-tuned BGE-small, so it judges no names of
    its own making."""

    name = "all-MiniLM-L6-v2 (int8 weights)"

    def __init__(self) -> None:
        from proguard_core.novelty.encoder import SentenceEncoder

        self._encoder = SentenceEncoder()

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, 384), each row of length 1."""
        return self._encoder.encode(texts)
