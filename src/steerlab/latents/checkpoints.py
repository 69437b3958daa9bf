"""The state of an autoencoder's training, and its file: safetensors, no pickle, written atomically."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from steerlab.errors import RunError
from steerlab.files import write_atomically

MOMENTS = ("exp_avg", "exp_avg_sq")  # of Adam


@dataclass(kw_only=True)
class State:
    """What changes while an autoencoder is trained: weights with Adam's moments, and how far it has come.

    `scale` divides the residual; `threshold` is the tracked least kept activation, in scaled units; `silent` counts the
    tokens since each latent was last active.
    """

    weights: dict[str, Tensor]
    optimiser: torch.optim.Adam
    scale: float
    silent: Tensor
    threshold: float = 0.0
    tokens: int = 0
    rounds: int = 0


def fresh_state(weights: dict[str, Tensor], *, scale: float) -> State:
    """A state at the start, with Adam's moments empty."""
    for tensor in weights.values():
        tensor.requires_grad_()
    optimiser = torch.optim.Adam(list(weights.values()), betas=(0.9, 0.999))
    silent = torch.zeros(len(weights["b_enc"]), dtype=torch.long)
    return State(weights=weights, optimiser=optimiser, scale=scale, silent=silent)


def save_checkpoint(state: State, path: Path, *, key: str) -> None:
    """Write the state to `path`; `key` names settings, texts and model. Raises: RunError when it can't be written."""
    from safetensors.torch import save

    tensors = {name: tensor.detach() for name, tensor in state.weights.items()}
    for name, tensor in state.weights.items():
        own = state.optimiser.state[tensor]
        tensors |= {f"{name}.{moment}": own[moment] for moment in MOMENTS} | {f"{name}.step": own["step"]}
    facts = {name: getattr(state, name) for name in ("scale", "threshold", "tokens", "rounds")}
    content = save({**tensors, "silent": state.silent}, metadata={"key": key, "facts": json.dumps(facts)})
    write_atomically(path, content)


def load_checkpoint(path: Path, *, key: str) -> State:
    """The state in `path`. Raises: RunError when it is damaged, or of other settings, texts or another model."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        if header["key"] != key:
            raise RunError(
                f"{path} is of other settings, texts or another model: train with those, or in another place."
            )
        state = fresh_state({n: tensors[n] for n in ("w_enc", "w_dec", "b_enc", "b_dec")}, scale=1.0)
        for name, tensor in state.weights.items():
            moments = {moment: tensors[f"{name}.{moment}"] for moment in (*MOMENTS, "step")}
            state.optimiser.state[tensor] = moments
        state.silent = tensors["silent"]
        for name, value in json.loads(header["facts"]).items():
            setattr(state, name, value)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise RunError(f"{path} is damaged ({str(error)[:100]}): remove it to begin again.") from None
    return state
