"""The guard protocol over the linear model. It stands before another guard (cascade.py), never alone."""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from proguard_core.guards import checked
from proguard_core.guards.embedded import language, windows, words
from proguard_core.guards.embedded.reader import read_tokenizer
from proguard_core.guards.embedded.text_model import FOLDER as TOKENIZER_FOLDER
from proguard_core.guards.embedded.text_model import SCORE_DIGITS, TOKENIZER, sigmoid
from proguard_core.guards.embedded.windows import normalise
from proguard_core.guards.ngrams.features import SLOTS, Words, is_plain, slots, weight
from proguard_core.guards.protocol import (
    NO_CATEGORY,
    GuardDied,
    GuardError,
    GuardLimits,
    GuardOptions,
    GuardRequest,
    GuardUnavailable,
    Judgement,
)
from proguard_core.policy.policy import Policy
from schemas.common import Outcome, Reason

NAME = "ngrams"
FOLDER = Path(__file__).parent / "model"
WEIGHTS, MANIFEST = "weights.npz", "manifest.json"
_CANARY = GuardRequest("The bakery opens at eight and the bread is still warm.")
_UNSURE = Judgement(Outcome.UNDETERMINED, Reason.NOT_JUDGEABLE, rationale="Not for a model of words to say.")


class LinearModel:
    """Weights of int8 with one scale, a bias, and a temperature. `score` takes a normalised text's pieces."""

    def __init__(self, folder: Path) -> None:
        with np.load(folder / WEIGHTS) as loaded:
            self._weights = loaded["weights"].astype(np.float32) * float(loaded["scale"])
            self._bias = float(loaded["bias"])
        if self._weights.shape != (SLOTS,):
            raise ValueError(f"{WEIGHTS} has {self._weights.shape} weights, {SLOTS} are needed")
        self.manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))

    @property
    def safe_below(self) -> float:
        """The score below which a post passes by default: fitted on sources that were not taught."""
        return float(self.manifest["safe_below"])

    def score(self, ids: Sequence[int]) -> float:
        """Probability of unsafe in [0, 1]."""
        found = slots(ids)
        return sigmoid(float(self._weights[found].sum()) * weight(len(found)) + self._bias)


class NgramGuard:
    """Says safe with a score for short plain English, undetermined (so: ask the guard behind) for everything else.

    It never says unsafe, since it knows no categories. options.model: another folder of weights. No settings.
    """

    def __init__(self, options: GuardOptions, policy: Policy) -> None:
        checked.engines_own(options.settings, set(), "the first stage")
        folder = Path(options.model) if options.model else FOLDER
        try:
            self._model = LinearModel(folder)
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"model: the first stage cannot be read from {folder.name}: {error}") from error
        self._tokenizer = read_tokenizer(TOKENIZER_FOLDER)
        self._words = Words(self._tokenizer.get_vocab())
        self._revision = _revision(folder)
        self._pool: ThreadPoolExecutor | None = None

    @property
    def name(self) -> str:
        """The engine."""
        return NAME

    @property
    def revision(self) -> str:
        """Hash of weights, tokenizer, this package's code, and what it takes of the embedded guard's."""
        return self._revision

    @property
    def limits(self) -> GuardLimits:
        """The usual ones; what is long is left to the guard behind."""
        return GuardLimits()

    @property
    def safe_below(self) -> float:
        """The default bound of a cascade that begins with this guard."""
        return self._model.safe_below

    async def start(self) -> None:
        """Everything is loaded already; a thread for the work."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="first-stage")

    async def judge(self, requests: Sequence[GuardRequest]) -> list[Judgement]:
        """One judgement a request, in order; about 0.1 ms each."""
        if self._pool is None:
            raise GuardDied("the first stage is not started")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._judged, requests)
        except Exception as error:
            raise GuardError(f"the first stage failed: {type(error).__name__}") from error

    async def probe(self) -> None:
        """Judge an everyday sentence."""
        try:
            await self.judge([_CANARY])
        except GuardError as error:
            raise GuardUnavailable(str(error)) from error

    async def swap(self, revision: str) -> None:
        """There is one revision."""
        if revision != self._revision:
            raise GuardError(f"the first stage serves {self._revision} only, not {revision}")

    async def close(self) -> None:
        """End the thread."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)

    def _judged(self, requests: Sequence[GuardRequest]) -> list[Judgement]:
        texts = [normalise(request.text) for request in requests]
        read = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [
            self._one(request, text, pieces.ids) for request, text, pieces in zip(requests, texts, read, strict=True)
        ]

    def _one(self, request: GuardRequest, text: str, ids: Sequence[int]) -> Judgement:
        if request.picture is not None or request.response is not None:
            return _UNSURE
        if not self._words.are_read(ids) or not is_plain(text, request.language):
            return _UNSURE
        score = round(self._model.score(ids), SCORE_DIGITS)
        said = f"The first stage scores it {score:.3f}."
        return Judgement(Outcome.SAFE, None, Outcome.SAFE, None, NO_CATEGORY, said, score)


def _revision(folder: Path) -> str:
    hashed = hashlib.sha256()
    shared = [Path(str(module.__file__)) for module in (language, windows, words)]
    shared.append(shared[-1].with_suffix(".yaml"))
    files = (folder / WEIGHTS, TOKENIZER_FOLDER / TOKENIZER, *sorted(Path(__file__).parent.glob("*.py")), *shared)
    for path in files:
        hashed.update(hashlib.sha256(path.read_bytes()).digest())
    return hashed.hexdigest()[:16]
