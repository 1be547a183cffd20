"""A change of the policy's file that reviews suggest: a new category, or synonyms of a known one.

The draft is for a person, who writes the description. Everything else of the file stays as it is, comments too.
"""

import json
import re
from collections.abc import Iterable, Sequence

import yaml

from proguard_core.policy.loader import PolicyError, parse_policy
from proguard_core.policy.policy import Policy
from proguard_core.policy.taxonomy import FIRST_FREE_CATEGORY, name_key
from schemas.review import Decision
from worker.console.store.models import ClusterRow, ClusterState, ReviewRow

_MAIN = re.compile(r"C([1-9][0-9]{0,2})")
_SYNONYMS = "synonymous-phrase"


class DraftError(Exception):
    """There is nothing to draft, or the file is of a shape that we do not write into; the text says which."""


def draft(text: str, policy: Policy | None, cluster: ClusterRow, reviews: Iterable[ReviewRow]) -> str:
    """The file after what was decided on the cluster. Raises DraftError."""
    if policy is None:
        raise DraftError("the policy's file is wrong or cannot be read")
    synonyms = confirmed_synonyms(reviews, cluster.code)
    if cluster.state is ClusterState.CONFIRMED:
        after = _with_category(text, policy, cluster.name, cluster.code, synonyms)
    elif cluster.state is ClusterState.MERGED and cluster.code is not None:
        after = _with_synonyms(text, policy, cluster.code, synonyms)
    else:
        raise DraftError("nobody has confirmed the cluster as a category or merged it into one")
    try:
        parse_policy(after.encode(), "draft.yaml", "the draft")
    except PolicyError as error:
        raise DraftError(f"the draft would be no policy: {error}") from None
    return after


def confirmed_synonyms(reviews: Iterable[ReviewRow], code: str | None) -> list[str]:
    """Of the decisions for the code that stand and wait for no second person, each phrase once."""
    rows = list(reviews)
    undone = {row.undoes for row in rows if row.undoes is not None}
    standing = [row for row in rows if row.undoes is None and row.review_id not in undone]
    phrases = [
        str(phrase)
        for row in reversed(standing)
        if row.decision in (Decision.CONFIRM.value, Decision.MERGE.value)
        and row.code == code
        and (row.before or {}).get("counts", True)
        for phrase in row.synonyms
    ]
    return list({name_key(phrase): phrase for phrase in phrases}.values())


def free_code(policy: Policy | None) -> str:
    """The first main code above the taxonomy that the policy does not list: C12 where it has none of its own."""
    taken = {int(found.group(1)) for code in (policy.codes if policy else ()) if (found := _MAIN.match(code))}
    return f"C{max([FIRST_FREE_CATEGORY - 1, *taken]) + 1}"


def _with_category(text: str, policy: Policy, name: str, code: str | None, synonyms: Sequence[str]) -> str:
    if code is not None and policy.find(code) is not None:
        return _with_synonyms(text, policy, code, [*synonyms, name])
    if name_key(name) in policy.codes_by_name:
        raise DraftError(f"the policy has {name!r} already: {policy.codes_by_name[name_key(name)]}")
    categories = _categories(text)
    last, indent = categories.value[-1], " " * categories.start_mark.column
    phrases = [each for each in synonyms if name_key(each) not in policy.codes_by_name] or [name]
    lines = [
        f"{indent}- code: {code or free_code(policy)}",
        f"{indent}  category: {_quoted(name)}",
        f"{indent}  description: {_quoted(f'DRAFT, to be written by a person: {name}.')}",
        f"{indent}  {_SYNONYMS}:",
        *(f"{indent}    - {_quoted(phrase)}" for phrase in phrases),
    ]
    return _inserted(text, last, lines)


def _with_synonyms(text: str, policy: Policy, code: str, synonyms: Sequence[str]) -> str:
    known = policy.codes_by_name
    phrases = [phrase for phrase in synonyms if name_key(phrase) not in known]
    if not phrases:
        raise DraftError(f"{code} has all of these names already")
    listed = _find(_categories(text), code, policy)
    if listed is None or listed.flow_style or not listed.value:
        raise DraftError(f"the file lists no {_SYNONYMS} of {code} as lines of their own")
    indent = " " * listed.start_mark.column
    return _inserted(text, listed.value[-1], [f"{indent}- {_quoted(phrase)}" for phrase in phrases])


def _categories(text: str) -> yaml.SequenceNode:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    found: yaml.Node | None = root
    if isinstance(root, yaml.MappingNode):
        found = next((value for key, value in root.value if key.value == "categories"), None)
    if not isinstance(found, yaml.SequenceNode) or found.flow_style or not found.value:
        raise DraftError("the file lists its categories in a form that we do not write into")
    return found


def _find(categories: yaml.SequenceNode, code: str, policy: Policy) -> yaml.SequenceNode | None:
    """The list of synonyms of a code, found by the code or by the name that stands for it."""
    entries = [each for each in categories.value if isinstance(each, yaml.MappingNode)]
    while entries:
        entry = entries.pop()
        keys = {key.value: value for key, value in entry.value}
        listed = policy.find(code)
        names = {keys[key].value for key in ("code", "name", "category") if key in keys}
        if code in names or (listed is not None and listed.name in names):
            found = keys.get(_SYNONYMS)
            return found if isinstance(found, yaml.SequenceNode) else None
        below = keys.get("subcategories")
        if isinstance(below, yaml.SequenceNode):
            entries += [each for each in below.value if isinstance(each, yaml.MappingNode)]
    return None


def _inserted(text: str, after: yaml.Node, lines: Sequence[str]) -> str:
    """The lines behind the last line of a node."""
    given = text.splitlines()
    # A block ends where the next token begins; what lies between is empty or a comment.
    end = after.end_mark.line + (1 if after.end_mark.column else 0)
    while end > 0 and (not given[end - 1].strip() or given[end - 1].lstrip().startswith("#")):
        end -= 1
    return "\n".join([*given[:end], *lines, *given[end:]]) + "\n"


def _quoted(text: str) -> str:
    """As YAML, whatever stands in it: JSON strings are YAML."""
    return json.dumps(text, ensure_ascii=False)
