"""From items to a dataset: what may be learned, each thing once, split, balanced, under policies of its own."""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from proguard_core.dataset import names
from proguard_core.dataset.balance import BalanceSettings, balanced, beyond_cap, without_replay
from proguard_core.dataset.duplicates import distinct
from proguard_core.dataset.items import Item
from proguard_core.dataset.pictures import Fetch, Fingerprint, PictureGone, fingerprint, local
from proguard_core.dataset.samples import MaskSettings, Sample, Sampler
from proguard_core.dataset.splits import split
from proguard_core.dataset.stream import MINORS_LEFT_OUT
from proguard_core.dataset.variants import Variants, VariantSettings
from proguard_core.evaluation.rows import Problems, examine
from proguard_core.guards.protocol import GuardLimits
from proguard_core.images import ImageError
from proguard_core.novelty.bank import Bank
from proguard_core.novelty.novelty import Novelty
from proguard_core.policy.policy import MINORS, SEXUAL, Policy
from schemas.common import Modality

ERASED = "erased (left out)"


@dataclass(frozen=True, slots=True)
class DatasetSettings:
    """held_out: share of each label that is kept aside. window_bytes: of UTF-8 that one question may have; longer posts
    are asked in parts, and which part their label speaks of is not known."""

    seed: int = 0
    held_out: float = 0.1
    window_bytes: int = GuardLimits().window_bytes
    balance: BalanceSettings = field(default_factory=BalanceSettings)
    masks: MaskSettings = field(default_factory=MaskSettings)
    variants: VariantSettings = field(default_factory=VariantSettings)


DEFAULTS = DatasetSettings()
NOTHING: Mapping[str, Sequence[str]] = MappingProxyType({})
NOBODY: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True)
class Dataset:
    """train: the balanced mixture; held_out: all of the other side, whose figures are read by modality.

    bank: the phrases that the truths were made with.
    unreplayed: modalities that nothing could be replayed of; approvals: people behind each new name.
    """

    train: Sequence[Sample]
    held_out: Sequence[Sample]
    settings: DatasetSettings
    policy: Policy
    bank: Bank
    problems: Problems
    unreplayed: tuple[Modality, ...] = ()
    approvals: Mapping[str, int] = field(default_factory=dict)

    @property
    def unfit(self) -> tuple[str, ...]:
        """Why nothing should be trained on it; empty where it can be."""
        labels = {sample.item.row.unsafe for sample in self.train}
        if not labels:
            return ("it is empty",)
        return () if len(labels) == 2 else (f"every row is {'unsafe' if labels == {True} else 'safe'}",)

    @cached_property
    def version(self) -> str:
        """Hash of every prompt's policy, truth and place, 16 hexadecimal digits: the same for the same dataset."""
        found = hashlib.sha256(repr(asdict(self.settings)).encode())
        for side in (self.train, self.held_out):
            for sample in side:
                parts = (sample.item.row.id, sample.variant.policy.version, sample.truth.to_json(), sample.picture)
                found.update(repr(parts).encode())
            found.update(b"|")
        return found.hexdigest()[:16]


def build(
    items: Iterable[Item],
    policy: Policy,
    bank: Bank,
    settings: DatasetSettings = DEFAULTS,
    *,
    erased: Collection[str] = frozenset(),
    additions: Mapping[str, Sequence[str]] = NOTHING,
    approvals: Mapping[str, int] = NOBODY,
    fetch: Fetch = local,
    novelty: Novelty | None = None,
    templates: Path | None = None,
    problems: Problems | None = None,
) -> Dataset:
    """A dataset of everything that may be learned from items; why the others may not is counted in problems.

    bank: confirmed phrases so far; additions: what people confirmed since. erased: post ids whose content must be in no
    new dataset. fetch: bytes of a picture's reference, raises PictureGone. Deterministic for the same items and seed.
    """
    problems = problems if problems is not None else Problems()
    novelty = novelty or Novelty(policy)
    bank = extended(bank, additions, policy, novelty)
    admitted = list(_admitted(_numbered(items), policy, novelty, settings, erased, problems))
    prints = _fingerprints(admitted, fetch, problems)
    admitted = [item for item in admitted if all(image in prints for image in item.row.images)]
    found = distinct(_agreeing(admitted, problems), prints, problems)
    groups = [found.groups.root(at) for at in range(len(found.items))]
    dropped = beyond_cap(found.items, settings.balance.rows_per_author, settings.seed, problems)
    kept = [at for at in range(len(found.items)) if at not in dropped]
    kept_items = [found.items[at] for at in kept]
    learned, aside = split(kept_items, [groups[at] for at in kept], settings.held_out, settings.seed)
    mixture = balanced([kept_items[at] for at in learned], settings.balance, settings.seed, problems)
    pool = Variants(policy, settings.variants, settings.seed, templates)
    sampler = Sampler(policy, bank, pool, settings.masks, settings.seed)
    train = [sampler.sample(item) for item in mixture]
    held_out = [sampler.sample(kept_items[at]) for at in aside]
    unreplayed = tuple(without_replay(kept_items))
    near = names.near_to_minors(approvals, policy, novelty)
    near |= names.listed_otherwise(approvals, policy, novelty)
    named = {
        name: count
        for name, count in approvals.items()
        if name not in near and names.read_name(name, policy).problem is None
    }
    return Dataset(train, held_out, settings, policy, bank, problems, unreplayed, named)


