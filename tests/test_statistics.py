"""Statistics: exact against the libraries, clusters respected, coverage measured."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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

NUMBERS = st.floats(-100, 100, allow_subnormal=False)
CLUSTERED = st.lists(st.tuples(NUMBERS, st.integers(0, 6)), min_size=2, max_size=30)
P_VALUES = st.dictionaries(st.text(min_size=1, max_size=3), st.floats(0, 1), max_size=12)


@given(successes=st.integers(0, 300), failures=st.integers(0, 300), level=st.floats(0.5, 0.999))
def test_wilson_holds_the_share_within_0_and_1_and_is_the_mirror_of_the_failures(
    successes: int, failures: int, level: float
) -> None:
    n = successes + failures
    if n == 0:
        return
    found, mirror = wilson(successes, n, level=level), wilson(failures, n, level=level)
    low, value, high = found.low, found.value, found.high
    assert low is not None and value is not None and high is not None
    assert 0 <= low <= value + 1e-12 and value <= high + 1e-12 and high <= 1
    assert mirror.low == pytest.approx(1 - high, abs=1e-9) and mirror.high == pytest.approx(1 - low, abs=1e-9)
    more = wilson(4 * successes, 4 * n, level=level)
    assert more.high - more.low < high - low  # type: ignore[operator]


@settings(max_examples=40)
@given(rows=CLUSTERED, scale=st.floats(0.1, 10), shift=NUMBERS)
def test_the_mean_of_clusters_follows_scale_and_shift_and_no_name(
    rows: list[tuple[float, int]], scale: float, shift: float
) -> None:
    values, clusters = np.array([value for value, _ in rows]), [cluster for _, cluster in rows]
    one = cluster_bootstrap(values, clusters, seed=1, draws=200)
    renamed = cluster_bootstrap(values, [f"name of {cluster}" for cluster in clusters], seed=1, draws=200)
    assert one == renamed
    moved = cluster_bootstrap(scale * values + shift, clusters, seed=1, draws=200)
    if one.low is None:
        assert moved.low is None and len(set(clusters)) == 1
        return
    expected = [scale * number + shift for number in (one.value, one.low, one.high)]  # type: ignore[operator]
    assert [moved.value, moved.low, moved.high] == pytest.approx(expected, abs=1e-6)


@settings(max_examples=40)
@given(rows=st.lists(st.tuples(NUMBERS, NUMBERS, st.integers(0, 6)), min_size=2, max_size=30))
def test_a_paired_difference_is_minus_that_of_the_swapped_sides(rows: list[tuple[float, float, int]]) -> None:
    before, after, clusters = zip(*rows, strict=True)
    there = paired_difference(before, after, clusters=clusters, seed=2, draws=200)
    back = paired_difference(after, before, clusters=clusters, seed=2, draws=200)
    assert there.value == pytest.approx(-back.value, abs=1e-9)  # type: ignore[operator]
    if there.low is not None:
        assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=1e-6)  # type: ignore[operator]
    none = paired_difference(before, before, clusters=clusters, seed=2, draws=200)
    assert none.value == 0 and none.low in (0.0, None)


@given(b=st.integers(0, 60), c=st.integers(0, 60))
def test_mcnemar_does_not_know_which_side_is_which(b: int, c: int) -> None:
    assert mcnemar_exact(b, c) == mcnemar_exact(c, b)
    assert 0 < mcnemar_exact(b, c) <= 1
    if b > c:
        assert mcnemar_exact(b + 1, c) <= mcnemar_exact(b, c) + 1e-12


@given(raw=P_VALUES)
def test_holm_only_raises_and_keeps_the_order(raw: dict[str, float]) -> None:
    adjusted = holm(raw)
    assert set(adjusted) == set(raw)
    assert all(raw[name] <= p + 1e-12 and p <= min(1.0, len(raw) * raw[name] + 1e-12) for name, p in adjusted.items())
    order = sorted(raw, key=lambda name: raw[name])
    assert all(adjusted[a] <= adjusted[b] + 1e-12 for a, b in itertools.pairwise(order))


@pytest.mark.parametrize("n", [12, 30, 100])
def test_the_interval_is_that_of_scipy_widened_for_few_clusters(n: int) -> None:
    values = np.random.default_rng(n).normal(size=n)
    ours = cluster_bootstrap(values, np.arange(n), draws=20_000, seed=0)
    scipy = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", vectorized=True, random_state=0
    ).confidence_interval
    wider = stats.t.ppf(0.975, n - 1) * np.sqrt(n / (n - 1)) / stats.norm.ppf(0.975)
    assert ours.low is not None and ours.high is not None
    assert (ours.high - ours.low) / (scipy.high - scipy.low) == pytest.approx(wider, rel=0.04)


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


def test_the_interval_of_24_pairs_covers_about_as_often_as_it_says() -> None:
    found = studies().coverage("share of programs, both of a pair alike (bootstrap over pairs)", 24, repeats=300)
    print(f"coverage at 24 pairs: {found:.3f}")
    assert 0.90 <= found <= 0.99


def studies():
    """tools/coverage.py, which draws studies of known truth."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
    try:
        import coverage_of_intervals
    finally:
        sys.path.pop(0)
    return coverage_of_intervals


@pytest.mark.slow
def test_intervals_cover_and_tests_keep_their_rate_in_a_large_simulation() -> None:
    """The bounds are those of docs/explanation/intervals.md, give or take two standard errors of the simulation."""
    tool = studies()
    for row in tool.table(repeats=500, sizes=(12, 24, 48, 96)):
        print(row.name, row.rates)
        for n, rate in row.rates.items():
            low, high = tool.BOUNDS.get((row.name, n), row.wanted)
            assert low - 0.02 <= rate <= high + 0.02, (row.name, n, rate)
