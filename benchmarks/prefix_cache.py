"""How much of the policy's text an engine computes once for all posts, by vLLM's own counters."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import httpx2

from benchmarks.engine_rates import EngineUnderTest
from proguard_core.guards.factory import create
from proguard_core.guards.protocol import GuardLimits, GuardOptions, GuardRequest
from proguard_core.policy.loader import load_policy
from proguard_core.policy.prompts import PromptKind, Prompts
from proguard_core.policy.prompts.renderer import kind_of
from tests.support.engine_posts import engine_posts
from tests.support.vllm_server import SERVED_NAME, VllmServer

# Of the policy's length, over 200 posts.
AIM = 0.8
_HITS, _QUERIES = "vllm:prefix_cache_hits", "vllm:prefix_cache_queries"


@dataclass(frozen=True, slots=True)
class Prefix:
    """Tokens over all posts: prompts, those found in the prefix cache, and the policies that came with the posts."""

    mix: str
    posts: int
    prompt: float
    cached: float
    policy: float

    @property
    def share(self) -> float:
        """Cached tokens for each token of policy."""
        return self.cached / self.policy


def prefix(engine: EngineUnderTest, server: VllmServer, count: int, *, pictures: bool) -> Prefix:
    """`count` posts under one policy, all at once, on an engine that has cached nothing."""
    engine.forget()
    posts = engine_posts("prefix", count, seed=7 + pictures, pictures=pictures)
    before = server.counter(_HITS), server.counter(_QUERIES)
    requests = asyncio.run(_judge(engine, posts.requests))
    cached, prompt = server.counter(_HITS) - before[0], server.counter(_QUERIES) - before[1]
    lengths = policy_lengths(server)
    kinds = Counter(kind_of(request) for request in requests)
    policy = sum(lengths[kind] * number for kind, number in kinds.items())
    return Prefix("texts and pictures" if pictures else "texts", count, prompt, cached, policy)


async def _judge(engine: EngineUnderTest, make: Callable[[GuardLimits], list[GuardRequest]]) -> list[GuardRequest]:
    guard = create(engine.engine, GuardOptions(engine.model, engine.base_urls, dict(engine.settings)), load_policy())
    await guard.start()
    try:
        requests = make(guard.limits)
        await guard.judge(requests)
    finally:
        await guard.close()
    return requests


def policy_lengths(server: VllmServer) -> dict[PromptKind, int]:
    """Tokens of the system turn of each kind of question, as the server's own tokenizer counts them."""
    prompts = Prompts(load_policy())
    lengths = {}
    for kind in PromptKind:
        turn = {"role": "system", "content": prompts.system(kind)}
        body = {"model": SERVED_NAME, "messages": [turn], "add_generation_prompt": False}
        reply = httpx2.post(f"{server.address}/tokenize", json=body, timeout=30, trust_env=False)
        lengths[kind] = int(reply.raise_for_status().json()["count"])
    return lengths


def table(found: list[Prefix]) -> list[str]:
    """Markdown, tokens a post."""
    return [
        "| posts | of | prompt tokens a post | policy's | from the cache | of the policy's |",
        "| --- | --- | --- | --- | --- | --- |",
        *(
            f"| {each.posts} | {each.mix} | {each.prompt / each.posts:.0f} | {each.policy / each.posts:.0f} | "
            f"{each.cached / each.posts:.0f} | {each.share:.1%} |"
            for each in found
        ),
    ]
