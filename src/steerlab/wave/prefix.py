"""The prompts read once: all but the last token of each, as a KV cache that many cells go on from."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from steerlab.batches import MEMORY_SHARE, bytes_per_token, free_bytes
from steerlab.hooks import last_logits_only
from steerlab.models import Model
from steerlab.tokens import left_padded

CHUNK_BYTES = 1 << 30
MAXIMAL_CELLS = 256


class UnfitCacheError(RuntimeError):
    """This model's cache can't be shared or repeated."""


@dataclass(frozen=True, kw_only=True)
class Prefix:
    """All but the last token of each prompt, read: the cache, which of its columns are real, and what comes next."""

    cache: Any
    mask: Int[Tensor, "batch past"]
    last: Int[Tensor, " batch"]
    position: Int[Tensor, " batch"]

    @property
    def kept(self) -> list[int]:
        """How many columns each layer still has (a sliding window forgets)."""
        return [layer.keys.shape[-2] for layer in self.cache.layers]

    def fresh_cache(self) -> Any:
        """A cache of its own that shares the prompt's keys and values (a dynamic layer grows by concatenation)."""
        mine = copy.copy(self.cache)
        mine.layers = [copy.copy(layer) for layer in self.cache.layers]
        return mine


def prefill(model: Model, heads: Sequence[list[int]]) -> Prefix:
    """Read all but the last token of each prompt, whose token ids are `heads`.

    Raises: UnfitCacheError when the model's cache is not made of transformers' dynamic layers.
    """
    batch = left_padded(model, [head[:-1] or [model.pad_token_id] for head in heads])
    empty = [at for at, head in enumerate(heads) if len(head) == 1]
    batch["attention_mask"][empty] = 0  # a prompt of one token has nothing before it
    with last_logits_only(model.network, model.head):
        cache: Any = getattr(model.network(**batch, use_cache=True), "past_key_values", None)
    check_cache(model, cache)
    return Prefix(
        cache=cache,
        mask=batch["attention_mask"],
        last=torch.tensor([head[-1] for head in heads], device=model.device),
        position=torch.tensor([len(head) - 1 for head in heads], device=model.device),
    )


def check_cache(model: Model, cache: Any) -> None:
    """Raise UnfitCacheError unless rows of this cache can be repeated and dropped."""
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    kinds = {type(layer) for layer in getattr(cache, "layers", [])}
    if not kinds or not kinds <= {DynamicLayer, DynamicSlidingWindowLayer} or len(cache.layers) != model.n_layers:
        names = ", ".join(sorted(kind.__name__ for kind in kinds)) or type(cache).__name__
        raise UnfitCacheError(f"a cache of {names} cannot be shared between cells")


def cells_per_chunk(model: Model, prefix: Prefix, *, repeated: bool) -> int:
    """Cells at a time, within the memory budget; `repeated` when each has the prompt's cache to itself."""
    staying, passing = bytes_per_token(model)
    tokens = 2 * (prefix.mask.shape[1] + 1) if repeated else 1
    each = len(prefix.last) * (tokens * staying + passing + 12 * model.d_vocab)
    budget = free_bytes(model) * MEMORY_SHARE
    budget = min(budget, CHUNK_BYTES) if model.device.type == "cpu" else budget
    return int(max(1, min(budget // each, MAXIMAL_CELLS)))
