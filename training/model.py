"""The embedded model as plain functions over a dict of tensors: Qwen2, written for fast training on one core."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes of the model. `aux_layer` is the layer after which the training-only flaw readout reads."""

    d_vocab: int = 4096
    d_model: int = 256
    d_ff: int = 704
    n_layers: int = 8
    n_heads: int = 4
    context: int = 1024
    rope_theta: float = 10000.0
    eps: float = 1e-6
    aux_layer: int = 5

    @property
    def d_head(self) -> int:
        return self.d_model // self.n_heads


def initial_weights(shape: Shape, seed: int) -> dict[str, Tensor]:
    """Float32 weights under our own fused names; `qwen2_weights` gives them the names of transformers."""
    generator = torch.Generator().manual_seed(seed)

    def normal(rows: int, columns: int, scale: float = 0.02) -> Tensor:
        return torch.randn(rows, columns, generator=generator) * scale

    out_scale = 0.02 / math.sqrt(2 * shape.n_layers) * 2
    d = shape.d_model
    weights = {"embed": normal(shape.d_vocab, d), "norm": torch.ones(d), "aux": torch.zeros(1, d)}
    for layer in range(shape.n_layers):
        weights |= {
            f"{layer}.norm1": torch.ones(d),
            f"{layer}.qkv": normal(3 * d, d, 0.04),
            f"{layer}.qkv_bias": torch.zeros(3 * d),
            f"{layer}.out": normal(d, d, out_scale),
            f"{layer}.norm2": torch.ones(d),
            f"{layer}.gate_up": normal(2 * shape.d_ff, d, 0.04),
            f"{layer}.down": normal(d, shape.d_ff, out_scale),
        }
    return weights


def qwen2_weights(weights: dict[str, Tensor], shape: Shape) -> dict[str, Tensor]:
    """The same weights under the names of transformers' Qwen2ForCausalLM (embeddings tied, the readout left out)."""
    named = {"model.embed_tokens.weight": weights["embed"], "model.norm.weight": weights["norm"]}
    for layer in range(shape.n_layers):
        prefix = f"model.layers.{layer}"
        q, k, v = weights[f"{layer}.qkv"].chunk(3)
        q_bias, k_bias, v_bias = weights[f"{layer}.qkv_bias"].chunk(3)
        gate, up = weights[f"{layer}.gate_up"].chunk(2)
        named |= {
            f"{prefix}.input_layernorm.weight": weights[f"{layer}.norm1"],
            f"{prefix}.self_attn.q_proj.weight": q,
            f"{prefix}.self_attn.k_proj.weight": k,
            f"{prefix}.self_attn.v_proj.weight": v,
            f"{prefix}.self_attn.q_proj.bias": q_bias,
            f"{prefix}.self_attn.k_proj.bias": k_bias,
            f"{prefix}.self_attn.v_proj.bias": v_bias,
            f"{prefix}.self_attn.o_proj.weight": weights[f"{layer}.out"],
            f"{prefix}.post_attention_layernorm.weight": weights[f"{layer}.norm2"],
            f"{prefix}.mlp.gate_proj.weight": gate,
            f"{prefix}.mlp.up_proj.weight": up,
            f"{prefix}.mlp.down_proj.weight": weights[f"{layer}.down"],
        }
    return {name: tensor.detach().to(torch.bfloat16).contiguous().clone() for name, tensor in named.items()}


def fused_weights(named: dict[str, Tensor], shape: Shape) -> dict[str, Tensor]:
    """The inverse of `qwen2_weights`: weights of transformers' Qwen2ForCausalLM under our names.

    A model of fewer layers than `shape` gives its first layers below and its others above new ones, which begin as the
    identity: their output matrices are zero.
    """
    made = {"embed": named["model.embed_tokens.weight"], "norm": named["model.norm.weight"]}
    present = 1 + max(int(name.split(".")[2]) for name in named if name.startswith("model.layers."))
    added = shape.n_layers - present
    if added < 0:
        raise ValueError(f"the model has {present} layers, more than the {shape.n_layers} asked for.")
    below = present // 2
    for layer in range(present):
        prefix, own = f"model.layers.{layer}", layer if layer < below else layer + added
        attention = [f"{prefix}.self_attn.{part}_proj" for part in "qkv"]
        made |= {
            f"{own}.norm1": named[f"{prefix}.input_layernorm.weight"],
            f"{own}.qkv": torch.cat([named[f"{name}.weight"] for name in attention]),
            f"{own}.qkv_bias": torch.cat([named[f"{name}.bias"] for name in attention]),
            f"{own}.out": named[f"{prefix}.self_attn.o_proj.weight"],
            f"{own}.norm2": named[f"{prefix}.post_attention_layernorm.weight"],
            f"{own}.gate_up": torch.cat([named[f"{prefix}.mlp.{part}_proj.weight"] for part in ("gate", "up")]),
            f"{own}.down": named[f"{prefix}.mlp.down_proj.weight"],
        }
    for layer in range(below, below + added):
        made |= {f"{layer}.out": torch.zeros(shape.d_model, shape.d_model)}
        made |= {f"{layer}.down": torch.zeros(shape.d_model, shape.d_ff)}
    return {name: tensor.float() for name, tensor in made.items()}


def rope_tables(shape: Shape, length: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine per position, float32, in the half-split layout of Qwen2."""
    inverse = shape.rope_theta ** (-torch.arange(0, shape.d_head, 2).float() / shape.d_head)
    angles = torch.arange(length).float()[:, None] * inverse[None, :]
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def rms_norm(residual: Tensor, weight: Tensor) -> Tensor:
    wide = residual.float()
    scaled = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + 1e-6)
    return (scaled * weight.float()).to(torch.bfloat16)


def before_attention(  # noqa: PLR0917 (compiled pieces take plain tensors)
    residual: Tensor, norm: Tensor, qkv: Tensor, bias: Tensor, cos: Tensor, sin: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of a flat run of tokens, rotated: each (tokens, heads, d_head)."""
    tokens, d_head = residual.shape[0], cos.shape[-1]
    joint = functional.linear(rms_norm(residual, norm), qkv, bias).view(tokens, 3, -1, d_head)
    turned = joint[:, :2].float()
    first, second = turned.chunk(2, dim=-1)
    rotated = turned * cos[:, None, None] + torch.cat([-second, first], dim=-1) * sin[:, None, None]
    rotated = rotated.to(torch.bfloat16)
    return rotated[:, 0], rotated[:, 1], joint[:, 2]


def after_attention(  # noqa: PLR0917 (compiled pieces take plain tensors)
    residual: Tensor, mixed: Tensor, out: Tensor, norm: Tensor, gate_up: Tensor, down: Tensor
) -> Tensor:
    """The residual after the attention output and the MLP have been added."""
    residual = residual + functional.linear(mixed, out)
    gate, up = functional.linear(rms_norm(residual, norm), gate_up).chunk(2, dim=-1)
    return residual + functional.linear(functional.silu(gate) * up, down)


def token_losses(residual: Tensor, norm: Tensor, embed: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy per row, float32."""
    logits = functional.linear(rms_norm(residual, norm), embed).float()
    return functional.cross_entropy(logits, targets, reduction="none")
