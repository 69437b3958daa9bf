"""KV caches with room for the tokens to come, and rows of several caches joined into one."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from transformers.cache_utils import DynamicLayer

Chosen = tuple[Tensor, Int[Tensor, " row"] | None]
Part = tuple[Any, Int[Tensor, " row"] | None]  # a filled cache layer, and the rows of it (None: all)


class RoomyLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """transformers' dynamic layer, whose keys and values are the front of larger buffers.

    transformers 5.23 appends by concatenation, so that every step copies the whole cache: on a CPU that was four fifths
    of a batched decode. What its other methods do to `keys` and `values` stands: buffers that no longer hold them are
    made anew.
    """

    def __init__(self, parts: Sequence[Part], *, room: int) -> None:
        vars(self).update(vars(parts[0][0]))
        self._capacity = parts[0][0].get_seq_length() + room
        self._fill([(layer.keys, rows) for layer, rows in parts], [(layer.values, rows) for layer, rows in parts])

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append [row, head, token, d_head] and give the keys and values so far."""
        assert self.keys is not None and self.values is not None, "made of filled layers"
        begin = self.keys.shape[2]
        end = begin + key_states.shape[2]
        present = zip((self.keys, self.values), self._buffers, strict=True)
        if not all(_is_front(part, buffer, room=end) for part, buffer in present):
            self._capacity = max(self._capacity, end)
            self._fill([(self.keys, None)], [(self.values, None)])
        keys, values = self._buffers
        keys[:, :, begin:end] = key_states
        values[:, :, begin:end] = value_states
        self.keys, self.values = keys[:, :, :end], values[:, :, :end]
        return self.keys, self.values

    def _fill(self, keys: Sequence[Chosen], values: Sequence[Chosen]) -> None:
        self._buffers = _buffer(keys, self._capacity), _buffer(values, self._capacity)
        length = keys[0][0].shape[2]
        self.keys, self.values = (buffer[:, :, :length] for buffer in self._buffers)


def _is_front(part: Tensor, buffer: Tensor, *, room: int) -> bool:
    """Whether `part` is the front of `buffer`, which has room for so many tokens."""
    return part.data_ptr() == buffer.data_ptr() and part.shape[:2] == buffer.shape[:2] and buffer.shape[2] >= room


def _buffer(parts: Sequence[Chosen], capacity: int) -> Tensor:
    """Room for `capacity` tokens that begins with the chosen rows of the parts, [row, head, token, d_head]."""
    counts = [len(part) if rows is None else len(rows) for part, rows in parts]
    _, heads, length, width = parts[0][0].shape
    buffer = parts[0][0].new_empty(sum(counts), heads, capacity, width)
    for (part, rows), front in zip(parts, torch.split(buffer[:, :, :length], counts), strict=True):
        if rows is None:
            front.copy_(part)
        else:
            torch.index_select(part, 0, rows.to(part.device), out=front)
    return buffer


def join_layers(parts: Sequence[Part], *, room: int) -> Any:
    """One layer of the chosen rows (None: all) of several filled ones, with room for so many more tokens.

    A layer with a sliding window, which forgets, is joined without room.
    """
    if all(type(layer) is DynamicLayer for layer, _ in parts):
        return RoomyLayer(parts, room=room)
    joined = copy.copy(parts[0][0])
    joined.keys = torch.cat([layer.keys if rows is None else layer.keys[rows] for layer, rows in parts])
    joined.values = torch.cat([layer.values if rows is None else layer.values[rows] for layer, rows in parts])
    return joined


def make_room(cache: Any, *, tokens: int) -> None:
    """Give the dynamic layers of a filled `cache` room for so many tokens; others stay as they are."""
    layers: Any = getattr(cache, "layers", None)
    for at, layer in enumerate(layers if isinstance(layers, list) else ()):
        if type(layer) is DynamicLayer and layer.get_seq_length():
            layers[at] = RoomyLayer([(layer, None)], room=tokens)
