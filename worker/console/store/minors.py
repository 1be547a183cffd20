"""Law 11 by words: whether a name that a person gives means minors, whatever code stands beside it."""

import unicodedata
from collections.abc import Iterable

from proguard_core.novelty.novelty import Novelty
from proguard_core.policy.policy import MINORS, SEXUAL
from proguard_core.policy.taxonomy import CODES_BY_NAME, name_key

WITHHELD = frozenset({MINORS, SEXUAL})


def means_minors(names: Iterable[str | None], novelty: Novelty | None = None) -> bool:
    """Whether one of them is a name of C11S1 or C11, or near to one. None among the names says nothing.

    novelty: of the policy in force, whose names and synonyms count too; without it only the taxonomy's own names do.
    Raises ValueError where the encoder's packages or files are missing or changed.
    """
    given = [unicodedata.normalize("NFKC", name) for name in names if name]
    listed = CODES_BY_NAME if novelty is None else {**CODES_BY_NAME, **novelty.policy.codes_by_name}
    codes = [listed.get(name_key(name)) for name in given]
    if any(code in WITHHELD for code in codes):
        return True
    new = [name for name, code in zip(given, codes, strict=True) if code is None]
    return novelty is not None and bool(new) and any(code in WITHHELD for code, _ in novelty.near(new))
