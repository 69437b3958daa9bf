"""What a vector file says about itself beside its numbers: written into every format of ours, checked when read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from steerlab.errors import VectorError
from steerlab.vectors import Direction, ModelFingerprint, Recipe, SteeringVector

SITE = "residual stream, output of the decoder layer (0-based)"
UNITS = (
    "directions: residual units, float32, positive minus negative, to be multiplied by a coefficient; "
    "residual_norms: L2, mean over the training texts; agreement: share of training pairs"
)


def facts_of(vector: SteeringVector) -> dict[str, str]:
    """Producer, site, units, model fingerprint, recipe, residual norms and sign check, as strings."""
    import steerlab

    return {
        "producer": f"steerlab {steerlab.__version__}",
        "site": SITE,
        "units": UNITS,
        "model": json.dumps(asdict(vector.model)),
        "recipe": json.dumps(asdict(vector.recipe)),
        "residual_norms": json.dumps({str(k): v for k, v in vector.residual_norms.items()}),
        "agreement": json.dumps({str(k): v for k, v in vector.agreement.items()}),
    }


def vector_from(facts: Mapping[str, str], directions: Mapping[int, Direction]) -> SteeringVector:
    """The vector of a file of ours from its facts and its directions.

    Raises: VectorError (without the file's name) when a fact is missing, of the wrong type or can't be true.
    """
    try:
        model = _typed(ModelFingerprint, json.loads(facts["model"]))
        recipe = json.loads(facts["recipe"])
        layers = tuple(recipe["layers"])
        if not all(type(layer) is int for layer in layers):
            raise TypeError("layers")
        return SteeringVector(
            directions=directions,
            model=model,
            recipe=_typed(Recipe, {**recipe, "layers": layers}),
            residual_norms={int(k): float(v) for k, v in json.loads(facts["residual_norms"]).items()},
            agreement={int(k): float(v) for k, v in json.loads(facts["agreement"]).items()},
        )
    except VectorError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise VectorError(f"damaged header: {type(error).__name__} {str(error)[:120]!r}.") from None


def _typed(kind: type[Any], values: dict[str, Any]) -> Any:
    """An instance of the record `kind`; TypeError when a value's type is not that of its annotation."""
    types = {"str": str, "int": int, "tuple[int, ...]": tuple}
    for name, value in values.items():
        if type(value) is not types[kind.__annotations__[name]]:
            raise TypeError(f"{name} is {type(value).__name__}")
    return kind(**values)
