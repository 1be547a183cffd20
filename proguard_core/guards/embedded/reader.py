"""Everything loaded: reads one request in the calling thread and judges it."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from proguard_core.guards.embedded import windows as cutting
from proguard_core.guards.embedded.familiar import Familiar
from proguard_core.guards.embedded.heads import Heads, base_hashes, key_of, load, none_yet
from proguard_core.guards.embedded.judging import Finding, Part, judgement, worst_of
from proguard_core.guards.embedded.language import (
    has_signs,
    is_coded,
    is_foreign,
    is_junk,
    is_readable,
    speaks_english,
    words_of,
)
from proguard_core.guards.embedded.naming import Sense, novel_name
from proguard_core.guards.embedded.nudity import NudityDetector
from proguard_core.guards.embedded.ocr import PictureReader
from proguard_core.guards.embedded.placing import place
from proguard_core.guards.embedded.scoring import Scoring
from proguard_core.guards.embedded.spacing import Spacing
from proguard_core.guards.embedded.text_model import CALIBRATION, OTHER, TOKENIZER, Calibration, Reading, TextModel
from proguard_core.guards.protocol import GuardRequest, Judgement, Picture
from proguard_core.policy.policy import Policy
from schemas.common import Reason

NUDITY_CODE = "C11S2"


class Readers:
    """The networks of one guard. `judge` may be called from several threads at once."""

    def __init__(self, folder: Path, threads: int, policy: Policy) -> None:
        self._calibration = Calibration.read(folder / CALIBRATION)
        tokenizer = read_tokenizer(folder)
        self._vocabulary: dict[str, int] = tokenizer.get_vocab()
        self._first, self._unknown = self._vocabulary["[CLS]"], self._vocabulary["[UNK]"]
        self._windows = cutting.Windows(tokenizer, self._calibration.tokens)
        self._model = TextModel(folder, threads)
        self._familiar = Familiar.read(folder, self._model.width)
        self._base = base_hashes(folder)
        self._policy = policy
        self._threads = threads
        self._pictures: tuple[PictureReader, NudityDetector, Spacing] | None = None
        self._loading = threading.Lock()
        self.own = self._scoring(none_yet(self._calibration, self._model.width))

    @property
    def width(self) -> int:
        """Features of a window."""
        return self._model.width

    def heads(self, folder: Path, digest: str | None = None) -> Scoring:
        """Heads from a folder, checked (heads.load). Blocks; raises HeadsError."""
        return self._scoring(load(folder, self._base, self._calibration, self._model.width, digest))

    def _scoring(self, heads: Heads) -> Scoring:
        return Scoring(self._calibration, heads, [key_of(each, self._policy) for each in heads.learned])

    def judge(self, request: GuardRequest, scoring: Scoring) -> Judgement:
        """The worst of the text, the response, the text in the picture and nudity, by one set of heads."""
        findings: list[Finding] = []
        doubts: list[Reason] = []
        text = cutting.normalise(request.text)
        if text.strip():
            findings += self._request(text, Part.TEXT, scoring) if has_signs(text) else []
            doubts += self._doubts(text, request.language)
        if request.response is not None:
            response = cutting.normalise(request.response)
            # What is there and cannot be seen is no empty response.
            empty = not request.response.strip()
            if empty or has_signs(response):
                findings += self._response(text, response, scoring)
            doubts += [] if empty else self._doubts(response, request.language)
        if request.picture is not None:
            self._picture(request.picture, findings, doubts, scoring)
        doubt = Reason.UNSUPPORTED_LANGUAGE if Reason.UNSUPPORTED_LANGUAGE in doubts else next(iter(doubts), None)
        return judgement(
            findings, doubt, request.response is not None, partial(self._novel_name, scoring=scoring), self._policy
        )

    def _request(self, text: str, part: Part, scoring: Scoring) -> list[Finding]:
        return self._read(part, text, self._windows.of_request(text), scoring)

    def _response(self, request: str, response: str, scoring: Scoring) -> list[Finding]:
        found = self._read(Part.RESPONSE, response, self._windows.of_response(request, response), scoring)
        worst = worst_of(found)
        if worst is None or not worst.unsafe or any(each.about_minors for each in found):
            return found
        # Behind its request a response is placed by what both are about: minors in it alone count too (law 11).
        alone = self._read(Part.RESPONSE, response, self._windows.of_request(response), scoring)
        return [*found, *(replace(worst, place=each.place) for each in alone if each.about_minors)]

    def _read(self, part: Part, turn: str, windows: Sequence[cutting.Window], scoring: Scoring) -> list[Finding]:
        """turn: the text that the windows were cut from. A window without words to score has no finding."""
        made = []
        foreign = not is_readable(turn)
        for window in windows:
            if foreign and not ((shown := self._windows.excerpt(turn, window)) and is_readable(shown)):
                continue
            reading = self._model.read(window)
            scores = scoring.score(reading)
            score = scores.response if part is Part.RESPONSE else scores.request
            placed = place(scores.categories, self._policy, scoring.threshold)
            excerpt, novelty = partial(self._windows.excerpt, turn, window), self._familiar.novelty(reading.features)
            made.append(Finding(part, score, placed, excerpt, reading.features, novelty))
        return made

    def readings(self, request: str, response: str | None = None) -> list[Reading]:
        """What the network says of every window of a request, or of a response behind its request. Normalised texts."""
        cut = self._windows.of_request(request) if response is None else self._windows.of_response(request, response)
        return [self._model.read(window) for window in cut]

    def _novel_name(self, found: Finding, scoring: Scoring) -> str:
        read = partial(self._senses, scoring=scoring)
        about = np.zeros(self.width) if found.features is None else _of_length_one(found.features)
        placed = found.place
        return novel_name(found.excerpt(), about, placed.nearest, placed.kin, self._vocabulary, self._policy, read)

    def _senses(self, words: Sequence[str], scoring: Scoring) -> list[Sense]:
        readings = self._model.read_words(self._first, [self._vocabulary[word] for word in words])
        return [Sense(_of_length_one(each.features), scoring.score(each).request) for each in readings]

    def _doubts(self, text: str, hint: str | None, *, read: bool = False) -> list[Reason]:
        """read: the text was read from a picture."""
        if not has_signs(text) or is_junk(text):
            return [Reason.NOT_JUDGEABLE]
        if not speaks_english(text, hint):
            return [Reason.UNSUPPORTED_LANGUAGE]
        # Words that were read from a picture run together: their pieces say nothing of the language.
        words = [] if read else words_of(text)
        pieces = self._windows.ids(" ".join(words))
        # A word with a letter that the vocabulary lacks is not read at all (19 of 102,000 posts have one).
        if self._unknown in pieces or is_coded(words, len(pieces)):
            return [Reason.NOT_JUDGEABLE]
        return [Reason.UNSUPPORTED_LANGUAGE] if is_foreign(words, len(pieces)) else []

    def _picture(self, picture: Picture, findings: list[Finding], doubts: list[Reason], scoring: Scoring) -> None:
        reader, detector, spacing = self._for_pictures()
        nudity = detector.score(picture.image)
        placed = place(self._nudity_only(), self._policy, scoring.threshold)
        findings.append(Finding(Part.PICTURE, nudity, placed))
        reading = reader.read(picture.image)
        text = spacing.spaced(cutting.normalise(reading.text))
        if text.strip():
            findings.extend(self._request(text, Part.PICTURE_TEXT, scoring))
            doubts.extend(self._doubts(text, None, read=True))
        if not reading.covers:
            doubts.append(Reason.NOT_JUDGEABLE)

    def _nudity_only(self) -> dict[str, float]:
        return {code: float(code == NUDITY_CODE) for code in self._calibration.codes if code != OTHER}

    def _for_pictures(self) -> tuple[PictureReader, NudityDetector, Spacing]:
        """Made at the first picture."""
        with self._loading:
            if self._pictures is None:
                reader, detector = PictureReader(self._threads), NudityDetector(self._threads)
                self._pictures = (reader, detector, Spacing(self._vocabulary))
            return self._pictures


def _of_length_one(features: NDArray[np.float32]) -> NDArray[np.float64]:
    exact = features.astype(np.float64)
    return np.asarray(exact / np.linalg.norm(exact))


def read_tokenizer(folder: Path) -> Tokenizer:
    """The artefact's, without padding and truncation of its own."""
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
