"""Rows to replay where no base dataset is at hand: our own posts and templates, which are in the package."""

import random

from proguard_core.dataset.items import Item, Origin
from proguard_core.evaluation.rows import Row
from proguard_core.training.embedded.generators import GENERATORS
from proguard_core.training.embedded.rows import CODES, OTHER, Example, own_examples
from schemas.common import Outcome

LICENCE = "Apache-2.0"
# Those that need no public rows.
OWN_GENERATORS = ("acts", "questions", "groups", "posts")


def replay_items(seed: int, safe: int, unsafe: int) -> list[Item]:
    """So many different text rows at most of either label, drawn by the seed; unsafe ones have a code or none.

    They are few, plain and ours: enough to keep heads where they are in a demonstration or a test. A platform replays
    its own rows, or public ones.
    """
    examples = own_examples(seed)
    for name in OWN_GENERATORS:
        examples += GENERATORS[name]([], random.Random(f"{seed} {name}"))
    by_text = {example.request: example for example in examples if example.response is None}
    found: list[Item] = []
    for label, count in ((False, safe), (True, unsafe)):
        mine = [example for _, example in sorted(by_text.items()) if example.unsafe is label]
        random.Random(f"{seed} replay {label}").shuffle(mine)
        found += [_item(example, f"own {label:d} {at}") for at, example in enumerate(mine[:count])]
    return found


def _item(example: Example, identity: str) -> Item:
    code = None if example.category is None else CODES[example.category]
    row = Row(
        id=identity,
        request=example.request,
        request_label=Outcome.UNSAFE if example.unsafe else Outcome.SAFE,
        categories=(code,) if code is not None and code != OTHER else (),
        source=example.source,
    )
    return Item(row, Origin.BASE, LICENCE)
