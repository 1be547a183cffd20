"""From a post to the questions a guard is asked, and from its judgements back to one assessment.

A post with n pictures asks n questions (each with the text), a post without pictures one of its text. Text that is
longer than a guard's window is asked in overlapping windows, up to a cap. What is not asked about cannot be safe.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from proguard_core.guards.protocol import NO_CATEGORY, Category, GuardLimits, GuardRequest, Judgement, Picture
from proguard_core.policy.policy import MINORS, SEXUAL, Policy, concerns_minors
from schemas.common import CategoryKind, Outcome, Reason
from schemas.post import Post

# A sentence cut by the end of one window stands whole in the next.
OVERLAP_BYTES = 256
# Share of a window that the user's turn may take when only a part of the response fits beside it.
CONTEXT_SHARE = 4

_WORST_FIRST = {Outcome.UNSAFE: 0, Outcome.UNDETERMINED: 1, Outcome.SAFE: 2}


class SeenImage(Protocol):
    """What fetching and decoding made of one image reference."""

    @property
    def pictures(self) -> Sequence[Picture]: ...

    @property
    def frames(self) -> int: ...

    @property
    def reason(self) -> Reason | None: ...


@dataclass(slots=True)
class Question:
    """One request to the guard. image: index of the post's picture it shows; text_only parts have None."""

    request: GuardRequest
    image: int | None = None


@dataclass(slots=True)
class Coverage:
    """How much of a post the questions look at. Units: UTF-8 bytes, images, frames."""

    text_bytes: int = 0
    text_bytes_judged: int = 0
    images: int = 0
    images_judged: int = 0
    frames: int = 0
    frames_judged: int = 0


@dataclass(slots=True)
class Plan:
    """All questions of one post, and the reasons why they do not cover it. unseen: index of the picture that the first
    reason speaks of, None where that is the text."""

    questions: list[Question] = field(default_factory=list)
    coverage: Coverage = field(default_factory=Coverage)
    reasons: list[Reason] = field(default_factory=list)
    unseen: int | None = None


@dataclass(slots=True)
class Assessment:
    """The worst of a post's judgements. guard and revision: of the one that decided, where it says so itself."""

    outcome: Outcome
    reason: Reason | None = None
    request: Outcome | None = None
    response: Outcome | None = None
    category: Category = NO_CATEGORY
    rationale: str = ""
    score: float | None = None
    image: int | None = None
    request_score: float | None = None
    response_score: float | None = None
    guard: str | None = None
    revision: str | None = None


