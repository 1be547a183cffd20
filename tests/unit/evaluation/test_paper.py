"""Row counts that are not published, held to the paper's averages; figures are shown only beside such rows."""

import pytest

from proguard_core.evaluation import paper
from proguard_core.evaluation.loaders.registry import known_sets


@pytest.mark.parametrize("task", ["request", "response"])
def test_row_counts_give_the_papers_averages_for_every_model(task: str) -> None:
    table = {name: found for (modality, name), found in paper.table(paper.TABLES[task]).items() if modality == "text"}
    average = table.pop("Avg")
    rows = {facts.paper[task].name: facts.paper[task].rows for facts in known_sets().values() if task in facts.paper}
    counts = {name: rows[name][0] for name in table}
    for model, published in average.items():
        ours = sum(counts[name] * found[model] for name, found in table.items()) / sum(counts.values())
        assert ours == pytest.approx(published, abs=0.006), model


def test_figures_stand_beside_the_papers_rows_only() -> None:
    facts = known_sets()["toxicchat"]
    found, why = paper.figures(facts, "request", "text", 5083)
    assert found is not None
    assert (found["ProGuard-7B"], why) == (96.07, "")
    assert paper.figures(facts, "request", "text", 5082) == (None, "5082 rows here, 5083 in the paper")
    assert paper.figures(facts, "response", "text", 5083) == (None, "not in the paper")
    assert paper.figures(None, "request", "text", 5083) == (None, "not in the paper")
    unknown = paper.figures(known_sets()["llavaguard"], "ood", "image", 500)
    assert unknown == (None, "the paper does not say how many rows it used")
