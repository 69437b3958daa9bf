"""Rows of cells that have read their prompts: their cache repeated, or the layers below the steered one shared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from steerlab.caches import join_layers
from steerlab.generation import ReadRows, steered_stream
from steerlab.hooks import Stream, last_logits_only, replayed
from steerlab.models import Model
from steerlab.tokens import left_padded
from steerlab.wave.cells import Live, chunks, first_layer
from steerlab.wave.prefix import check_cache, prefill
from steerlab.wave.through import advanced

PREFILL_TOKENS = 8192


@dataclass(frozen=True, kw_only=True)
class CellRows:
    """Rows of a generation: prompt `of[i]` (token ids in `heads`) under the interventions `cells[i]`."""

    heads: list[list[int]]
    of: list[int]
    cells: Live

    @property
    def prompt_tokens(self) -> list[int]:
        """The length of each row's prompt in tokens."""
        return [len(self.heads[prompt]) for prompt in self.of]


class Reader(Protocol):
    """Reads the prompts of rows and keeps the rows steered while a block runs."""

    def __call__(self, model: Model, rows: CellRows, *, room: int) -> AbstractContextManager[tuple[Stream, ReadRows]]:
        """The stream and the rows; where it can be, the cache has room for `room` tokens more."""


@contextmanager
def repeated(model: Model, rows: CellRows, *, room: int) -> Iterator[tuple[Stream, ReadRows]]:
    """Each prompt is read once, but for its last token, which each row reads with a copy of the prompt's cache.

    For cells that leave the tokens before the last prompt token alone. The rows are steered while the block runs.
    Raises: UnfitCacheError.
    """
    with torch.inference_mode():
        prefix = prefill(model, rows.heads)
        of = torch.tensor(rows.of, device=model.device)
        cache, mask = prefix.fresh_cache(), prefix.mask[of]
        cache.layers = [join_layers([(layer, of)], room=1 + room) for layer in cache.layers]
        step: dict[str, Any] = {"input_ids": prefix.last[of, None]}
        if model.accepts_position_ids:
            step["position_ids"] = prefix.position[of, None]
        with (
            steered_stream(model, rows.prompt_tokens, rows.cells) as stream,
            last_logits_only(model.network, model.head),
        ):
            goes_on_from(stream, mask)
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
            output = model.network(**step, attention_mask=mask, past_key_values=cache, use_cache=True)
            yield stream, ReadRows(logits=output.logits[:, -1], cache=output.past_key_values, mask=mask)


def goes_on_from(stream: Stream, mask: Tensor) -> None:
    """Tell the stream that rows with this padding mask have been read."""
    stream.positions.enter_forward(mask=mask, past=0, shape=(mask.shape[0], mask.shape[1]), device=mask.device)


@contextmanager
def shared(model: Model, rows: CellRows, *, room: int) -> Iterator[tuple[Stream, ReadRows]]:
    """The layers up to the lowest steered one are run once per prompt, the others once per row.

    The rows come lowest steered layer first. They are steered while the block runs; a gate's decision is not kept.
    Raises: UnfitCacheError.
    """
    with torch.inference_mode():
        padded = left_padded(model, rows.heads)
        mask = padded["attention_mask"][torch.tensor(rows.of, device=model.device)]
        logits, cache = _read_upper_layers(model, padded, rows, room=room)
        with (
            steered_stream(model, rows.prompt_tokens, rows.cells) as stream,
            last_logits_only(model.network, model.head),
        ):
            goes_on_from(stream, mask)
            yield stream, ReadRows(logits=logits, cache=cache, mask=mask)


@contextmanager
def batched(model: Model, rows: CellRows, *, room: int) -> Iterator[tuple[Stream, ReadRows]]:
    """Every row reads its own prompt. The rows are steered while the block runs."""
    batch = left_padded(model, [rows.heads[prompt] for prompt in rows.of])
    with (
        torch.inference_mode(),
        steered_stream(model, rows.prompt_tokens, rows.cells) as stream,
        last_logits_only(model.network, model.head),
    ):
        output = model.network(**batch, use_cache=True)
        yield stream, ReadRows(logits=output.logits[:, -1], cache=output.past_key_values, mask=batch["attention_mask"])


READERS: Mapping[str, Reader] = {"rows": repeated, "shared": shared, "batch": batched}


def _empty_cache(model: Model) -> Any:
    from transformers import DynamicCache

    return DynamicCache(config=getattr(model.network, "config", None))


@dataclass(frozen=True, kw_only=True)
class _Part:
    """Rows steered from layer `start` on: the logits after the prompt and the cache of the layers above `start`."""

    start: int
    of: Tensor
    logits: Tensor
    cache: Any


def _read_upper_layers(model: Model, padded: dict[str, Tensor], rows: CellRows, *, room: int) -> tuple[Tensor, Any]:
    starts = [first_layer(model, cell) for cell in rows.cells]
    assert starts == sorted(starts), "rows come lowest steered layer first"
    size = max(1, PREFILL_TOKENS // padded["input_ids"].shape[1])
    below: tuple[int, Tensor | None] = (-1, None)
    lower: list[Any] = []  # of each layer up to the stored one the prompts' cache
    parts: list[_Part] = []
    for start in sorted(set(starts)):
        cache = _empty_cache(model)
        stored = advanced(model, padded, below, start, cache=cache)
        lower += cache.layers[below[0] + 1 : start + 1]
        below = start, stored
        for some in chunks([i for i, own in enumerate(starts) if own == start], size):
            parts.append(_read_part(model, padded, rows, some=some, start=start, stored=stored))
    return torch.cat([part.logits for part in parts]), _joined(model, lower, parts, room=room)


def _read_part(
    model: Model, padded: dict[str, Tensor], rows: CellRows, *, some: Sequence[int], start: int, stored: Tensor
) -> _Part:
    of = torch.tensor([rows.of[i] for i in some], device=model.device)
    cache = _empty_cache(model)
    with (
        steered_stream(model, [rows.prompt_tokens[i] for i in some], [rows.cells[i] for i in some]),
        last_logits_only(model.network, model.head),
        replayed(model.layers[: start + 1], stored[of]),
    ):
        output = model.network(
            **{name: part[of] for name, part in padded.items()}, past_key_values=cache, use_cache=True
        )
    check_cache(model, cache)
    return _Part(start=start, of=of, logits=output.logits[:, -1], cache=cache)


def _joined(model: Model, lower: Sequence[Any], parts: Sequence[_Part], *, room: int) -> Any:
    """One cache of all rows: of a layer up to a part's start the prompts' keys and values, above it the part's own."""
    whole = _empty_cache(model)
    for at in range(model.n_layers):
        own = [(part.cache.layers[at], None) if part.start < at else (lower[at], part.of) for part in parts]
        whole.layers[at] = join_layers(own, room=room)
    return whole
