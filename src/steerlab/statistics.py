"""Estimates with intervals: Wilson, cluster bootstrap, paired differences, McNemar, Holm, grouped folds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steerlab.errors import OptionError

Array = NDArray[Any]
RowStatistic = Callable[[Array], float | None]
WeightStatistic = Callable[[Array, Array], Array]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its interval.

    `value`, `low`, `high` are None where nothing could be scored. `n` counts what was scored,
    `n_unscored` what was not; `method` says how the interval was made ("wilson", "cluster bootstrap").
    """

    value: float | None
    low: float | None
    high: float | None
    level: float
    n: int
    n_unscored: int
    method: str


def wilson(successes: int, n: int, *, n_unscored: int = 0, level: float = 0.95) -> Estimate:
    """The share `successes` / `n` with its Wilson score interval; the trials must be independent.

    All None where `n` is 0. Source: statsmodels `proportion_confint(method="wilson")`.
    Raises: OptionError when the counts or the level are impossible.
    """
    from statsmodels.stats.proportion import proportion_confint

    _check_level(level)
    if not 0 <= successes <= n or n_unscored < 0:
        raise OptionError(f"{successes} successes of {n} with {n_unscored} unscored: counts must fit.")
    if n == 0:
        return Estimate(value=None, low=None, high=None, level=level, n=0, n_unscored=n_unscored, method="wilson")
    low, high = proportion_confint(successes, n, alpha=1 - level, method="wilson")
    return Estimate(
        value=successes / n,
        low=float(low),
        high=float(high),
        level=level,
        n=n,
        n_unscored=n_unscored,
        method="wilson",
    )


def cluster_weights(clusters: Sequence[Hashable] | Array, *, seed: int, draws: int = 2000) -> Array:
    """How often each row occurs in each bootstrap draw: int64, [draw, row].

    Whole clusters are drawn with replacement, as many as there are; so all rows of a cluster carry the
    same number. The same clusters, seed and draws give the same array.
    Raises: OptionError when there is no row or no draw.
    """
    index, n_clusters = _cluster_index(clusters)
    if n_clusters == 0 or draws < 1:
        raise OptionError(f"{n_clusters} clusters and {draws} draws: a bootstrap needs at least one of each.")
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(n_clusters, np.full(n_clusters, 1 / n_clusters), size=draws)
    return np.asarray(counts[:, index], dtype=np.int64)


def cluster_bootstrap(
    values_by_row: ArrayLike,
    clusters: Sequence[Hashable] | Array,
    statistic: Literal["mean"] | RowStatistic | WeightStatistic = "mean",
    *,
    level: float = 0.95,
    seed: int = 0,
    draws: int = 2000,
    n_unscored: int = 0,
    statistic_on: Literal["rows", "weights"] = "rows",
) -> Estimate:
    """A statistic of rows with an interval that respects that rows of one cluster belong together.

    `values_by_row` has one entry per row, [row] or [row, column]; pass scored rows only and say in
    `n_unscored` how many were left out. `statistic` is "mean", or a function: of the drawn rows
    (`statistic_on="rows"`: values -> float, None or NaN where undefined), or, much faster, of all
    draws at once ("weights": values, weights [draw, row] -> [draw], NaN where undefined).
    Draws in which it is undefined are dropped; `low` and `high` are None when more than half are, and
    when there are fewer than two clusters. The percentiles are moved outward for the small number of
    clusters (Student's t instead of normal, n instead of n - 1), without which 24 clusters cover too
    little. A statistic that is equal in all draws has an interval of width 0: that says that the
    clusters do not differ, not that the number is certain.
    Source: expanded percentile interval, Hesterberg, arXiv:1411.5279, section 3.2.
    Raises: OptionError when the lengths differ or the level is impossible.
    """
    _check_level(level)
    values = np.asarray(values_by_row)
    method = "cluster bootstrap"
    if len(values) != len(clusters):
        raise OptionError(f"{len(values)} rows but {len(clusters)} clusters: give one cluster per row.")
    if len(values) == 0:
        return Estimate(value=None, low=None, high=None, level=level, n=0, n_unscored=n_unscored, method=method)
    on_weights = _on_weights(statistic, statistic_on)
    value = float(on_weights(values, np.ones((1, len(values)), dtype=np.int64))[0])
    n_clusters = _cluster_index(clusters)[1]
    low = high = None
    if n_clusters > 1:
        drawn = on_weights(values, cluster_weights(clusters, seed=seed, draws=draws))
        low, high = _interval(np.asarray(drawn, dtype=np.float64), level=level, n_clusters=n_clusters)
    if not math.isfinite(value):
        return Estimate(
            value=None,
            low=None,
            high=None,
            level=level,
            n=len(values),
            n_unscored=n_unscored,
            method=method,
        )
    return Estimate(value=value, low=low, high=high, level=level, n=len(values), n_unscored=n_unscored, method=method)


