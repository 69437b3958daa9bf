"""A network of Llama's shape (Llama, Mistral, Qwen2) as a Llama that has a bias in every linear layer of its blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from steerlab.errors import InterventionError
from steerlab.models import Model

BLOCK = {
    *(f"self_attn.{name}_proj.weight" for name in "qkvo"),
    *(f"mlp.{name}_proj.weight" for name in ("gate", "up", "down")),
    "input_layernorm.weight",
    "post_attention_layernorm.weight",
}
BIASED = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
TAKEN_OVER = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "hidden_act",
    "max_position_embeddings",
    "initializer_range",
    "rms_norm_eps",
    "use_cache",
    "tie_word_embeddings",
    "rope_parameters",
    "attention_dropout",
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
)


def as_llama(model: Model) -> tuple[Any, dict[str, Tensor]]:
    """A LlamaConfig with `mlp_bias` (and `attention_bias` where there are such biases) and its weights; new ones are 0.

    The tensors of the network are shared, not copied. Whether it computes the same must be checked by running it.
    Raises: InterventionError when the network is not of that shape, or has what Llama lacks (a sliding window).
    """
    from transformers import LlamaConfig

    network: Any = model.network
    config = network.config
    weights: dict[str, Tensor] = dict(network.state_dict())
    _check_shape(model, weights)
    _check_window(model, config)
    given = {name: getattr(config, name) for name in TAKEN_OVER if getattr(config, name, None) is not None}
    for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
        given[name] = getattr(config, name, None)
    biased = any(f"{model.layers_path}.0.{name}.bias" in weights for name in BIASED)
    made = LlamaConfig(**given, mlp_bias=True, attention_bias=biased, architectures=["LlamaForCausalLM"])
    for layer in range(model.n_layers):
        block = f"{model.layers_path}.{layer}."
        for name in (*(BIASED if biased else ()), *(f"mlp.{part}_proj" for part in ("gate", "up", "down"))):
            weight = weights[f"{block}{name}.weight"]
            zero = torch.zeros(weight.shape[0], dtype=weight.dtype, device=weight.device)
            weights.setdefault(f"{block}{name}.bias", zero)
    return made, weights


def _check_shape(model: Model, weights: Mapping[str, Tensor]) -> None:
    outside = {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"}
    prefix = f"{model.layers_path}."
    names = {name.removeprefix(prefix).split(".", 1)[-1] for name in weights if name.startswith(prefix)}
    biases = {f"{name}.bias" for name in BIASED} | {f"mlp.{part}_proj.bias" for part in ("gate", "up", "down")}
    other = {name for name in weights if not name.startswith(prefix)} - outside
    if prefix == "model.layers." and names >= BLOCK and names <= BLOCK | biases and not other:
        return
    strange = sorted(((names ^ BLOCK) - biases) | other)[:3]
    raise InterventionError(
        f"the last linear layer of {model.name}'s blocks has no bias to fold into, and the network is not of Llama's "
        f"shape, which could be given one ({', '.join(strange) or model.layers_path}): steer it with hooks."
    )


def _check_window(model: Model, config: Any) -> None:
    window = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or ())
    windowed = window is not None if not kinds else bool(kinds - {"full_attention"})
    if windowed and (window is None or model.context is None or window < model.context):
        raise InterventionError(
            f"{model.name} attends within a sliding window of {window} tokens, and its blocks have no bias to fold "
            "into: a Llama, which could have one, has no such window. Steer it with hooks."
        )
