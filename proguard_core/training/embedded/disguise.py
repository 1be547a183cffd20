"""Ways in which people spell a text: typos, figures for letters, spaces, emoji, casing. The meaning stays readable."""

import random
from collections.abc import Callable

FIGURES = {"a": "4", "e": "3", "i": "1", "o": "0", "s": "5", "t": "7"}
SYMBOLS = {"a": "@", "i": "!", "s": "$", "o": "*", "e": "€"}
EMOJI = ["😀", "😂", "🔥", "💀", "🙏", "😡", "❤️", "👀", "🤔", "🎉", "😭", "💣", "🔪", "🥰"]
SLANG = {
    "you": "u", "are": "r", "your": "ur", "for": "4", "to": "2", "please": "pls", "people": "ppl", "because": "cuz",
    "what": "wut", "how": "how", "and": "n", "going to": "gonna", "want to": "wanna", "with": "w/", "about": "abt",
}  # fmt: skip


def typos(text: str, chooser: random.Random) -> str:
    """One letter in about twenty-five dropped, doubled or swapped with the next."""
    letters = list(text)
    for _ in range(max(1, len(letters) // 25)):
        at = chooser.randrange(max(1, len(letters) - 1))
        way = chooser.randrange(3)
        if way == 0:
            letters[at] = ""
        elif way == 1:
            letters[at] *= 2
        elif at + 1 < len(letters):
            letters[at], letters[at + 1] = letters[at + 1], letters[at]
    return "".join(letters)


def figures(text: str, chooser: random.Random) -> str:
    """Figures or symbols for some letters, in about half of the words."""
    table = chooser.choice([FIGURES, SYMBOLS])

    def spelled(word: str) -> str:
        if chooser.random() < 0.5:
            return word
        return "".join(table.get(letter.lower(), letter) if chooser.random() < 0.7 else letter for letter in word)

    return " ".join(map(spelled, text.split(" ")))


def spaces(text: str, chooser: random.Random) -> str:
    """One or two longer words pulled apart by blanks, dots or hyphens."""
    words = text.split(" ")
    longer = [at for at, word in enumerate(words) if len(word) > 3] or [0]
    for at in chooser.sample(longer, min(len(longer), chooser.randint(1, 2))):
        words[at] = chooser.choice([" ", ".", "-", "_", "*"]).join(words[at])
    return " ".join(words)


def emoji(text: str, chooser: random.Random) -> str:
    """Emoji between words or at the end."""
    words = text.split(" ")
    for _ in range(chooser.randint(1, 3)):
        words.insert(chooser.choice([len(words), chooser.randint(0, len(words))]), chooser.choice(EMOJI))
    return " ".join(words)


def casing(text: str, chooser: random.Random) -> str:
    """All capitals, none, alternating, or a shouted word."""
    way = chooser.randrange(4)
    if way == 0:
        return text.upper()
    if way == 1:
        return text.lower().rstrip(".?!")
    if way == 2:
        return "".join(letter.upper() if at % 2 else letter.lower() for at, letter in enumerate(text))
    words = text.split(" ")
    at = chooser.randrange(len(words))
    words[at] = words[at].upper()
    return " ".join(words) + "!!!"


def slang(text: str, chooser: random.Random) -> str:
    """Short forms of the small words, no capitals, a tail."""
    words = [SLANG.get(word.lower(), word.lower()) for word in text.split(" ")]
    return " ".join(words).rstrip(".?!") + chooser.choice(["", " lol", " pls", " asap", " thx", " ???"])


def stretched(text: str, chooser: random.Random) -> str:
    """A vowel of one word drawn out."""
    vowels = [at for at, letter in enumerate(text) if letter in "aeiou"] or [0]
    at = chooser.choice(vowels)
    return text[:at] + text[at : at + 1] * chooser.randint(3, 6) + text[at + 1 :]


WAYS: tuple[Callable[[str, random.Random], str], ...] = (typos, typos, figures, spaces, emoji, casing, slang, stretched)


def disguised(text: str, chooser: random.Random) -> str:
    """One way, in a third of the cases a second one over it."""
    changed = chooser.choice(WAYS)(text, chooser)
    return chooser.choice(WAYS)(changed, chooser) if chooser.random() < 0.33 else changed
