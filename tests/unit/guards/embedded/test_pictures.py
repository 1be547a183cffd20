"""What is measured in pictures, without the networks."""

from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from proguard_core.guards.embedded.nudity import DETECTION
from proguard_core.guards.embedded.nudity import stretched as stretched_score
from proguard_core.guards.embedded.ocr import (
    MOST_STRETCHED,
    SPECKS,
    Line,
    framed,
    in_order,
    specks,
    stretched,
    widened,
)


def line(left: float, top: float, right: float, bottom: float, text: str = "words", flipped: bool = False) -> Line:
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float64)
    return Line(corners, text, 1.0, flipped)


def turned(lines: Sequence[Line], degrees: float) -> list[Line]:
    """Lines of a picture that is turned clockwise around its corner, as the detector gives them: never upside down."""
    angle = np.deg2rad(degrees)
    turn = np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))])
    made = []
    for each in lines:
        corners = each.corners @ turn
        steps = next(at for at in range(4) if (corners[at] == corners[corners.sum(axis=1).argmin()]).all())
        corners = np.roll(corners, -steps, axis=0)
        # Which way a crop was read the detector cannot know, but the classifier behind it.
        made.append(Line(corners, each.text, 1.0, False))
        right = np.array([1.0, 0.0]) @ turn
        made[-1] = Line(corners, each.text, 1.0, bool(made[-1].forward @ right < 0))
    return made


def test_plain_ground_around_a_line_has_no_specks() -> None:
    pixels = np.full((100, 200, 3), 255, dtype=np.uint8)
    pixels[40:60, 20:180] = 0
    assert specks(pixels, [line(20, 40, 180, 60)]) == 0.0


def test_a_drawing_beside_the_line_is_more_than_specks() -> None:
    pixels = np.full((100, 200, 3), 255, dtype=np.uint8)
    pixels[5:15, 5:40] = (200, 30, 30)
    assert specks(pixels, [line(20, 40, 180, 60)]) > SPECKS


def test_a_line_over_the_whole_picture_proves_nothing() -> None:
    assert specks(np.zeros((20, 20, 3), dtype=np.uint8), [line(0, 0, 20, 20)]) == 1.0


def test_light_noise_is_no_speck_and_a_thin_stroke_is() -> None:
    pixels = np.random.default_rng(1).normal(240, 12, (200, 300, 3)).clip(0, 255).astype(np.uint8)
    assert specks(pixels, [line(20, 40, 180, 60)]) <= SPECKS
    pixels[150:152, 40:260] = 120
    assert specks(pixels, [line(20, 40, 180, 60)]) > SPECKS


@pytest.mark.parametrize("degrees", [0, 5, -8, 90, 180, 270])
def test_lines_are_in_reading_order_however_the_picture_is_turned(degrees: float) -> None:
    lines = [line(0, 0, 300, 20, "first of all"), line(320, 3, 400, 23, "and"), line(0, 40, 390, 60, "then this one"),
             line(0, 80, 60, 100, "last")]  # fmt: skip
    shuffled = [lines[at] for at in (3, 1, 2, 0)]
    wanted = ["first of all", "and", "then this one", "last"]
    assert [each.text for each in in_order(turned(shuffled, degrees))] == wanted
    assert in_order([]) == []


@pytest.mark.parametrize("degrees", [0, 10, 90, 180])
def test_a_line_is_widened_by_half_its_height_on_each_side(degrees: float) -> None:
    (one,) = turned([line(100, 100, 300, 120)], degrees)
    wide = widened(one)
    sides = sorted(float(np.linalg.norm(wide[at] - wide[(at + 1) % 4])) for at in range(4))
    assert np.allclose(sides, [40, 40, 220, 220])
    assert np.allclose(wide.mean(axis=0), one.corners.mean(axis=0))


def test_only_a_long_and_thin_picture_is_padded_around_itself_with_its_ground() -> None:
    whole = np.full((300, 400, 3), 7, np.uint8)
    assert framed(whole)[0] is whole
    for shape in ((10, 400, 3), (400, 10, 3), (399, 8, 3)):
        thin = np.full(shape, 200, np.uint8)
        thin[0, 0] = 9
        padded, (left, top) = framed(thin)
        assert max(padded.shape[:2]) <= MOST_STRETCHED * min(padded.shape[:2])
        assert padded[int(top), int(left)].tolist() == [9, 9, 9]
        inside = padded[int(top) : int(top) + shape[0], int(left) : int(left) + shape[1]]
        assert (inside == thin).all()
        assert int((padded != 200).sum()) == 3


def test_only_a_faint_picture_is_stretched() -> None:
    faint = np.full((40, 40, 3), 200, dtype=np.uint8)
    faint[10:20] = 192
    assert (stretched(faint).min(), stretched(faint).max()) == (0, 255)
    clear, blank = faint.copy(), np.full((40, 40, 3), 200, dtype=np.uint8)
    clear[10:20] = 20
    for same in (clear, blank, np.asarray(Image.radial_gradient("L").convert("RGB"))):
        assert stretched(same) is same


@pytest.mark.parametrize(("detection", "score"), [(0.0, 0.0), (DETECTION, 0.5), (1.0, 1.0), (0.3, 0.25)])
def test_detections_are_stretched_around_the_calibrated_one(detection: float, score: float) -> None:
    assert abs(stretched_score(detection) - score) < 1e-9
