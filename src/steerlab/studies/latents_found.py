"""What the stage `latents` leaves behind, as the next stages find it: latents, directions, gates, controls."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save

from steerlab.errors import RunError
from steerlab.files import write_atomically
from steerlab.gates import Gate
from steerlab.models import Model
from steerlab.results import write_json
from steerlab.studies.selected_coefficients import SIGNS, TARGETS
from steerlab.vectors import Direction, Recipe, SteeringVector

FILE, TENSORS = "latents.json", "latents.safetensors"


@dataclass(frozen=True, kw_only=True)
class ChosenLatent:
    """The latent of a target and its direction toward passing: the decoder row times `sign`."""

    target: str
    layer: int
    latent: int
    sign: int
    vector: SteeringVector


@dataclass(frozen=True, kw_only=True)
class LatentsFound:
    """The chosen latents and the gates by target, and directions (float32 over d_model) for the controls.

    `fires[target][problem]` says whether the gate fires. `random_latents[target]` are (latent, decoder row) at the
    layer of the target's latent. `mean_difference` is passing minus failing at that of the correct-predicting one.
    """

    chosen: Mapping[str, ChosenLatent]
    gates: Mapping[str, Gate]
    fires: Mapping[str, Mapping[str, bool]]
    random_latents: Mapping[str, tuple[tuple[int, Direction], ...]]
    mean_difference: Direction


def write_latents(run: Path, facts: Mapping[str, Any], directions: Mapping[str, Direction]) -> None:
    """Write the directions as tensors of their names, then the facts as JSON, which says that all is there."""
    tensors = {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in sorted(directions.items())}
    write_atomically(run / TENSORS, save(tensors))
    write_json(run / FILE, facts)


def read_latents(run: Path, model: Model) -> LatentsFound:
    """What the stage found in `run`. Raises: RunError when it has not been done there, or its files are damaged."""
    try:
        facts = json.loads((run / FILE).read_text("utf-8"))
        directions = load_file(run / TENSORS)
        return LatentsFound(
            chosen={target: _chosen(facts, directions, target, model) for target in TARGETS},
            gates={target: _gate(facts["gates"][target], directions, target, model) for target in TARGETS},
            fires=facts["fires"],
            random_latents={
                target: tuple((latent, directions[f"random_latent.{target}.{latent}"]) for latent in latents)
                for target, latents in facts["random_latents"].items()
            },
            mean_difference=directions["mean_difference"],
        )
    except FileNotFoundError:
        raise RunError(f"{run} has no {FILE}: run the stage latents there first.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{run / FILE} is damaged ({error}): run the stage latents again.") from None


def _chosen(facts: Mapping[str, Any], directions: Mapping[str, Direction], target: str, model: Model) -> ChosenLatent:
    entry = facts["chosen"][target]
    sign = SIGNS[target]
    return ChosenLatent(
        target=target,
        layer=entry["layer"],
        latent=entry["latent"],
        sign=sign,
        vector=_vector(entry, sign * directions[target], model, method="sae_decoder"),
    )


def _gate(entry: Mapping[str, Any], directions: Mapping[str, Direction], target: str, model: Model) -> Gate:
    return Gate(
        condition=_vector(entry, directions[f"gate.{target}"], model, method="sae_encoder"),
        layer=entry["layer"],
        threshold=entry["threshold"],
        comparison=entry["comparison"],
    )


def _vector(entry: Mapping[str, Any], direction: Direction, model: Model, *, method: str) -> SteeringVector:
    recipe = Recipe(
        method=method,
        layers=(entry["layer"],),
        positions="last_prompt_token",
        seed=0,
        source=f"latent {entry['latent']}, layer {entry['layer']}",
    )
    return SteeringVector(
        directions={entry["layer"]: direction.astype(np.float32)}, model=model.fingerprint, recipe=recipe
    )
