"""Bare intimate parts in a picture, by the network of nudenet (MIT); its OpenCV wrapper is not needed."""

from importlib.resources import as_file, files

import numpy as np
import onnxruntime
from PIL.Image import Image, Resampling, new

SIDE = 320
BOXES_BEFORE_CLASSES = 4
# Indices of nudenet's classes: buttocks, female breast, female genitalia, anus, male genitalia, each exposed.
EXPOSED = (2, 3, 4, 6, 14)
# The strongest false alarm on 110 everyday photographs was 0.50.
DETECTION = 0.6


class NudityDetector:
    """`score` may be called from several threads at once."""

    def __init__(self, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        with as_file(files("nudenet") / "320n.onnx") as path:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def detection(self, image: Image) -> float:
        """The detector's own strongest score, in [0, 1], for any exposed intimate part in an RGB picture."""
        side = max(image.size)
        square = new("RGB", (side, side))
        square.paste(image, (0, 0))
        pixels = np.asarray(square.resize((SIDE, SIDE), Resampling.BILINEAR), dtype=np.float32) / 255
        batch = np.ascontiguousarray(pixels.transpose(2, 0, 1)[np.newaxis])
        found = np.asarray(self._session.run(None, {self._input: batch})[0][0])
        return float(found[BOXES_BEFORE_CLASSES:][list(EXPOSED)].max())

    def score(self, image: Image) -> float:
        """The same, stretched so that DETECTION lies at 0.5, where policies put their thresholds."""
        return stretched(self.detection(image))


def stretched(detection: float) -> float:
    """Two straight lines: 0 to 0, DETECTION to 0.5, 1 to 1."""
    if detection < DETECTION:
        return 0.5 * detection / DETECTION
    return 0.5 + 0.5 * (detection - DETECTION) / (1 - DETECTION)
