"""The texts from which the tiny model's tokenizer learns: prompts, policy, the demo's posts, parts of rows."""

from collections.abc import Iterator

from proguard_core.policy.loader import load_policy
from proguard_core.policy.prompts.contract import PromptKind
from proguard_core.policy.prompts.renderer import Prompts
from tests.support.tiny_vlm import rows
from tests.support.tiny_vlm.samples import samples


def corpus() -> Iterator[str]:
    """Every text, in a fixed order."""
    policy = load_policy()
    prompts = Prompts(policy)
    yield from (prompts.system(kind) for kind in PromptKind)
    for item in (*policy.categories.values(), *policy.subcategories.values()):
        yield "\n".join((item.code, item.description))
        yield from (rows.UNSAFE_POSTS[0].format(phrase) for phrase in (item.name, *item.synonyms))
    yield from (f"{sample.text}\n{sample.response or ''}" for sample in samples())
    yield from (*rows.UNSAFE_POSTS, *rows.SAFE_POSTS, *rows.REFUSALS, *rows.HELP, *rows.THANKS, rows.EVERYDAY)
    yield from (f"{place}\n{place[0].upper()}{place[1:]} {remark}" for place in rows.PLACES for remark in rows.REMARKS)
    for name, phrases in rows.NOVEL.items():
        yield rows.answer(rows.UNSAFE_POSTS[0].format(", ".join(phrases)), name, "unsafe", "safe")
    yield from rows.THOUGHTS
