"""Cells behind prompts that have been read: as queries of one forward, or as rows with a repeated cache."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from steerlab.batches import Progress, run_batched
from steerlab.hooks import attached_untracked, narrowable
from steerlab.interventions import Intervention
from steerlab.models import Model
from steerlab.steering import row_steps
from steerlab.wave.cells import Live, apply_to_cells, first_layer, in_chunks
from steerlab.wave.prefix import Prefix, cells_per_chunk, prefill
from steerlab.wave.reading import Reading, answer_values


def run_layers(model: Model, reading: Reading, cells: Live, chunk: int | None, progress: Progress | None) -> Tensor:
    """[cell, prompt, answer]; a cell is a query behind the prompt that joins at the lowest layer it steers."""
    return _run_queries(model, reading, cells, chunk, progress, joining=True)


def run_tree(model: Model, reading: Reading, cells: Live, chunk: int | None, progress: Progress | None) -> Tensor:
    """[cell, prompt, answer]; a cell is a query behind the prompt and rides through all layers."""
    return _run_queries(model, reading, cells, chunk, progress, joining=False)


def run_rows(model: Model, reading: Reading, cells: Live, chunk: int | None, progress: Progress | None) -> Tensor:
    """[cell, prompt, answer]; a cell and a prompt are a row with the prompt's cache."""
    return _over_prefix(
        model,
        reading,
        cells,
        progress,
        tail=lambda prefix, some, tokens: _tail_of_rows(model, prefix, some, tokens, relative=reading.relative),
        size=lambda prefix: chunk or cells_per_chunk(model, prefix, repeated=True, logits=_logits(model, reading)),
    )


def _run_queries(
    model: Model, reading: Reading, cells: Live, chunk: int | None, progress: Progress | None, *, joining: bool
) -> Tensor:
    return _over_prefix(
        model,
        reading,
        cells,
        progress,
        tail=lambda prefix, some, tokens: _tail_of_queries(
            model, prefix, some, tokens, joining=joining, relative=reading.relative
        ),
        size=lambda prefix: chunk or cells_per_chunk(model, prefix, repeated=False, logits=_logits(model, reading)),
    )


def _logits(model: Model, reading: Reading) -> int:
    """How many logits the head makes at a query."""
    return 0 if reading.relative and narrowable(model.head) else model.d_vocab


def _over_prefix(
    model: Model,
    reading: Reading,
    cells: Live,
    progress: Progress | None,
    *,
    tail: Callable[[Prefix, list[tuple[Intervention, ...]], Tensor], Tensor],
    size: Callable[[Prefix], int],
) -> Tensor:
    """Read the prompts in batches and the cells, lowest layer first, in chunks: `tail` gives [cell, prompt, answer]."""
    order = sorted(range(len(cells)), key=lambda c: first_layer(model, cells[c]))

    def run(batch: list[int]) -> list[Tensor]:
        tokens = torch.tensor([[t for (t,) in reading.tails[i]] for i in batch])
        with torch.inference_mode():
            prefix = prefill(model, [reading.heads[i] for i in batch])
            found = torch.zeros(len(cells), *tokens.shape)

            def read(some: Sequence[int]) -> None:
                found[list(some)] = tail(prefix, [cells[c] for c in some], tokens)

            in_chunks(order, size(prefix), read)
        return list(found.unbind(dim=1))

    count = None if progress is None else lambda n: progress(n * len(cells))
    return torch.stack(run_batched(model, [len(head) for head in reading.heads], run, progress=count), dim=1)


def _narrow(value: object, *, width: int, active: int, past: int, kept: int) -> object:
    """A layer's argument for the first `active` of `width` queries and the last `kept` of `past` cached columns."""
    if isinstance(value, tuple):
        return tuple(_narrow(part, width=width, active=active, past=past, kept=kept) for part in value)
    if not isinstance(value, Tensor):
        return value
    if value.ndim == 4 and tuple(value.shape[2:]) == (width, past + width):
        return value[:, :, :active, past - kept : past + active]
    return value[:, :active] if value.ndim > 1 and value.shape[1] == width else value


