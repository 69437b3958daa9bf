"""Steering vectors as safetensors files: tensors `direction.<layer>`, facts as JSON in the header."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from steerlab.errors import VectorError
from steerlab.files import write_atomically
from steerlab.vectors import ModelFingerprint, Recipe, SteeringVector

FORMAT = "steerlab-vector-1"
SITE = "residual stream, output of the decoder layer (0-based)"


def save_vector(vector: SteeringVector, path: Path) -> None:
    """Write `vector` to `path`, float32, atomically.

    Raises: RunError when the place can't be written.
    """
    from safetensors.numpy import save

    tensors = {
        f"direction.{layer}": np.ascontiguousarray(vector.directions[layer], dtype=np.float32)
        for layer in vector.layers
    }
    facts = {
        "format": FORMAT,
        "producer": "steerlab",
        "site": SITE,
        "model": json.dumps(asdict(vector.model)),
        "recipe": json.dumps(asdict(vector.recipe)),
        "residual_norms": json.dumps({str(k): v for k, v in vector.residual_norms.items()}),
        "agreement": json.dumps({str(k): v for k, v in vector.agreement.items()}),
    }
    write_atomically(path, save(tensors, metadata=facts))


def load_vector(path: Path) -> SteeringVector:
    """Read a vector that `save_vector` wrote.

    Raises: VectorError when the file is missing, not ours, or holds what no vector can hold.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise VectorError(f"{path} does not exist: build a vector with `steerlab vector build`.")
    try:
        with safe_open(path, framework="numpy") as file:
            facts = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise VectorError(f"{path} is not a readable safetensors file: {error}") from None
    if facts.get("format") != FORMAT:
        raise VectorError(f"{path} is not a steerlab vector (format {facts.get('format')!r}, expected {FORMAT}).")
    try:
        recipe = json.loads(facts["recipe"])
        return SteeringVector(
            directions={_layer(name): tensor.astype(np.float32) for name, tensor in tensors.items()},
            model=ModelFingerprint(**json.loads(facts["model"])),
            recipe=Recipe(**{**recipe, "layers": tuple(recipe["layers"])}),
            residual_norms={int(k): float(v) for k, v in json.loads(facts["residual_norms"]).items()},
            agreement={int(k): float(v) for k, v in json.loads(facts["agreement"]).items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, VectorError):
            raise VectorError(f"{path}: {error}") from None
        raise VectorError(f"{path} has a damaged header: {error!r}.") from None


def _layer(name: str) -> int:
    kind, _, number = name.partition(".")
    if kind != "direction" or not number.isdigit():
        raise VectorError(f"unknown tensor {name!r}.")
    return int(number)
