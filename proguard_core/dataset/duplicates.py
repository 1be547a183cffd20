"""Near-duplicates: what says or shows the same is kept once, what stays alike never stands on both sides of a split.

Texts by MinHash (rensa) over runs of 5 characters, pictures by a difference hash. Of a kind the most trusted row is
kept.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from proguard_core.dataset.items import TRUST, Item
from proguard_core.dataset.pictures import Fingerprint
from proguard_core.evaluation.rows import Problems
from schemas.common import Modality

MinHash = Any  # rensa.RMinHash, which has no types
DUPLICATE = "near-duplicate (left out)"
SIMILARITY = 0.8
"""Estimated share of runs of characters that two texts have in common, from which they are near-duplicates."""

_RUN = 5
_PERMUTATIONS, _BANDS, _SEED = 128, 32, 7
_CHUNK = 2000
# A text that long says by itself what it is about, whatever picture goes with it.
_TELLING = 64
_DIGITS = re.compile(r"\d+")


@dataclass
class Groups:
    """Rows that belong on one side (union-find over their places)."""

    parents: list[int] = field(default_factory=list)

    def add(self) -> int:
        """The place of a new row, alone so far."""
        self.parents.append(len(self.parents))
        return len(self.parents) - 1

    def root(self, place: int) -> int:
        """The row that stands for the group."""
        while self.parents[place] != place:
            self.parents[place] = self.parents[self.parents[place]]
            place = self.parents[place]
        return place

    def join(self, first: int, second: int) -> None:
        """Both groups become one."""
        self.parents[self.root(first)] = self.root(second)


@dataclass
class Distinct:
    """Items without near-duplicates, in order of trust, and their groups by place."""

    items: list[Item] = field(default_factory=list)
    groups: Groups = field(default_factory=Groups)


def normal(text: str) -> str:
    """Form in which texts are compared: NFKC, small letters, single spaces, every number as 0."""
    return _DIGITS.sub("0", " ".join(unicodedata.normalize("NFKC", text).casefold().split()))


def distinct(items: Iterable[Item], prints: Mapping[str, Fingerprint], problems: Problems) -> Distinct:
    """Leave near-duplicates out and join what must stay together: near texts, near pictures, one author.

    prints: of every picture that an item names. Rows that are alike but labelled differently are both kept (they teach
    the difference), in one group.
    """
    ordered = sorted(items, key=lambda item: TRUST[item.origin])
    found = Distinct()
    seen = _Seen()
    authors: dict[str, int] = {}
    for item, text, minhash in _hashed(ordered):
        picture = prints[item.row.images[0]] if item.row.images else None
        texts, pictures = seen.near_texts(minhash), seen.near_pictures(picture)
        if any(_repeats(item, found.items[at], at in texts, at in pictures) for at in texts | pictures):
            problems.add(DUPLICATE, item.row.id)
            continue
        place = found.groups.add()
        found.items.append(item)
        only_words = {at for at in texts if item.row.images or found.items[at].row.images}
        telling = {at for at in only_words if min(len(text), seen.lengths[at]) >= _TELLING}
        for at in (texts - only_words) | telling | pictures:
            found.groups.join(place, at)
        seen.add(place, text, minhash, picture)
        if item.author is not None:
            found.groups.join(place, authors.setdefault(item.author, place))
    return found


def _repeats(item: Item, other: Item, has_near_text: bool, has_near_picture: bool) -> bool:
    if item.modality is not other.modality or item.stratum != other.stratum:
        return False
    if (item.row.request_label, item.row.response_label) != (other.row.request_label, other.row.response_label):
        return False
    needed = {
        Modality.TEXT: has_near_text,
        Modality.IMAGE: has_near_picture,
        Modality.TEXT_IMAGE: has_near_text and has_near_picture,
    }
    return needed[item.modality]


def _hashed(items: Sequence[Item]) -> Iterator[tuple[Item, str, MinHash | None]]:
    """Each item with its normal text and the hash of that, None where it has no text; made in chunks."""
    import rensa

    for begin in range(0, len(items), _CHUNK):
        chunk = items[begin : begin + _CHUNK]
        texts = [normal(f"{item.row.request}\n{item.row.response or ''}") for item in chunk]
        runs = [{text[at : at + _RUN] for at in range(max(1, len(text) - _RUN + 1))} for text in texts]
        made = rensa.RMinHash.from_token_sets(runs, _PERMUTATIONS, _SEED)
        for item, text, minhash in zip(chunk, texts, made, strict=True):
            yield item, text, minhash if text else None


class _Seen:
    """What was kept so far, so that what is near to it is found without a look at everything."""

    def __init__(self) -> None:
        import rensa

        self._index = rensa.RMinHashLSH(SIMILARITY, _PERMUTATIONS, _BANDS)
        self._hashes: dict[int, MinHash] = {}
        self._prints: dict[int, Fingerprint] = {}
        self._shown: dict[tuple[int, bytes], list[int]] = {}
        self.lengths: dict[int, int] = {}

    def add(self, place: int, text: str, minhash: MinHash | None, picture: Fingerprint | None) -> None:
        """One more row."""
        if minhash is not None:
            self._index.insert(place, minhash)
            self._hashes[place], self.lengths[place] = minhash, len(text)
        if picture is not None:
            self._prints[place] = picture
            for band in picture.bands:
                self._shown.setdefault(band, []).append(place)

    def near_texts(self, minhash: MinHash | None) -> set[int]:
        """Places of rows with a near text."""
        if minhash is None:
            return set()
        return {at for at in self._index.query(minhash) if self._hashes[at].jaccard(minhash) >= SIMILARITY}

    def near_pictures(self, picture: Fingerprint | None) -> set[int]:
        """Places of rows with a near picture."""
        if picture is None:
            return set()
        candidates = {at for band in picture.bands for at in self._shown.get(band, ())}
        return {at for at in candidates if picture.is_near(self._prints[at])}