def extended(bank: Bank, additions: Mapping[str, Sequence[str]], policy: Policy, novelty: Novelty) -> Bank:
    """The bank with confirmed phrases, but for those that cannot be used, mean something else already, or are near to
    minors: the bank is kept in manifests, which are read by many."""
    for key, phrases in additions.items():
        usable = names.without_taken(names.usable_phrases(phrases, policy), bank, key)
        new = set() if policy.find(key) else {key}
        near = names.near_to_minors({*usable, *new}, policy, novelty) | names.listed_otherwise(new, policy, novelty)
        if key not in near and key != MINORS:
            bank = bank.plus({key: [phrase for phrase in usable if phrase not in near]})
    return bank


def _numbered(items: Iterable[Item]) -> Iterator[Item]:
    """Ids name rows in draws and reports, so each is used once; a numbered one is never another row's own."""
    given = list(items)
    taken = {item.row.id for item in given}
    used: dict[str, int] = {}
    for item in given:
        count = used[item.row.id] = used.get(item.row.id, 0) + 1
        if count == 1:
            yield item
            continue
        while (own := f"{item.row.id}#{used[item.row.id]}") in taken:
            used[item.row.id] += 1
        taken.add(own)
        yield replace(item, row=replace(item.row, id=own))


def _admitted(
    items: Iterable[Item],
    policy: Policy,
    novelty: Novelty,
    settings: DatasetSettings,
    erased: Collection[str],
    problems: Problems,
) -> Iterator[Item]:
    """What may be learned. Of erased posts and of minors nothing is noted but their number."""
    present = []
    for item in items:
        if item.post_id is not None and item.post_id in erased:
            problems.count(ERASED)
        else:
            present.append(item)
    settled = names.settle(present, policy, problems)
    new = {name for item in settled if item.row.ood_name for name in (item.row.ood_name, *item.synonyms)}
    near = names.near_to_minors(new, policy, novelty)
    listed = names.listed_otherwise({item.row.ood_name for item in settled if item.row.ood_name}, policy, novelty)
    for item in settled:
        row = item.row
        if _about_minors(item) or near & {row.ood_name or "", *item.synonyms}:
            problems.count(MINORS_LEFT_OUT)
        elif row.ood_name in listed:
            problems.add(names.LISTED_OTHERWISE, row.id)
        elif len(row.images) > 1:
            problems.add("several pictures: which one the label speaks of is not known (left out)", row.id)
        elif len(row.request.encode()) + len((row.response or "").encode()) > settings.window_bytes:
            problems.add("longer than one question (left out)", row.id)
        else:
            yield item


def _about_minors(item: Item) -> bool:
    """C11S1, or the category around it where nothing says which part of it (law 11)."""
    codes = item.row.categories
    return MINORS in codes or SEXUAL in codes


def _agreeing(items: Sequence[Item], problems: Problems) -> list[Item]:
    """Items with a label, whose content has no other label elsewhere."""
    by_id = {item.row.id: item for item in items}
    return [replace(by_id[row.id], row=row) for row in examine((item.row for item in items), problems)]


def _fingerprints(items: Iterable[Item], fetch: Fetch, problems: Problems) -> dict[str, Fingerprint]:
    """Of every picture that can be had, fetched once; bytes are not kept."""
    prints: dict[str, Fingerprint] = {}
    tried: set[str] = set()
    for item in items:
        for image in item.row.images:
            if image in tried:
                continue
            tried.add(image)
            try:
                prints[image] = fingerprint(fetch(image))
            except PictureGone:
                problems.add("its picture is gone (left out)", item.row.id)
            except ImageError as error:
                problems.add(f"its picture cannot be used: {error.reason.value} (left out)", item.row.id)
    return prints
