"""Doses that compare across layers and models: units of the mean residual norm, and iso-KL."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from steerlab.batches import Progress
from steerlab.capturing import capture
from steerlab.errors import InterventionError, OptionError
from steerlab.gates import Gate
from steerlab.interventions import Intervention
from steerlab.models import Model
from steerlab.positions import Positions
from steerlab.side_effects import SideEffects, TextSums, summarised, text_sums
from steerlab.vectors import SteeringVector

FIRST_DOSE = 0.1  # in units of the mean residual norm: where the search for a budget begins
BRACKET = (1e-4, 32.0)  # the same units: beyond, nothing or everything is different
LARGEST_STEP = 4.0  # how much a coefficient may grow or shrink before its KL is looked at again


def raw_coefficient(vector: SteeringVector, layer: int, *, residual_norms: float) -> float:
    """The factor on the direction at `layer` that adds `residual_norms` times the mean residual norm there (L2).

    Raises: InterventionError when the vector carries no residual norm for the layer, ZeroDirectionError.
    """
    _check_layer(vector, layer)
    dosed = Intervention(vector=vector, coefficient=residual_norms, dose="residual_norm")
    return dosed.scaled_direction(layer)[1]


def in_residual_norms(vector: SteeringVector, layer: int, *, coefficient: float) -> float:
    """What `coefficient` times the direction at `layer` is in units of the mean residual norm; as `raw_coefficient`."""
    return coefficient / raw_coefficient(vector, layer, residual_norms=1.0)


def _check_layer(vector: SteeringVector, layer: int) -> None:
    if layer not in vector.directions:
        raise InterventionError(f"the vector has no direction at layer {layer}: it has {list(vector.layers)}.")


def with_residual_norms(
    model: Model, vector: SteeringVector, texts: Sequence[str], *, positions: Positions = "last_prompt_token"
) -> SteeringVector:
    """The vector with the mean L2 norm of the residual at its layers measured on `texts`, as `build_vector` does it.

    `positions` are averaged within a text before the norm is taken. Raises: PromptError, InterventionError.
    """
    seen = capture(model, texts, layers=vector.layers, positions=positions)
    return replace(vector, residual_norms={layer: float(seen[layer].norm(dim=1).mean()) for layer in vector.layers})


@dataclass(frozen=True, kw_only=True)
class IsoDose:
    """The coefficient at which steering costs a given mean KL to unsteered on ordinary text.

    `coefficient` is None where the budget was not reached, and `reason` says why. `effects` are those of `last_tried`,
    which is the coefficient where there is one. `n_evaluations` counts readings of all texts (two forwards each).
    """

    coefficient: float | None
    budget: float
    effects: SideEffects
    last_tried: float
    reason: str
    n_evaluations: int


def iso_kl(
    model: Model,
    vector: SteeringVector,
    texts: Sequence[str],
    budget: float,
    *,
    sign: Literal[1, -1] = 1,
    operation: str = "add",
    positions: Positions = "all",
    gate: Gate | None = None,
    prompt_tokens: int = 1,
    tolerance: float = 0.01,
    bracket: tuple[float, float] | None = None,
    max_evaluations: int = 24,
    progress: Progress | None = None,
) -> IsoDose:
    """The coefficient whose mean KL(unsteered || steered) on `texts` is `budget` nats per token, within `tolerance`.

    `tolerance` is relative. The search grows or shrinks a first guess (a tenth of the mean residual norm) by at most
    4 x until the budget lies between two coefficients, then narrows by regula falsi on the logarithms, with bisections:
    for small doses KL goes with the square of the coefficient, so few readings are needed. Where KL is not monotone,
    the crossing is the one that this walk meets first. `sign` -1 searches among negative coefficients. `bracket` bounds
    the coefficient's size; by default 1e-4 to 32 mean residual norms (measured on the texts where the vector has none).
    A vector of several layers is steered at all of them. `prompt_tokens` as in `side_effects`.
    Raises: OptionError, PromptError, VectorError, InterventionError.
    """
    if not (budget > 0 and math.isfinite(budget)) or not 0 < tolerance < 1 or sign not in (1, -1):
        raise OptionError(f"budget {budget}, tolerance {tolerance}, sign {sign}: give positive nats, a share, 1 or -1.")
    if operation == "clamp":
        raise OptionError(
            "clamp has no dose that grows from unsteered: use iso_kl with add, add_preserving_norm, ablate."
        )
    draft = Intervention(vector=vector, coefficient=0.0, operation=operation, positions=positions, gate=gate)
    scale = _scale(model, draft, texts)
    low, high = bracket if bracket is not None else (BRACKET[0] * scale, BRACKET[1] * scale)
    if not 0 < low < high < math.inf:
        raise OptionError(f"bracket {low}..{high} is not possible: give two sizes with 0 < first < second.")
    read: list[TextSums] = []

    def kl(size: float) -> float:
        cell = [replace(draft, coefficient=sign * size)]
        read.append(text_sums(model, texts, [cell], prompt_tokens=prompt_tokens, progress=progress))
        return float(read[-1].kl.sum() / read[-1].n_tokens.sum())

    first = min(max(FIRST_DOSE * scale, low), high)
    size, reason = _crossing(kl, budget, first=first, bounds=(low, high), tolerance=tolerance, most=max_evaluations)
    return IsoDose(
        coefficient=None if reason else sign * size,
        budget=budget,
        effects=summarised(read[-1])[0],
        last_tried=sign * size,
        reason=reason,
        n_evaluations=len(read),
    )


def _scale(model: Model, draft: Intervention, texts: Sequence[str]) -> float:
    """The coefficient that stands for one mean residual norm: the smallest over the layers (1 for a fraction)."""
    if draft.operation == "ablate":
        return 1.0
    vector = draft.vector
    if not all(layer in vector.residual_norms for layer in vector.layers):
        vector = with_residual_norms(model, vector, texts)
    return min(raw_coefficient(vector, layer, residual_norms=1.0) for layer in vector.layers)


Point = tuple[float, float]  # logarithm of the coefficient's size, logarithm of KL over budget


def _crossing(
    kl: Callable[[float], float],
    budget: float,
    *,
    first: float,
    bounds: tuple[float, float],
    tolerance: float,
    most: int,
) -> tuple[float, str]:
    """The size at which `kl` is `budget`, or the last one tried and why the budget was not reached."""
    below: Point | None = None
    above: Point | None = None
    before: Point | None = None
    size = first
    for n in range(1, most + 1):
        value = kl(size)
        if abs(value - budget) <= tolerance * budget:
            return size, ""
        point = math.log(size), math.log(max(value, 1e-12) / budget)
        below, above = (point, above) if point[1] < 0 else (below, point)
        if below is not None and above is not None:
            share = 0.5 if n % 3 == 0 else below[1] / (below[1] - above[1])  # now and then halve: KL may bend
            following = math.exp(below[0] + min(max(share, 0.02), 0.98) * (above[0] - below[0]))
        else:
            following = min(max(size * math.exp(_step(point, before)), bounds[0]), bounds[1])
            if following == size:
                at, side = ("largest", "below") if below is not None else ("smallest", "above")
                return size, (
                    f"KL is {value:.3g} nats per token at the {at} size, {size:.4g}: {side} the budget of {budget:g}."
                )
        size, before = (following, point) if n < most else (size, before)
    return size, f"KL is not within {tolerance:.1%} of the budget of {budget:g} after {most} readings: it jumps there."


def _step(point: Point, before: Point | None) -> float:
    """How far to go, in log size, toward the budget: along the line through the last two points, else KL ~ size^2."""
    slope = 2.0
    if before is not None and point[0] != before[0]:
        slope = min(max((point[1] - before[1]) / (point[0] - before[0]), 0.25), 4.0)
    return min(max(-point[1] / slope, -math.log(LARGEST_STEP)), math.log(LARGEST_STEP))
