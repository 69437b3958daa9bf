"""The prompts read once: all but the last token of each, as a KV cache that many cells go on from."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Int
from torch import Tensor, nn

from steerlab.batches import MEMORY_SHARE, bytes_per_token, free_bytes
from steerlab.hooks import StopForwardError, last_logits_only
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
    cache = _filled_cache(model, batch)
    return Prefix(
        cache=cache,
        mask=batch["attention_mask"],
        last=torch.tensor([head[-1] for head in heads], device=model.device),
        position=torch.tensor([len(head) - 1 for head in heads], device=model.device),
    )


_DYNAMIC: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()


def _filled_cache(model: Model, batch: dict[str, Tensor]) -> Any:
    """The keys and values of the batch. Once the model is known to make a plain DynamicCache of its config, it is given
    one whose last layer ends the forward: nothing reads what that layer makes of its keys and values.
    """
    from transformers import DynamicCache

    network = model.network
    config: Any = getattr(network, "config", None)
    if _DYNAMIC.get(network):
        given = DynamicCache(config=config)
        with suppress(StopForwardError), stopping_after(given.layers[-1]):
            network(**batch, past_key_values=given, use_cache=True)
            _DYNAMIC[network] = False  # it ran to its end: it does not use what it was given
        if _DYNAMIC[network]:
            return given
    with last_logits_only(network, model.head):
        cache = getattr(network(**batch, use_cache=True), "past_key_values", None)
    check_cache(model, cache)
    if network not in _DYNAMIC:
        _DYNAMIC[network] = type(cache) is DynamicCache and config is not None and _like(cache, config)
    return cache


def _like(cache: Any, config: Any) -> bool:
    """Whether the cache has the layers that its class would make of the config."""
    return list(map(type, cache.layers)) == list(map(type, type(cache)(config=config).layers))


@contextmanager
def stopping_after(layer: Any) -> Iterator[None]:
    """Let the cache layer's update raise StopForwardError once it holds its keys and values."""
    update = layer.update

    def update_and_stop(*args: Any, **kwargs: Any) -> None:
        update(*args, **kwargs)
        raise StopForwardError

    layer.update = update_and_stop
    try:
        yield
    finally:
        del layer.update


def check_cache(model: Model, cache: Any) -> None:
    """Raise UnfitCacheError unless rows of this cache can be repeated and dropped."""
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    kinds = {type(layer) for layer in getattr(cache, "layers", [])}
    if not kinds or not kinds <= {DynamicLayer, DynamicSlidingWindowLayer} or len(cache.layers) != model.n_layers:
        names = ", ".join(sorted(kind.__name__ for kind in kinds)) or type(cache).__name__
        raise UnfitCacheError(f"a cache of {names} cannot be shared between cells")


def cells_per_chunk(model: Model, prefix: Prefix, *, repeated: bool, logits: int) -> int:
    """Cells at a time, within the memory budget; `repeated` when each has the prompt's cache to itself.

    `logits` is how many logits are computed per cell and prompt.
    """
    staying, passing = bytes_per_token(model)
    tokens = 2 * (prefix.mask.shape[1] + 1) if repeated else 1
    each = len(prefix.last) * (tokens * staying + passing + 12 * logits)
    budget = free_bytes(model) * MEMORY_SHARE
    budget = min(budget, CHUNK_BYTES) if model.device.type == "cpu" else budget
    return int(max(1, min(budget // each, MAXIMAL_CELLS)))
