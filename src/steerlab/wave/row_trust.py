"""Ways to generate, checked: chances after fed tokens and after rows have left must be those of plain forwards."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn

from steerlab.generation import kept_rows, next_step
from steerlab.models import Model
from steerlab.steering import steer
from steerlab.tokens import left_padded
from steerlab.wave.cells import first_layer
from steerlab.wave.rows import READERS, CellRows
from steerlab.wave.trial import CHECK_ERRORS, failure, lengths_to_try, trial_cells, verdict

_CHECKS: WeakKeyDictionary[nn.Module, dict[tuple[object, ...], str]] = WeakKeyDictionary()


def failed_row_check(model: Model, heads: list[list[int]], way: str) -> str:
    """Empty when `way` gives the plain way's values on short rows of this model; remembered per network."""
    known = _CHECKS.setdefault(model.network, {})
    longest = max(heads, key=len)
    attention = getattr(getattr(model.network, "config", None), "_attn_implementation", None)
    for tokens in lengths_to_try(model, len(longest)):
        key = (way, tokens, model.dtype, model.device, attention)
        if key not in known:
            known[key] = _compare(model, [longest[: tokens[0]], longest[: tokens[1]]], way)
        if known[key]:
            return known[key]
    return ""


def _compare(model: Model, heads: list[list[int]], way: str) -> str:
    cells = trial_cells(model, positions="from_last_prompt_token" if way == "rows" else "all")
    cells = sorted(cells, key=lambda cell: first_layer(model, cell))
    rows = CellRows(
        heads=heads,
        of=[prompt for _ in cells for prompt in range(len(heads))],
        cells=[cell for cell in cells for _ in heads],
    )
    try:
        found = _chances(model, rows, way)
    except CHECK_ERRORS as error:
        return failure(way, error)
    return verdict(model, way, float((found - _plain_chances(model, rows)).abs().max()))


def _staying(rows: CellRows) -> list[int]:
    """The rows that stay when every third one leaves, the first among them."""
    return [row for row in range(len(rows.of)) if row % 3]


def _read_tokens(model: Model) -> list[int]:
    """Tokens whose chances are compared; the last two are fed."""
    return [model.d_vocab * part // 7 for part in range(7)]


def _chances(model: Model, rows: CellRows, way: str) -> Float[Tensor, "reading token"]:
    """Natural-log probabilities after the prompt, after one more token and, of the rows that stay, after a second."""
    tokens, stay = _read_tokens(model), _staying(rows)
    with READERS[way](model, rows, room=2) as (stream, read):
        first = next_step(model, read, [tokens[-1]] * len(rows.of))
        second = next_step(model, kept_rows(first, stream, stay), [tokens[-2]] * len(stay))
    return torch.cat([read.logits, first.logits, second.logits]).float().log_softmax(dim=-1)[:, tokens].cpu()


def _plain_chances(model: Model, rows: CellRows) -> Float[Tensor, "reading token"]:
    """The same, from one forward per row without a cache."""
    tokens, found = _read_tokens(model), []
    for prompt, cell in zip(rows.of, rows.cells, strict=True):
        text = [*rows.heads[prompt], tokens[-1], tokens[-2]]
        with torch.inference_mode(), steer(model, *cell, lengths=[len(text) - 2]):
            output = model.network(**left_padded(model, [text]), use_cache=False)
        found.append(output.logits[0, -3:].float().log_softmax(dim=-1)[:, tokens].cpu())
    after = torch.stack(found)
    return torch.cat([after[:, 0], after[:, 1], after[_staying(rows), 2]])
