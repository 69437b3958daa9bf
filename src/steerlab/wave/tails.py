"""Whole answers behind prompts that have been read: per cell only their tokens run, from the steered layer up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from steerlab.batches import CPU_TOKENS_PER_BATCH, Progress, run_batched
from steerlab.caches import join_layers
from steerlab.generation import steered_stream
from steerlab.hooks import replayed
from steerlab.interventions import Intervention
from steerlab.models import Model
from steerlab.wave.cells import Live, first_layer, in_chunks
from steerlab.wave.prefix import Prefix, prefill
from steerlab.wave.reading import Reading
from steerlab.wave.rows import goes_on_from
from steerlab.wave.through import advanced


@dataclass(frozen=True, kw_only=True)
class _Tails:
    """Answers of a batch: what the network is given after the prompts' caches, and the tokens that it is asked for.

    `step` holds [unit, token] of the last prompt token and the answer but for its last token, padded on the right.
    """

    prefix: Prefix
    step: dict[str, Tensor]
    asked: list[list[int]]
    prompt_tokens: list[int]


def run_tails(model: Model, reading: Reading, cells: Live, chunk: int | None, progress: Progress | None) -> Tensor:
    """[cell, prompt, answer]; each prompt is read once per answer, the layers below the steered one once per answer."""
    units = reading.units
    starts = [first_layer(model, cell) for cell in cells]

    def run(batch: list[int]) -> list[Tensor]:
        with torch.inference_mode():
            tails = _tails(model, reading, [units[k] for k in batch])
            size = chunk or max(1, CPU_TOKENS_PER_BATCH // tails.step["input_ids"].numel())
            found: list[Tensor] = [torch.empty(0)] * len(cells)
            below: tuple[int, Tensor | None] = (-1, None)
            for start in sorted(set(starts)):
                below = start, advanced(model, tails.step, below, start, cache=tails.prefix.fresh_cache())

                def read(some: Sequence[int], below: tuple[int, Tensor | None] = below) -> None:
                    for c, sums in zip(some, _read(model, tails, below, [cells[c] for c in some]), strict=True):
                        found[c] = sums

                in_chunks([c for c, own in enumerate(starts) if own == start], size, read)
        return list(torch.stack(found)[..., None].unbind(dim=1))

    count = None if progress is None else lambda n: progress(n * len(cells))
    lengths = [len(reading.text(unit)) for unit in units]
    return reading.shaped(torch.stack(run_batched(model, lengths, run, progress=count), dim=1))


def _tails(model: Model, reading: Reading, units: Sequence[tuple[int, int]]) -> _Tails:
    heads = [reading.heads[i] for i, _ in units]
    asked = [reading.tails[i][j] for i, j in units]
    prefix = prefill(model, heads)
    width = max(map(len, asked))
    fed = [[head[-1], *tail[:-1]] for head, tail in zip(heads, asked, strict=True)]
    ids = [row + [model.pad_token_id] * (width - len(row)) for row in fed]
    real = [[1] * len(row) + [0] * (width - len(row)) for row in fed]
    mask = torch.cat([prefix.mask, torch.tensor(real, device=prefix.mask.device, dtype=prefix.mask.dtype)], dim=1)
    step = {"input_ids": torch.tensor(ids, device=model.device), "attention_mask": mask}
    if model.accepts_position_ids:
        step["position_ids"] = prefix.position[:, None] + torch.arange(width, device=model.device)
    return _Tails(prefix=prefix, step=step, asked=asked, prompt_tokens=[len(head) for head in heads])


def _read(
    model: Model, tails: _Tails, below: tuple[int, Tensor | None], cells: Sequence[tuple[Intervention, ...]]
) -> list[Tensor]:
    """Per cell the log-likelihood of each answer (natural log, float32, CPU)."""
    start, stored = below
    assert stored is not None, "the layers below have run"
    n, n_units = len(cells), len(tails.asked)
    of = torch.arange(n_units, device=model.device).repeat(n)
    cache: Any = tails.prefix.fresh_cache()
    for layer in range(start + 1, model.n_layers):
        cache.layers[layer] = join_layers([(cache.layers[layer], of)], room=stored.shape[1])
    with (
        steered_stream(model, tails.prompt_tokens * n, [cell for cell in cells for _ in range(n_units)]) as stream,
        replayed(model.layers[: start + 1], stored.repeat(n, 1, 1)),
    ):
        goes_on_from(stream, tails.prefix.mask[of])
        step = {name: part.repeat(n, 1) for name, part in tails.step.items()}
        logits = model.network(**step, past_key_values=cache, use_cache=True).logits
    sums = [
        row[: len(asked)].float().log_softmax(dim=-1)[range(len(asked)), asked].sum()
        for row, asked in zip(logits, tails.asked * n, strict=True)
    ]
    return list(torch.stack(sums).reshape(n, n_units).cpu())
