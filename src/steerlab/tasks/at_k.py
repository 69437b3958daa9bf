"""pass@k and its like: the chance that one of k completions is right, estimated without bias from n of them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from math import comb, nan

import numpy as np

from steerlab.errors import OptionError
from steerlab.statistics import Estimate, cluster_bootstrap, wilson


def at_k(n: int, c: int, k: int) -> float:
    """The chance that at least one of `k` completions, drawn from `n` of which `c` are right, is right.

    1 - C(n - c, k) / C(n, k): unbiased for k samples of the model. NaN where k is more than n.
    Source: arXiv:2107.03374, equation 1.
    Raises: OptionError when the counts are impossible.
    """
    if not 0 <= c <= n or k < 1:
        raise OptionError(f"{c} of {n} completions right, k {k}: counts must fit and k be at least 1.")
    return nan if k > n else 1.0 - comb(n - c, k) / comb(n, k)


def share_estimate(
    values: Sequence[float],
    clusters: Sequence[Hashable],
    *,
    n_unscored: int,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """The mean of shares within 0..1 with an interval over clusters.

    Where all are 0, or all are 1, no cluster differs from another and a bootstrap has no width: the interval is then
    Wilson's for the number of clusters.
    """
    if len(values) and set(values) in ({0.0}, {1.0}):
        n_clusters = len(set(clusters))
        found = wilson(int(values[0]) * n_clusters, n_clusters, level=level)
        return replace(found, n=len(values), n_unscored=n_unscored, method="wilson over clusters")
    return cluster_bootstrap(list(values), list(clusters), level=level, seed=seed, n_unscored=n_unscored)


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
    return share_estimate(
        list(values.values()),
        [clusters[task] for task in values],
        level=level,
        seed=seed,
        n_unscored=len(outcomes) - len(values),
    )
