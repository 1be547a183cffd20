"""Fits the thresholds of the sentence encoder on the taxonomy's own phrases, each held out in turn."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from proguard_core.novelty.encoder import Floats
from proguard_core.novelty.nearest import near_minors, score
from proguard_core.policy.policy import MINORS

# Of the phrases whose whole category is withheld, the share that may be called close to another one.
FALSE_NEAR = 0.2
# Of the held-out phrases about minors, the share that must be close to them.
MINORS_KEPT = 0.95
# A threshold that nothing in the phrases asks for still leaves general names out.
LEAST_MINORS = 0.34


def held_out_scores(vectors: Floats, codes: NDArray[np.str_]) -> tuple[list[str], Floats]:
    """The codes, and phrases x codes: each phrase's score with itself left out of its own code."""
    similarities = vectors @ vectors.T
    known = list(dict.fromkeys(codes.tolist()))
    columns = []
    for code in known:
        members = np.flatnonzero(codes == code)
        column = score(similarities[:, members])
        for row in members:
            column[row] = score(similarities[[row]][:, members[members != row]])[0]
        columns.append(column)
    return known, np.stack(columns, axis=1)


def fit(vectors: Floats, codes: NDArray[np.str_]) -> dict[str, Any]:
    """vectors: phrases x width, of length 1; codes: of each phrase. Thresholds, and what they do to the phrases.

    near: the least similarity at which at most FALSE_NEAR of the phrases of a withheld category find another one.
    minors: what MINORS_KEPT of the held-out phrases about minors reach, but never above `near` or below LEAST_MINORS.
    """
    known, scores = held_out_scores(vectors, codes)
    mains = np.array([code.partition("S")[0] for code in codes])
    of_known = np.array([code.partition("S")[0] for code in known])
    withheld = np.where(of_known[None, :] == mains[:, None], -1.0, scores).max(axis=1)
    near = float(np.quantile(withheld, 1 - FALSE_NEAR))
    about = codes == MINORS
    minors = float(np.clip(np.quantile(scores[about, known.index(MINORS)], 1 - MINORS_KEPT), LEAST_MINORS, near))
    called_minors = near_minors(scores[:, known.index(MINORS)], scores.max(axis=1), minors)
    best = scores.argmax(axis=1)
    close = scores.max(axis=1) >= near
    right = np.array(known)[best] == codes
    return {
        "thresholds": {"near": round(near, 4), "minors": round(minors, 4)},
        "held_out": {
            "phrases": len(codes),
            "right_code": _share(right),
            "right_category": _share(of_known[best] == mains),
            "close": _share(close),
            "right_category_where_close": _share((of_known[best] == mains)[close]),
            "withheld_called_close": _share(withheld >= near),
            "minors_kept": _share(called_minors[about]),
            "others_called_minors": _share(called_minors[~about]),
        },
    }


def _share(values: NDArray[np.bool_]) -> float:
    return round(float(values.mean()), 3)
