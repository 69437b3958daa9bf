"""pass@k without bias, against brute force; quality of completions."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steerlab.errors import OptionError
from steerlab.statistics import wilson
from steerlab.tasks.at_k import at_k, at_k_estimate, share_estimate
from steerlab.tasks.quality import cyclomatic_complexity, repetition


@given(st.integers(1, 7).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_at_k_is_the_share_of_draws_of_k_that_hold_a_right_one(counts: tuple[int, int, int]) -> None:
    n, c, k = counts
    draws = list(itertools.combinations([1] * c + [0] * (n - c), k))
    assert at_k(n, c, k) == pytest.approx(sum(any(draw) for draw in draws) / len(draws))


def test_at_k_needs_k_samples_and_counts_that_fit() -> None:
    assert math.isnan(at_k(2, 1, 3))
    assert at_k(1, 1, 1) == 1.0 and at_k(1, 0, 1) == 0.0
    for n, c, k in ((2, 3, 1), (2, -1, 1), (2, 1, 0)):
        with pytest.raises(OptionError, match="counts must fit"):
            at_k(n, c, k)


def test_tasks_with_too_few_scored_samples_are_unscored() -> None:
    outcomes = {"a": [1.0, 0.0, 0.0], "b": [0.0, None, math.nan], "c": [1.0, 1.0, 0.0]}
    clusters = {task: task for task in outcomes}
    estimate = at_k_estimate(outcomes, 2, clusters=clusters)  # type: ignore[arg-type]
    assert (estimate.n, estimate.n_unscored) == (2, 1)
    assert estimate.value == pytest.approx((at_k(3, 1, 2) + at_k(3, 2, 2)) / 2)
    nothing = at_k_estimate({"b": [None]}, 1, clusters={"b": "b"})
    assert (nothing.value, nothing.n, nothing.n_unscored) == (None, 0, 1)


def test_a_share_that_is_0_everywhere_is_not_certainly_0() -> None:
    none = share_estimate([0.0] * 20, [i // 2 for i in range(20)], n_unscored=3)
    assert (none.value, none.low, none.n, none.n_unscored) == (0.0, 0.0, 20, 3)
    assert none.high == pytest.approx(wilson(0, 10).high) and none.method == "wilson over clusters"
    every = at_k_estimate({"a": [1.0], "b": [1.0]}, 1, clusters={"a": "a", "b": "b"})
    assert every.value == every.high == 1.0 and every.low < 1.0  # type: ignore[operator]
    assert share_estimate([0.0, 1.0], ["a", "b"], n_unscored=0).method == "cluster bootstrap"


def test_complexity_is_that_of_the_function_in_question() -> None:
    program = (
        "class A:\n    def f(self, x):\n        if x and x > 1:\n            return 1\n        return 2\n"
        "def g():\n    pass\n"
    )
    assert cyclomatic_complexity(program, "python", entry="A.f") == 3.0
    assert cyclomatic_complexity(program, "python", entry="g") == 1.0
    assert cyclomatic_complexity(program, "python", entry="") == 3.0
    assert cyclomatic_complexity("def f(:", "python", entry="f") is None
    assert cyclomatic_complexity("int f(void) { return 1; }", "c", entry="f") is None


def test_repetition_counts_runs_that_stood_there_before() -> None:
    assert repetition("a b c d") == 0.0
    assert repetition("a b c") is None
    assert repetition("x = 1;" * 10) > 0.8  # type: ignore[operator]
