"""The table of safe and unsafe: a class that a set lacks has no figures."""

import pytest

from proguard_core.evaluation import binary_tables
from proguard_core.evaluation.answers import Answer
from proguard_core.evaluation.rows import Row
from schemas.common import Outcome

SAFE, UNSAFE = Outcome.SAFE, Outcome.UNSAFE


@pytest.mark.parametrize(
    ("labels", "absent"),
    [
        ((SAFE, UNSAFE), set()),
        ((UNSAFE, UNSAFE), {"false_positive_rate"}),
        ((SAFE, SAFE), {"recall", "precision", "f1_unsafe"}),
    ],
)
def test_what_a_set_has_no_rows_for_is_no_zero(labels: tuple[Outcome, Outcome], absent: set[str]) -> None:
    rows = [Row(str(at), f"post {at}", request_label=label) for at, label in enumerate(labels)]
    line = binary_tables.entry("mine", "a guard", "request", rows, {row.id: Answer(UNSAFE) for row in rows})
    figures = ("weighted_f1", "recall", "precision", "f1_unsafe", "false_positive_rate")
    assert {name for name in figures if line[name] is None} == absent