def _tail_of_queries(
    model: Model,
    prefix: Prefix,
    cells: list[tuple[Intervention, ...]],
    tokens: Tensor,
    *,
    joining: bool,
    relative: bool,
) -> Tensor:
    """[cell, prompt, answer] from one forward whose query 0 is unsteered and whose other queries are the cells.

    With `joining`, only query 0 runs from the first layer on; a cell starts as its copy at the layer it steers.
    """
    past, width = prefix.mask.shape[1], 1 + len(cells)
    first = [first_layer(model, cell) for cell in cells]
    joins: Mapping[int, int] = Counter(first) if joining else {}
    layers = sorted({layer for cell in cells for i in cell for layer in i.vector.layers} | set(joins))
    plan = {layer: row_steps(model, [(), *cells], layer) for layer in layers}

    def edit_at(layer: int) -> Callable[[Tensor], Tensor]:
        def edit(residual: Tensor) -> Tensor:
            if joins.get(layer):
                residual = torch.cat([residual, residual[:, :1].expand(-1, joins[layer], -1)], dim=1)
            return apply_to_cells(plan[layer], residual.transpose(0, 1)).transpose(0, 1).contiguous()

        return edit

    def inputs_at(layer: int) -> Callable[[object], object]:
        active = 1 + sum(start < layer for start in first) if joining else width
        return lambda value: _narrow(value, width=width, active=active, past=past, kept=prefix.kept[layer])

    narrowed = joining or any(kept < past for kept in prefix.kept)
    hidden = torch.finfo(model.dtype).min
    own = torch.full((width, width), hidden, dtype=model.dtype, device=model.device).fill_diagonal_(0)
    before = (prefix.mask == 0).to(model.dtype) * hidden
    mask = torch.cat([before[:, None].expand(-1, width, -1), own.expand(len(before), -1, -1)], dim=-1)
    with attached_untracked(
        edits={model.layers[layer]: edit_at(layer) for layer in layers},
        inputs={module: inputs_at(layer) for layer, module in enumerate(model.layers)} if narrowed else None,
    ):
        values = answer_values(
            model,
            tokens,
            lambda: (
                model.network(
                    input_ids=prefix.last[:, None].repeat(1, width),
                    attention_mask=mask[:, None],
                    position_ids=prefix.position[:, None].repeat(1, width),
                    past_key_values=prefix.fresh_cache(),
                    use_cache=True,
                ).logits
            ),
            relative=relative,
        )
    return values[:, 1:].transpose(0, 1)


def _tail_of_rows(
    model: Model, prefix: Prefix, cells: list[tuple[Intervention, ...]], tokens: Tensor, *, relative: bool
) -> Tensor:
    n_prompts = len(prefix.last)
    of_prompt = torch.arange(n_prompts, device=model.device).repeat(len(cells))
    rows = [cell for cell in cells for _ in range(n_prompts)]
    layers = sorted({layer for cell in cells for i in cell for layer in i.vector.layers})
    cache = prefix.fresh_cache()
    cache.batch_select_indices(of_prompt)
    mask = torch.cat([prefix.mask, prefix.mask.new_ones(n_prompts, 1)], dim=1)[of_prompt]
    position = {"position_ids": prefix.position[of_prompt, None]} if model.accepts_position_ids else {}

    def edit_at(layer: int) -> Callable[[Tensor], Tensor]:
        steps = row_steps(model, rows, layer)
        return lambda residual: apply_to_cells(steps, residual)

    with attached_untracked(edits={model.layers[layer]: edit_at(layer) for layer in layers}):
        values = answer_values(
            model,
            tokens[of_prompt.cpu()],
            lambda: (
                model.network(
                    input_ids=prefix.last[of_prompt, None],
                    attention_mask=mask,
                    past_key_values=cache,
                    use_cache=True,
                    **position,
                ).logits
            ),
            relative=relative,
        )
    return values.reshape(len(cells), n_prompts, -1)
