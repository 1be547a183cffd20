"""The one protocol that every guard keeps, whatever engine is behind it. Wrappers (cascade, cache, ...) keep it too."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from PIL.Image import Image

from schemas.common import CategoryKind, Outcome, Reason

if TYPE_CHECKING:
    from proguard_core.novelty.novelty import Novelty

CHARACTERS_A_TOKEN = 4
PIXELS_A_TOKEN = 28 * 28


class GuardError(Exception):
    """A batch could not be judged. The caller probes the guard to learn whether the batch or the guard is at fault."""


class GuardDied(GuardError):
    """The engine is gone: close() and start() are needed before the next batch."""


class GuardUnavailable(GuardError):
    """The probe failed: the guard (or the server behind it) cannot judge anything now."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One decoded picture or frame.

    image: RGB, EXIF orientation applied, width x height <= GuardLimits.max_pixels.
    digest: SHA-256 (hex) of the object's bytes, plus `#frame` for a frame of an animation: stable for caches.
    """

    image: Image
    digest: str

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.image.width * self.image.height


@dataclass(slots=True)
class GuardRequest:
    """One question: a text conversation, a text-image conversation, or a single picture (text empty, response None).

    text and response together take at most GuardLimits.window_bytes bytes of UTF-8. revision: the one that is to
    judge; a guard that still serves it judges by it, any other judges by the one in force. accompanied: the post has
    pictures or a response that this question does not show.
    """

    text: str
    response: str | None = None
    picture: Picture | None = None
    language: str | None = None
    revision: str | None = None
    accompanied: bool = False

    @property
    def cost(self) -> int:
        """Estimated prompt tokens, the unit in which micro-batches are bounded."""
        characters = len(self.text) if self.response is None else len(self.text) + len(self.response)
        if self.picture is None:
            return 1 + characters // CHARACTERS_A_TOKEN
        return 1 + characters // CHARACTERS_A_TOKEN + self.picture.pixels // PIXELS_A_TOKEN


@dataclass(frozen=True, slots=True)
class Category:
    """Where a judgement places the risk. code is set for known, name for known and novel.

    nearest is the listed code closest to a novel risk, similarity its cosine similarity or probability in [0, 1].
    """

    kind: CategoryKind = CategoryKind.NONE
    code: str | None = None
    name: str | None = None
    nearest: str | None = None
    similarity: float | None = None


NO_CATEGORY = Category()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a guard said to one question.

    outcome undetermined needs a reason; request and response are the labels `safe` or `unsafe` (None: not said);
    score is a calibrated probability of unsafe in [0, 1], None where the guard has none; revision is the guard's that
    judged, where it can change between batches (None: the one in force when the batch began). A guard that scores the
    two turns by themselves says so in request_score and response_score, so that each can be measured. guard is the name
    of the one that judged, where several stand behind one (None: the one that was asked). novelty: how unlike all that
    the guard was taught the text is, in [0, 1], harmful or not (None: the guard cannot tell).
    """

    outcome: Outcome
    reason: Reason | None = None
    request: Outcome | None = None
    response: Outcome | None = None
    category: Category = NO_CATEGORY
    rationale: str = ""
    score: float | None = None
    revision: str | None = None
    request_score: float | None = None
    response_score: float | None = None
    guard: str | None = None
    novelty: float | None = None


@dataclass(frozen=True, slots=True)
class GuardLimits:
    """How big one question may be. window_bytes: UTF-8 bytes of text and response; max_pixels: of the picture."""

    window_bytes: int = 4096
    max_pixels: int = 1_003_520


@dataclass(frozen=True, slots=True)
class GuardOptions:
    """What a factory is given. settings holds the engine's own keys (`[guard.settings]`).

    novelty: what tells which listed category a novel name is close to, for engines that only write a name.
    """

    model: str | None = None
    base_urls: tuple[str, ...] = ()
    settings: dict[str, object] = field(default_factory=dict)
    novelty: "Novelty | None" = None

    @property
    def novelty_version(self) -> str:
        """Part of the revision of an engine that uses it; empty without it."""
        return "" if self.novelty is None else self.novelty.version


@runtime_checkable
class Guard(Protocol):
    """A guard judges micro-batches. All coroutines run on one event loop and must not block it.

    name: engine and model. revision: changes with weights, prompt, thresholds or policy; never reused.
    """

    @property
    def name(self) -> str: ...

    @property
    def revision(self) -> str: ...

    @property
    def limits(self) -> GuardLimits: ...

    async def start(self) -> None:
        """Load everything. Called again after close() when the engine died. Raises GuardError."""
        ...

    async def judge(self, requests: Sequence[GuardRequest]) -> list[Judgement]:
        """One judgement a request, in order. Raises GuardError for the whole batch; several calls may be in flight."""
        ...

    async def probe(self) -> None:
        """Answer a canary question. Raises GuardUnavailable if even that cannot be judged."""
        ...

    async def swap(self, revision: str) -> None:
        """Serve another revision from the next batch on; raises GuardError and keeps the old one if it cannot.

        revision: a revision, or the name of an adapter (guards/adapters.py) where the engine has adapters.
        """
        ...

    async def close(self) -> None:
        """Release the engine. Idempotent."""
        ...
