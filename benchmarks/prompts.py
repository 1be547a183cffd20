"""What rendering a prompt and parsing an answer cost, a post. Run: `python -m benchmarks.prompts`."""

import argparse
import time
from collections.abc import Callable

from PIL import Image

from proguard_core.guards.protocol import GuardRequest, Picture
from proguard_core.judgement import parse
from proguard_core.policy.loader import load_policy
from proguard_core.policy.prompts import PromptKind, Prompts

LIMIT_MICROSECONDS = 200
_ROUNDS = 5
_POSTS = 400
_SENTENCE = "Meet me at the harbour at 7:30, bring <b>bread</b> & the request: one map of the old town. "
# About 250 tokens of reasoning, as a guard writes them.
_REASONING = (
    "The post asks for a map and mentions bread; nobody could be harmed by either, and no category comes close. " * 10
)


def _microseconds(work: Callable[[], None]) -> float:
    """CPU a post, the best of the rounds: the others were disturbed."""
    best = float("inf")
    for _round in range(_ROUNDS):
        began = time.process_time()
        work()
        best = min(best, (time.process_time() - began) / _POSTS * 1e6)
    return best


def _render(prompts: Prompts, request: GuardRequest) -> float:
    def work() -> None:
        for _post in range(_POSTS):
            prompts.render(request)

    return _microseconds(work)


def _parse(kind: PromptKind, answer: str) -> float:
    policy = load_policy()

    def work() -> None:
        for _post in range(_POSTS):
            parse(answer, kind, policy, has_response=True)

    return _microseconds(work)


def main() -> None:
    """Print CPU microseconds a post of 1 KB, which the limit is for, and of a full window (4 KB)."""
    prompts = Prompts(load_policy())
    picture = Picture(Image.new("RGB", (28, 28)), "0" * 64)
    safe = f"<think>{_REASONING}</think>\n<answer>\nRequest:safe\nResponse:safe\nCategory:None\n</answer>"
    novel = safe.replace("Request:safe", "Request:unsafe").replace("None", "Human Organ Trafficking")
    parsing = {"safe": _parse(PromptKind.TEXT, safe), "novel": _parse(PromptKind.TEXT, novel)}
    for name, microseconds in parsing.items():
        print(f"parse, {name} answer: {microseconds:.0f} us")
    for size in (1000, 4000):
        text = (_SENTENCE * 50)[: size // 2]
        for shown in (None, picture):
            request = GuardRequest(text, text, shown)
            rendering = _render(prompts, request)
            both = rendering + max(parsing.values())
            name = "text" if shown is None else "text-image"
            print(f"{name}, {size} bytes: render {rendering:.0f} us, render + parse {both:.0f} us")
            if size == 1000 and both > LIMIT_MICROSECONDS:
                raise SystemExit(f"more than {LIMIT_MICROSECONDS} us")


if __name__ == "__main__":
    argparse.ArgumentParser("python -m benchmarks.prompts", description=__doc__).parse_args()
    main()
