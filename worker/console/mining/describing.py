"""Names, words and the nearest listed category of clusters, from their members in the store."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from proguard_core.novelty.novelty import Novelty
from worker.console.mining.embedding import Embedder
from worker.console.mining.naming import central_name, distinguishing, words_of
from worker.console.store.models import RiskRow

_WORDS_OF = 5000


@dataclass(frozen=True, slots=True)
class Described:
    """What members, by their row numbers, say of their cluster. nearest: the listed code of the name, and how close."""

    members: Sequence[int]
    name: str
    words: list[str]
    nearest: tuple[str | None, float | None]


class Describer:
    """Under one policy. Not for several threads."""

    def __init__(self, embedder: Embedder, novelty: Novelty) -> None:
        self._embedder = embedder
        self._novelty = novelty
        self._everything: Counter[str] = Counter()

    def look(self, session: Session) -> None:
        """Learn which words all risks use, from the latest."""
        self._everything = words_of(_texts(session, RiskRow.embedding.is_not(None)))

    def describe(self, session: Session, members: Sequence[int]) -> Described:
        """Name and distinguishing words of risks, by their row numbers. Encodes what is not known yet: seconds."""
        names = list(session.scalars(select(RiskRow.name).where(RiskRow.id.in_(members))))
        if not names:
            return Described(members, "(no name)", [], (None, None))
        own = words_of(_texts(session, RiskRow.id.in_(members)))
        name = central_name(names, self._embedder)
        return Described(members, name, distinguishing(own, self._everything), self.nearest(name))

    def again(self, session: Session, told: Described) -> Described:
        """The same, or, where members were erased since, what those that are left say."""
        left = session.scalar(select(func.count()).where(RiskRow.id.in_(told.members)))
        return told if left == len(told.members) else self.describe(session, told.members)

    def nearest(self, name: str) -> tuple[str | None, float | None]:
        """The listed code that a name is close to, and how close; None twice where it is close to none."""
        (place,) = self._novelty.near([name])
        return place


def _texts(session: Session, which: object) -> list[tuple[str, str]]:
    author = func.coalesce(RiskRow.author_id, RiskRow.post_id)
    asked = select(author, func.coalesce(RiskRow.text, RiskRow.rationale)).where(which)  # type: ignore[arg-type]
    rows = session.execute(asked.order_by(RiskRow.observed_at.desc()).limit(_WORDS_OF))
    return [(str(who), str(text)) for who, text in rows]
