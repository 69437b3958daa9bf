"""Vectors of other tools: what their reader must be told, and a vector that does not know its model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from steerlab.errors import OptionError, VectorError, nearest
from steerlab.vectors import Direction, ModelFingerprint, Recipe, SteeringVector

MAX_BYTES = 2**29  # a vector of 200 layers and d_model 20,000 has 16 MB
MAX_LAYERS = 10_000


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """What a file of another tool does not say: who wrote it (`producer`), and the `layers` of its rows."""

    producer: str = ""
    layers: tuple[int, ...] = ()


def producer_of(path: Path, foreign: Foreign, possible: Mapping[str, str]) -> str:
    """The producer that was named; `possible` maps the names to what is special about them.

    Raises: OptionError when none was named, or another.
    """
    if foreign.producer in possible:
        return foreign.producer
    said = "; ".join(f"{name}: {what}" for name, what in possible.items())
    if not foreign.producer:
        raise OptionError(f"{path} does not say who wrote it. Give --producer ({said}).")
    raise OptionError(f"producer {foreign.producer!r} does not go with {path}. {nearest(foreign.producer, possible)}")


def check_ours(path: Path, foreign: Foreign) -> None:
    """Raise OptionError when a file that says that it is ours was said to be another tool's, or to lack its layers."""
    if foreign.producer not in ("", "steerlab") or foreign.layers:
        raise OptionError(f"{path} says that steerlab wrote it, and where: leave --producer and --layers out.")


def read_file(path: Path, *, n_bytes: int = MAX_BYTES) -> bytes:
    """At most `n_bytes` of the file's content, once it is known to be a file of a size that a vector can have.

    Raises: VectorError when it is missing, no file, unreadable, or too large for a vector.
    """
    if not path.is_file():
        raise VectorError(f"{path} does not exist: build a vector with `steerlab vector build`.")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise VectorError(f"{path} has more than {MAX_BYTES >> 20} MiB: it is not the file of a vector.")
        with path.open("rb") as file:
            return file.read(n_bytes)
    except OSError as error:
        raise VectorError(f"{path} cannot be read: {error.strerror or error}.") from None


def layer_number(name: str) -> int:
    """The layer of a tensor named `direction.<layer>`. Raises: VectorError (without the file's name)."""
    found = re.fullmatch(r"direction\.(0|[1-9][0-9]{0,8})", name)
    if found is None:
        raise VectorError(f"unknown tensor {name[:80]!r}.")
    return int(found[1])


def unbound_vector(
    directions: Mapping[int, Direction], *, path: Path, producer: str, model_type: str = "", n_layers: int = 0
) -> SteeringVector:
    """A vector of another tool: its model is unknown but for d_model and, where the file says it, the model type.

    `n_layers` is 0 where it is not known; then it is the least that the layers need. Use: `vectors.bound_to`.
    Raises: VectorError when the directions are of several widths, not finite, or at layers that no model has.
    """
    if not directions:
        raise VectorError(f"{path} holds no direction.")
    if not all(0 <= layer < MAX_LAYERS for layer in directions):
        raise VectorError(f"{path} has a direction at layer {max(directions)}: no model has it.")
    widths = sorted({direction.shape for direction in directions.values()})
    if len(widths) != 1 or len(widths[0]) != 1 or widths[0][0] == 0:
        raise VectorError(f"{path} has directions of shapes {[list(w) for w in widths][:4]}: one width is possible.")
    model = ModelFingerprint(
        name=f"a model that {producer} did not name",
        model_type=model_type,
        n_layers=max(n_layers, max(directions) + 1),
        d_model=widths[0][0],
        sha256="",
    )
    recipe = Recipe(
        method="imported",
        layers=tuple(sorted(directions)),
        positions="unknown",
        seed=0,
        source=f"{producer}: {path.name}",
    )
    rows = {layer: np.ascontiguousarray(direction, dtype=np.float32) for layer, direction in directions.items()}
    try:
        return SteeringVector(directions=rows, model=model, recipe=recipe)
    except VectorError as error:
        raise VectorError(f"{path}: {error}") from None
