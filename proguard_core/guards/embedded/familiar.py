"""How unlike a text is to all that the guard was taught: its distance to the nearest of some hundred kinds of text.

It says nothing of harm. A cascade (guards/cascade.py) does not let the guard decide alone about what is far from home.
"""

import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

FAMILIAR = "familiar.npz"
DIGITS = 4

Array = NDArray[np.float32]


class Familiar:
    """centre: the mean of taught features, [width]; middles: one unit vector a kind, less the centre, [kinds, width].

    steps: increasing distances; between 0 and 1, the n-th of N says that n / (N - 1) of held-out texts lie nearer.
    """

    def __init__(self, centre: Array, middles: Array, steps: NDArray[np.float64]) -> None:
        fits = middles.ndim == 2 and len(middles) > 0 and centre.shape == middles.shape[1:]
        if not fits or steps.ndim != 1 or len(steps) < 2:
            raise ValueError(f"{FAMILIAR} has arrays of other shapes than it should have")
        if not all(np.isfinite(part).all() for part in (centre, middles, steps)) or (np.diff(steps) < 0).any():
            raise ValueError(f"{FAMILIAR} has numbers that are none, or steps that fall")
        lengths = np.linalg.norm(middles, axis=1, keepdims=True)
        if not lengths.all():
            raise ValueError(f"{FAMILIAR} has a middle without a direction")
        self._centre, self._steps = centre, steps
        self._shares = np.linspace(0.0, 1.0, len(steps))
        self._middles = middles / lengths

    @classmethod
    def read(cls, folder: Path, width: int) -> "Familiar":
        """From the artefact's folder. Raises OSError or ValueError where it is not what it should be."""
        held = _arrays(folder / FAMILIAR)
        missing = {"centre", "middles", "steps"} - set(held)
        if missing:
            raise ValueError(f"{FAMILIAR} lacks {', '.join(sorted(missing))}")
        centre, middles = (held[name].astype(np.float32) for name in ("centre", "middles"))
        made = cls(centre, middles, held["steps"].astype(np.float64))
        if made.width != width:
            raise ValueError(f"{FAMILIAR} is for features of {made.width}, the network has {width}")
        return made

    @property
    def width(self) -> int:
        """Features of a window."""
        return len(self._centre)

    def distance(self, features: Array) -> float:
        """1 - cosine to the nearest middle, in [0, 2]. features: of one window, [width]."""
        away = features - self._centre
        return 1.0 - float((self._middles @ away).max() / max(float(np.linalg.norm(away)), 1e-12))

    def novelty(self, features: Array) -> float:
        """In [0, 1]: the share of held-out texts of taught sources that lie nearer to what was taught."""
        return round(float(np.interp(self.distance(features), self._steps, self._shares)), DIGITS)


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Whatever the file is, numpy says it in its own way: half-written, a pointer in its place, one array alone."""
    with path.open("rb") as file:
        try:
            held = np.load(file, allow_pickle=False)
            return {name: held[name] for name in held.files}
        except (ValueError, EOFError, AttributeError, BadZipFile, zlib.error) as error:
            raise ValueError(f"{FAMILIAR} cannot be read: half-written, changed, or another file") from error