def windows(text: str, size: int, cap: int) -> tuple[list[str], int]:
    """Overlapping pieces of at most `size` bytes each that cover the first `cap` bytes, and the bytes covered.

    Pieces never split a character. Text that fits is one piece; empty text is none.
    """
    data = text.encode("utf-8", "surrogatepass")
    if len(data) <= size and len(data) <= cap:
        return ([text], len(data)) if text else ([], 0)
    pieces: list[str] = []
    end = _boundary(data, min(cap, len(data)))
    overlap = min(OVERLAP_BYTES, size // 4)
    start = stop = 0
    while stop < end:
        stop = _boundary(data, min(start + size, end))
        if stop <= start:  # a window smaller than one character cannot advance
            break
        pieces.append(data[start:stop].decode("utf-8", "surrogatepass"))
        back = _boundary(data, stop - overlap)
        start = back if back > start else stop  # a window of few characters has no room to overlap
    return pieces, stop


def _boundary(data: bytes, index: int) -> int:
    """The nearest start of a character at or before index."""
    while 0 < index < len(data) and data[index] & 0xC0 == 0x80:
        index -= 1
    return index


def plan(post: Post, images: Sequence[SeenImage], limits: GuardLimits, max_text_bytes: int) -> Plan:
    """The questions that a post asks. max_text_bytes caps the judged bytes of the text and of the response, each."""
    text, response = post.text or "", post.response or None
    if response is None and not images and text:
        size = _size(text)
        if size <= limits.window_bytes and size <= max_text_bytes:
            # Most posts of most streams; the general way comes to the same.
            return Plan([Question(GuardRequest(text, None, None, post.language))], Coverage(size, size), [])
    result = Plan()
    texts = _text_requests(text, response, post.language, limits, max_text_bytes, result)
    pictures = _pictures(images, result)
    for index, picture in pictures:
        head = texts[0] if texts else GuardRequest("", None, language=post.language)
        request = GuardRequest(head.text, head.response, picture, post.language)
        result.questions.append(Question(request, index))
    # The first window has been asked beside each picture; what is left of the text is asked alone.
    for request in texts[1:] if pictures else texts:
        request.accompanied = bool(images) or (response is not None and request.response is None)
        result.questions.append(Question(request))
    return result


def _text_requests(
    text: str, response: str | None, language: str | None, limits: GuardLimits, cap: int, result: Plan
) -> list[GuardRequest]:
    coverage = result.coverage
    size = limits.window_bytes
    text_bytes, response_bytes = _size(text), _size(response or "")
    coverage.text_bytes = text_bytes + response_bytes
    if coverage.text_bytes <= min(size, cap):
        coverage.text_bytes_judged = coverage.text_bytes
        return [GuardRequest(text, response, language=language)] if coverage.text_bytes else []
    pieces, seen = windows(text, size, cap)
    requests = [GuardRequest(piece, None, language=language) for piece in pieces]
    coverage.text_bytes_judged = seen
    if response is not None:
        context = windows(text, size // CONTEXT_SHARE, size // CONTEXT_SHARE)[0]
        head = context[0] if context else ""
        answers, seen = windows(response, size - size // CONTEXT_SHARE, cap)
        requests += [GuardRequest(head, piece, language=language) for piece in answers]
        coverage.text_bytes_judged += seen
    if coverage.text_bytes_judged < coverage.text_bytes:
        result.reasons.append(Reason.TRUNCATED)
    return requests


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _pictures(images: Sequence[SeenImage], result: Plan) -> list[tuple[int, Picture]]:
    coverage = result.coverage
    coverage.images = len(images)
    pictures: list[tuple[int, Picture]] = []
    for index, image in enumerate(images):
        coverage.frames += image.frames
        coverage.frames_judged += len(image.pictures)
        coverage.images_judged += bool(image.pictures)
        pictures += [(index, picture) for picture in image.pictures]
        reason = image.reason
        if reason is None and not image.pictures:
            reason = Reason.IMAGE_UNREADABLE
        elif reason is None and len(image.pictures) < image.frames:
            reason = Reason.FRAMES_SKIPPED
        if reason is not None and not result.reasons:
            result.unseen = index
        if reason is not None and reason not in result.reasons:
            result.reasons.append(reason)
    return pictures


def follow_up(question: Question, judgement: Judgement) -> Question | None:
    """The picture alone, when a text-image question was answered with the whole sexual category.

    Text-image prompts list main categories only; the subcategory decides whether the law on minors applies.
    """
    request = question.request
    if request.picture is None or not (request.text or request.response) or judgement.category.code != SEXUAL:
        return None
    return Question(GuardRequest("", None, request.picture, request.language), question.image)


def combine(plan: Plan, questions: Sequence[Question], judgements: Sequence[Judgement], policy: Policy) -> Assessment:
    """The worst judgement of a post: unsafe beats undetermined beats safe, and what was not seen is never safe.

    Where one that is not safe concerns minors, the category is that one's, whatever else is worse: with any other the
    post's content would be published (law 11).
    questions and judgements are parallel; they may hold follow-ups beyond the plan's.
    """
    if not judgements:
        unseen = plan.reasons[0] if plan.reasons else Reason.NOT_JUDGEABLE
        return Assessment(Outcome.UNDETERMINED, unseen, image=plan.unseen)
    if len(judgements) == 1 and judgements[0].outcome is Outcome.SAFE and not plan.reasons:
        return _safe(judgements[0], questions[0].image)  # the usual answer; the general way comes to the same
    categories = [_checked(judgement.category, policy) for judgement in judgements]
    index = min(range(len(judgements)), key=lambda at: _badness(judgements[at], categories[at]))
    worst, category = judgements[index], categories[index]
    outcome = min((judgement.outcome for judgement in judgements), key=_WORST_FIRST.__getitem__)
    reason, image = worst.reason, questions[index].image
    if plan.reasons and outcome is not Outcome.UNDETERMINED:
        if outcome is Outcome.SAFE:  # what was not seen decides
            outcome, image = Outcome.UNDETERMINED, plan.unseen
        reason = plan.reasons[0]
    return Assessment(
        outcome=outcome,
        reason=reason,
        request=_worst_label([judgement.request for judgement in judgements]),
        response=_worst_label([judgement.response for judgement in judgements]),
        category=category if outcome is Outcome.UNSAFE or _is_withheld(worst, category) else NO_CATEGORY,
        rationale=worst.rationale,
        score=worst.score,
        image=image,
        request_score=_highest([judgement.request_score for judgement in judgements]),
        response_score=_highest([judgement.response_score for judgement in judgements]),
        guard=worst.guard,
        revision=worst.revision,
    )


def _safe(only: Judgement, image: int | None) -> Assessment:
    return Assessment(
        Outcome.SAFE,
        only.reason,
        only.request,
        only.response,
        NO_CATEGORY,
        only.rationale,
        only.score,
        image,
        only.request_score,
        only.response_score,
        only.guard,
        only.revision,
    )


def _is_withheld(judgement: Judgement, category: Category) -> bool:
    minors = category is not NO_CATEGORY and concerns_minors(category.kind, category.code, category.nearest)
    return minors and judgement.outcome is not Outcome.SAFE


def _badness(judgement: Judgement, category: Category) -> tuple[bool, int, int, float]:
    withheld = _is_withheld(judgement, category)
    return not withheld, _WORST_FIRST[judgement.outcome], _level(category), -(judgement.score or 0.0)


def _level(category: Category) -> int:
    """Order among the unsafe: a subcategory (C3S1) says more than its category (C3).

    The sexual category comes before a nameless risk: the post's content would be published with that one.
    """
    if category.code and "S" in category.code:
        return 0
    return 1 if category.code == SEXUAL else 2


def _worst_label(labels: Sequence[Outcome | None]) -> Outcome | None:
    said = [label for label in labels if label is not None]
    return min(said, key=_WORST_FIRST.__getitem__) if said else None


def _highest(scores: Sequence[float | None]) -> float | None:
    return max((score for score in scores if score is not None), default=None)


def _checked(category: Category, policy: Policy) -> Category:
    """A code that the policy does not list was made up, whatever the guard says of it."""
    if category.kind is CategoryKind.NOVEL:
        return _checked_novel(category, policy)
    if category.kind is CategoryKind.KNOWN and (category.code is None or policy.find(category.code) is None):
        return Category(CategoryKind.HALLUCINATED, name=category.code)
    if category.kind is CategoryKind.KNOWN and category.name is None and category.code is not None:
        listed = policy.find(category.code)
        return Category(CategoryKind.KNOWN, category.code, listed.name if listed else None)
    return category


def _checked_novel(category: Category, policy: Policy) -> Category:
    """A novel risk has no code, and is near to what the policy lists. A code that came with it says what it is near to.

    An unlisted subcategory stands for its category, and the sexual one counts even unlisted (law 11).
    """
    if category.code is None and (category.nearest is None or category.nearest in policy.codes):
        return category
    said = [code.strip().upper() for code in (category.code, category.nearest) if code is not None]
    near = [listed for code in said if (listed := _listed(code, policy)) is not None]
    nearest = min(near, key=lambda code: (code != MINORS, code != SEXUAL), default=None)
    return replace(category, code=None, nearest=nearest, similarity=category.similarity if nearest else None)


def _listed(code: str, policy: Policy) -> str | None:
    main = code.partition("S")[0]
    if code in policy.codes:
        return code
    return main if main == SEXUAL or main in policy.codes else None
