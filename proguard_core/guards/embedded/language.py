"""Whether a text is in the one language that the encoder knows, English. No model: scripts, small words, pieces.

A text is not known when non-Latin letters make up SHARE of its letters or are at least MANY, or when it has more small
words of another language, and words with accents, than small words of English. Of languages without a list, and of
code, the encoder's own vocabulary tells: it cuts what it does not know into small pieces. Short Latin text without
small words counts as English: names, tags, emoji.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from proguard_core.guards.embedded.words import load_words

SHARE = 0.3
MANY = 20
FEWEST_SMALL_WORDS = 2
FEWEST_LATIN_WORDS = 2

# A word of English is cut into 1.2 pieces, one of Finnish or Swahili into two; a piece of English has four letters, one
# of base64 less than two. A name or a quotation in English is no English text: of that every tenth word is one that no
# other language has. A few words without any such one are foreign by the same measure, or by a lower one where one of
# them is a small word of another language ("te voy a matar"). Of 30,000 English posts 105 are foreign by these bounds
# (many are), and of 102,000 9 are coded.
FEWEST_WORDS, PIECES_A_WORD, ENGLISH_SHARE = 2, 1.75, 0.1
PIECES_BESIDE_OTHERS = 1.25
FEWEST_PIECES, LETTERS_A_PIECE = 10, 1.8

JUNK = 0.1
REPLACED = "\ufffd"
_BLANKS = frozenset("\t\n\r\v\f")
# Control, private, unassigned, lone halves of pairs.
_NO_SIGNS = frozenset({"Cc", "Co", "Cn", "Cs"})

_NO_WORDS = re.compile(r"https?://\S+|[@#]\S+|&#?\w+;")
_WORD = re.compile(r"[^\W\d_]+")
_WORDS = load_words()
_ENGLISH = frozenset(_WORDS["English"].split())
_ONLY_ENGLISH = _ENGLISH - frozenset(_WORDS["shared"].split())
_SMALL_WORDS = {name: frozenset(words.split()) - _ENGLISH for name, words in _WORDS["others"].items()}
_OF_OTHERS = frozenset().union(*_SMALL_WORDS.values())


@lru_cache(maxsize=4096)
def _is_latin(letter: str) -> bool:
    return letter < "\u0250" or "LATIN" in unicodedata.name(letter, "")


def has_signs(text: str) -> bool:
    """Whether a normalised text has anything that the encoder knows: emoji alone are all the same unknown to it."""
    return any(sign.isalnum() or (sign.isascii() and sign.isprintable() and not sign.isspace()) for sign in text)


def is_junk(text: str) -> bool:
    """Whether so much of a text is no sign of any writing (control characters, replaced bytes) that it is no post."""
    junk = sum(sign == REPLACED or (sign not in _BLANKS and unicodedata.category(sign) in _NO_SIGNS) for sign in text)
    return junk >= JUNK * len(text) > 0


def is_readable(text: str) -> bool:
    """Whether a normalised text has words for the encoder to score. Of letters that it does not know it makes anything:
    to it most of Thai, Chinese or Amharic is one unknown token after another, and "hello" in these is hate.
    """
    foreign, letters = _foreign_letters(text)
    if not letters or foreign / letters < SHARE:
        return True
    latin = sum(len(word) > 1 and all(map(_is_latin, word)) for word in _WORD.findall(text))
    return latin >= FEWEST_LATIN_WORDS


def _foreign_letters(text: str) -> tuple[int, int]:
    """How many letters are not Latin, and how many there are."""
    if text.isascii():  # most posts; each is asked twice
        return 0, sum(map(str.isalpha, text))
    letters = [letter for letter in text if letter.isalpha()]
    return sum(not _is_latin(letter) for letter in letters), len(letters)


def speaks_english(text: str, hint: str | None = None) -> bool:
    """Whether the guard may trust its score of this normalised text.

    hint: the language that the post claims (BCP 47). A claim of another language counts unless the words are English.
    """
    foreign, letters = _foreign_letters(text)
    if foreign >= MANY or (letters and foreign / letters >= SHARE):
        return False
    words = [word.lower() for word in _WORD.findall(text)]
    english = sum(word in _ENGLISH for word in words)
    # English borrows a word with an accent now and then; a text full of them is something else.
    accented = sum(not word.isascii() for word in words)
    other = max(sum(word in small for word in words) for small in _SMALL_WORDS.values()) + accented
    if other >= FEWEST_SMALL_WORDS and other > english:
        return False
    claims_other = hint is not None and hint.lower() not in ("und", "mul") and not hint.lower().startswith("en")
    return not claims_other or not letters or english >= FEWEST_SMALL_WORDS


def words_of(text: str) -> list[str]:
    """The words of a normalised text, without addresses, names (@) and tags."""
    return _WORD.findall(_NO_WORDS.sub(" ", text))


def is_foreign(words: Sequence[str], pieces: int) -> bool:
    """Whether words are of no language that the encoder reads. pieces: what its vocabulary cuts them into."""
    small = [word.lower() for word in words]
    if sum(word in _ONLY_ENGLISH for word in small) >= ENGLISH_SHARE * len(words):
        return False
    if len(words) >= FEWEST_WORDS and pieces >= PIECES_A_WORD * len(words):
        return True
    return pieces >= PIECES_BESIDE_OTHERS * len(words) and not _OF_OTHERS.isdisjoint(small)


def is_coded(words: Sequence[str], pieces: int) -> bool:
    """Whether words are no words to the encoder, but letters one by one: spelled out, base64, shifted alphabets."""
    return pieces >= FEWEST_PIECES and sum(map(len, words)) < LETTERS_A_PIECE * pieces


def has_english_word(text: str) -> bool:
    """Whether a normalised text has a small word that is English alone: without one nobody knows its language."""
    return any(word.lower() in _ONLY_ENGLISH for word in _WORD.findall(text))
