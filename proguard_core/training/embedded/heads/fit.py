"""Heads from rows: each drawn away from the champion's only as far as rows that it was not fitted on agree."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proguard_core.guards.embedded.heads import Heads, Learned, Weights
from proguard_core.guards.embedded.scoring import temperatures
from proguard_core.guards.embedded.text_model import FIRST_CATEGORY, OTHER, REQUEST, RESPONSE, Calibration
from proguard_core.policy.policy import SEXUAL
from proguard_core.policy.taxonomy import name_key
from proguard_core.training.embedded.heads import solver
from proguard_core.training.embedded.heads.features import Windows
from proguard_core.training.embedded.heads.taught import Taught
from schemas.common import Outcome

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
STAYS = float("inf")
KNOWN_KEPT = 0.95
FEWEST_FOR_THRESHOLD = 100
_Solve = Callable[[Booleans, float, float], Floats]
_TURNS = {REQUEST: "request", RESPONSE: "response"}


@dataclass(frozen=True, slots=True)
class FitSettings:
    """pulls: how strongly heads are drawn to the champion's (the unit of a feature is its deviation over the rows). The
    strongest is taken under which left-out folds are not explained worse than under the best, by more than one standard
    error: what is known is given up only for evidence. fewest: rows below which a head stays. rough: tolerance of the
    fits that only choose. label_new: whether rows of names outside the taxonomy teach the label heads too. They come
    only where the guard found something unsafe, so without their harmless neighbours they raise the score of both;
    with False they teach the category head alone.
    """

    seed: int = 0
    folds: int = 3
    pulls: tuple[float, ...] = (30.0, 300.0, 3000.0)
    fewest: int = 40
    rough: float = 1e-3
    label_new: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """heads, and by head the pull that was taken (STAYS: the champion's stays) and the left-out log loss with it."""

    heads: Heads
    pulls: dict[str, float]
    losses: dict[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    """What one head learns from. features: n x width, scaled; offsets: the champion's logits; folds: of each entry."""

    features: Floats
    offsets: Floats
    weights: Floats
    folds: NDArray[np.int64]


def fit(
    rows: Sequence[Taught],
    windows: Windows,
    calibration: Calibration,
    champion: Heads,
    learned: Sequence[Learned],
    settings: FitSettings,
) -> Fitted:
    """Heads for the champion's categories and new ones. learned: the champion's first, at their places.

    Of an unsafe turn the window counts that the champion finds worst, of a safe one each as a part. Heads of the sexual
    category stay as they are: no dataset has rows about minors, so there is nothing to teach them by.
    """
    before = widened(champion, len(learned))
    own = _own_logits(windows, calibration, len(learned))
    logits = own + windows.features @ before[:, :-1].T + before[:, -1]
    middle, spread = windows.features.mean(0), np.maximum(windows.features.std(0), 1e-6)
    scaled = (windows.features - middle) / spread
    folds = np.array([_fold(each.group, settings) for each in rows], np.int64)
    change = np.zeros(before.shape)
    pulls: dict[str, float] = {}
    losses: dict[str, float] = {}
    for head, turn in _TURNS.items():
        at, wanted, weights = _labels(rows, windows, logits, head, settings)
        question = _Question(scaled[at], logits[at, head], weights, folds[windows.rows[at]])
        pulls[turn], losses[turn], change[head] = _label_head(question, wanted, settings)
    at, right = _places(rows, windows, own, logits, calibration, learned)
    question = _Question(scaled[at], logits[at, FIRST_CATEGORY:], np.ones(len(at)), folds[windows.rows[at]])
    grown = len(learned) > len(champion.learned)
    pulls["category"], losses["category"], change[FIRST_CATEGORY:], left_out = _category_head(
        question, right, calibration, grown, settings
    )
    threshold = _threshold(left_out, right, calibration, champion.threshold)
    weights = before.copy()
    weights[:, :-1] += change[:, :-1] / spread
    weights[:, -1] += change[:, -1] - (change[:, :-1] / spread) @ middle
    return Fitted(Heads(weights.astype(np.float32), tuple(learned), threshold), pulls, losses)


def widened(champion: Heads, learned: int) -> Floats:
    """The champion's rows, and rows of zeros for categories that it does not have: they begin as `other`."""
    missing = learned - len(champion.learned)
    added: Weights = np.zeros((missing, champion.weights.shape[1]), np.float32)
    return np.concatenate([champion.weights, added]).astype(np.float64)


def _own_logits(windows: Windows, calibration: Calibration, learned: int) -> Floats:
    """Calibrated logits of the artefact itself, that of `other` once more for each learned category."""
    own = windows.logits / temperatures(calibration)
    other = own[:, FIRST_CATEGORY + calibration.codes.index(OTHER)]
    return np.column_stack([own, *[other] * learned])


def _fold(group: str, settings: FitSettings) -> int:
    hashed = hashlib.blake2b(f"{settings.seed} {group}".encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(hashed.digest()) % settings.folds


def _label(each: Taught, head: int) -> Outcome | None:
    return each.row.request_label if head == REQUEST else each.row.response_label


def _labels(
    rows: Sequence[Taught], windows: Windows, logits: Floats, head: int, settings: FitSettings
) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Windows that teach a label head, what is wanted of them, and their weights."""
    at: list[int] = []
    wanted: list[float] = []
    weights: list[float] = []
    of_turn = _windows_by_row(windows, head, len(rows))
    for each, found in zip(rows, of_turn, strict=True):
        label = _label(each, head)
        is_new = each.row.ood_name is not None and not each.row.categories
        if not found or label is None or (is_new and not settings.label_new):
            continue
        unsafe = label is Outcome.UNSAFE
        used = [max(found, key=lambda window: logits[window, head])] if unsafe else found
        at += used
        wanted += [float(unsafe)] * len(used)
        weights += [1.0 / len(used)] * len(used)
    return np.array(at, np.int64), np.array(wanted), np.array(weights)


def _windows_by_row(windows: Windows, head: int, rows: int) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in range(rows)]
    for at, (row, turn) in enumerate(zip(windows.rows, windows.turns, strict=True)):
        if turn == head:
            found[row].append(at)
    return found


def _places(
    rows: Sequence[Taught],
    windows: Windows,
    own: Floats,
    logits: Floats,
    calibration: Calibration,
    learned: Sequence[Learned],
) -> tuple[NDArray[np.int64], Booleans]:
    """Windows that teach the category head, one a row, and which classes are right: n x classes."""
    classes = len(calibration.codes) + len(learned)
    sexual = np.array([code.partition("S")[0] == SEXUAL for code in calibration.codes])
    by_turn = {head: _windows_by_row(windows, head, len(rows)) for head in _TURNS}
    at, right = [], []
    for number, each in enumerate(rows):
        places = _right(each, calibration.codes, learned)
        found = [
            (float(logits[window, head]), window)
            for head in _TURNS
            if _label(each, head) is Outcome.UNSAFE
            for window in by_turn[head][number]
        ]
        if not places or not found:
            continue
        window = max(found)[1]
        # The guard keeps the artefact's own places there (scoring.py), so nothing is to be learned.
        if not sexual[int(own[window, FIRST_CATEGORY : FIRST_CATEGORY + len(sexual)].argmax())]:
            at.append(window)
            right.append(np.isin(np.arange(classes), places))
    return np.array(at, np.int64), np.array(right, bool).reshape(len(at), classes)


def _right(each: Taught, codes: Sequence[str], learned: Sequence[Learned]) -> list[int]:
    """Classes that are right: the codes, all below a main category, a learned name, or `other` for any other name."""
    row = each.row
    wanted = set(row.categories)
    if wanted:
        return [at for at, code in enumerate(codes) if code in wanted or code.partition("S")[0] in wanted]
    if not row.ood_name:
        return []
    keys = [name_key(word) for word in (row.ood_name, *each.synonyms)]
    for key in keys:
        for at, one in enumerate(learned):
            if key in one.keys:
                return [len(codes) + at]
    return [codes.index(OTHER)]


def _label_head(question: _Question, wanted: Floats, settings: FitSettings) -> tuple[float, float, Floats]:
    """Pull, left-out loss and change of a label head; it stays where one label is missing or rows are few."""
    width = question.features.shape[1] + 1
    signs = 2 * wanted - 1

    def losses_of(logits: Floats) -> Floats:
        return np.logaddexp(0.0, -signs * logits) * question.weights

    def solve(at: Booleans, pull: float, tolerance: float) -> Floats:
        return solver.binary(
            question.features[at], question.offsets[at], wanted[at], question.weights[at], pull, tolerance
        )

    tried = {STAYS: losses_of(question.offsets)}
    if len(wanted) >= settings.fewest and len(set(wanted.tolist())) == 2:
        for pull in settings.pulls:
            tried[pull] = losses_of(question.offsets + _left_out(question, solve, pull, settings)[:, 0])
    best = _strongest(tried)
    every = np.ones(len(wanted), bool)
    loss = float(tried[best].sum() / max(question.weights.sum(), 1.0))
    return best, loss, np.zeros(width) if best == STAYS else solve(every, best, solver.TOLERANCE)


def _strongest(tried: Mapping[float, Floats]) -> float:
    """The strongest pull whose losses do not exceed those of the best by more than their standard error."""
    best = min(tried, key=lambda pull: (float(tried[pull].sum()), -pull))
    for pull in sorted(tried, reverse=True):
        more = tried[pull] - tried[best]
        if len(more) == 0 or more.mean() <= more.std() / np.sqrt(len(more)):
            return pull
    return best


def _left_out(question: _Question, solve: _Solve, pull: float, settings: FitSettings) -> Floats:
    """What a head adds to each entry (n x its classes), fitted on the other folds."""
    added: Floats | None = None
    for fold in range(settings.folds):
        aside = question.folds == fold
        found = np.atleast_2d(solve(~aside, pull, settings.rough))
        if added is None:
            added = np.zeros((len(question.folds), len(found)))
        added[aside] = question.features[aside] @ found[:, :-1].T + found[:, -1]
    assert added is not None  # there are folds
    return added


def _category_head(
    question: _Question, right: Booleans, calibration: Calibration, grown: bool, settings: FitSettings
) -> tuple[float, float, Floats, Floats]:
    """Pull, left-out loss, change and left-out shares of the category head. grown: it has a new category, so that it
    cannot stay."""
    entries, classes = right.shape
    width = question.features.shape[1] + 1
    # A code without a row has nothing to speak for it, so it stays.
    taught: Booleans = np.array(right.any(0), bool)
    taught[[at for at, code in enumerate(calibration.codes) if code.partition("S")[0] == SEXUAL]] = False

    def solve(at: Booleans, pull: float, tolerance: float) -> Floats:
        return solver.several(
            question.features[at], question.offsets[at], right[at], question.weights[at], taught, pull, tolerance
        )

    shares = {STAYS: _softmax(question.offsets)}
    if taught.any() and (grown or entries >= settings.fewest):
        for pull in settings.pulls:
            shares[pull] = _softmax(question.offsets + _left_out(question, solve, pull, settings))
    tried = {pull: -np.log((each * right).sum(1) + 1e-12) for pull, each in shares.items()}
    if grown:
        del tried[STAYS]
    best = _strongest(tried)
    change = np.zeros((classes, width))
    if best != STAYS:
        change = solve(np.ones(entries, bool), best, solver.TOLERANCE)
    return best, float(tried[best].mean()) if entries else 0.0, change, shares[best]


def _softmax(logits: Floats) -> Floats:
    if not len(logits):
        return logits
    raised = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(raised / raised.sum(1, keepdims=True))


def _threshold(shares: Floats, right: Booleans, calibration: Calibration, champion: float) -> float:
    """The probability of the best class that KNOWN_KEPT of the known risks reach in left-out folds, as the artefact's
    was fitted; between half of the champion's and the champion's. Rows of a dataset are plainer than a stream, so by
    them alone the bound would rise and make known risks novel; and it must not fall until nothing is.
    """
    other = calibration.codes.index(OTHER)
    known = ~right[:, other] & right.any(1)
    if known.sum() < FEWEST_FOR_THRESHOLD:
        return champion
    best = np.delete(shares[known], other, axis=1).max(1)
    return round(float(np.clip(np.quantile(best, 1.0 - KNOWN_KEPT), champion / 2, champion)), 4)
