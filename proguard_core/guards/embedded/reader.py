"""Everything loaded: reads one request in the calling thread and judges it."""

import threading
from pathlib import Path

from proguard_core.guards.embedded import windows as cutting
from proguard_core.guards.embedded.judging import Finding, Part, judgement
from proguard_core.guards.embedded.language import speaks_english
from proguard_core.guards.embedded.nudity import NudityDetector
from proguard_core.guards.embedded.ocr import PictureReader
from proguard_core.guards.embedded.placing import place
from proguard_core.guards.embedded.text_model import CALIBRATION, OTHER, TOKENIZER, Calibration, TextModel
from proguard_core.guards.protocol import GuardRequest, Judgement, Picture
from proguard_core.policy.policy import Policy
from schemas.common import Reason

NUDITY_CODE = "C11S2"


class Readers:
    """The networks of one guard. `judge` may be called from several threads at once."""

    def __init__(self, folder: Path, threads: int, policy: Policy) -> None:
        from tokenizers import Tokenizer

        self._calibration = Calibration.read(folder / CALIBRATION)
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._vocabulary: dict[str, int] = tokenizer.get_vocab()
        self._windows = cutting.Windows(tokenizer, self._calibration.tokens)
        self._model = TextModel(folder, self._calibration, threads)
        self._policy = policy
        self._threads = threads
        self._pictures: tuple[PictureReader, NudityDetector] | None = None
        self._loading = threading.Lock()

    def judge(self, request: GuardRequest) -> Judgement:
        """The worst of the text, the response, the text in the picture and nudity."""
        findings: list[Finding] = []
        doubts: list[Reason] = []
        text = cutting.normalise(request.text)
        if text.strip():
            findings += self._request(text, Part.TEXT)
            doubts += self._language(text, request.language)
        if request.response is not None:
            response = cutting.normalise(request.response)
            findings += self._response(text, response)
            doubts += self._language(response, request.language)
        if request.picture is not None:
            self._picture(request.picture, findings, doubts)
        doubt = Reason.UNSUPPORTED_LANGUAGE if Reason.UNSUPPORTED_LANGUAGE in doubts else next(iter(doubts), None)
        return judgement(findings, doubt, request.response is not None, self._vocabulary, self._policy)

    def _request(self, text: str, part: Part) -> list[Finding]:
        found = [self._model.score(window) for window in self._windows.of_request(text)]
        return [self._finding(part, text, scores.request, scores.categories) for scores in found]

    def _response(self, request: str, response: str) -> list[Finding]:
        found = [self._model.score(window) for window in self._windows.of_response(request, response)]
        return [self._finding(Part.RESPONSE, response, scores.response, scores.categories) for scores in found]

    def _finding(self, part: Part, text: str, score: float, categories: dict[str, float]) -> Finding:
        return Finding(part, text, score, place(categories, self._policy, self._calibration.category_threshold))

    def _language(self, text: str, hint: str | None) -> list[Reason]:
        return [] if speaks_english(text, hint) else [Reason.UNSUPPORTED_LANGUAGE]

    def _picture(self, picture: Picture, findings: list[Finding], doubts: list[Reason]) -> None:
        reader, detector = self._picture_networks()
        nudity = detector.score(picture.image)
        findings.append(self._finding(Part.PICTURE, "", nudity, self._nudity_only()))
        reading = reader.read(picture.image)
        text = cutting.normalise(reading.text)
        if text.strip():
            findings.extend(self._request(text, Part.PICTURE_TEXT))
            doubts.extend(self._language(text, None))
        if not reading.covers:
            doubts.append(Reason.NOT_JUDGEABLE)

    def _nudity_only(self) -> dict[str, float]:
        return {code: float(code == NUDITY_CODE) for code in self._calibration.codes if code != OTHER}

    def _picture_networks(self) -> tuple[PictureReader, NudityDetector]:
        with self._loading:
            if self._pictures is None:
                self._pictures = (PictureReader(self._threads), NudityDetector(self._threads))
            return self._pictures
