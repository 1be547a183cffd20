"""What is measured in pictures, without the networks."""

import numpy as np
import pytest

from proguard_core.guards.embedded.nudity import DETECTION, stretched
from proguard_core.guards.embedded.ocr import SPECKS, Line, specks


def test_plain_ground_around_a_line_has_no_specks() -> None:
    pixels = np.full((100, 200, 3), 255, dtype=np.uint8)
    pixels[40:60, 20:180] = 0
    assert specks(pixels, [Line((20, 40, 180, 60), "words", 1.0)]) == 0.0


def test_a_drawing_beside_the_line_is_more_than_specks() -> None:
    pixels = np.full((100, 200, 3), 255, dtype=np.uint8)
    pixels[5:15, 5:40] = (200, 30, 30)
    assert specks(pixels, [Line((20, 40, 180, 60), "words", 1.0)]) > SPECKS


def test_a_line_over_the_whole_picture_proves_nothing() -> None:
    assert specks(np.zeros((20, 20, 3), dtype=np.uint8), [Line((0, 0, 20, 20), "words", 1.0)]) == 1.0


@pytest.mark.parametrize(("detection", "score"), [(0.0, 0.0), (DETECTION, 0.5), (1.0, 1.0), (0.3, 0.25)])
def test_detections_are_stretched_around_the_calibrated_one(detection: float, score: float) -> None:
    assert abs(stretched(detection) - score) < 1e-9
