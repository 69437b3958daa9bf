"""Steering vectors as safetensors files: tensors `direction.<layer>`, facts as JSON in the header."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from steerlab.errors import VectorError
from steerlab.files import write_atomically
from steerlab.formats.foreign import layer_number, read_file
from steerlab.formats.manifest import facts_of, vector_from
from steerlab.vectors import SteeringVector

FORMAT = "steerlab-vector-1"


def save_vector(vector: SteeringVector, path: Path | str) -> None:
    """Write `vector` to `path`, float32, atomically.

    Raises: RunError when the place can't be written.
    """
    write_atomically(Path(path), vector_bytes(vector))


def vector_bytes(vector: SteeringVector) -> bytes:
    """What `save_vector` writes."""
    from safetensors.numpy import save

    tensors = {
        f"direction.{layer}": np.ascontiguousarray(vector.directions[layer], dtype=np.float32)
        for layer in vector.layers
    }
    return save(tensors, metadata={"format": FORMAT, **facts_of(vector)})


def load_vector(path: Path | str) -> SteeringVector:
    """Read a vector that `save_vector` wrote.

    Raises: VectorError when the file is missing, not ours, or holds what no vector can hold.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    read_file(path, n_bytes=0)
    try:
        with safe_open(path, framework="numpy") as file:
            facts = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise VectorError(f"{path} is not a readable safetensors file: {error}") from None
    if facts.get("format") != FORMAT:
        raise VectorError(f"{path} is not a steerlab vector (format {facts.get('format')!r}, expected {FORMAT}).")
    try:
        return vector_from(facts, {layer_number(name): tensor.astype(np.float32) for name, tensor in tensors.items()})
    except VectorError as error:
        raise VectorError(f"{path}: {error}") from None
