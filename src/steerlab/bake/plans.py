"""What folding changes: the config and the weights of the checkpoint to write, for each way to fold."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from steerlab.bake.llama_shape import as_llama
from steerlab.bake.writers import embedding_writers, last_adders, writers
from steerlab.errors import InterventionError
from steerlab.interventions import Intervention
from steerlab.models import Model

STANDS_BETWEEN = "A norm stands between (as in Gemma 2), or a router (mixture of experts)."


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A config, all weights by name, and which of them are not those of the model."""

    how: str
    config: Any
    network: type[Any]
    weights: dict[str, Tensor]
    changed: tuple[str, ...]
    sites: tuple[nn.Module, ...] = ()  # of ablation: the modules that write to the residual


def planned(model: Model, intervention: Intervention) -> Plan:
    """How `intervention` goes into the weights of `model`. Raises: InterventionError with the reason when it can't."""
    network: Any = model.network
    weights = dict(network.state_dict())
    if intervention.inert:
        plan = Plan(
            how="nothing to fold: coefficient 0",
            config=network.config,
            network=type(network),
            weights=weights,
            changed=(),
        )
    elif intervention.operation == "ablate":
        plan = _orthogonalised(model, intervention, weights)
    else:
        plan = _biased(model, intervention, weights)
    config = copy.deepcopy(plan.config)
    config.dtype = model.dtype
    return replace(plan, config=config)


def _biased(model: Model, intervention: Intervention, weights: dict[str, Tensor]) -> Plan:
    """The constants in the biases of the linear layers that write last."""
    network: Any = model.network
    names = {module: name for name, module in network.named_modules()}
    places: dict[int, str] = {}
    for layer in intervention.vector.layers:
        found = last_adders(model, layer)
        if not found:
            raise InterventionError(
                f"{model.name} can't be folded: no linear layer of layer {layer} adds its output to the residual as it "
                f"is and last. {STANDS_BETWEEN} Steer it with hooks."
            )
        biased = [module for module in found if getattr(module, "bias", None) is not None]
        places[layer] = f"{names[(biased or found)[-1]]}.bias"
    how, config, kind = "added to the bias of the linear layer that writes last", network.config, type(network)
    before = set(weights)
    if not all(name in weights for name in places.values()):
        from transformers import LlamaForCausalLM

        config, weights = as_llama(model)
        kind = LlamaForCausalLM
        how = "rewritten as a Llama with mlp_bias, and added to the bias of the down projection"
    for layer, name in places.items():
        direction, factor = intervention.scaled_direction(layer)
        constant = torch.from_numpy(np.asarray(direction, dtype=np.float64) * factor)
        bias = weights[name]
        weights[name] = (bias.double().cpu() + constant).to(bias.device, bias.dtype)
    changed = tuple(sorted({*places.values(), *(set(weights) - before)}))
    return Plan(how=how, config=config, network=kind, weights=weights, changed=changed)


def _sites(model: Model) -> list[nn.Module]:
    """Everything that writes to the residual: the embeddings, and the linear layers of each decoder layer."""
    found = embedding_writers(model)
    for layer in range(model.n_layers):
        here = writers(model, layer)
        if len(here) < 2:
            raise InterventionError(
                f"{model.name} can't be folded: of what layer {layer} writes to the residual, {len(here)} parts are "
                f"plain linear layers. {STANDS_BETWEEN}"
            )
        found += here
    return found


def _orthogonalised(model: Model, intervention: Intervention, weights: dict[str, Tensor]) -> Plan:
    """Every matrix that writes to the residual, made orthogonal to the direction."""
    network: Any = model.network
    unit = unit_direction(intervention)
    names = {module: name for name, module in network.named_modules()}
    config, changed = network.config, []
    if model.head is not None and model.head.weight is model.embedding.weight:
        config = copy.deepcopy(config)
        config.tie_word_embeddings = False  # the head goes on reading with the whole embedding
        name = f"{names[model.head]}.weight"
        weights[name] = weights[name].clone()
    sites = tuple(_sites(model))
    for module in sites:
        for part in ("weight", "bias"):
            name = f"{names[module]}.{part}"
            if name not in weights:
                continue
            own = weights[name].double().cpu()
            by_row = isinstance(module, nn.Linear) and part == "weight"  # [d_model, in]; all others end in d_model
            moved = own - torch.outer(unit, unit @ own) if by_row else own - (own @ unit)[..., None] * unit
            weights[name] = moved.to(weights[name].device, weights[name].dtype)
            changed.append(name)
    how = "every matrix that writes to the residual made orthogonal to the direction"
    return Plan(
        how=how, config=config, network=type(network), weights=weights, changed=tuple(sorted(changed)), sites=sites
    )


def unit_direction(intervention: Intervention) -> Tensor:
    """The direction of the vector's first layer, of L2 norm 1 (float64)."""
    direction = intervention.vector.directions[intervention.vector.layers[0]].astype(np.float64)
    return torch.from_numpy(direction / np.linalg.norm(direction))
