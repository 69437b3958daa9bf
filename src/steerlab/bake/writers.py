"""Which modules of a network write to the residual stream: guessed by their shape, found by pushing at their output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from steerlab.errors import InterventionError
from steerlab.hooks import Edit, StopForwardError, attached_untracked
from steerlab.models import Model

N_TOKENS = 8
FAR = 1e3  # a push this much longer than the residual drowns what the rest of the layer answers to it


def linear_layers(module: nn.Module, width: int) -> list[nn.Module]:
    """The linear layers inside `module` that give `width` values, in the order in which the modules are registered."""
    from transformers.pytorch_utils import Conv1D

    found: list[nn.Module] = []
    for part in module.modules():
        gives = part.out_features if isinstance(part, nn.Linear) else part.nf if isinstance(part, Conv1D) else None
        if gives == width:
            found.append(part)
    return found


def last_adders(model: Model, layer: int) -> list[nn.Module]:
    """The linear layers of decoder layer `layer` whose output is added to its residual as it is, after all else.

    A constant in their output is the same constant in the residual, exactly: nothing in the layer reads it on the way.
    """
    tolerance = 1e-3 if model.dtype == torch.float32 else 0.05
    found = linear_layers(model.layers[layer], model.d_model)
    return [at for at, miss in zip(found, _misses(model, layer, found, times=1.0), strict=True) if miss < tolerance]


def writers(model: Model, layer: int) -> list[nn.Module]:
    """The linear layers of decoder layer `layer` whose output is added to the residual, wherever in the layer."""
    found = linear_layers(model.layers[layer], model.d_model)
    return [at for at, miss in zip(found, _misses(model, layer, found, times=FAR), strict=True) if miss < 0.05]


def embedding_writers(model: Model) -> list[nn.Module]:
    """The embeddings (of tokens, of positions) that the residual stream begins as the sum of.

    Raises: InterventionError when the embedding of the tokens is not among them: a norm stands behind it.
    """
    inner = {part for layer in model.layers for part in layer.modules()}
    tables = [
        part
        for part in model.network.modules()
        if isinstance(part, nn.Embedding) and part.embedding_dim == model.d_model and part not in inner
    ]
    misses = _misses(model, 0, tables, times=FAR, scaled=True)
    found: list[nn.Module] = [table for table, miss in zip(tables, misses, strict=True) if miss < 0.05]
    if model.embedding not in found:
        raise InterventionError(f"{model.name} does not begin its residual stream with its token embedding as it is.")
    return found


def _misses(
    model: Model, layer: int, modules: Sequence[nn.Module], *, times: float, scaled: bool = False
) -> list[float]:
    """How far the residual at `layer` is from moving by what is added to each module's output, relative to that push.

    The push is `times` as long as the residual; the median over tokens is given. With `scaled` the residual may move by
    a multiple of it.
    """
    plain = _residual(model, layer, {})
    length = float(plain.norm(dim=-1).median()) * times
    drawn = torch.randn(model.d_model, generator=torch.Generator().manual_seed(0))
    push = (drawn * (length / drawn.norm())).to(plain.device)
    found = []
    for module in modules:
        moved = _residual(model, layer, {module: lambda output: output + push.to(output.device, output.dtype)}) - plain
        if scaled:
            moved = moved * (length / moved.norm(dim=-1, keepdim=True).clamp_min(1e-12))
        found.append(float(((moved - push).norm(dim=-1) / length).median()))
    return found


def _residual(model: Model, layer: int, edits: Mapping[nn.Module, Edit]) -> Tensor:
    """The residual [position, d_model] at `layer` of a few tokens (float32), with `edits` on modules below it."""
    seen: list[Tensor] = []

    def read(residual: Tensor) -> Tensor:
        seen.append(residual[0].float())
        raise StopForwardError

    tokens = torch.arange(1, N_TOKENS + 1, device=model.device)[None] % model.d_vocab
    with torch.inference_mode(), attached_untracked(edits={**edits, model.layers[layer]: read}):
        try:
            model.network(input_ids=tokens, attention_mask=torch.ones_like(tokens), use_cache=False)
        except StopForwardError:
            return seen[0]
    raise AssertionError("the layer did not run")
