"""Checks by behaviour: do the layers that were found carry the residual stream of a causal LM?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from steerlab.errors import SteerlabError
from steerlab.hooks import attached

N_TOKENS = 6
N_PADS = 3


def check_behaviour(
    network: nn.Module,
    layers: Sequence[nn.Module],
    *,
    d_model: int,
    d_vocab: int,
    accepts_position_ids: bool,
    device: torch.device,
) -> dict[str, str]:
    """Run a few tokens and report on each check: "ok", "not applicable", or what is wrong.

    layer_called_once: each layer runs once per forward, in order. output_shape: [batch, position, d_model].
    matches_hidden_states: the residual equals transformers' hidden_states[L+1]. edit_moves_logits: changing a
    layer's output changes the logits, at the first and the last layer. causal: a token does not see later ones.
    padding: tokens padded on the left have the logits of the same tokens alone.
    """
    tokens = torch.arange(1, N_TOKENS + 1, device=device)[None] % d_vocab
    seen: dict[int, list[Tensor]] = {layer: [] for layer in range(len(layers))}
    order: list[int] = []

    def reader(layer: int) -> Any:
        def read(residual: Tensor) -> None:
            order.append(layer)
            seen[layer].append(residual.detach())

        return read

    def logits(ids: Tensor, n_pads: int = 0) -> Tensor:
        mask = torch.ones_like(ids)
        mask[:, :n_pads] = 0
        places = {"position_ids": (mask.cumsum(dim=1) - 1).clamp_min(0)} if accepts_position_ids else {}
        output: Tensor = network(input_ids=ids, attention_mask=mask, use_cache=False, **places).logits
        return output[:, n_pads:].detach().float()

    def edited(layer: int) -> Tensor:
        noise = torch.randn(d_model, generator=torch.Generator().manual_seed(0))

        def edit(residual: Tensor) -> Tensor:
            scale: Tensor = residual.float().norm(dim=-1, keepdim=True)
            return residual + (noise.to(residual.device) * scale).to(residual.dtype)

        with attached(network, edits={layers[layer]: edit}):
            return logits(tokens)

    try:
        with torch.inference_mode():
            with attached(network, readers={module: reader(at) for at, module in enumerate(layers)}):
                plain = logits(tokens)
            if order != list(range(len(layers))):
                return {"layer_called_once": f"the layers ran as {order[:12]}"}
            shape = _check_shape(seen, (*tokens.shape, d_model))
            if shape != "ok":
                return {"layer_called_once": "ok", "output_shape": shape}
            half = next(p.dtype for p in network.parameters() if p.is_floating_point()) != torch.float32
            tolerance = 0.05 if half else 1e-3
            changed = logits(torch.cat([tokens[:, :-1], tokens[:, :1]], dim=1))
            padded = logits(torch.cat([tokens[:, :1].expand(1, N_PADS), tokens], dim=1), N_PADS)
            return {
                "layer_called_once": "ok",
                "output_shape": "ok",
                "matches_hidden_states": _check_recorded(network, tokens, seen),
                "edit_moves_logits": _check_moves(plain, edited, len(layers) - 1),
                "causal": "ok"
                if _difference(changed[:, :-1], plain[:, :-1]) < tolerance
                else "earlier positions see later tokens: this is not a causal LM",
                "padding": "ok"
                if _difference(padded, plain) < tolerance
                else "padding on the left changes the logits: rows of a batch would not be independent",
            }
    except SteerlabError:
        raise
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError) as error:
        said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        return {"forward": f"a forward over six tokens failed: {said[:300]}"}


def _difference(logits: Tensor, reference: Tensor) -> float:
    """Mean absolute difference in units of the reference's standard deviation; infinity when it is not a number."""
    found = float((logits - reference).abs().mean() / reference.std().clamp_min(1e-12))
    return found if found == found else float("inf")  # noqa: PLR0124 - NaN


def _check_shape(seen: Mapping[int, Sequence[Tensor]], shape: tuple[int, ...]) -> str:
    wrong = [layer for layer, (residual,) in seen.items() if tuple(residual.shape) != shape]
    return f"layer {wrong[0]} gives {list(seen[wrong[0]][0].shape)}, not {list(shape)}" if wrong else "ok"


def _check_recorded(network: nn.Module, tokens: Tensor, seen: Mapping[int, Sequence[Tensor]]) -> str:
    output = network(input_ids=tokens, use_cache=False, output_hidden_states=True)
    recorded = getattr(output, "hidden_states", None)
    if recorded is None or len(recorded) != len(seen) + 1:
        return "not applicable"
    for layer in range(len(seen) - 1):
        if not torch.allclose(recorded[layer + 1].float(), seen[layer][0].float(), atol=1e-4, rtol=1e-3):
            return f"layer {layer} differs from hidden_states[{layer + 1}]"
    return "ok"


def _check_moves(plain: Tensor, edited: Any, last: int) -> str:
    for layer in sorted({0, last}):
        if float((edited(layer) - plain).abs().max()) < 1e-6:
            return f"editing layer {layer} moves no logit"
    return "ok"
