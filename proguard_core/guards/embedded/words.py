"""The word lists beside this file."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml


@cache
def load_words() -> dict[str, Any]:
    """English, shared and empty: words separated by blanks; others: the same by language."""
    loaded: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "words.yaml").read_text(encoding="utf-8"))
    return loaded
