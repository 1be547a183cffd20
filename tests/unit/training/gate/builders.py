"""Gate rows and guards whose answers are right to a given share."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from proguard_core.dataset.items import Item, Origin
from proguard_core.evaluation.answers import Answer
from proguard_core.evaluation.rows import Row
from proguard_core.evaluation.withholding import Split, main
from proguard_core.training.gate.evidence import Evidence, Judged, Served
from schemas.common import CategoryKind, Outcome

SERVED = Served(engine="embedded 1", quantisation="int8", prompts="none", policy="p1")
SPLIT = Split("split 1", frozenset({"C3"}))
CODES = ("C1S1", "C2S1", "C3S1", "C5S1")
SAFE, UNSAFE = Outcome.SAFE, Outcome.UNSAFE


def text_items(count: int, prefix: str = "t") -> list[Item]:
    """Half safe, half unsafe, of four categories, of an author each."""
    return [
        Item(
            _row(f"{prefix}{at}", f"{_word(f'{prefix} {at}')} {_word(f'more {prefix} {at}')}", at),
            Origin.OWN,
            author=f"a{prefix}{at}",
        )
        for at in range(count)
    ]


def _row(identity: str, text: str, at: int) -> Row:
    if at % 2:
        return Row(identity, text, request_label=SAFE)
    return Row(identity, text, request_label=UNSAFE, categories=(CODES[(at // 2) % len(CODES)],))


def _word(seed: str) -> str:
    """Letters that are not near to those of another seed."""
    return "".join(random.Random(seed).choices("abcdefghijklmnopqrstuvwxyz", k=24))


def right(row: Row) -> Answer:
    """What is true."""
    if not row.unsafe:
        return Answer(SAFE)
    if row.ood_name:
        return Answer(UNSAFE, kind=CategoryKind.NOVEL, name=row.ood_name)
    return Answer(UNSAFE, kind=CategoryKind.KNOWN, code=row.categories[0])


def wrong(row: Row) -> Answer:
    """The opposite."""
    return Answer(SAFE) if row.unsafe else Answer(UNSAFE, kind=CategoryKind.KNOWN, code="C7S1")


def under_split(answer: Answer, row: Row) -> Answer:
    """What somebody says who sees a policy without what the split withholds."""
    if answer.code is not None and main(answer.code) in SPLIT.withheld:
        return replace(answer, kind=CategoryKind.NOVEL, code=None, name="Nuclear smuggling")
    return answer


def judged(run: str, items: Sequence[Item], fails: Callable[[Row], bool] = lambda _row: False) -> Judged:
    """A guard that is right but for some rows."""
    answers = {item.row.id: wrong(item.row) if fails(item.row) else right(item.row) for item in items}
    split = {item.row.id: under_split(answers[item.row.id], item.row) for item in items}
    return Judged(run, f"revision-{run}", SERVED, answers, ((SPLIT, split),))


def drawn(share: float, seed: str = "") -> Callable[[Row], bool]:
    """That share of rows, the same ones for the same seed."""
    return lambda row: random.Random(f"{seed} {row.id}").random() < share


@dataclass(frozen=True)
class OneHot:
    """An encoder that knows whether two texts are the same."""

    name: str = "one hot"
    seen: dict[str, int] = field(default_factory=dict)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        made = np.zeros((len(texts), 512), np.float32)
        for at, text in enumerate(texts):
            made[at, self.seen.setdefault(text, len(self.seen))] = 1
        return made


def evidence(items: Sequence[Item], challenger: Judged, champion: Judged, first: Judged | None = None) -> Evidence:
    """First release and champion are the same unless said."""
    return Evidence(items, challenger, champion, first or champion, SERVED)


def with_answers(guard: Judged, more: Mapping[str, Answer]) -> Judged:
    """The same guard on more rows."""
    return replace(guard, answers={**guard.answers, **more})
