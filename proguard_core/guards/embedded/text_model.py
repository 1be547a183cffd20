"""The int8 network under onnxruntime: windows in, calibrated probabilities out."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from proguard_core.guards.embedded.graph import with_features
from proguard_core.guards.embedded.windows import Window

FOLDER = Path(__file__).parent / "model"
MODEL, TOKENIZER, CALIBRATION, MANIFEST = "model.onnx", "tokenizer.json", "calibration.json", "manifest.json"
REQUEST, RESPONSE, FIRST_CATEGORY = 0, 1, 2
OTHER = "other"
# Beyond these digits a score says nothing; fewer would make a post just below its threshold look as if it reached it.
SCORE_DIGITS = 6

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Divisors of the logits, the probability below which no code fits, window length in tokens, codes of the head."""

    request_temperature: float
    response_temperature: float
    category_temperature: float
    category_threshold: float
    tokens: int
    codes: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> "Calibration":
        """From calibration.json. Raises OSError, ValueError or TypeError where it is not what it should be."""
        loaded = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**loaded, "codes": tuple(loaded["codes"])})


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What the network says of one window: logits (request, response, one a code) and the features under them."""

    logits: Floats
    features: NDArray[np.float32]


class TextModel:
    """One onnxruntime session. `read` may be called from several threads at once."""

    def __init__(self, folder: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        model, self._pooled = with_features((folder / MODEL).read_bytes())
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._logits = self._session.get_outputs()[0].name
        self.width = int(self._session.get_outputs()[1].shape[1])

    def read(self, window: Window) -> Reading:
        """One window at a time, on purpose.

        Activations are quantised at run time over a whole batch, so in a batch the answer to a post would depend on its
        neighbours (26 of 600 held-out posts changed sides); alone it costs a fifth of the speed and is always the same.
        """
        (reading,) = self._run(np.array([window.ids], np.int64), np.array([window.type_ids], np.int64))
        return reading

    def read_words(self, first: int, words: Sequence[int]) -> list[Reading]:
        """Single pieces in one run, each behind the special token that begins a text: for what no verdict hangs on.

        Without the last special token a third is saved, and the names made of it are as good (docs/embedded-guard.md).
        """
        ids = np.array([[first, word] for word in words], dtype=np.int64)
        return self._run(ids, np.zeros_like(ids))

    def _run(self, ids: NDArray[np.int64], type_ids: NDArray[np.int64]) -> list[Reading]:
        """One reading a row of rows x tokens, none of them padded."""
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": type_ids}
        logits, features = self._session.run([self._logits, self._pooled], feed)
        return [
            Reading(np.asarray(one, np.float64), np.asarray(own, np.float32))
            for one, own in zip(logits, features, strict=True)
        ]


def sigmoid(value: float) -> float:
    """1 / (1 + e^-x)."""
    return float(1.0 / (1.0 + np.exp(-value)))


def softmax(values: Floats) -> Floats:
    """Shares that sum to one."""
    raised = np.exp(values - values.max())
    return np.asarray(raised / raised.sum())
