"""Statistics: exact against the libraries, clusters respected, coverage measured."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from steerlab.errors import OptionError
from steerlab.statistics import (
    cluster_bootstrap,
    cluster_weights,
    grouped_folds,
    holm,
    mcnemar_exact,
    paired_difference,
    wilson,
)


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (10, 10), (3, 7), (30, 48)])
def test_wilson_equals_statsmodels_and_scipy(successes: int, n: int) -> None:
    found = wilson(successes, n, n_unscored=2, level=0.9)
    low, high = proportion_confint(successes, n, alpha=1 - 0.9, method="wilson")
    assert (found.low, found.high) == (low, high)
    scipy = stats.binomtest(successes, n).proportion_ci(0.9, method="wilson")
    assert (found.low, found.high) == pytest.approx((scipy.low, scipy.high), abs=1e-12)
    assert (found.value, found.n, found.n_unscored, found.level) == (successes / n, n, 2, 0.9)


def test_wilson_of_nothing_is_none_and_impossible_counts_are_errors() -> None:
    empty = wilson(0, 0, n_unscored=5)
    assert (empty.value, empty.low, empty.high, empty.n_unscored) == (None, None, None, 5)
    for successes, n in ((3, 2), (-1, 2)):
        with pytest.raises(OptionError, match="counts must fit"):
            wilson(successes, n)
    with pytest.raises(OptionError, match="level"):
        wilson(1, 2, level=95)


def test_mcnemar_equals_the_binomial_test() -> None:
    for b in range(9):
        for c in range(9):
            expected = stats.binomtest(b, b + c).pvalue if b + c else 1.0
            assert mcnemar_exact(b, c) == pytest.approx(expected, abs=1e-12)
    with pytest.raises(OptionError, match="0 or more"):
        mcnemar_exact(-1, 2)


def test_holm_equals_statsmodels_and_keeps_names() -> None:
    raw = {"CWE-79": 0.01, "CWE-22": 0.04, "CWE-89": 0.03, "CWE-77": 0.9}
    expected = multipletests(list(raw.values()), method="holm")[1]
    assert holm(raw) == dict(zip(raw, expected, strict=True))
    assert list(holm(raw)) == list(raw)
    assert holm({}) == {}
    with pytest.raises(OptionError, match="CWE-22"):
        holm({"CWE-22": float("nan")})


def test_whole_clusters_are_drawn() -> None:
    clusters = ["a", "b", "a", "c", "b"]
    weights = cluster_weights(clusters, seed=0, draws=50)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 1] == weights[:, 4]).all()
    assert (weights[:, 0] + weights[:, 1] + weights[:, 3] == 3).all()
    assert (weights == cluster_weights(clusters, seed=0, draws=50)).all()
    assert (weights != cluster_weights(clusters, seed=1, draws=50)).any()


def test_copies_of_a_row_inside_a_cluster_do_not_narrow_the_interval() -> None:
    values = np.random.default_rng(0).normal(size=30)
    single = cluster_bootstrap(values, np.arange(30), "mean", seed=1)
    double = cluster_bootstrap(np.repeat(values, 2), np.repeat(np.arange(30), 2), "mean", seed=1)
    alone = cluster_bootstrap(np.repeat(values, 2), np.arange(60), "mean", seed=1)
    assert (double.low, double.high) == pytest.approx((single.low, single.high))
    assert alone.high - alone.low < 0.8 * (single.high - single.low)  # type: ignore[operator]


def test_the_mean_agrees_with_the_interval_of_student_for_many_clusters() -> None:
    values = np.random.default_rng(0).normal(size=400)
    found = cluster_bootstrap(values, np.arange(400), "mean", seed=0, draws=5000)
    low, high = stats.t.interval(0.95, 399, values.mean(), stats.sem(values))
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.01)


def test_a_statistic_of_rows_equals_the_one_of_weights() -> None:
    values = np.random.default_rng(2).normal(size=20)
    clusters = np.repeat(np.arange(10), 2)
    mean = cluster_bootstrap(values, clusters, "mean", seed=3)
    rows = cluster_bootstrap(values, clusters, lambda drawn: float(drawn.mean()), seed=3)
    weighted = cluster_bootstrap(values, clusters, lambda v, w: (w @ v) / w.sum(axis=1), seed=3, statistic_on="weights")
    assert (rows.value, rows.low, rows.high) == pytest.approx((mean.value, mean.low, mean.high))
    assert (weighted.low, weighted.high) == (mean.low, mean.high)


def test_undefined_draws_are_dropped_and_too_many_give_no_interval() -> None:
    values = np.r_[np.ones(1), np.zeros(9)]

    def only_with_first(drawn: np.ndarray) -> float | None:
        return float(drawn.mean()) if drawn.sum() else None

    def only_with_many(drawn: np.ndarray) -> float | None:
        return float(drawn.mean()) if len(np.unique(drawn)) == 1 or (drawn.sum() == 1 and len(drawn) == 0) else None

    some = cluster_bootstrap(values, np.arange(10), only_with_first, seed=0, n_unscored=4)
    assert some.low is not None
    assert some.low >= 0.1
    assert some.n_unscored == 4
    most = cluster_bootstrap(np.r_[np.ones(9), [5.0]], np.arange(10), lambda d: 1.0 if (d == 5).sum() == 1 else None)
    assert most.value == 1.0
    assert (most.low, most.high) == (None, None)
    nothing = cluster_bootstrap(values, np.arange(10), only_with_many, seed=0)
    assert (nothing.value, nothing.low, nothing.high) == (None, None, None)


def test_one_cluster_or_no_row_has_no_interval() -> None:
    one = cluster_bootstrap([1.0, 2.0], ["a", "a"], "mean")
    assert (one.value, one.low, one.high) == (1.5, None, None)
    none = cluster_bootstrap([], [], "mean", n_unscored=3)
    assert (none.value, none.n, none.n_unscored) == (None, 0, 3)
    with pytest.raises(OptionError, match="one cluster per row"):
        cluster_bootstrap([1.0], ["a", "b"], "mean")


def test_a_paired_difference_sees_through_what_both_sides_share() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(size=40) * 10
    steered = shared + 0.5 + rng.normal(size=40) * 0.1
    found = paired_difference(shared, steered, clusters=np.repeat(np.arange(20), 2))
    assert found.value == pytest.approx(0.5, abs=0.1)
    assert found.low is not None
    assert found.low > 0.4
    back = paired_difference(steered, shared, clusters=np.repeat(np.arange(20), 2))
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low))  # type: ignore[operator]


def test_a_row_unscored_on_one_side_is_left_out_of_both() -> None:
    found = paired_difference([0, None, 1, 0], [1, 1, None, 1], clusters=["a", "b", "c", "d"])
    assert (found.value, found.n, found.n_unscored) == (1.0, 2, 2)
    with pytest.raises(OptionError, match="same rows"):
        paired_difference([0, 1], [0, 1, 1], clusters=["a", "b"])


def test_a_paired_difference_takes_a_statistic_of_rows_with_columns() -> None:
    before = np.array([[1.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    after = np.array([[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]])
    found = paired_difference(
        before, after, clusters=["a", "b", "c"], statistic=lambda rows: float((rows[:, 0] == rows[:, 1]).mean())
    )
    assert found.value == pytest.approx(2 / 3)


@pytest.mark.parametrize("n_folds", [2, 3, 5])
def test_folds_never_split_a_group_and_hold_every_row_once(n_folds: int) -> None:
    groups = np.repeat([f"g{i}" for i in range(24)], 2)
    strata = np.repeat([f"CWE-{i // 3}" for i in range(24)], 2)
    folds = grouped_folds(groups, strata, n_folds=n_folds, seed=0)
    assert sorted(np.concatenate(folds)) == list(range(48))
    for fold in folds:
        rest = np.setdiff1d(np.arange(48), fold)
        assert not set(groups[fold]) & set(groups[rest])
    again = grouped_folds(groups, strata, n_folds=n_folds, seed=0)
    assert all((a == b).all() for a, b in zip(folds, again, strict=True))
    sizes = [len(fold) for fold in folds]
    assert max(sizes) - min(sizes) <= 8


def test_three_folds_of_eight_cwes_with_three_pairs_hold_one_pair_of_each() -> None:
    groups = np.repeat(np.arange(24), 2)
    strata = np.repeat(np.arange(24) // 3, 2)
    for fold in grouped_folds(groups, strata, n_folds=3, seed=4):
        assert np.bincount(strata[fold], minlength=8).tolist() == [2] * 8


def test_folds_are_never_empty_and_rare_strata_are_no_error() -> None:
    rng = np.random.default_rng(0)
    for seed in range(200):
        n_groups = int(rng.integers(3, 12))
        groups = np.concatenate([np.full(rng.integers(1, 6), g) for g in range(n_groups)])
        strata = rng.integers(0, 5, size=len(groups))
        n_folds = int(rng.integers(2, n_groups + 1))
        folds = grouped_folds(groups, strata, n_folds=n_folds, seed=seed)
        assert all(len(fold) for fold in folds)
        assert sorted(np.concatenate(folds)) == list(range(len(groups)))
        for fold in folds:
            assert not set(groups[fold]) & set(groups[np.setdiff1d(np.arange(len(groups)), fold)])


def test_more_folds_than_groups_is_an_error_that_says_what_is_possible() -> None:
    with pytest.raises(OptionError, match=r"5 folds.*3 groups.*Choose 2\.\.3 folds"):
        grouped_folds(["a", "a", "b", "c"], ["x"] * 4, n_folds=5, seed=0)


def coverage(*, n_clusters: int, repeats: int, draws: int) -> float:
    """Share of simulated studies of correlated pairs whose 95 % interval holds the truth (0.65)."""
    rng = np.random.default_rng(n_clusters)
    clusters = np.repeat(np.arange(n_clusters), 2)
    held = 0
    for repeat in range(repeats):
        chance = np.clip(rng.beta(6.5, 3.5, size=n_clusters), 0, 1)
        values = (rng.random((n_clusters, 2)) < chance[:, None]).astype(float).ravel()
        found = cluster_bootstrap(values, clusters, "mean", seed=repeat, draws=draws)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.65 <= found.high
    return held / repeats


def test_the_interval_of_24_pairs_covers_about_as_often_as_it_says() -> None:
    found = coverage(n_clusters=24, repeats=300, draws=500)
    print(f"coverage at 24 clusters of 2: {found:.3f}")
    assert 0.90 <= found <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("n_clusters", [12, 24, 36, 48])
def test_intervals_cover_in_a_large_simulation(n_clusters: int) -> None:
    found = coverage(n_clusters=n_clusters, repeats=4000, draws=2000)
    print(f"coverage at {n_clusters} clusters of 2: {found:.4f}")
    assert 0.93 <= found <= 0.975
