"""What a gate judges by: settings, rows with their provenance, and what three guards said to them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from proguard_core.dataset.items import Item
from proguard_core.dataset.pictures import Fingerprint
from proguard_core.evaluation.answers import Answer
from proguard_core.evaluation.novel_tables import Encoder
from proguard_core.evaluation.rows import Row
from proguard_core.evaluation.withholding import Split
from proguard_core.novelty.bank import Bank
from proguard_core.policy.policy import Policy
from proguard_core.policy.taxonomy import name_key
from proguard_core.training import marks
from proguard_core.training.marks import Marks
from schemas.common import CategoryKind, Modality


class EvidenceError(ValueError):
    """The evidence does not fit together: no decision can be made from it."""


@dataclass(frozen=True, slots=True)
class GateSettings:
    """Margins are of the figure itself: 0.02 are two points of F1.

    modalities: those that are served. fewest_rows: below, a modality is not judged. fewest_of_label: of safe and of
    unsafe rows. fewest_placed: rows below which answers to responses, and categories, are not judged.
    margin, placing_margin: how much worse a challenger may be, with 97.5 % confidence. harm: how much a single main
    category may lose where the loss is no chance. Novel risks: fewest_novel rows, novel_margin (F1) and naming_margin
    (share of the full score). A new category: approvals, fewest_new rows of its own, of which newly_found are found
    with 97.5 % confidence, while at most newly_false of all other rows are taken for it.
    sign_off: a person must sign even where everything was passed.
    """

    modalities: tuple[Modality, ...] = tuple(Modality)
    fewest_rows: int = 1500
    fewest_of_label: int = 150
    fewest_placed: int = 500
    margin: float = 0.02
    placing_margin: float = 0.03
    harm: float = 0.05
    fewest_novel: int = 300
    novel_margin: float = 0.03
    naming_margin: float = 0.03
    approvals: int = 2
    fewest_new: int = 50
    newly_found: float = 0.5
    newly_false: float = 0.01
    sign_off: bool = False


DEFAULTS = GateSettings()


@dataclass(frozen=True, slots=True)
class Served:
    """How a guard is asked: engine and version, quantisation, hash of the prompts, version of the policy."""

    engine: str
    quantisation: str
    prompts: str
    policy: str


@dataclass(frozen=True, slots=True)
class Judged:
    """What one guard said: by row id, and by row id under each split's policy."""

    run: str
    revision: str
    served: Served
    answers: Mapping[str, Answer]
    splits: Sequence[tuple[Split, Mapping[str, Answer]]] = ()


@dataclass(frozen=True, slots=True)
class Arrival:
    """A new category. codes: that the serving policy lists it under, if any. reviewers: people who confirmed it.

    items: reviewed rows of it that nothing was trained on, answered by all guards.
    """

    name: str
    reviewers: int
    codes: tuple[str, ...] = ()
    synonyms: tuple[str, ...] = ()
    items: Sequence[Item] = ()

    @property
    def keys(self) -> frozenset[str]:
        """Its names, in the form in which names are compared."""
        return frozenset(map(name_key, (self.name, *self.synonyms)))

    def holds(self, row: Row) -> bool:
        """Whether a row is labelled as one of it."""
        if not row.unsafe:
            return False
        named = row.ood_name is not None and name_key(row.ood_name) in self.keys
        return named or bool(set(row.categories) & set(self.codes))

    def is_named(self, answer: Answer) -> bool:
        """Whether a guard placed a row in it."""
        if not answer.unsafe:
            return False
        if answer.kind is CategoryKind.KNOWN:
            return answer.code in self.codes
        return answer.kind is CategoryKind.NOVEL and name_key(answer.name or "") in self.keys


@dataclass(frozen=True, slots=True)
class Naming:
    """How names of novel risks are scored: one encoder, one frozen bank, whatever banks were trained with since."""

    policy: Policy
    encoder: Encoder
    bank: Bank

    @property
    def whole(self) -> Policy:
        """The policy with the bank's phrases among the synonyms of each category."""
        return replace(
            self.policy,
            categories={
                code: replace(item, synonyms=(*item.synonyms, *self.bank.of(code)))
                for code, item in self.policy.categories.items()
            },
            subcategories={
                code: replace(item, synonyms=(*item.synonyms, *self.bank.of(code)))
                for code, item in self.policy.subcategories.items()
            },
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """items: of the gate's own set. first: the first release. serves: how the challenger will be asked once it serves.

    trained: marks of the challenger's dataset and of every ancestor's; unknown: ancestors of which there are none (see
    `ancestry.trained_on`). prints: of the rows' pictures.
    """

    items: Sequence[Item]
    challenger: Judged
    champion: Judged
    first: Judged
    serves: Served
    trained: Marks = marks.NOTHING
    unknown: Sequence[str] = ()
    prints: Mapping[str, Fingerprint] = field(default_factory=dict)
    arrivals: Sequence[Arrival] = ()
    naming: Naming | None = None

    @property
    def others(self) -> tuple[tuple[str, Judged], ...]:
        """Whom the challenger is compared with, and what they are called; one, where both are the same."""
        champion = ("the champion", self.champion)
        if self.champion.revision == self.first.revision:
            return (champion,)
        return champion, ("the first release", self.first)

    def unseen(self) -> list[Item]:
        """Rows that no ancestor was trained on, nor on anything near.

        Raises EvidenceError where the guards did not answer the same ones of them, or ids repeat.
        """
        seen = marks.near(self.trained, self.items, self.prints)
        kept = [item for item in self.items if item.row.id not in seen]
        everything = [*kept, *(item for arrival in self.arrivals for item in arrival.items)]
        ids = {item.row.id for item in everything}
        if len(ids) < len(everything):
            raise EvidenceError("two rows of the gate have the same id")
        answered = {judged.run: ids & judged.answers.keys() for judged in (self.challenger, self.champion, self.first)}
        if len(set(map(frozenset, answered.values()))) > 1:
            counts = ", ".join(f"{run} {len(rows)}" for run, rows in answered.items())
            raise EvidenceError(f"the guards did not answer the same rows ({counts} of {len(ids)})")
        return [item for item in kept if item.row.id in answered[self.challenger.run]]


def as_json(settings: GateSettings) -> dict[str, object]:
    """For the report."""
    return {**asdict(settings), "modalities": [each.value for each in settings.modalities]}
