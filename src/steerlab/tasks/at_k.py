"""pass@k and its like: the chance that one of k completions is right, estimated without bias from n of them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from math import comb, nan

import numpy as np

from steerlab.errors import OptionError
from steerlab.statistics import Estimate, cluster_bootstrap


def at_k(n: int, c: int, k: int) -> float:
    """The chance that at least one of `k` completions, drawn from `n` of which `c` are right, is right.

    1 - C(n - c, k) / C(n, k): unbiased for k samples of the model. NaN where k is more than n.
    Source: arXiv:2107.03374, equation 1.
    Raises: OptionError when the counts are impossible.
    """
    if not 0 <= c <= n or k < 1:
        raise OptionError(f"{c} of {n} completions right, k {k}: counts must fit and k be at least 1.")
    return nan if k > n else 1.0 - comb(n - c, k) / comb(n, k)


def at_k_estimate(
    outcomes: Mapping[Hashable, Sequence[float | None] | list[float]],
    k: int,
    *,
    clusters: Mapping[Hashable, Hashable],
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """The mean of `at_k` over tasks, with an interval over the clusters of tasks.

    `outcomes` has for each task 1.0, 0.0 or, unscored, None or NaN per completion. A task with fewer than `k` scored
    completions is unscored.
    """
    values: dict[Hashable, float] = {}
    for task, found in outcomes.items():
        scored = [float(value) for value in found if value is not None and np.isfinite(value)]
        if len(scored) >= k:
            values[task] = at_k(len(scored), round(sum(scored)), k)
    return cluster_bootstrap(
        list(values.values()),
        [clusters[task] for task in values],
        level=level,
        seed=seed,
        n_unscored=len(outcomes) - len(values),
    )
