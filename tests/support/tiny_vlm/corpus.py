"""The texts from which the tiny model's tokenizer learns: the prompts, the policy and our own sample posts."""

import json
from collections.abc import Iterator

from proguard_core.policy.loader import load_policy
from proguard_core.policy.prompts.contract import PromptKind
from proguard_core.policy.prompts.renderer import Prompts
from worker.local.posts import read_lines


def corpus() -> Iterator[str]:
    """Every text once, in a fixed order."""
    policy = load_policy()
    prompts = Prompts(policy)
    yield from (prompts.system(kind) for kind in PromptKind)
    for item in (*policy.categories.values(), *policy.subcategories.values()):
        yield "\n".join((item.code, item.name, item.description, *item.synonyms))
    yield from sample_posts()


def sample_posts() -> Iterator[str]:
    """Text and response of the demo's posts; a line that is no post says nothing."""
    for line in read_lines():
        try:
            post = json.loads(line)
        except ValueError:
            continue
        yield from (post[turn] for turn in ("text", "response") if turn in post)
