"""Batches sized by measured bytes per row; out of memory halves them and says so."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar
from weakref import WeakKeyDictionary

import torch

from steerlab.hooks import output_bytes, paused
from steerlab.models import Model

Result = TypeVar("Result")
Progress = Callable[[int], None]

LOGGER = logging.getLogger("steerlab")
PROBE_TOKENS = 16
MEMORY_SHARE = 0.4
MAXIMAL_ROWS = 64
CPU_TOKENS_PER_BATCH = 2048  # 8192 takes 1.8 x as long at 12 layers of d_model 512 (docs/log.md, 2026-11-26)


_MEASURED: WeakKeyDictionary[torch.nn.Module, tuple[int, int]] = WeakKeyDictionary()


def bytes_per_token(model: Model) -> tuple[int, int]:
    """Measured on a forward of 16 tokens: bytes that stay (KV cache) and that pass (one layer's outputs), per token.

    The forward is unsteered and unseen by readers; its outcome is remembered as long as the network lives.
    """
    if model.network not in _MEASURED:
        tokens = torch.ones(1, PROBE_TOKENS, dtype=torch.long, device=model.device)
        with torch.inference_mode(), paused(model.network), output_bytes(model.layers[0]) as passing:
            output = model.network(input_ids=tokens, attention_mask=torch.ones_like(tokens), use_cache=True)
        staying = sum(t.nbytes for t in _tensors(getattr(output, "past_key_values", None)))
        _MEASURED[model.network] = max(1, staying // PROBE_TOKENS), max(1, sum(passing) // PROBE_TOKENS)
    return _MEASURED[model.network]


def _tensors(cache: object) -> list[torch.Tensor]:
    parts = [part for layer in getattr(cache, "layers", []) for part in vars(layer).values()]
    return [part for part in parts if isinstance(part, torch.Tensor)]


def row_bytes(model: Model, n_tokens: int) -> int:
    """Bytes of memory that one row of `n_tokens` needs in a forward with a KV cache."""
    staying, passing = bytes_per_token(model)
    logits = 4 * model.d_vocab
    return n_tokens * (staying + passing) + logits


def free_bytes(model: Model) -> int:
    """Bytes of memory that are free where the model runs."""
    import psutil

    if model.device.type == "cuda":
        return int(torch.cuda.mem_get_info(model.device)[0])
    return int(psutil.virtual_memory().available)


def plan(model: Model, lengths: Sequence[int]) -> list[list[int]]:
    """Group rows (indices into `lengths`, in tokens) into batches, longest first, each within the memory budget."""
    budget = free_bytes(model) * MEMORY_SHARE
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    batches: list[list[int]] = []
    while order:
        longest = max(1, lengths[order[0]])
        rows = int(max(1, min(budget // row_bytes(model, longest), MAXIMAL_ROWS)))
        if model.device.type == "cpu":
            rows = max(1, min(rows, CPU_TOKENS_PER_BATCH // longest))
        batches.append(order[:rows])
        order = order[rows:]
    return batches


def run_batched(
    model: Model,
    lengths: Sequence[int],
    run: Callable[[list[int]], Sequence[Result]],
    *,
    planned: Sequence[Sequence[int]] | None = None,
    progress: Progress | None = None,
) -> list[Result]:
    """Call `run` on batches of row indices and give the results in the order of the rows.

    `lengths` are in tokens; the batches are those of `plan`, or `planned` (each row in one of them).
    When memory runs out the batch is halved and tried again, with a warning; a single row that does not fit raises.
    """
    results: dict[int, Result] = {}
    queue = plan(model, lengths) if planned is None else [list(batch) for batch in planned]
    while queue:
        batch = queue.pop(0)
        outcome: Sequence[Result] | None = None
        try:
            outcome = run(batch)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or len(batch) == 1:
                raise
        if outcome is None:  # outside of the except block, where the error's traceback holds the tensors no more
            half = len(batch) // 2
            LOGGER.warning("out of memory with %d rows: going on with %d at a time", len(batch), half)
            queue = [part[i : i + half] for part in [batch, *queue] for i in range(0, len(part), half)]
            release()
            continue
        results.update(zip(batch, outcome, strict=True))
        if progress is not None:
            progress(len(batch))
    return [results[i] for i in range(len(lengths))]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: torch and the C++ below it have several ways to."""
    said = str(error).lower()
    return (
        isinstance(error, (torch.OutOfMemoryError, MemoryError))
        or "can't allocate memory" in said
        or "out of memory" in said
    )


def release() -> None:
    """Give back the memory that torch keeps for later."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
