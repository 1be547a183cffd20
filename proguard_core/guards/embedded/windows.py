"""Text to token windows: nothing that a post says is left out, however long it is."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from tokenizers import Tokenizer

OVERLAP = 32
REQUEST_TOKENS_BEFORE_RESPONSE = 48
LONGEST_WORD = 90
_LONG_WORD = re.compile(rf"\S{{{LONGEST_WORD}}}(?=\S)")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff]")
# Letters in black circles and squares, which the compatibility forms leave as they are.
_FRAMED = {first + place: chr(ord("a") + place) for first in (0x1F150, 0x1F170) for place in range(26)}
_SIGNS = re.compile("[^\\w\\s\x00-\u218f]+")
_PICTOGRAPHS = ("\U0001f000", "\U0001faff")


@dataclass(frozen=True, slots=True)
class Window:
    """Token ids of one piece, special tokens included; type_ids are 0 for the request and 1 for the response.

    start and length: of the judged turn's own tokens, those that are in this window.
    """

    ids: list[int]
    type_ids: list[int]
    start: int
    length: int


def normalise(text: str) -> str:
    """Compatibility forms folded, invisible characters dropped, endless words broken, emoji apart from words.

    The tokenizer turns a word of more than 100 characters, or one that an emoji hangs on, into one unknown token, which
    would hide what it says.
    """
    folded = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text.translate(_FRAMED)))
    if not folded.isascii():
        folded = _SIGNS.sub(lambda found: f" {found.group()} " if _has_sign(found.group()) else found.group(), folded)
    return _LONG_WORD.sub(lambda found: found.group() + " ", folded)


def _has_sign(run: str) -> bool:
    """Whether any of it is an emoji or another symbol; not what only controls how letters are shown."""
    first, last = _PICTOGRAPHS
    return any(unicodedata.category(each)[0] == "S" or first <= each <= last for each in run)


def pieces(ids: list[int], room: int, overlap: int = OVERLAP) -> Iterator[tuple[int, list[int]]]:
    """Slices of at most room ids that cover all of them, each with its start; neighbours share overlap ids."""
    if not 0 <= overlap < room:
        raise ValueError(f"an overlap of {overlap} tokens does not fit into windows of {room}")
    start = 0
    while True:
        yield start, ids[start : start + room]
        if start + room >= len(ids):
            return
        start += room - overlap


class Windows:
    """Makes windows of at most `tokens` ids with one tokenizer."""

    def __init__(self, tokenizer: Tokenizer, tokens: int) -> None:
        self._tokenizer = tokenizer
        self._tokens = tokens
        self._first = _special(tokenizer, "[CLS]")
        self._last = _special(tokenizer, "[SEP]")

    def ids(self, text: str) -> list[int]:
        """Token ids of a normalised text, without special tokens."""
        found: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return found

    def of_request(self, text: str) -> list[Window]:
        """Windows over a request, at least one."""
        cut = pieces(self.ids(text), self._tokens - 2)
        return [
            Window([self._first, *piece, self._last], [0] * (len(piece) + 2), start, len(piece)) for start, piece in cut
        ]

    def of_response(self, request: str, response: str) -> list[Window]:
        """Windows over a response, each behind the beginning of the request (which has windows of its own)."""
        first = [self._first, *self.ids(request)[:REQUEST_TOKENS_BEFORE_RESPONSE], self._last]
        made = []
        for start, piece in pieces(self.ids(response), self._tokens - len(first) - 1):
            second = [*piece, self._last]
            made.append(Window(first + second, [0] * len(first) + [1] * len(second), start, len(piece)))
        return made

    def excerpt(self, text: str, window: Window) -> str:
        """The whole words that a window shows of the turn that it was cut from. text: that turn, normalised."""
        spans = self._tokenizer.encode(text, add_special_tokens=False).offsets
        shown = spans[window.start : window.start + window.length]
        if not shown:
            return ""
        begin, end = shown[0][0], shown[-1][1]
        while 0 < begin < end and not text[begin - 1].isspace():
            begin += 1
        while begin < end < len(text) and not text[end].isspace():
            end -= 1
        return text[begin:end]


def _special(tokenizer: Tokenizer, name: str) -> int:
    found: int | None = tokenizer.token_to_id(name)
    if found is None:
        raise ValueError(f"the tokenizer has no {name}")
    return found
