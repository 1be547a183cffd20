"""From a set's own categories to codes of the taxonomy, by a data file a set (../categories)."""

from collections.abc import Iterable, Iterator
from functools import cache
from importlib import resources

import yaml


class CategoryMap:
    """Keys of the file are matched against the beginning of a category; the longest wins. An empty one has no keys."""

    def __init__(self, codes: dict[str, tuple[str, ...]]) -> None:
        self._codes = codes

    def codes(self, own: Iterable[str]) -> tuple[str, ...]:
        """Codes of a row's own categories, in their order, each once."""
        found: dict[str, None] = {}
        for category in own:
            normal = normalised(category)
            keys = [key for key in self._codes if normal.startswith(key)]
            if keys:
                found.update(dict.fromkeys(self._codes[max(keys, key=len)]))
        return tuple(found)

    def __iter__(self) -> Iterator[str]:
        """The keys, in the order of the file."""
        return iter(self._codes)


def normalised(category: str) -> str:
    """Lower case, `_` and `,` as spaces, single spaces."""
    return " ".join(category.casefold().replace("_", " ").replace(",", " ").split())


@cache
def load(name: str) -> CategoryMap:
    """The map of a set; an empty one where it has no file."""
    file = resources.files("proguard_core.evaluation").joinpath("categories", f"{name}.yaml")
    if not file.is_file():
        return CategoryMap({})
    loaded = yaml.safe_load(file.read_text(encoding="utf-8"))
    return CategoryMap(
        {
            normalised(str(key)): () if codes is None else (codes,) if isinstance(codes, str) else tuple(codes)
            for key, codes in loaded.items()
        }
    )
