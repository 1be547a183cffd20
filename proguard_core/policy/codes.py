"""Which code an entry of a policy file has, and what is wrong with it.

An entry without a code has the one that its name has in the taxonomy; where the taxonomy does not know the name, its
position counts (C12 for the twelfth), unless the taxonomy means something else by that code.
"""

from proguard_core.policy.problems import Problems, did_you_mean
from proguard_core.policy.taxonomy import (
    CATEGORY_CODE,
    CATEGORY_NAMES,
    CODES_BY_NAME,
    FIRST_FREE_CATEGORY,
    SUBCATEGORY_CODE,
    SUBCATEGORY_NAMES,
    name_key,
)


def category_code(stated: str | None, name: str | None, position: int, line: int, problems: Problems) -> str | None:
    """Code of a main category at a position counted from 1; None where it has none that is right."""
    if stated is not None:
        if CATEGORY_CODE.fullmatch(stated) is None:
            problems.add(line, f"code '{stated}' of a category must be C<n>, such as C{FIRST_FREE_CATEGORY}")
            return None
        return _unless_taken(stated, name, line, problems)
    if name is None:
        return None
    code = CODES_BY_NAME.get(name_key(name), f"C{position}")
    if code not in CATEGORY_NAMES or name_key(CATEGORY_NAMES[code]) == name_key(name):
        return _unless_taken(code, name, line, problems)
    hint = did_you_mean(name, CATEGORY_NAMES.values())
    problems.add(
        line,
        f"category '{name}' is not in the taxonomy and its position means {code}, which is '{CATEGORY_NAMES[code]}' "
        f"there: give it a code of its own, C{FIRST_FREE_CATEGORY} or higher{hint}",
    )
    return None


def subcategory_code(
    stated: str | None, name: str | None, parent: str | None, position: int, line: int, problems: Problems
) -> str | None:
    """Code of a subcategory at a position in its category counted from 1; None where it has none that is right."""
    if stated is not None:
        match = SUBCATEGORY_CODE.fullmatch(stated)
        if match is None:
            problems.add(line, f"code '{stated}' of a subcategory must be C<n>S<m>, such as {parent or 'C12'}S1")
            return None
        if parent is not None and match.group(1) != parent:
            problems.add(line, f"code '{stated}' belongs under {match.group(1)}, not under {parent}")
            return None
        return _unless_taken(stated, name, line, problems)
    if parent is None or name is None:
        return None
    code = CODES_BY_NAME.get(name_key(name))
    if code is not None and code.startswith(f"{parent}S"):
        return code
    code = f"{parent}S{position}"
    if code not in SUBCATEGORY_NAMES:
        return _unless_taken(code, name, line, problems)
    siblings = {known: listed for known, listed in SUBCATEGORY_NAMES.items() if known.startswith(f"{parent}S")}
    problems.add(
        line,
        f"subcategory '{name}' is not in the taxonomy's {parent} and its position means {code}, which is "
        f"'{siblings[code]}' there: give it a code of its own, {parent}S{len(siblings) + 1} or higher"
        f"{did_you_mean(name, siblings.values())}",
    )
    return None


def _unless_taken(code: str, name: str | None, line: int, problems: Problems) -> str | None:
    """The code, unless the taxonomy gives this very name to another one."""
    known = CODES_BY_NAME.get(name_key(name)) if name is not None else None
    if known is None or known == code:
        return code
    problems.add(line, f"'{name}' is {known} in the taxonomy, not {code}: a name must not mean two codes")
    return None
