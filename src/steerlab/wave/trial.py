"""What a way is tried on before it is taken: cells that turn the residual elsewhere, window sizes, tolerances."""

from __future__ import annotations

from typing import Any

import torch

from steerlab.interventions import Intervention
from steerlab.models import Model
from steerlab.vectors import Recipe, SteeringVector

CHECK_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-4}  # natural-log probability; other data types: 0.25
CHECK_TOKENS = (24, 15)
CHECK_ERRORS = (RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError)


def lengths_to_try(model: Model, longest: int) -> list[tuple[int, int]]:
    """Lengths (tokens) of two short rows, and of two more per attention window that `longest` exceeds."""
    config = getattr(model.network, "config", None)
    said = {getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size", "window_size")}
    windows = sorted(size for size in said if isinstance(size, int) and 0 < size < longest)
    return [CHECK_TOKENS, *((window + 5, 3) for window in windows)]


def verdict(model: Model, way: str, difference: float) -> str:
    """Empty when `difference` (natural-log probability) is rounding, else the reason why `way` is refused."""
    if difference <= CHECK_TOLERANCE.get(model.dtype, 0.25):
        return ""
    return f"{way} differs from the plain way by {difference:.1e} on short rows"


def failure(way: str, error: Exception) -> str:
    """The reason why a way that raised is refused."""
    return f"{way} failed: {str(error).splitlines()[0][:200] if str(error) else type(error).__name__}"


def trial_cells(model: Model, *, positions: Any) -> list[tuple[Intervention, ...]]:
    """Cells that turn the residual elsewhere, at its own norm: low, middle, top, several layers, and none."""
    generator = torch.Generator().manual_seed(0)
    top, middle = model.n_layers - 1, model.n_layers // 2
    cells: list[tuple[Intervention, ...]] = [()]
    for layers in ((0,), (middle,), (top,), tuple(sorted({0, middle, top}))):
        directions = {layer: torch.randn(model.d_model, generator=generator).numpy() for layer in layers}
        recipe = Recipe(method="random_control", layers=layers, positions=positions, seed=0)
        vector = SteeringVector(directions=directions, model=model.fingerprint, recipe=recipe)
        cells.append(
            (Intervention(vector=vector, coefficient=1000.0, operation="add_preserving_norm", positions=positions),)
        )
    return cells
