"""Steering vectors: directions by layer, with the recipe and the model that they are for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np
from jaxtyping import Float

from steerlab.errors import VectorError, ZeroDirectionError

MINIMAL_NORM = 1e-6

Direction = Float[np.ndarray, " d_model"]


@dataclass(frozen=True, kw_only=True)
class ModelFingerprint:
    """What a vector must agree with to be used on a model.

    `sha256` is over the norm weights and a sample of the embedding, rounded to bfloat16, so that the same
    checkpoint has the same fingerprint in float32 and bfloat16. `name` is for people only. A vector of another tool
    does not know its model: then `sha256` is empty, `n_layers` the least possible, and `bound_to` says which model.
    """

    name: str
    model_type: str
    n_layers: int
    d_model: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a vector was made: enough names to make it again.

    `template` is the name of the question template around each text, or "none" for the bare texts.
    """

    method: str
    layers: tuple[int, ...]
    positions: str
    seed: int
    source: str = ""
    template: str = "none"
    n_pairs: int = 0
    pairs_sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class SteeringVector:
    """Directions by layer (float32, positive minus negative), added to the residual at that layer.

    `residual_norms` is the mean L2 norm of the residual at the recipe's positions on the training texts, the
    unit of `residual_norm` doses. `agreement` is the share of training pairs whose positive side projects
    higher: the sign check.
    """

    directions: Mapping[int, Direction]
    model: ModelFingerprint
    recipe: Recipe
    residual_norms: Mapping[int, float] = field(default_factory=dict)
    agreement: Mapping[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.directions:
            raise VectorError("a steering vector needs at least one layer.")
        for layer, direction in self.directions.items():
            if not 0 <= layer < self.model.n_layers:
                raise VectorError(
                    f"layer {layer} does not exist: {self.model.name} has layers 0..{self.model.n_layers - 1}."
                )
            if direction.shape != (self.model.d_model,):
                raise VectorError(
                    f"the direction at layer {layer} has shape {list(direction.shape)}: "
                    f"{self.model.name} has d_model {self.model.d_model}."
                )
            if not np.isfinite(direction).all():
                raise VectorError(f"the direction at layer {layer} holds NaN or infinity: build the vector again.")

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that have a direction, ascending."""
        return tuple(sorted(self.directions))

    def norm(self, layer: int) -> float:
        """L2 norm of the direction at `layer`."""
        return float(np.linalg.norm(self.directions[layer].astype(np.float64)))

    def at(self, layers: Sequence[int]) -> SteeringVector:
        """The same vector at these layers only."""
        missing = [layer for layer in layers if layer not in self.directions]
        if missing:
            raise VectorError(f"the vector has no direction at layer {missing[0]}: it has {list(self.layers)}.")
        return replace(self, directions={layer: self.directions[layer] for layer in layers})

    def unit(self) -> SteeringVector:
        """Every direction scaled to L2 norm 1."""
        return self._map(
            {layer: direction / self._norm_or_raise(layer) for layer, direction in self.directions.items()}
        )

    def _norm_or_raise(self, layer: int) -> float:
        norm = self.norm(layer)
        if norm < MINIMAL_NORM:
            raise ZeroDirectionError(f"the direction at layer {layer} has norm {norm:.1e}: it points nowhere.")
        return norm

    def _map(self, directions: Mapping[int, Direction]) -> SteeringVector:
        return replace(
            self, directions={layer: direction.astype(np.float32) for layer, direction in directions.items()}
        )

    def __mul__(self, factor: float) -> SteeringVector:
        return self._map({layer: direction * factor for layer, direction in self.directions.items()})

    __rmul__ = __mul__

    def __neg__(self) -> SteeringVector:
        return self * -1.0

    def __add__(self, other: SteeringVector) -> SteeringVector:
        check_same_model(self.model, other.model)
        zero = np.zeros(self.model.d_model, dtype=np.float32)
        layers = sorted({*self.directions, *other.directions})
        summed = self._map({at: self.directions.get(at, zero) + other.directions.get(at, zero) for at in layers})
        return replace(summed, residual_norms={**other.residual_norms, **self.residual_norms}, agreement={})

    def __sub__(self, other: SteeringVector) -> SteeringVector:
        return self + (-other)

    def describe(self) -> dict[str, object]:
        """The facts of the vector as JSON-able values."""
        return {
            "layers": list(self.layers),
            "norms": {str(layer): self.norm(layer) for layer in self.layers},
            "residual_norms": {str(layer): value for layer, value in sorted(self.residual_norms.items())},
            "agreement": {str(layer): value for layer, value in sorted(self.agreement.items())},
            "model": asdict(self.model),
            "recipe": asdict(self.recipe),
        }


def check_same_model(vector: ModelFingerprint, model: ModelFingerprint) -> None:
    """Raise VectorError when a vector made for `vector` is used on `model`."""
    if not vector.sha256:
        raise VectorError(
            f"the vector is for {vector.name}: say that it is for {model.name} with `steerlab vector import FILE "
            f"--model {model.name} --out OUT.safetensors` (in Python: bound_to)."
        )
    if vector.d_model != model.d_model:
        raise VectorError(
            f"the vector has d_model {vector.d_model}, {model.name} has {model.d_model}: build one for this model."
        )
    if vector.sha256 != model.sha256 or vector.n_layers != model.n_layers:
        raise VectorError(
            f"the vector was built for {vector.name} ({vector.sha256[:12]}), not for {model.name} "
            f"({model.sha256[:12]}): build one with `steerlab vector build --model {model.name}`."
        )


def bound_to(vector: SteeringVector, model: ModelFingerprint) -> SteeringVector:
    """The vector of another tool, taken as one for `model`; a vector that knows its model must be for this one.

    Raises: VectorError when width, layers or model type say that it can't be.
    """
    own = vector.model
    if own.sha256:
        check_same_model(own, model)
    elif own.model_type not in ("", model.model_type):
        raise VectorError(f"the vector is for a model of type {own.model_type}: {model.name} is {model.model_type}.")
    elif own.d_model != model.d_model:
        raise VectorError(f"the vector has d_model {own.d_model}, {model.name} has {model.d_model}.")
    elif own.n_layers > model.n_layers:
        raise VectorError(f"the vector needs {own.n_layers} layers: {model.name} has {model.n_layers}.")
    return replace(vector, model=model)
