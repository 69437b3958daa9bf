"""Side effects of steering on ordinary text: KL to the unsteered model and perplexity, with intervals by text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from steerlab.batches import MEMORY_SHARE, Progress, free_bytes, run_batched
from steerlab.errors import OptionError, PromptError
from steerlab.hooks import prompt_lengths
from steerlab.interventions import Intervention
from steerlab.models import Model
from steerlab.statistics import Estimate, cluster_bootstrap
from steerlab.steering import check, refuse_fixed_rows, steer
from steerlab.tokens import encode, left_padded

TOKENS_AT_ONCE = 512  # of one row in float32; the log-probabilities of both models are held for so many


@dataclass(frozen=True, kw_only=True)
class TextSums:
    """Sums over the read tokens of each text: float64, in nats; axis 0 is the cell, then the text.

    `kl` is KL(unsteered || steered), `loss` the negative log-likelihood of the text's own next tokens, `unsteered_loss`
    [text] the same without steering, `n_tokens` [text] how many tokens were read.
    """

    kl: Float[np.ndarray, "cell text"]
    loss: Float[np.ndarray, "cell text"]
    unsteered_loss: Float[np.ndarray, " text"]
    n_tokens: Float[np.ndarray, " text"]


@dataclass(frozen=True, kw_only=True)
class SideEffects:
    """What steering does to ordinary text: every number is per token, its interval from a bootstrap over texts.

    `kl`: mean KL(unsteered || steered) in nats per token. `perplexity_ratio`: steered over unsteered perplexity.
    """

    kl: Estimate
    perplexity_unsteered: Estimate
    perplexity_steered: Estimate
    perplexity_ratio: Estimate
    n_tokens: int


def side_effects(
    model: Model,
    texts: Sequence[str],
    cells: Sequence[Sequence[Intervention]],
    *,
    prompt_tokens: int = 1,
    level: float = 0.95,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[SideEffects]:
    """KL and perplexity of each cell (a set of interventions applied together) on ordinary texts, in their order.

    The unsteered forward is shared by the cells. Only predictions of real tokens are read, from the last of the first
    `prompt_tokens` tokens on: these are the prompt (which is what `positions` and gates go by), the rest is completion.
    Raises: PromptError for a text of fewer than prompt_tokens + 1 tokens, or one that does not fit the context.
    """
    sums = text_sums(model, texts, cells, prompt_tokens=prompt_tokens, progress=progress)
    return summarised(sums, level=level, seed=seed)


def summarised(sums: TextSums, *, level: float = 0.95, seed: int = 0) -> list[SideEffects]:
    """The side effects of each cell from its sums, with intervals at `level` from a bootstrap over texts."""
    texts = np.arange(len(sums.n_tokens))
    settings: dict[str, Any] = {"level": level, "seed": seed, "statistic_on": "weights"}
    found = []
    for kl, loss in zip(sums.kl, sums.loss, strict=True):
        rows = np.stack([kl, sums.unsteered_loss, loss, sums.n_tokens], axis=1)
        found.append(
            SideEffects(
                kl=cluster_bootstrap(rows, texts, _per_token(kl=1), **settings),
                perplexity_unsteered=cluster_bootstrap(rows, texts, _perplexity(before=1), **settings),
                perplexity_steered=cluster_bootstrap(rows, texts, _perplexity(after=1), **settings),
                perplexity_ratio=cluster_bootstrap(rows, texts, _perplexity(before=-1, after=1), **settings),
                n_tokens=int(sums.n_tokens.sum()),
            )
        )
    return found


def _per_token(*, kl: float = 0, before: float = 0, after: float = 0) -> Any:
    """A statistic of drawn texts: a weighted sum of their KL and losses over their number of tokens."""
    parts = np.asarray([kl, before, after])

    def statistic(values: NDArray[np.float64], weights: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray((weights @ (values[:, :3] @ parts)) / (weights @ values[:, 3]))

    return statistic


def _perplexity(*, before: float = 0, after: float = 0) -> Any:
    mean = _per_token(before=before, after=after)
    return lambda values, weights: np.exp(mean(values, weights))


def text_sums(
    model: Model,
    texts: Sequence[str],
    cells: Sequence[Sequence[Intervention]],
    *,
    prompt_tokens: int = 1,
    progress: Progress | None = None,
) -> TextSums:
    """KL to unsteered and losses, summed over the tokens of each text, for each cell; see `side_effects`.

    Softmax in float32 whatever the model's data type; `progress` counts texts.
    """
    refuse_fixed_rows(model, "side_effects")
    for cell in cells:
        check(model, cell, gates="possible")
    rows = _rows(model, texts, prompt_tokens)

    def run(batch: list[int]) -> list[NDArray[np.float64]]:
        size = _rows_at_once(model, max(len(rows[i]) for i in batch))
        parts = [batch[at : at + size] for at in range(0, len(batch), size)]
        return [sums for part in parts for sums in _read(model, [rows[i] for i in part], cells, prompt_tokens)]

    found = np.stack(run_batched(model, [len(row) for row in rows], run, progress=progress))  # [text, value]
    n = len(cells)
    return TextSums(
        kl=found[:, :n].T,
        loss=found[:, n : 2 * n].T,
        unsteered_loss=found[:, 2 * n],
        n_tokens=np.asarray([len(row) - prompt_tokens for row in rows], dtype=np.float64),
    )


def _rows(model: Model, texts: Sequence[str], prompt_tokens: int) -> list[list[int]]:
    if not texts:
        raise PromptError("no texts were given: side effects are measured on ordinary text.")
    if prompt_tokens < 1:
        raise OptionError(f"prompt_tokens {prompt_tokens} is not positive.")
    rows = encode(model, texts)
    short = [i for i, row in enumerate(rows) if len(row) <= prompt_tokens]
    if short:
        raise PromptError(
            f"{len(short)} of {len(rows)} texts have no more than {prompt_tokens} tokens, the first is number "
            f"{short[0]}: nothing is left to predict."
        )
    return rows


def _rows_at_once(model: Model, longest: int) -> int:
    """Rows of which the logits of two forwards fit the memory budget."""
    logits = 2 * longest * model.d_vocab * model.dtype.itemsize
    return int(max(1, free_bytes(model) * MEMORY_SHARE // (2 * logits)))


def _read(
    model: Model, rows: list[list[int]], cells: Sequence[Sequence[Intervention]], prompt_tokens: int
) -> list[NDArray[np.float64]]:
    """Per row: the KL of each cell, the loss of each cell, the unsteered loss."""
    batch = left_padded(model, rows)
    found = np.zeros((len(rows), 2 * len(cells) + 1))
    with torch.inference_mode(), prompt_lengths(model.network, [prompt_tokens] * len(rows)):
        before = model.network(**batch, use_cache=False).logits
        for number, cell in enumerate(cells):
            with steer(model, *cell):
                after = model.network(**batch, use_cache=False).logits
            for at, row in enumerate(rows):
                found[at, [number, len(cells) + number]] = _sums(before[at], after[at], row, prompt_tokens)[:2]
            del after
        for at, row in enumerate(rows):
            found[at, -1] = _sums(before[at], before[at], row, prompt_tokens)[1]
    return list(found)


def _sums(before: Tensor, after: Tensor, row: list[int], prompt_tokens: int) -> tuple[float, float]:
    """KL(before || after) and the loss of `after`, summed over the predictions of row[prompt_tokens:]."""
    kl = loss = 0.0
    first = len(before) - len(row)  # padding is on the left
    for start in range(prompt_tokens, len(row), TOKENS_AT_ONCE):
        end = min(start + TOKENS_AT_ONCE, len(row))
        predicting = slice(first + start - 1, first + end - 1)
        p, q = (side[predicting].float().log_softmax(dim=-1) for side in (before, after))
        kl += float((p.exp() * (p - q)).sum(dim=-1).double().sum())
        targets = torch.tensor(row[start:end], device=q.device)[:, None]
        loss -= float(q.gather(1, targets).double().sum())
    return kl, loss
