"""What a readout reads: token ids of prompts and answers, and their log-probabilities from logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from steerlab.hooks import narrow_head, narrowable
from steerlab.models import Model


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Token ids of the prompts (`heads`) and of each prompt's answers (`tails`).

    `relative`: only differences between the answers of a prompt are wanted, so the logits of one-token answers do, and
    need not be held against those of the whole vocabulary.
    """

    heads: list[list[int]]
    tails: list[list[list[int]]]
    relative: bool = False

    @property
    def single(self) -> bool:
        """True when every answer is one token."""
        return all(len(tail) == 1 for own in self.tails for tail in own)

    @property
    def units(self) -> list[tuple[int, int]]:
        """Rows of a forward: a prompt (all answers are one token), or a prompt with one of its answers."""
        if self.single:
            return [(i, -1) for i in range(len(self.heads))]
        return [(i, j) for i, own in enumerate(self.tails) for j in range(len(own))]

    def text(self, unit: tuple[int, int]) -> list[int]:
        """Token ids of a unit."""
        i, j = unit
        return self.heads[i] if j < 0 else self.heads[i] + self.tails[i][j]

    def shaped(self, found: Tensor) -> Tensor:
        """[cell, unit, value] as [cell, prompt, answer]."""
        return found.reshape(len(found), len(self.heads), -1)


def answer_values(
    model: Model, tokens: Int[Tensor, "row answer"], forward: Callable[[], Tensor], *, relative: bool
) -> Float[Tensor, "row query answer"]:
    """Natural-log probability of each row's answer tokens at every query of `forward`'s logits (float32, CPU).

    `relative`: up to a constant of the row and query. A head that is a plain linear layer then makes no other logits.
    """
    head = model.head
    if not relative or not narrowable(head):
        return token_log_probabilities(forward(), tokens)
    kept, at = torch.unique(tokens, return_inverse=True)
    with narrow_head(head, kept):
        logits = forward()
    return logits.gather(-1, at[:, None, :].to(logits.device).expand(-1, logits.shape[1], -1)).float().cpu()


def token_log_probabilities(
    logits: Float[Tensor, "row query vocab"], tokens: Int[Tensor, "row answer"]
) -> Float[Tensor, "row query answer"]:
    """Natural-log probability of each row's answer tokens at every query (float32, CPU)."""
    own = logits.gather(-1, tokens[:, None, :].to(logits.device).expand(-1, logits.shape[1], -1)).float()
    if logits.device.type == "cpu":  # one query at a time stays in the processor's cache: 3 x faster (torch 2.13)
        total = torch.stack([torch.stack([q.float().logsumexp(dim=-1) for q in row]) for row in logits])
    else:
        total = logits.float().logsumexp(dim=-1)
    return (own - total[..., None]).cpu()


def unit_log_likelihoods(
    logits: Float[Tensor, "row query vocab"], reading: Reading, units: Sequence[tuple[int, int]]
) -> Float[Tensor, "row value"]:
    """Of each unit the answers' log-likelihoods (one token each), or the one of the unit's answer.

    `logits` end with those of the unit's last token.
    """
    if reading.single:
        tokens = torch.tensor([[t for (t,) in reading.tails[i]] for i, _ in units])
        return token_log_probabilities(logits[:, -1:], tokens)[:, 0]
    sums = []
    for row, (i, j) in zip(logits, units, strict=True):
        tail = reading.tails[i][j]
        chances = row[-len(tail) - 1 : -1].float().log_softmax(dim=-1)
        sums.append(chances[range(len(tail)), tail].sum().cpu())
    return torch.stack(sums)[:, None]
