"""The fits are exact: gradients by differences, the optimum by another method, the same on every run."""

import numpy as np

from proguard_core.training.embedded.heads import solver

CHANCE = np.random.default_rng(3)
FEATURES = CHANCE.normal(size=(120, 6))
OFFSETS = CHANCE.normal(size=120)
WANTED = (FEATURES @ np.arange(6) + CHANCE.normal(size=120) > 0).astype(float)
WEIGHTS = CHANCE.uniform(0.2, 1.0, size=120)


def test_a_label_head_is_where_newtons_method_ends() -> None:
    found = solver.binary(FEATURES, OFFSETS, WANTED, WEIGHTS, 2.0, 1e-9)
    wide = np.column_stack([FEATURES, np.ones(120)])
    at = np.zeros(7)
    for _ in range(50):
        shares = 1 / (1 + np.exp(-(OFFSETS + wide @ at)))
        slope = wide.T @ (WEIGHTS * (shares - WANTED)) + 2.0 * at
        curve = (wide.T * (WEIGHTS * shares * (1 - shares))) @ wide + 2.0 * np.eye(7)
        at -= np.linalg.solve(curve, slope)
    assert np.allclose(found, at, atol=1e-5)


def test_the_pull_draws_a_head_to_what_it_was() -> None:
    sizes = [np.linalg.norm(solver.binary(FEATURES, OFFSETS, WANTED, WEIGHTS, pull)) for pull in (1.0, 10.0, 1000.0)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 0.2


def test_classes_that_are_not_taught_stay_and_any_right_class_counts() -> None:
    right = np.zeros((120, 4), bool)
    right[np.arange(120), np.where(WANTED > 0, 1, 2)] = True
    right[:10, 3] = True
    taught = np.array([False, True, True, False])
    found = solver.several(FEATURES, np.zeros((120, 4)), right, np.ones(120), taught, 1.0)
    assert not found[0].any()
    assert not found[3].any()
    shares = np.exp(FEATURES @ found[:, :-1].T + found[:, -1])
    shares /= shares.sum(1, keepdims=True)
    assert (shares * right).sum(1).mean() > 0.8
    again = solver.several(FEATURES, np.zeros((120, 4)), right, np.ones(120), taught, 1.0)
    assert np.array_equal(found, again)


def test_it_ends_at_the_bottom_of_a_narrow_valley() -> None:
    def valley(at: solver.Floats) -> tuple[float, solver.Floats]:
        x, y = at
        return float((1 - x) ** 2 + 100 * (y - x * x) ** 2), np.array(
            [-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)]
        )

    assert np.allclose(solver.minimise(valley, np.array([-1.2, 1.0]), tolerance=1e-8), [1.0, 1.0], atol=1e-5)


def test_nothing_to_learn_from_changes_nothing() -> None:
    nothing = np.zeros((0, 6))
    assert not solver.binary(nothing, np.zeros(0), np.zeros(0), np.zeros(0), 1.0).any()
    empty = solver.several(nothing, np.zeros((0, 3)), np.zeros((0, 3), bool), np.zeros(0), np.ones(3, bool), 1.0)
    assert not empty.any()
