"""What the pictures of tests/support/ordering_pictures.py say can be read: the embedded guard's OCR reads it."""

from proguard_core.guards.factory import create
from proguard_core.guards.protocol import GuardOptions, GuardRequest
from proguard_core.policy.loader import load_policy
from schemas.common import Outcome
from tests.support.ordering_pictures import ORDERS, ordering_pictures

# Where there is nothing but writing, to have read it is enough for a verdict.
WRITING_ALONE = ("plain", "faint")


async def test_the_embedded_guard_reads_the_orders_and_answers_every_picture() -> None:
    pictures = ordering_pictures()
    guard = create("embedded", GuardOptions(), load_policy())
    await guard.start()
    try:
        judgements = await guard.judge([GuardRequest("", None, picture) for picture in pictures.values()])
    finally:
        await guard.close()
    read = [
        name
        for name, judgement in zip(pictures, judgements, strict=True)
        if name.endswith(WRITING_ALONE) and judgement.outcome is not Outcome.UNDETERMINED
    ]
    assert len(read) == len(ORDERS) * len(WRITING_ALONE)
    assert all(judgement.score is not None for judgement in judgements)
