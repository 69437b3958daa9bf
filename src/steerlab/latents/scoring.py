"""How well one latent, or one probe, predicts the outcome of problems: AUROC and F1 with intervals, also by group."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from steerlab.errors import DataError, OptionError, nearest
from steerlab.statistics import Estimate, cluster_bootstrap

Predicts = Literal["correct", "incorrect"]


@dataclass(frozen=True, kw_only=True)
class PredictionScore:
    """AUROC and F1 of a prediction, with intervals by a bootstrap over problems, and the threshold of the F1.

    The predicted class is that of `predicts`; `share_predicted` is how often its prediction was made.
    """

    predicts: Predicts
    threshold: float
    auroc: Estimate
    f1: Estimate
    share_predicted: Estimate


def auroc(values: Float[np.ndarray, " row"], positive: Bool[np.ndarray, " row"]) -> float:
    """Chance that a positive row has a larger value than another row, half for ties; NaN without both classes."""
    drawn = _auroc(np.stack([values, positive], axis=1), np.ones((1, len(values)), dtype=np.int64))
    return float(drawn[0])


def choose_f1_threshold(values: Sequence[float] | Any, passed: Sequence[bool | None], *, predicts: Predicts) -> float:
    """The threshold with the best F1 on these (tuning) problems: "value above it" predicts the class.

    Among equals the highest: it predicts least. Thresholds lie between neighbouring values; where the
    least is 0, an inactive latent, 0 is one. Raises: DataError when no scored problem is of the class; OptionError.
    """
    rows = _rows(values, passed, predicts=predicts)
    if not (rows[:, 1] == 1).any():
        raise DataError(f"no scored problem is {predicts}: no threshold can be chosen.")
    seen = np.unique(rows[:, 0])
    cuts = np.concatenate([[seen[0] - 1.0], (seen[:-1] + seen[1:]) / 2])
    if seen[0] == 0 and len(seen) > 1:
        cuts[1] = 0.0  # an inactive latent is exactly 0: whatever is above it is active
    ones = np.ones((1, len(rows)), dtype=np.int64)
    scores = [float(_f1(cut)(rows, ones)[0]) for cut in cuts]
    return float(max(zip(scores, cuts, strict=True))[1])


def score_prediction(
    values: Sequence[float] | Any,
    passed: Sequence[bool | None],
    *,
    threshold: float,
    predicts: Predicts,
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> PredictionScore:
    """AUROC and F1 on problems that did not choose the latent or the threshold.

    `values` are a latent's activations, or projections on a probe (turned round for an incorrect-predicting one: larger
    always means the class of `predicts`). Unscored problems (None) are counted in n_unscored. `clusters` names the
    problem of each row where a problem has several (temperatures, samples). Values are None where a class is missing.
    Raises: DataError when the lengths differ; OptionError.
    """
    rows = _rows(values, passed, predicts=predicts)
    names: Sequence[Hashable] = range(len(passed)) if clusters is None else clusters
    if len(names) != len(passed):
        raise DataError(f"{len(names)} clusters for {len(passed)} problems: give one per row.")
    own = [name for name, outcome in zip(names, passed, strict=True) if outcome is not None]
    settings: dict[str, Any] = {
        "level": level,
        "seed": seed,
        "statistic_on": "weights",
        "n_unscored": len(passed) - len(rows),
    }
    return PredictionScore(
        predicts=predicts,
        threshold=threshold,
        auroc=cluster_bootstrap(rows, own, _auroc, **settings),
        f1=cluster_bootstrap(rows, own, _f1(threshold), **settings),
        share_predicted=cluster_bootstrap((rows[:, 0] > threshold).astype(np.float64), own, "mean", **_plain(settings)),
    )


def score_by_group(
    values: Sequence[float] | Any,
    passed: Sequence[bool | None],
    groups: Sequence[str],
    *,
    threshold: float,
    predicts: Predicts,
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Mapping[str, PredictionScore]:
    """`score_prediction` within each group, sorted: complexity bands, or temperatures. One threshold for all."""
    if len(groups) != len(passed):
        raise DataError(f"{len(groups)} groups for {len(passed)} problems: give one per row.")
    given = np.asarray(values, dtype=np.float64)
    found = {}
    for group in sorted(set(groups)):
        own = [i for i, name in enumerate(groups) if name == group]
        found[group] = score_prediction(
            given[own],
            [passed[i] for i in own],
            threshold=threshold,
            predicts=predicts,
            clusters=None if clusters is None else [clusters[i] for i in own],
            level=level,
            seed=seed,
        )
    return found


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key != "statistic_on"}


def _rows(values: Any, passed: Sequence[bool | None], *, predicts: Predicts) -> NDArray[np.float64]:
    """[scored problem, (value, is of the class)]."""
    if predicts not in get_args(Predicts):
        raise OptionError(f"predicts {predicts!r} does not exist. {nearest(predicts, get_args(Predicts))}")
    given = np.asarray(values, dtype=np.float64).ravel()
    if len(given) != len(passed):
        raise DataError(f"{len(given)} values for {len(passed)} outcomes: give one per problem.")
    rows = [
        (value, float(outcome == (predicts == "correct")))
        for value, outcome in zip(given, passed, strict=True)
        if outcome is not None
    ]
    return np.asarray(rows, dtype=np.float64).reshape(-1, 2)


def _auroc(rows: NDArray[np.float64], weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """AUROC of each draw; rows [row, (value, is positive)], weights [draw, row]. Ties count half."""
    seen, place = np.unique(rows[:, 0], return_inverse=True)
    sums = np.zeros((2, len(weights), len(seen)))
    for side in (0, 1):
        own = rows[:, 1] == side
        np.add.at(sums[side].T, place[own], weights[:, own].T)
    below = np.cumsum(sums[0], axis=1) - sums[0]
    wins = (sums[1] * (below + 0.5 * sums[0])).sum(axis=1)
    return _share(wins, sums[0].sum(axis=1) * sums[1].sum(axis=1))


def _f1(threshold: float) -> Any:
    """F1 of "value above `threshold`" for the positive rows; NaN in draws without a positive row."""

    def statistic(rows: NDArray[np.float64], weights: NDArray[np.int64]) -> NDArray[np.float64]:
        said, is_so = (rows[:, 0] > threshold).astype(np.float64), rows[:, 1]
        hits = weights @ (said * is_so)
        f1 = _share(2 * hits, weights @ said + weights @ is_so)
        return np.asarray(np.where(weights @ is_so > 0, f1, np.nan))

    return statistic


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0))
