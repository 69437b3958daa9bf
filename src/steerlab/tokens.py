"""Texts to token rows that fit the context, and to left-padded batches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from steerlab.errors import PromptError
from steerlab.models import Model


def encode(model: Model, texts: Sequence[str], *, new_tokens: int = 0) -> list[list[int]]:
    """Token ids of each text, none cut.

    Raises: PromptError that counts and names the texts that are empty or, with `new_tokens` more, exceed the context.
    """
    if not texts:
        return []
    ids = [list(map(int, row)) for row in model.tokenizer(list(texts), add_special_tokens=True)["input_ids"]]
    empty = [i for i, row in enumerate(ids) if not row]
    if empty:
        raise PromptError(f"{len(empty)} of {len(ids)} prompts have no token, the first is number {empty[0]}.")
    if model.context is not None:
        long = [i for i, row in enumerate(ids) if len(row) + new_tokens > model.context]
        if long:
            more = f", and {new_tokens} are to be generated" if new_tokens else ""
            raise PromptError(
                f"{len(long)} of {len(ids)} prompts exceed the context of {model.context} tokens of {model.name}: "
                f"number {long[0]} has {len(ids[long[0]])} tokens{more}."
            )
    return ids


def left_padded(model: Model, rows: Sequence[Sequence[int]]) -> dict[str, Tensor]:
    """A batch of token rows, padded on the left, with attention mask and (where accepted) position ids."""
    width = max(len(row) for row in rows)
    ids = [[model.pad_token_id] * (width - len(row)) + list(row) for row in rows]
    mask = [[0] * (width - len(row)) + [1] * len(row) for row in rows]
    batch = {
        "input_ids": torch.tensor(ids, device=model.device),
        "attention_mask": torch.tensor(mask, device=model.device),
    }
    if model.accepts_position_ids:
        batch["position_ids"] = (batch["attention_mask"].cumsum(dim=1) - 1).clamp_min(0)
    return batch


def shared_prefix(model: Model, prompt: str, row: Sequence[int]) -> int:
    """How many tokens of `row` belong to `prompt` (its tokens as far as they agree; a bos token is prompt)."""
    agree = 0
    for ours, theirs in zip(model.tokenizer(prompt, add_special_tokens=True)["input_ids"], row, strict=False):
        if int(ours) != theirs:
            break
        agree += 1
    return agree
