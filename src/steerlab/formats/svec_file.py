"""Steering vectors as .svec files (activation-steering, AISteer360): JSON with directions by layer.

activation-steering reads a direction from the output of decoder layer k, stores it under k, and when it steers adds it
to the *input* of layer k, which is the output of layer k-1. So a file of theirs is read with the layers at which the
directions were found, and a vector of ours is written one layer up, where it has the effect that it has here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from steerlab.errors import VectorError
from steerlab.files import write_atomically
from steerlab.formats.foreign import Foreign, check_ours, producer_of, read_file, unbound_vector
from steerlab.formats.manifest import facts_of, vector_from
from steerlab.vectors import Direction, SteeringVector

PRODUCERS = {
    "activation-steering": "the layers whose output was read",
    "steerlab": "a file of ours",
}


def write_svec(vector: SteeringVector, path: Path) -> None:
    """Write `vector` for activation-steering: the direction at layer L under L+1, the facts of the vector beside it.

    Raises: VectorError for a direction at the last layer, to whose output activation-steering can't add.
    """
    last = vector.model.n_layers - 1
    if vector.model.sha256 and last in vector.directions:
        raise VectorError(
            f".svec can't hold the direction at the last layer, {last}: activation-steering adds to a layer's input."
        )
    rows = {str(layer + 1): [vector.directions[layer].astype(np.float32).tolist()] for layer in vector.layers}
    content = {
        "model_type": vector.model.model_type,
        "directions": rows,
        "explained_variances": dict.fromkeys(rows, 1.0),
        "steerlab": facts_of(vector),
    }
    write_atomically(path, json.dumps(content).encode())


def read_svec(path: Path, foreign: Foreign) -> SteeringVector:
    """Read an .svec file; one of ours comes back as it was.

    Raises: VectorError when it is no such file; OptionError when its producer must be named.
    """
    content = read_file(path)
    try:
        found = json.loads(content)
        directions = {int(layer): _row(value) for layer, value in found["directions"].items()}
        facts, hint = found.get("steerlab"), found.get("model_type", "")
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError, MemoryError) as error:
        raise VectorError(
            f"{path} is not a readable .svec file: {type(error).__name__} {str(error)[:120]!r}."
        ) from None
    if isinstance(facts, dict):
        check_ours(path, foreign)
        return _ours(path, facts, directions)
    if producer_of(path, foreign, PRODUCERS) == "steerlab":
        raise VectorError(f"{path} was not written by steerlab: it does not say so. Name another --producer.")
    if not isinstance(hint, str):
        raise VectorError(f"{path} is not a readable .svec file: its model_type is no text.")
    return unbound_vector(directions, path=path, producer="activation-steering", model_type=hint)


def _ours(path: Path, facts: Mapping[str, Any], directions: Mapping[int, Direction]) -> SteeringVector:
    try:
        return vector_from(facts, {layer - 1: row for layer, row in directions.items()})
    except VectorError as error:
        raise VectorError(f"{path}: {error}") from None


def _row(value: Any) -> Direction:
    """One direction, given as a list of numbers or as one such list in a list."""
    row = value[0] if len(value) == 1 and isinstance(value[0], list) else value
    if not all(type(number) in (float, int) for number in row):
        raise TypeError("a direction holds what is no number")
    with np.errstate(over="ignore"):
        return np.array(row, dtype=np.float64).astype(np.float32)