def paired_difference(
    baseline: ArrayLike,
    steered: ArrayLike,
    *,
    clusters: Sequence[Hashable] | Array,
    level: float = 0.95,
    seed: int = 0,
    statistic: Literal["mean"] | RowStatistic | WeightStatistic = "mean",
    draws: int = 2000,
    statistic_on: Literal["rows", "weights"] = "rows",
) -> Estimate:
    """Statistic of `steered` minus statistic of `baseline`, on the same rows, with a cluster bootstrap.

    Row i of both is the same program (or task and seed), [row] or [row, column]. A row with a NaN (or
    None) on either side is left out of both and counted in `n_unscored`. Both sides see the same draws.
    Raises: OptionError when the shapes or lengths differ.
    """
    before, after = _as_floats(baseline), _as_floats(steered)
    if before.shape != after.shape or len(before) != len(clusters):
        raise OptionError(
            f"baseline has shape {before.shape}, steered {after.shape}, clusters {len(clusters)}: "
            "a paired difference needs the same rows on both sides."
        )
    both = np.stack([before, after], axis=1)
    scored = np.isfinite(both.reshape(len(both), -1)).all(axis=1)
    one_side = _on_weights(statistic, statistic_on)

    def difference(values: Array, weights: Array) -> Array:
        return one_side(values[:, 1], weights) - one_side(values[:, 0], weights)

    index = _cluster_index(clusters)[0]
    return cluster_bootstrap(
        both[scored],
        index[scored],
        difference,
        level=level,
        seed=seed,
        draws=draws,
        n_unscored=int((~scored).sum()),
        statistic_on="weights",
    )


def mcnemar_exact(b: int, c: int) -> float:
    """Two-sided exact McNemar p from the two discordant counts (right only before, right only after).

    1.0 where both are 0. Rows are taken as independent: with several rows a group it is optimistic.
    Source: statsmodels `mcnemar(exact=True)`.
    Raises: OptionError when a count is negative.
    """
    from statsmodels.stats.contingency_tables import mcnemar

    if b < 0 or c < 0:
        raise OptionError(f"discordant counts {b} and {c}: counts are 0 or more.")
    if b + c == 0:
        return 1.0
    return float(mcnemar([[0, b], [c, 0]], exact=True).pvalue)


def holm(pvalues: Mapping[str, float]) -> Mapping[str, float]:
    """The p-values adjusted for their number by Holm's method, under the same names and in the same order.

    Source: statsmodels `multipletests(method="holm")`.
    Raises: OptionError when a p-value is not within 0..1.
    """
    from statsmodels.stats.multitest import multipletests

    for name, p in pvalues.items():
        if not 0 <= p <= 1:
            raise OptionError(f"p-value of {name} is {p}: it must be within 0..1.")
    if not pvalues:
        return {}
    adjusted = multipletests(list(pvalues.values()), method="holm")[1]
    return {name: float(p) for name, p in zip(pvalues, adjusted, strict=True)}


