"""Everything that is taught in one list: public rows, our own posts, and what the generators make."""

import random
from pathlib import Path

from proguard_core.training.embedded.generators import generated_examples
from proguard_core.training.embedded.rows import NOTHING_LEFT_OUT, Example, LeftOut, own_examples, teaching_examples


def teaching_mixture(
    folder: Path,
    seed: int,
    left_out: LeftOut = NOTHING_LEFT_OUT,
    without: frozenset[str] = frozenset(),
    replayed: int | None = None,
) -> list[Example]:
    """Public rows of `folder`, own posts, and every generator that `without` does not name (`all`: none of them).

    replayed: so many public rows at most, drawn by the seed; all of them where it is None.
    """
    public = teaching_examples(folder, seed, left_out)
    made = own_examples(seed) + generated_examples(public, seed, without)
    if replayed is not None and replayed < len(public):
        public = random.Random(seed).sample(public, replayed)
    return public + [example for example in made if left_out.keeps(example)]
