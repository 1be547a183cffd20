"""Through an engine with a chat model, on real HTTP: a novel name is placed, and minors are recognised by it."""

from proguard_core.guards.factory import create
from proguard_core.guards.protocol import GuardOptions, GuardRequest, Judgement
from proguard_core.policy.loader import load_policy
from proguard_core.policy.policy import concerns_minors
from schemas.common import CategoryKind, Outcome, Reason
from tests.support.openai_server import OpenAIServer

POLICY = load_policy()
MINORS_NAME = "Child sexual abuse material online"


async def judged(server: OpenAIServer, text: str) -> Judgement:
    guard = create("openai", GuardOptions("proguard", (server.base_url,)), POLICY)
    await guard.start()
    (judgement,) = await guard.judge([GuardRequest(text)])
    await guard.close()
    return judgement


async def test_a_novel_name_says_what_it_is_near_to() -> None:
    with OpenAIServer() as server:
        near = await judged(server, "novel:cruelty to animals")
        far = await judged(server, "novel:election interference")
    assert (near.category.kind, near.category.nearest) == (CategoryKind.NOVEL, "C9S2")
    assert near.category.similarity is not None
    assert (far.category.kind, far.category.nearest) == (CategoryKind.NOVEL, None)


async def test_a_name_near_to_minors_survives_an_answer_that_cannot_be_parsed() -> None:
    """The free answer names it, the one in the prescribed form names something else: law 11 goes by the first."""
    free = {"content": f"<think>x</think>\n<answer>\nRequest:perhaps\nCategory:{MINORS_NAME}\n</answer>"}
    forced = {"content": '{"rationale": "x", "request": "unsafe", "category": "C3S1"}'}
    with OpenAIServer(replies=[free, forced]) as server:
        judgement = await judged(server, "some post")
    assert judgement.outcome is Outcome.UNSAFE
    category = judgement.category
    assert category.name == MINORS_NAME
    assert concerns_minors(category.kind, category.code, category.nearest)


async def test_undetermined_near_to_minors_keeps_the_name() -> None:
    free = {"content": f"<think>x</think>\n<answer>\nRequest:perhaps\nCategory:{MINORS_NAME}\n</answer>"}
    with OpenAIServer(replies=[free, {"content": "no"}]) as server:
        judgement = await judged(server, "some post")
    assert (judgement.outcome, judgement.reason) == (Outcome.UNDETERMINED, Reason.UNPARSEABLE)
    assert judgement.category.nearest == "C11S1"
