"""What stands for everything that a guard's answer depends on."""

import hashlib
from functools import cache
from pathlib import Path

_CORE = Path(__file__).parent.parent
# What makes a judgement of a chat model's text: another rule there is another answer.
_READING = (
    "judgement/*.py",
    "guards/asking.py",
    "guards/forced.py",
    "novelty/nearest.py",
    "policy/prompts/contract.py",
)


def revision_of(*parts: str) -> str:
    """Hash of everything that an answer depends on, 16 hexadecimal digits; no two lists of parts run together."""
    hashed = hashlib.sha256()
    for part in parts:
        hashed.update(hashlib.sha256(part.encode()).digest())
    return hashed.hexdigest()[:16]


@cache
def reading_version() -> str:
    """Changes with the rules by which a chat model's text becomes a judgement: part of such a guard's revision."""
    sources = [path for pattern in _READING for path in sorted(_CORE.glob(pattern))]
    return revision_of(*(path.read_text(encoding="utf-8") for path in sources))
