"""Cells that touch the prompt: the layers below the steered one run once per prompt, the others once per cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from steerlab.batches import CPU_TOKENS_PER_BATCH, Progress, run_batched
from steerlab.hooks import StopForwardError, attached, last_logits_only, prompt_lengths, replayed
from steerlab.interventions import Intervention
from steerlab.models import Model
from steerlab.steering import steer_rows
from steerlab.tokens import left_padded
from steerlab.wave.cells import Live, first_layer, in_chunks
from steerlab.wave.reading import Reading, unit_log_likelihoods


def run_shared(model: Model, reading: Reading, cells: Live, chunk: int | None, progress: Progress | None) -> Tensor:
    """The layers below the lowest steered one run once per prompt; the others once per cell."""
    units = reading.units
    texts = [reading.text(unit) for unit in units]
    starts = [first_layer(model, cell) for cell in cells]

    def run(batch: list[int]) -> list[Tensor]:
        padded = left_padded(model, [texts[k] for k in batch])
        size = chunk or max(1, CPU_TOKENS_PER_BATCH // padded["input_ids"].numel())
        lengths = [len(reading.heads[units[k][0]]) for k in batch]
        found: list[Tensor] = [torch.empty(0)] * len(cells)
        below: tuple[int, Tensor | None] = (-1, None)
        with torch.inference_mode():
            for start in sorted(set(starts)):
                below = start, advanced(model, padded, below, start)

                def read(some: Sequence[int], below: tuple[int, Tensor | None] = below) -> None:
                    logits = _upper_layers(
                        model, padded, below, [cells[c] for c in some], lengths=lengths, reading=reading
                    )
                    for at, c in enumerate(some):
                        found[c] = unit_log_likelihoods(
                            logits[at * len(batch) : (at + 1) * len(batch)], reading, [units[k] for k in batch]
                        )

                in_chunks([c for c, own in enumerate(starts) if own == start], size, read)
        return list(torch.stack(found).unbind(dim=1))

    count = None if progress is None else lambda n: progress(n * len(cells))
    return reading.shaped(torch.stack(run_batched(model, list(map(len, texts)), run, progress=count), dim=1))


def advanced(
    model: Model,
    padded: dict[str, Tensor],
    below: tuple[int, Tensor | None],
    layer: int,
    *,
    cache: Any = None,
) -> Tensor:
    """The unsteered residual [prompt, position, d_model] at `layer`, computed from the one that is stored.

    `below` is a layer and the residual there (-1 and None: nothing is stored). With an empty `cache`, the keys and
    values of the layers between go into it.
    """
    seen: list[Tensor] = []

    def read(residual: Tensor) -> None:
        seen.append(residual)
        raise StopForwardError

    done, stored = below
    skipped = model.layers[: done + 1]
    with attached(model.network, readers={model.layers[layer]: read}):
        try:
            with replayed(skipped, stored if stored is not None else torch.empty(0)):
                model.network(**padded, past_key_values=cache, use_cache=cache is not None)
        except StopForwardError:
            pass
    return seen[0]


def _upper_layers(
    model: Model,
    padded: dict[str, Tensor],
    below: tuple[int, Tensor | None],
    cells: Sequence[tuple[Intervention, ...]],
    *,
    lengths: list[int],
    reading: Reading,
) -> Tensor:
    start, stored = below
    assert stored is not None, "the layers below have run"
    longest = 1 if reading.single else 1 + max(len(tail) for own in reading.tails for tail in own)
    n = len(cells)
    with (
        prompt_lengths(model.network, lengths * n),
        steer_rows(model, [cell for cell in cells for _ in lengths]),
        last_logits_only(model.network, model.head, n_positions=longest),
        replayed(model.layers[: start + 1], stored.repeat(n, 1, 1)),
    ):
        output = model.network(**{name: part.repeat(n, 1) for name, part in padded.items()}, use_cache=False)
    return output.logits[:, -longest:]  # type: ignore[no-any-return]