def grouped_folds(
    groups: Sequence[Hashable] | Array, strata: Sequence[Hashable] | Array, *, n_folds: int, seed: int
) -> list[Array]:
    """The test rows of each fold (int64 indices, ascending); every row is in exactly one fold.

    Rows of one group are never split. The strata (say, the CWEs) are spread over the folds as evenly as
    the groups allow; strata with fewer rows than folds are spread as if they were one. The same
    arguments give the same folds. Source: scikit-learn `StratifiedGroupKFold`.
    Raises: OptionError when there are fewer groups than folds, fewer than 2 folds, or unequal lengths.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    if len(groups) != len(strata):
        raise OptionError(f"{len(groups)} groups but {len(strata)} strata: give one of each per row.")
    index, n_groups = _cluster_index(groups)
    if n_folds < 2 or n_groups < n_folds:
        possible = f"Choose 2..{n_groups} folds." if n_groups >= 2 else "More pairs are needed."
        raise OptionError(f"{n_folds} folds are not possible with {n_groups} groups of programs. {possible}")
    sizes = Counter(strata)
    names = [stratum if sizes[stratum] >= n_folds else None for stratum in strata]
    rare = sum(name is None for name in names)
    if 0 < rare < n_folds:  # too few even together: they go with the largest stratum
        largest = max(sizes, key=lambda stratum: sizes[stratum])
        names = [largest if name is None else name for name in names]
    splitter = StratifiedGroupKFold(n_splits=n_folds, shuffle=True, random_state=seed)
    split = splitter.split(np.zeros(len(index)), _cluster_index(names)[0], index)
    return _without_empty([np.sort(test) for _, test in split], index)


def _without_empty(folds: list[Array], index: Array) -> list[Array]:
    """Give each empty fold the last group of the fold that has most groups (scikit-learn 1.9 leaves some)."""
    while any(len(fold) == 0 for fold in folds):
        empty = next(i for i, fold in enumerate(folds) if len(fold) == 0)
        giver = max(range(len(folds)), key=lambda i: len(np.unique(index[folds[i]])))
        given = index[folds[giver]] == index[folds[giver]].max()
        folds[empty], folds[giver] = folds[giver][given], folds[giver][~given]
    return folds


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise OptionError(f"level {level} is not possible: choose one between 0 and 1, such as 0.95.")


def _as_floats(values: ArrayLike) -> Array:
    """Float64 with NaN for None."""
    return np.asarray(values, dtype=np.float64)


def _cluster_index(clusters: Sequence[Hashable] | Array) -> tuple[Array, int]:
    """Clusters as 0, 1, 2, ... in order of first occurrence, and how many there are."""
    names: dict[Hashable, int] = {}
    index = [names.setdefault(cluster, len(names)) for cluster in clusters]
    return np.asarray(index, dtype=np.int64), len(names)


def _mean(values: Array, weights: Array) -> Array:
    with np.errstate(invalid="ignore"):
        return np.asarray((weights @ values.astype(np.float64)) / weights.sum(axis=1))


def _on_weights(
    statistic: Literal["mean"] | RowStatistic | WeightStatistic, statistic_on: Literal["rows", "weights"]
) -> WeightStatistic:
    if statistic == "mean":
        return _mean
    if isinstance(statistic, str):
        raise OptionError(f"statistic {statistic!r} is not known: give 'mean' or a function.")
    if statistic_on == "weights":
        return statistic  # type: ignore[return-value]

    def by_draw(values: Array, weights: Array) -> Array:
        results = [statistic(values[np.repeat(np.arange(len(values)), draw)]) for draw in weights]  # type: ignore[call-arg]
        return np.asarray([math.nan if result is None else result for result in results], dtype=np.float64)

    return by_draw


def _interval(drawn: Array, *, level: float, n_clusters: int) -> tuple[float | None, float | None]:
    """Expanded percentile interval; None when more than half of the draws are undefined."""
    from scipy import stats

    defined = drawn[np.isfinite(drawn)]
    if 2 * len(defined) < len(drawn):
        return None, None
    t = stats.t.ppf((1 + level) / 2, df=n_clusters - 1)
    tail = float(stats.norm.sf(t * math.sqrt(n_clusters / (n_clusters - 1))))
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)
