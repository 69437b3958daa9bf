"""Interventions: a vector, a dose, an operation, positions and a gate; the operations' arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from steerlab.errors import InterventionError, ZeroDirectionError, nearest
from steerlab.gates import Gate
from steerlab.positions import Positions, check_positions
from steerlab.vectors import MINIMAL_NORM, SteeringVector

Dose = Literal["absolute", "unit_norm", "residual_norm"]
DOSES = ("absolute", "unit_norm", "residual_norm")


def add(
    residual: Float[Tensor, "*batch d_model"],
    direction: Float[Tensor, "*#batch d_model"],
    coefficient: Float[Tensor, "*#batch 1"],
) -> Float[Tensor, "*batch d_model"]:
    """Add coefficient * direction to the residual (float32 in and out)."""
    return residual + coefficient * direction


def ablate(
    residual: Float[Tensor, "*batch d_model"],
    direction: Float[Tensor, "*#batch d_model"],
    coefficient: Float[Tensor, "*#batch 1"],
) -> Float[Tensor, "*batch d_model"]:
    """Remove a fraction of the residual's component along `direction`: 1 removes all of it.

    Only the angle of `direction` matters. Source: directional ablation, arXiv:2406.11717.
    """
    unit: Tensor = direction / direction.norm(dim=-1, keepdim=True)
    projection: Tensor = (residual * unit).sum(dim=-1, keepdim=True)
    moved: Tensor = residual - coefficient * projection * unit
    return moved


def clamp(
    residual: Float[Tensor, "*batch d_model"],
    direction: Float[Tensor, "*#batch d_model"],
    coefficient: Float[Tensor, "*#batch 1"],
) -> Float[Tensor, "*batch d_model"]:
    """Set the residual's projection on `direction` to `coefficient` (in residual units; 0 is a target, too)."""
    unit: Tensor = direction / direction.norm(dim=-1, keepdim=True)
    projection: Tensor = (residual * unit).sum(dim=-1, keepdim=True)
    moved: Tensor = residual + (coefficient - projection) * unit
    return moved


def add_preserving_norm(
    residual: Float[Tensor, "*batch d_model"],
    direction: Float[Tensor, "*#batch d_model"],
    coefficient: Float[Tensor, "*#batch 1"],
) -> Float[Tensor, "*batch d_model"]:
    """Add as `add`, then scale the sum back to the L2 norm that the residual had."""
    moved = residual + coefficient * direction
    scale: Tensor = residual.norm(dim=-1, keepdim=True) / moved.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    return moved * scale


OPERATIONS: Mapping[str, Callable[..., Tensor]] = {
    "add": add,
    "ablate": ablate,
    "clamp": clamp,
    "add_preserving_norm": add_preserving_norm,
}


def check_names(operation: str, positions: str, dose: str) -> None:
    """Raise InterventionError unless these exist and go together."""
    if operation not in OPERATIONS:
        raise InterventionError(f"operation {operation!r} does not exist. {nearest(operation, OPERATIONS)}")
    check_positions(positions)
    if dose not in DOSES:
        raise InterventionError(f"dose {dose!r} does not exist. {nearest(dose, DOSES)}")
    if dose != "absolute" and operation not in ("add", "add_preserving_norm"):
        raise InterventionError(f"{dose} doses go with add, not with {operation}.")


@dataclass(frozen=True, kw_only=True)
class Intervention:
    """What is done to the residual stream: `operation` with `vector` at the vector's layers.

    `coefficient` has the operation's unit: a factor on the direction (add, add_preserving_norm), a fraction
    removed (ablate), a target projection (clamp). With dose `unit_norm` an added direction is first scaled to L2
    norm 1, with `residual_norm` to the mean residual norm of its layer, so that coefficient 1 adds a vector as long as
    the residual.
    With a `gate` only the rows are steered on which it fires; it reads at or before the vector's first layer.
    """

    vector: SteeringVector
    coefficient: float
    operation: str = "add"
    positions: Positions = "all"
    dose: Dose = "absolute"
    gate: Gate | None = None

    def __post_init__(self) -> None:
        check_names(self.operation, self.positions, self.dose)
        if isinstance(self.coefficient, bool) or not isinstance(self.coefficient, (int, float)):
            raise InterventionError(f"coefficient {self.coefficient!r} is not a number.")
        if not math.isfinite(self.coefficient):
            raise InterventionError(f"coefficient {self.coefficient} is not finite.")
        if self.gate is not None and self.gate.layer > self.vector.layers[0]:
            raise InterventionError(
                f"the gate reads layer {self.gate.layer}, but the vector steers layer {self.vector.layers[0]} already: "
                f"choose a gate layer of at most {self.vector.layers[0]}."
            )

    @property
    def inert(self) -> bool:
        """True when it changes nothing by its meaning (coefficient 0; clamp to 0 does change something)."""
        return self.coefficient == 0 and self.operation != "clamp"

    def scaled_direction(self, layer: int) -> tuple[object, float]:
        """The direction at `layer` (float32 array) and the factor that the dose means there.

        Raises: ZeroDirectionError when the direction's norm is below 1e-6 and the intervention is not inert;
        InterventionError when a residual_norm dose has no residual norm to go by.
        """
        direction, norm = self.vector.directions[layer], self.vector.norm(layer)
        if norm < MINIMAL_NORM and not self.inert:
            raise ZeroDirectionError(f"the direction at layer {layer} has norm {norm:.1e}: it would steer nothing.")
        if self.dose == "absolute" or self.inert:
            return direction, float(self.coefficient)
        if self.dose == "unit_norm":
            return direction, self.coefficient / norm
        if layer not in self.vector.residual_norms:
            raise InterventionError(
                f"the vector carries no residual norm for layer {layer}: use absolute doses or build it again."
            )
        return direction, self.coefficient * self.vector.residual_norms[layer] / norm
