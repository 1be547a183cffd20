"""From what a guard wrote after `Category:` to a category: none, known, novel or hallucinated."""

import re
import unicodedata
from collections.abc import Iterable

from proguard_core.guards.protocol import NO_CATEGORY, Category
from proguard_core.policy.policy import MINORS, SEXUAL, Policy
from proguard_core.policy.prompts.contract import PromptKind
from proguard_core.policy.taxonomy import name_key
from schemas.common import CategoryKind
from schemas.verdict import MAX_NAME_CHARACTERS

MAX_NAME_WORDS = 8
# Longer than any list of codes or names; what is behind it is prose.
_MAX_VALUE_CHARACTERS = 400

_NONE = frozenset(
    {"none", "n/a", "na", "null", "nil", "no", "no category", "no risk", "not applicable", "safe", "无", "無"}
)
# What a guard writes for want of a name, and names nothing.
_EMPTY_NAMES = frozenset({"unsafe", "other", "others", "unknown", "novel", "new", "new category", "misc", "undefined"})
_EMPTY_BEGINNINGS = frozenset({"none", "null", "not", "no"})
_MARKS = " \t\r\"'`*_()[]{}<>.,;:!-–—|#"
CODE = re.compile(
    r"(?<![A-Za-z0-9])[CС][ ]?0{0,2}([1-9][0-9]{0,2})"
    r"(?:([\s._:/,()\[\]>-]{0,4})[SЅ][ ._]?0{0,2}([0-9]{1,3}))?(?![A-Za-z0-9])",
    re.IGNORECASE,
)
"""A code in the forms that models write it: C3S1, C3-S1, C3 (S1), C 3 > S 1. In text that is `plain`."""

_INVISIBLE = re.compile(r"[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")
_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"))
# Between a code and what may as well be the beginning of a remark: "C4 (S3 bucket leaks)".
_TIGHT = frozenset({"", " ", ".", "_", "-"})
_SUBCATEGORY = re.compile(r"^\W{0,8}(?:sub-?category\W{0,8})?(?=S[ ._]?[0-9])", re.IGNORECASE)
# A lone C4 may begin a name ("C4 explosives"): what follows a category's code must set it off.
_SET_OFF = re.compile(r"\s{0,4}(?:$|[:,;.()\[\]|/>-]|and\b|or\b)", re.IGNORECASE)
_NAME = re.compile(r"[^\W_](?:[\w&'’,./()–\- ]*[\w)])?")


def plain(text: str) -> str:
    """The text as it is compared: compatibility forms and dashes as one, without what nobody sees."""
    return _INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).translate(_DASHES)


def is_none(value: str) -> bool:
    """Whether a guard says in so many words that there is no category."""
    if len(value) > _MAX_VALUE_CHARACTERS:
        return False
    return plain(value).strip(_MARKS).casefold() in _NONE


def read_category(values: Iterable[str], kind: PromptKind, policy: Policy) -> Category:
    """The category that the values name; of several the one about minors, else a listed one, else the first.

    What is neither a code nor a name that could be one is no category.
    """
    found = [category for value in values for category in _categories(value, kind, policy)]
    return min(found, key=_rank, default=NO_CATEGORY)


def concerning_minors(values: Iterable[str], lines: Iterable[str], kind: PromptKind, policy: Policy) -> Category | None:
    """What lines beside the values say of minors, or of the category around them; None where they say nothing.

    values: of the category's key; a line may give the subcategory alone ("S1"). Further items of a list and what else
    stands outside the reasoning are no answer, but a doubt about minors counts (law 11).
    """
    main = list(values)
    found = []
    for line in lines:
        below = _SUBCATEGORY.sub("", line) if _SUBCATEGORY.match(line) else None
        read = [line] if below is None else [f"{value} {below}" for value in main]
        found.append(read_category(read, kind, policy))
    return min((each for each in found if each.code in {MINORS, SEXUAL}), key=_rank, default=None)


def _rank(category: Category) -> int:
    if category.code == MINORS:
        return 0
    # With any other the law on minors would not be looked at: the subcategory is not known yet.
    if category.code == SEXUAL:
        return 1
    return {CategoryKind.KNOWN: 2, CategoryKind.HALLUCINATED: 3, CategoryKind.NOVEL: 4}.get(category.kind, 5)


def _categories(value: str, kind: PromptKind, policy: Policy) -> list[Category]:
    value = plain(value[:_MAX_VALUE_CHARACTERS]).strip(_MARKS)
    if not value or value.casefold() in _NONE:
        return []
    codes = [_code(match, policy) for match in CODE.finditer(value) if match[3] or _is_set_off(value, match, policy)]
    named = _by_name(value, kind, policy)
    if not codes:
        return [named] if named is not None else _novel(value)
    found = [_by_code(code, kind, policy) for code in codes]
    return found if named is None or named.code != MINORS else [named, *found]


def _code(match: re.Match[str], policy: Policy) -> str:
    main, between, sub = match.groups()
    code = f"C{main}S{int(sub)}" if sub else f"C{main}"
    return code if between in _TIGHT or policy.find(code) is not None else f"C{main}"


def _is_set_off(value: str, match: re.Match[str], policy: Policy) -> bool:
    """Whether a category's code stands for itself, or before a part of its own name ("C4 Cybersecurity")."""
    if _SET_OFF.match(value, match.end()):
        return True
    listed = policy.find(f"C{match[1]}")
    following = value[match.end() :].split(maxsplit=1)
    return listed is not None and bool(following) and following[0].casefold() in listed.name.casefold().split()


def _by_code(code: str, kind: PromptKind, policy: Policy) -> Category:
    if policy.find(code) is None:
        return Category(CategoryKind.HALLUCINATED, name=code)
    main = code.partition("S")[0]
    if kind is PromptKind.TEXT_IMAGE and code != MINORS and main in policy.categories:
        # Only categories were listed to it: the subcategory is a guess, and the picture alone can be asked for it.
        code = main
    listed = policy.find(code)
    return Category(CategoryKind.KNOWN, code, listed.name if listed else None)


def _by_name(value: str, kind: PromptKind, policy: Policy) -> Category | None:
    """The listed category whose name or synonym the value is, with or without its code beside it; None for none."""
    bare = CODE.sub(" ", value, count=1).strip(_MARKS)
    for name in (value, bare):
        code = policy.codes_by_name.get(name_key(name))
        if code is not None:
            return _by_code(code, kind, policy)
    listed = _pieces(r"[,;/|]", value, policy)
    # What a listed name is refined to may be new, but not where minors are concerned.
    refined = [code for code in _pieces(r"[,;:/|>]| - ", value, policy) if code.partition("S")[0] == SEXUAL]
    if not listed and not refined:
        return None
    return _by_code(MINORS if MINORS in refined else (listed or refined)[0], kind, policy)


def _pieces(separators: str, value: str, policy: Policy) -> list[str]:
    pieces = re.split(separators, value)
    codes = [policy.codes_by_name.get(name_key(piece.strip(_MARKS))) for piece in pieces]
    return [code for code in codes if code is not None]


def _novel(value: str) -> list[Category]:
    name = " ".join(value.split())
    well_formed = (
        len(name) <= MAX_NAME_CHARACTERS
        and len(name.split(" ")) <= MAX_NAME_WORDS
        and _NAME.fullmatch(name) is not None
        and sum(letter.isalpha() for letter in name) > 1
        and name.casefold() not in _EMPTY_NAMES
        and name.split(" ")[0].strip(_MARKS).casefold() not in _EMPTY_BEGINNINGS
    )
    return [Category(CategoryKind.NOVEL, name=name)] if well_formed else []
