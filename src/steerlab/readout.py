"""Log-likelihoods of answers: each whole answer string after its prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor

from steerlab.batches import Progress, run_batched
from steerlab.errors import PromptError
from steerlab.hooks import last_logits_only, prompt_lengths
from steerlab.models import Model
from steerlab.steering import Rows, check_row_count, refuse_fixed_rows, steer_rows
from steerlab.tokens import encode, left_padded


def answer_log_likelihoods(
    model: Model,
    prompts: Sequence[str],
    answers: Sequence[Sequence[str]],
    *,
    rows: Rows | None = None,
    progress: Progress | None = None,
) -> Float[Tensor, "prompt answer"]:
    """Natural-log probability of each whole answer after its prompt (float32, summed over the answer's tokens).

    `answers[i]` are the answers of prompt i, as many for every prompt; `rows[i]` its interventions. Where all
    answers of a batch are one token long, one forward per prompt reads them all.
    Raises: PromptError for an empty answer or a prompt that does not fit the context.
    """
    refuse_fixed_rows(model, "answer_log_likelihoods")
    check_row_count(rows, len(prompts))
    check_answers(prompts, answers)
    if not prompts:
        return torch.zeros(0, 0)
    heads = encode(model, prompts)
    tails = answer_tokens(model, prompts, heads, answers)
    if all(len(tail) == 1 for own in tails for tail in own):
        encode(model, prompts, new_tokens=1)
        return torch.stack(read_single_tokens(model, heads, tails, rows=rows, progress=progress))
    flat = [(i, j) for i, own in enumerate(tails) for j in range(len(own))]
    found = read_whole_answers(model, heads, tails, flat, rows=rows, progress=progress)
    return torch.tensor(found).reshape(len(prompts), -1)


def check_answers(prompts: Sequence[str], answers: Sequence[Sequence[str]]) -> None:
    """Raise PromptError unless every prompt has answers, and as many of them as the others."""
    if len(answers) != len(prompts):
        raise PromptError(f"{len(answers)} sets of answers were given for {len(prompts)} prompts: give one per prompt.")
    counts = sorted({len(own) for own in answers})
    if len(counts) > 1 or counts == [0]:
        raise PromptError(f"prompts with {counts} answers: give every prompt the same number of answers, at least 1.")


def answer_tokens(
    model: Model, prompts: Sequence[str], heads: list[list[int]], answers: Sequence[Sequence[str]]
) -> list[list[list[int]]]:
    """Token ids [prompt][answer] of each answer where it follows its prompt, whose token ids are `heads`.

    Where an answer merges with the prompt's last token, the ids are those of the answer alone.
    Raises: PromptError for an answer without a token of its own.
    """
    wholes = iter(encode(model, [p + answer for p, own in zip(prompts, answers, strict=True) for answer in own]))
    tails = []
    for head, own in zip(heads, answers, strict=True):
        mine = []
        for answer in own:
            whole = next(wholes)
            follows = whole[: len(head)] == head
            ids = whole[len(head) :] if follows else model.tokenizer(answer, add_special_tokens=False)["input_ids"]
            if not ids:
                raise PromptError(f"the answer {answer!r} has no token of its own: give another one in the template.")
            mine.append(list(map(int, ids)))
        tails.append(mine)
    return tails


@contextmanager
def _rows_of(model: Model, rows: Rows | None, batch: Sequence[int], lengths: list[int]) -> Iterator[None]:
    with prompt_lengths(model.network, lengths):
        if rows is None:
            yield
        else:
            with steer_rows(model, [rows[i] for i in batch]):
                yield


def read_single_tokens(
    model: Model,
    heads: list[list[int]],
    tails: list[list[list[int]]],
    *,
    rows: Rows | None,
    progress: Progress | None,
) -> list[Tensor]:
    """Log-probabilities (natural log, float32, CPU) of each prompt's one-token answers, in one forward per batch.

    `heads` are the prompts' token ids, `tails` their answers' (`answer_tokens`); `rows[i]` steer prompt i.
    """

    def run(batch: list[int]) -> list[Tensor]:
        lengths = [len(heads[i]) for i in batch]
        with (
            torch.inference_mode(),
            _rows_of(model, rows, batch, lengths),
            last_logits_only(model.network, model.head),
        ):
            output = model.network(**left_padded(model, [heads[i] for i in batch]), use_cache=False)
        chances = output.logits[:, -1].float().log_softmax(dim=-1).cpu()
        return [chances[at, [tail[0] for tail in tails[i]]] for at, i in enumerate(batch)]

    return run_batched(model, [len(head) for head in heads], run, progress=progress)


def read_whole_answers(
    model: Model,
    heads: list[list[int]],
    tails: list[list[list[int]]],
    flat: list[tuple[int, int]],
    *,
    rows: Rows | None,
    progress: Progress | None,
) -> list[float]:
    """Log-likelihoods (natural log) of the answers `flat`: pairs (prompt, answer) of indices into `tails`.

    `heads`, `tails` and `rows` are as in `read_single_tokens`; an answer's log-likelihood is the sum over its tokens.
    Raises: PromptError when a prompt with its answer does not fit the context.
    """
    texts = [heads[i] + tails[i][j] for i, j in flat]
    if model.context is not None and max(map(len, texts)) > model.context:
        at = max(range(len(texts)), key=lambda k: len(texts[k]))
        raise PromptError(
            f"prompt number {flat[at][0]} with its answer has {len(texts[at])} tokens: {model.name} has a context of "
            f"{model.context}."
        )

    def run(batch: list[int]) -> list[float]:
        lengths = [len(heads[flat[k][0]]) for k in batch]
        longest = max(len(tails[flat[k][0]][flat[k][1]]) for k in batch)
        with (
            torch.inference_mode(),
            _rows_of(model, rows, [flat[k][0] for k in batch], lengths),
            last_logits_only(model.network, model.head, n_positions=longest + 1),
        ):
            output = model.network(**left_padded(model, [texts[k] for k in batch]), use_cache=False)
        values = []
        for at, k in enumerate(batch):
            tail = tails[flat[k][0]][flat[k][1]]
            chances = output.logits[at, -len(tail) - 1 : -1].float().log_softmax(dim=-1)
            values.append(float(chances[range(len(tail)), tail].sum()))
        return values

    return run_batched(model, [len(text) for text in texts], run, progress=progress)
