"""Which latents tell passing from failing problems: separation, Welch's t with Benjamini-Hochberg, AUROC."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike, NDArray

from steerlab.errors import DataError, OptionError, nearest
from steerlab.latents.scoring import auroc

Order = Literal["separation", "t"]

TOP = 20
GENERAL_LIMIT = 0.02  # share of tokens of ordinary text; that of arXiv:2510.02917
VALUES_AT_ONCE = 1 << 22


@dataclass(frozen=True, kw_only=True)
class LatentRow:
    """One latent on the scored problems, passing minus failing.

    `separation`: frequency among passing minus frequency among failing problems. `t`, `p`: Welch's test of the
    activations, two-sided; `p_adjusted`: Benjamini-Hochberg over all tested latents. `auroc`: of the activation,
    larger is passing. `general_frequency`: share of tokens of ordinary text, None where it was not given.
    """

    latent: int
    separation: float
    t: float
    p: float
    p_adjusted: float
    frequency_passing: float
    frequency_failing: float
    mean_passing: float
    mean_failing: float
    auroc: float
    general_frequency: float | None


@dataclass(frozen=True, kw_only=True)
class LatentRanking:
    """The best latents of both directions, best first; at most `top` each, none without a separation (or a t).

    `correct` are more active on problems that pass, `incorrect` on those that fail. `n_general` latents were left out
    as general language, `n_silent` because they are active on no scored problem; `n_tested` are the rest.
    """

    correct: tuple[LatentRow, ...]
    incorrect: tuple[LatentRow, ...]
    n_passing: int
    n_failing: int
    n_unscored: int
    n_tested: int
    n_general: int
    n_silent: int
    order: Order


def rank_latents(
    activations: Any,
    passed: Sequence[bool | None],
    *,
    general_frequency: Float[np.ndarray, " latent"] | None = None,
    general_limit: float = GENERAL_LIMIT,
    top: int = TOP,
    order: Order = "separation",
) -> LatentRanking:
    """Rank latents by how well they tell passing from failing problems.

    `activations` [problem, latent] is an array or tensor of any floating type, read some latents at a time; `passed`
    has None for a problem that could not be scored, which counts in no class. Latents active on more than
    `general_limit` of the tokens of ordinary text are left out. Ties in the order go to the other measure.
    Raises: DataError when no scored problem passed or none failed, or the lengths differ; OptionError.
    """
    if order not in get_args(Order):
        raise OptionError(f"order {order!r} does not exist. {nearest(order, get_args(Order))}")
    if len(activations) != len(passed):
        raise DataError(f"activations of {len(activations)} problems for {len(passed)} outcomes: give one per problem.")
    scored, passing = _classes(passed)
    n_latents = int(activations.shape[1])
    if general_frequency is not None and len(general_frequency) != n_latents:
        raise DataError(f"{len(general_frequency)} general frequencies for {n_latents} latents: give one per latent.")
    table = _statistics(activations, scored, passing)
    general = np.zeros(n_latents, bool) if general_frequency is None else general_frequency > general_limit
    silent = ~general & (table["frequency_passing"] + table["frequency_failing"] == 0)
    tested = np.flatnonzero(~general & ~silent)
    table["p_adjusted"] = _adjusted(table["p"], tested)

    def row(latent: int) -> LatentRow:
        return LatentRow(
            latent=latent,
            **{key: float(values[latent]) for key, values in table.items()},
            auroc=auroc(columns(activations, scored, latent), passing),
            general_frequency=None if general_frequency is None else float(general_frequency[latent]),
        )

    def best(sign: int) -> tuple[LatentRow, ...]:
        first, second = (sign * table[key] for key in ("separation", "t")[:: 1 if order == "separation" else -1])
        ranked = sorted((i for i in tested if first[i] > 0), key=lambda i: (-first[i], -second[i], i))[:top]
        return tuple(row(int(i)) for i in ranked)

    return LatentRanking(
        correct=best(1),
        incorrect=best(-1),
        n_passing=int(passing.sum()),
        n_failing=int((~passing).sum()),
        n_unscored=len(passed) - len(passing),
        n_tested=len(tested),
        n_general=int(general.sum()),
        n_silent=int(silent.sum()),
        order=order,
    )


def _classes(passed: Sequence[bool | None]) -> tuple[NDArray[np.int64], Bool[np.ndarray, " scored"]]:
    """Which problems were scored, and which of these passed."""
    scored = np.asarray([i for i, outcome in enumerate(passed) if outcome is not None], dtype=np.int64)
    passing = np.asarray([bool(passed[i]) for i in scored], dtype=bool)
    if passing.all() or not passing.any():
        raise DataError(
            f"{int(passing.sum())} problems passed and {int((~passing).sum())} failed ({len(passed) - len(scored)} "
            "unscored): latents can only be ranked with some of both."
        )
    return scored, passing


def columns(activations: Any, scored: NDArray[np.int64], at: slice | int) -> NDArray[np.float64]:
    """The scored rows of some latents, in float64."""
    part = activations[:, at]
    if hasattr(part, "detach"):  # a torch tensor, which numpy can't read in bfloat16
        part = part.detach().cpu().float().numpy()
    return np.asarray(part, dtype=np.float64)[scored]


def _parts(n_latents: int, n_problems: int) -> Iterator[slice]:
    step = max(1, VALUES_AT_ONCE // max(1, n_problems))
    for start in range(0, n_latents, step):
        yield slice(start, start + step)


def _statistics(
    activations: Any, scored: NDArray[np.int64], passing: Bool[np.ndarray, " scored"]
) -> dict[str, NDArray[np.float64]]:
    """Per latent: frequencies, means, separation, t and p; some latents at a time."""
    found: dict[str, list[NDArray[np.float64]]] = {}
    for part in _parts(int(activations.shape[1]), len(activations)):
        values = columns(activations, scored, part)
        if not np.isfinite(values).all():
            raise DataError("an activation is NaN or infinite: were the residuals read in float16?")
        sides = {"passing": values[passing], "failing": values[~passing]}
        own = {f"frequency_{side}": (rows > 0).mean(axis=0) for side, rows in sides.items()}
        own |= {f"mean_{side}": rows.mean(axis=0) for side, rows in sides.items()}
        own["separation"] = own["frequency_passing"] - own["frequency_failing"]
        own["t"], own["p"] = _welch(sides["passing"], sides["failing"])
        for key, value in own.items():
            found.setdefault(key, []).append(value)
    return {key: np.concatenate(parts) for key, parts in found.items()}


def _welch(
    passing: Float[np.ndarray, "passing latent"], failing: Float[np.ndarray, "failing latent"]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Welch's t and its two-sided p by latent; t 0 and p 1 where a class has one problem or nothing varies."""
    from scipy.stats import t as student

    n = [len(side) for side in (passing, failing)]
    if min(n) < 2:
        return np.zeros(passing.shape[1]), np.ones(passing.shape[1])
    errors = [side.var(axis=0, ddof=1) / len(side) for side in (passing, failing)]
    total = errors[0] + errors[1]
    varies = total > 0
    safe = np.where(varies, total, 1.0)
    t = np.where(varies, (passing.mean(axis=0) - failing.mean(axis=0)) / np.sqrt(safe), 0.0)
    below = errors[0] ** 2 / (n[0] - 1) + errors[1] ** 2 / (n[1] - 1)
    freedom = np.where(varies, safe**2 / np.where(below > 0, below, 1.0), 1.0)
    return t, np.where(varies, 2 * student.sf(np.abs(t), freedom), 1.0)


def _adjusted(p: ArrayLike, tested: NDArray[np.int64]) -> NDArray[np.float64]:
    """Benjamini-Hochberg over the tested latents; 1 for the others."""
    from statsmodels.stats.multitest import multipletests

    values = np.asarray(p, dtype=np.float64)
    adjusted = np.ones(len(values))
    if len(tested):
        adjusted[tested] = multipletests(values[tested], method="fdr_bh")[1]
    return adjusted
