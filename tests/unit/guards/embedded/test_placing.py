"""Where a risk is placed when the policy lists only some categories."""

from proguard_core.guards.embedded.placing import place
from tests.unit.guards.embedded.policies import policy

SHARES = {"C3S1": 0.05, "C4S1": 0.7, "C4S2": 0.2, "C9S1": 0.01, "other": 0.04}


def test_best_listed_code_with_its_own_threshold() -> None:
    found = place(SHARES, policy("C4", "C4S1", "C4S2", thresholds={"C4S1": 0.8}), 0.3)
    assert (found.code, found.probability, found.threshold) == ("C4S1", 0.7, 0.8)


def test_best_code_that_is_not_listed_is_novel_and_names_the_nearest() -> None:
    found = place(SHARES, policy("C3", "C3S1", "C4", "C4S2"), 0.1)
    assert (found.code, found.nearest, found.probability) == (None, "C4S2", 0.2)


def test_a_main_category_listed_without_subcategories_takes_all_of_them() -> None:
    found = place(SHARES, policy("C4", "C9", "C9S1"), 0.3)
    assert found.code == "C4"
    assert abs(found.probability - 0.9) < 1e-9


def test_other_class_is_novel() -> None:
    found = place({"C3S1": 0.4, "other": 0.6}, policy("C3", "C3S1"), 0.1)
    assert (found.code, found.nearest) == (None, "C3S1")


def test_best_listed_code_below_the_calibrated_bound_is_novel() -> None:
    assert place({"C3S1": 0.25, "C4S1": 0.2, "other": 0.1}, policy("C3", "C3S1"), 0.3).code is None


def test_a_policy_of_own_categories_only_has_nothing_near() -> None:
    found = place(SHARES, policy("C12", threshold=0.6), 0.1)
    assert (found.code, found.nearest, found.threshold) == (None, None, 0.6)


SMALL = ("C3", "C3S1", "C11", "C11S1")  # every policy lists minors


def test_law_11_minors_are_not_near_because_nothing_else_is_listed() -> None:
    """In a small policy they are often the best of the listed; each such post would go to the legal process."""
    found = place({"C4S1": 0.9, "C11S1": 0.001, "C3S1": 0.0002, "other": 0.01}, policy(*SMALL), 0.3)
    assert (found.code, found.nearest, found.probability) == (None, "C3S1", 0.0002)
    alone = place({"C4S1": 0.9, "C11S1": 0.001, "other": 0.01}, policy("C11", "C11S1"), 0.3)
    assert (alone.code, alone.nearest, alone.probability) == (None, None, 0.0)


def test_law_11_minors_are_near_where_they_are_nearest_of_all_that_the_head_knows() -> None:
    """However improbable: `other` is no code, and a risk that nothing covers stays on the safe side."""
    found = place({"C4S1": 0.01, "C11S1": 0.02, "C3S1": 0.0, "other": 0.97}, policy(*SMALL), 0.3)
    assert (found.code, found.nearest, found.probability) == (None, "C11S1", 0.02)


def test_law_11_what_is_sexual_and_not_listed_is_near_to_the_category_around_minors() -> None:
    found = place({"C4S1": 0.1, "C11S1": 0.2, "C11S2": 0.6, "other": 0.1}, policy(*SMALL), 0.3)
    assert (found.code, found.nearest) == (None, "C11")
    assert abs(found.probability - 0.8) < 1e-9
    nudity = place({"C4S1": 0.0, "C11S1": 0.0, "C11S2": 1.0}, policy(*SMALL), 0.3)
    assert nudity.nearest == "C11"
    listed = place({"C4S1": 0.1, "C11S1": 0.2, "C11S2": 0.6, "other": 0.1}, policy(*SMALL, "C11S2"), 0.3)
    assert listed.code == "C11S2"
