"""Capture the residual stream at chosen layers and positions, one batch at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from steerlab.batches import Progress, run_batched
from steerlab.errors import InterventionError, PromptError
from steerlab.hooks import StopForwardError, Stream, attached, prompt_lengths
from steerlab.models import Model, check_layers
from steerlab.positions import check_positions
from steerlab.steering import refuse_fixed_rows
from steerlab.tokens import encode, left_padded, shared_prefix


def capture(
    model: Model,
    texts: Sequence[str],
    *,
    layers: Sequence[int],
    positions: str = "last_prompt_token",
    prompts: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> dict[int, Float[Tensor, "text d_model"]]:
    """The residual of each text at `layers`, averaged over `positions`; float32 on the CPU.

    Memory does not grow with the number of texts beyond the result, and the forward ends at the highest layer.
    `prompts` says which beginning of each text is prompt (for `completion` and the like); by default all of it is.
    Raises: LayerError, PromptError; InterventionError when `positions` selects nothing in a text.
    """
    check_positions(positions)
    check_layers(model, layers)
    refuse_fixed_rows(model, "capture")
    if prompts is not None and len(prompts) != len(texts):
        raise PromptError(f"{len(prompts)} prompts were given for {len(texts)} texts: give one per text.")
    rows = encode(model, texts)
    lengths = [len(row) for row in rows]
    heads = lengths if prompts is None else [shared_prefix(model, p, r) for p, r in zip(prompts, rows, strict=True)]
    return _means(model, rows, heads, layers, lambda stream, _: stream.positions.select(positions), progress=progress)


def capture_at_tokens(
    model: Model,
    rows: Sequence[Sequence[int]],
    tokens: Sequence[Sequence[int]],
    *,
    layers: Sequence[int],
    progress: Progress | None = None,
) -> dict[int, Float[Tensor, "text d_model"]]:
    """As `capture`, for rows of token ids: the residual of row i is averaged over its tokens at indices `tokens[i]`.

    Raises: LayerError; PromptError for an index that the row lacks; InterventionError when a row has no index.
    """
    check_layers(model, layers)
    refuse_fixed_rows(model, "capture_at_tokens")
    if len(rows) != len(tokens):
        raise PromptError(f"{len(tokens)} lists of tokens were given for {len(rows)} rows: give one per row.")
    for number, (row, own) in enumerate(zip(rows, tokens, strict=True)):
        if own and not 0 <= min(own) <= max(own) < len(row):
            raise PromptError(f"row number {number} has tokens 0..{len(row) - 1}: choose indices within them.")

    def select(stream: Stream, batch: list[int]) -> Bool[Tensor, "batch position"]:
        width = max(len(rows[i]) for i in batch)
        selected = torch.zeros(len(batch), width, dtype=torch.bool)
        for at, i in enumerate(batch):
            selected[at, [width - len(rows[i]) + token for token in tokens[i]]] = True
        return selected

    return _means(model, rows, [len(row) for row in rows], layers, select, progress=progress)


def _means(
    model: Model,
    rows: Sequence[Sequence[int]],
    heads: Sequence[int],
    layers: Sequence[int],
    select: Callable[[Stream, list[int]], Bool[Tensor, "batch position"]],
    *,
    progress: Progress | None,
) -> dict[int, Float[Tensor, "text d_model"]]:
    """The mean residual of each row at `layers` over the positions that `select` gives for a batch of rows."""
    wanted = sorted(set(layers))
    results = {layer: torch.empty(len(rows), model.d_model) for layer in wanted}

    def run(batch: list[int]) -> list[None]:
        seen: dict[int, Tensor] = {}
        with prompt_lengths(model.network, [heads[i] for i in batch]) as stream:

            def reader_at(layer: int) -> object:
                def read(residual: Tensor) -> None:
                    seen[layer] = mean_at_positions(residual, select(stream, batch))
                    if layer == wanted[-1]:
                        raise StopForwardError

                return read

            readers = {model.layers[layer]: reader_at(layer) for layer in wanted}
            with (
                attached(model.network, readers=readers),  # type: ignore[arg-type]
                torch.inference_mode(),
                contextlib.suppress(StopForwardError),
            ):
                model.network(**left_padded(model, [rows[i] for i in batch]), use_cache=False)
        for layer in wanted:
            results[layer][batch] = seen[layer]
        return [None] * len(batch)

    run_batched(model, [len(row) for row in rows], run, progress=progress)
    return results


def mean_at_positions(
    residual: Float[Tensor, "batch position d_model"], selected: Bool[Tensor, "batch position"]
) -> Float[Tensor, "batch d_model"]:
    """The mean of each row's residual over its selected positions (float32, CPU).

    Raises: InterventionError when a row has no selected position.
    """
    weights = selected.to(residual.device).float()
    counts = weights.sum(dim=1, keepdim=True)
    if bool((counts == 0).any()):
        raise InterventionError("the positions select no token in one of the texts: is its completion empty?")
    return ((residual.float() * weights[..., None]).sum(dim=1) / counts).cpu()
