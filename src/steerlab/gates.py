"""Gates: steer a row only where the residual of its last prompt token fires a condition."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from steerlab.errors import DataError, InterventionError, ZeroDirectionError, nearest
from steerlab.positions import PositionTracker
from steerlab.vectors import MINIMAL_NORM, SteeringVector

Comparison = Literal["above", "below"]
Rule = Literal["midpoint", "balanced_accuracy"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Gate:
    """Fires on a row whose last prompt token's residual at `layer` projects beyond `threshold` on the condition.

    Only the angle of `condition` at `layer` matters: the projection is on its unit direction, in residual units (L2).
    The residual is read before anything that the same `steer` does at that layer; the decision is taken at the prompt
    and kept for everything that is generated after it. A row on which it does not fire is left as it is, bit for bit
    (with a mixture of experts up to rounding: its experts batch the tokens of all rows).
    Two interventions share one decision when they share the Gate object.
    Raises: InterventionError, VectorError, ZeroDirectionError for settings that are not possible.
    """

    condition: SteeringVector
    layer: int
    threshold: float
    comparison: Comparison = "above"

    def __post_init__(self) -> None:
        if self.layer not in self.condition.directions:
            raise InterventionError(
                f"the gate's condition has no direction at layer {self.layer}: it has {list(self.condition.layers)}."
            )
        if self.comparison not in get_args(Comparison):
            raise InterventionError(
                f"comparison {self.comparison!r} does not exist. {nearest(self.comparison, get_args(Comparison))}"
            )
        if isinstance(self.threshold, bool) or not math.isfinite(self.threshold):
            raise InterventionError(f"the gate's threshold {self.threshold} is not a finite number.")
        if self.condition.norm(self.layer) < MINIMAL_NORM:
            raise ZeroDirectionError(
                f"the gate's condition at layer {self.layer} has norm 0: it can't be projected on."
            )

    def projection(self, residual: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch"]:
        """The residual's projection on the unit condition (float32, residual units)."""
        direction = torch.from_numpy(self.condition.directions[self.layer].astype(np.float32)).to(residual.device)
        projected: Tensor = (residual.float() * (direction / direction.norm())).sum(dim=-1)
        return projected

    def fires(self, projection: Float[Tensor, "*batch"]) -> Bool[Tensor, "*batch"]:
        """Where the projection is beyond the threshold; never where it is NaN."""
        return projection > self.threshold if self.comparison == "above" else projection < self.threshold


class GateDecisions:
    """Which rows of the running batch a gate fires on: taken in each prefill, kept until the next one."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self._fired: Bool[Tensor, " row"] | None = None
        self._known: Bool[Tensor, " row"] | None = None

    def read(self, residual: Float[Tensor, "batch position d_model"], positions: PositionTracker) -> None:
        """Take the decision of each row whose last prompt token is in this forward."""
        index, last = positions.index, positions.select("last_prompt_token")
        assert index is not None, "read outside a forward"
        rows = torch.arange(len(residual), device=residual.device)
        at_last = residual[rows, last.int().argmax(dim=1).to(residual.device)]
        here = last.any(dim=1).to(residual.device)
        fires = self.gate.fires(self.gate.projection(at_last))
        if self._fired is None or self._known is None or len(self._fired) != len(residual):
            self._fired, self._known = fires & here, here
            return
        begins = (index == 0).any(dim=1).to(residual.device)  # a new prompt: what was known is of another text
        self._fired = torch.where(here, fires, self._fired & ~begins)
        self._known = here | (self._known & ~begins)

    def restrict(self, selected: Bool[Tensor, "batch position"]) -> Bool[Tensor, "batch position"]:
        """`selected` without the rows on which the gate did not fire.

        Raises: InterventionError where tokens are selected in a row whose last prompt token has not been read.
        """
        assert self._fired is not None and self._known is not None, "the gate's layer comes first"
        known = self._known.to(selected.device)
        undecided = int((selected.any(dim=1) & ~known).sum())
        if undecided:
            raise InterventionError(
                f"the gate at layer {self.gate.layer} has not read the last prompt token of {undecided} rows: feed "
                "each prompt in one forward, or steer from_last_prompt_token."
            )
        return selected & self._fired.to(selected.device)[:, None]

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows of the batch only, in this order."""
        if self._fired is not None and self._known is not None:
            rows = rows.to(self._fired.device)
            self._fired, self._known = self._fired[rows], self._known[rows]


@dataclass(frozen=True, kw_only=True)
class ThresholdChoice:
    """A gate's threshold and comparison, with the balanced accuracy that they have where they were chosen."""

    threshold: float
    comparison: Comparison
    balanced_accuracy: float
    n_steer: int
    n_leave: int
    rule: Rule


def choose_threshold(
    steer: ArrayLike,
    leave: ArrayLike,
    *,
    rule: Rule = "balanced_accuracy",
) -> ThresholdChoice:
    """A threshold between training projections of rows that should be steered and of rows that should be left alone.

    midpoint: halfway between the two means. balanced_accuracy: the cut between neighbouring projections with the best
    mean of the two classes' hit rates; among equals the one in the widest gap. The gate fires on the side where the
    mean of `steer` lies. Give training rows only: its balanced accuracy there is too good for any other use.
    Raises: DataError when a class is empty, not finite, or both have the same mean.
    """
    if rule not in get_args(Rule):
        raise DataError(f"rule {rule!r} does not exist. {nearest(rule, get_args(Rule))}")
    wanted, others = (np.asarray(side, dtype=np.float64).ravel() for side in (steer, leave))
    if not len(wanted) or not len(others):
        raise DataError(f"{len(wanted)} rows to steer and {len(others)} to leave: a threshold needs some of both.")
    if not (np.isfinite(wanted).all() and np.isfinite(others).all()):
        raise DataError("a projection is NaN or infinite: no threshold can be chosen.")
    if wanted.mean() == others.mean():
        raise DataError("the rows to steer and to leave have the same mean projection: the condition tells nothing.")
    comparison: Comparison = "above" if wanted.mean() > others.mean() else "below"
    sign = 1.0 if comparison == "above" else -1.0
    high, low = np.sort(sign * wanted), np.sort(sign * others)
    cuts = np.asarray([(high.mean() + low.mean()) / 2]) if rule == "midpoint" else _cuts(np.r_[high, low])
    hits = 1 - np.searchsorted(high, cuts, side="right") / len(high)
    passes = np.searchsorted(low, cuts, side="right") / len(low)
    scores = (hits + passes) / 2
    best = int(scores.argmax())  # the cuts come widest gap first
    return ThresholdChoice(
        threshold=sign * float(cuts[best]),
        comparison=comparison,
        balanced_accuracy=float(scores[best]),
        n_steer=len(wanted),
        n_leave=len(others),
        rule=rule,
    )


def _cuts(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The middles between neighbouring distinct values, widest gap first."""
    distinct = np.unique(values)
    order = np.argsort(-np.diff(distinct), kind="stable")
    return np.asarray(((distinct[1:] + distinct[:-1]) / 2)[order])
