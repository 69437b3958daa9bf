"""steerlab: steering code language models with evidence."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "ContrastPair": "contrast",
    "Program": "contrast",
    "Decoding": "generation",
    "Estimate": "statistics",
    "Intervention": "interventions",
    "METHODS": "directions",
    "Recipe": "vectors",
    "SteeringVector": "vectors",
    "answer_log_likelihoods": "readout",
    "build_vector": "directions",
    "capture": "capturing",
    "generate": "generation",
    "load_model": "models",
    "load_source": "sources",
    "load_vector": "formats.safetensors_file",
    "save_vector": "formats.safetensors_file",
    "steer": "steering",
    "steer_rows": "steering",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 - a list of names, made from the table


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import steerlab` stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module 'steerlab' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"steerlab.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
