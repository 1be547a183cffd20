"""A sentence encoder under onnxruntime: short texts in, unit vectors out. No torch, no network."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

FOLDER = Path(__file__).parent / "model"
MODEL, TOKENIZER, MANIFEST = "model.onnx", "tokenizer.json", "manifest.json"
MAX_TOKENS = 64
BATCH = 64

Floats = NDArray[np.float32]


class SentenceEncoder:
    """all-MiniLM-L6-v2 in int8, with a scale for each token, so that a text's vector does not depend on its batch.

    `encode` may be called from several threads at once. Raises OSError or onnxruntime's errors where a file is broken.
    """

    def __init__(self, folder: Path = FOLDER, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(folder / MODEL), options, providers=["CPUExecutionProvider"])
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self._tokenizer.enable_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)

    def encode(self, texts: Sequence[str]) -> Floats:
        """texts x 384, each row of length 1; texts beyond MAX_TOKENS tokens are cut."""
        parts = [self._encode(texts[at : at + BATCH]) for at in range(0, len(texts), BATCH)]
        return np.concatenate(parts) if parts else np.zeros((0, 0), dtype=np.float32)

    def _encode(self, texts: Sequence[str]) -> Floats:
        encoded = self._tokenizer.encode_batch(list(texts))
        ids = np.array([text.ids for text in encoded], dtype=np.int64)
        mask = np.array([text.attention_mask for text in encoded], dtype=np.int64)
        vectors = self._session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
        return np.asarray(vectors, dtype=np.float32)
