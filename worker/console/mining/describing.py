"""Names, words and the nearest listed category of clusters, from their members in the store."""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from proguard_core.novelty.novelty import Novelty
from worker.console.mining.embedding import Embedder
from worker.console.mining.naming import central_name, distinguishing, words_of
from worker.console.store.models import RiskRow

_WORDS_OF = 5000


class Describer:
    """Under one policy. Not for several threads."""

    def __init__(self, embedder: Embedder, novelty: Novelty) -> None:
        self._embedder = embedder
        self._novelty = novelty
        self._everything: Counter[str] = Counter()

    def look(self, session: Session) -> None:
        """Learn which words all risks use, from the latest."""
        self._everything = words_of(_texts(session, RiskRow.embedding.is_not(None)))

    def describe(self, session: Session, members: Sequence[int]) -> tuple[str, list[str]]:
        """Name and distinguishing words of risks, by their row numbers."""
        names = list(session.scalars(select(RiskRow.name).where(RiskRow.id.in_(members))))
        if not names:
            return "(no name)", []
        own = words_of(_texts(session, RiskRow.id.in_(members)))
        return central_name(names, self._embedder), distinguishing(own, self._everything)

    def nearest(self, name: str) -> tuple[str | None, float | None]:
        """The listed code that a name is close to, and how close; None twice where it is close to none."""
        (place,) = self._novelty.near([name])
        return place


def _texts(session: Session, which: object) -> list[tuple[str, str]]:
    author = func.coalesce(RiskRow.author_id, RiskRow.post_id)
    asked = select(author, func.coalesce(RiskRow.text, RiskRow.rationale)).where(which)  # type: ignore[arg-type]
    rows = session.execute(asked.order_by(RiskRow.observed_at.desc()).limit(_WORDS_OF))
    return [(str(who), str(text)) for who, text in rows]
