"""Real posts of three risks and of none, as text, as text beside a picture, and as pictures of their words.

The words and labels are of published sets (`source` of each row says which); which rows have pictures is composed here.
"""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.grpo_learning.pictures import draw_words, words_shown
from proguard_core.dataset.builder import Dataset, DatasetSettings, build
from proguard_core.dataset.items import Item, Origin
from proguard_core.dataset.samples import MaskSettings
from proguard_core.dataset.sources import Form, read_items
from proguard_core.dataset.variants import VariantSettings
from proguard_core.evaluation.rows import Problems
from proguard_core.evaluation.withholding import main
from proguard_core.novelty import bank
from proguard_core.policy.loader import load_policy
from proguard_core.policy.policy import MINORS, Policy
from schemas.common import Modality

CODES = ("C7S1", "C8S2", "C9S3")
"""Hate, weapons, violence: three risks whose posts share few words. Minors are listed as well, and have no rows."""

BOTH = "mlcommons"
"""The source of safe and of unsafe rows, which are on the same subjects and of one style."""
EVERYDAY = "harmless-instructions"
"""A source of safe rows alone: its style gives them away, so figures are also given without it."""

SAFE_SHARE = 0.45
"""With three categories alike, "all is safe" and "all is one risk" then earn the same, and neither is a trap."""

TEMPLATES = Path(__file__).parent / "templates"
_MOST_WORDS, _LEAST_WORDS = 16, 4
_COMMON = 6
_PIECE = re.compile(r" ?[^\W\d_]+|[^\w\s]+")


def small_policy() -> Policy:
    """The shipped policy with the listed codes alone."""
    whole = load_policy()
    listed = (*CODES, MINORS)
    mains = {main(code) for code in listed}
    return replace(
        whole,
        name="four risks",
        version=f"{whole.version} {' '.join(listed)}",
        categories={code: item for code, item in whole.categories.items() if code in mains},
        subcategories={code: item for code, item in whole.subcategories.items() if code in listed},
    )


def dataset(
    data: Path,
    pictures: Path,
    modalities: Sequence[Modality],
    each: int,
    held_out: float,
    seed: int,
    sources: Sequence[str] = (BOTH, EVERYDAY),
) -> Dataset:
    """The project's own dataset of `each` rows a modality.

    data: a file of labelled rows. pictures: a folder to fill. sources: of safe rows.

    No policy is masked and no code permuted: a model of this size cannot read a policy.
    """
    posts = _posts(data, seed)
    settings = DatasetSettings(
        seed=seed,
        held_out=held_out,
        masks=MaskSettings(masked=0.0, permuted=0.0),
        variants=VariantSettings(masks=0, orders=1),
    )
    items = [item for modality in modalities for item in _items(modality, posts, pictures, sources, each)]
    return build(items, small_policy(), bank.load(), settings, templates=TEMPLATES)


def _posts(data: Path, seed: int) -> dict[str, Iterator[Item]]:
    """Short posts by stratum, `safe` of each source by itself, in a random order; each comes once."""
    found: dict[str, list[Item]] = defaultdict(list)
    for item in read_items(data, Form.OWN, Origin.OWN, Problems()):
        row = item.row
        if row.response or row.images or not _LEAST_WORDS <= len(row.request.split()) <= _MOST_WORDS:
            continue
        if len(words_shown(row.request)) < 2:
            continue
        if row.safe and row.source in (BOTH, EVERYDAY):
            found[f"safe {row.source}"].append(item)
        elif row.unsafe and row.source == BOTH and row.categories[:1] and row.categories[0] in CODES:
            found[row.categories[0]].append(item)
    chance = random.Random(f"posts {seed}")
    return {stratum: iter(chance.sample(items, len(items))) for stratum, items in sorted(found.items())}


def _items(
    modality: Modality, posts: dict[str, Iterator[Item]], pictures: Path, sources: Sequence[str], each: int
) -> Iterator[Item]:
    safe = round(each * SAFE_SHARE)
    strata = {f"safe {source}": safe // len(sources) for source in sources}
    strata |= dict.fromkeys(CODES, (each - safe) // len(CODES))
    for stratum, count in strata.items():
        for _ in range(count):
            item = next(posts[stratum])
            yield _composed(item, modality, posts, pictures)


def _composed(item: Item, modality: Modality, posts: dict[str, Iterator[Item]], pictures: Path) -> Item:
    """text-image: the post beside a picture of a harmless post's words. image: a picture of the post's own words."""
    row = item.row
    if modality is Modality.TEXT:
        return item
    if modality is Modality.IMAGE:
        picture = draw_words(words_shown(row.request), pictures)
        return replace(item, row=replace(row, request="", images=(str(picture),)))
    beside = next(posts[f"safe {EVERYDAY}"]).row.request
    return replace(item, row=replace(row, images=(str(draw_words(words_shown(beside), pictures)),)))


def texts(made: Dataset) -> list[str]:
    """What the side to learn from says, for a tokenizer: system prompts, and posts without their rare words.

    Rare words are left to pieces: half of a step's time would go into the places of a vocabulary of all of them.
    """
    common = {word for word, count in _counts(made).items() if count >= _COMMON}
    found = sorted({sample.prompt().system for sample in made.train})
    for sample in made.train:
        pieces = _PIECE.findall(sample.item.row.request)
        found.append("".join(piece for piece in pieces if piece.strip().casefold() in common))
    return found


def _counts(made: Dataset) -> Counter[str]:
    """How often the posts to learn from have a word."""
    requests = (sample.item.row.request for sample in made.train)
    return Counter(piece.strip().casefold() for request in requests for piece in _PIECE.findall(request))
