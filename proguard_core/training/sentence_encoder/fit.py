"""Fits the thresholds of the sentence encoder on the taxonomy's own phrases, each held out in turn."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from proguard_core.novelty.description import DescriptionBounds, description_bonus
from proguard_core.novelty.encoder import Floats
from proguard_core.novelty.nearest import near_minors, score
from proguard_core.policy.policy import MINORS

# Of the phrases whose whole category is withheld, the share that may be called close to another one.
FALSE_NEAR = 0.2
# Of the held-out phrases about minors, the share that must be close to them.
MINORS_KEPT = 0.95
# Of the guesses at a category that are phrases of another one, the share that may earn a bonus for their nearest
# phrase, and for their mean.
FALSE_BONUS = 0.05
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


def fit_description(vectors: Floats, codes: NDArray[np.str_]) -> dict[str, Any]:
    """Bounds of the reward's bonus (novelty/description.py), from a category's own phrases as guesses at the others.

    A phrase of another main category is a wrong guess, a phrase of the category itself, left out of it, a right one.
    """
    mains = np.array([code.partition("S")[0] for code in codes])
    similarities = vectors @ vectors.T
    wrong, right = [], []
    for code in dict.fromkeys(codes.tolist()):
        members = np.flatnonzero(codes == code)
        others = np.flatnonzero(mains != code.partition("S")[0])
        wrong.append(similarities[np.ix_(others, members)])
        right += [similarities[row, members[members != row]] for row in members]
    nearest, mean = (np.concatenate([part(each) for each in wrong]) for part in (_nearest, _mean))
    bounds = DescriptionBounds(*(round(float(np.quantile(each, 1 - FALSE_BONUS)), 4) for each in (nearest, mean)))
    of_wrong = description_bonus(nearest, mean, bounds)
    of_right = description_bonus(
        np.array([row.max() for row in right]), np.array([row.mean() for row in right]), bounds
    )
    return {
        "description": {"nearest_from": bounds.nearest_from, "mean_from": bounds.mean_from},
        "description_held_out": {"right_with_bonus": _share(of_right > 0), "wrong_with_bonus": _share(of_wrong > 0)},
    }


def _nearest(similarities: Floats) -> Floats:
    return np.asarray(similarities.max(axis=1))


def _mean(similarities: Floats) -> Floats:
    return np.asarray(similarities.mean(axis=1))


def _share(values: NDArray[np.bool_]) -> float:
    return round(float(values.mean()), 3)
