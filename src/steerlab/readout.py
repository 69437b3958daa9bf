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
from steerlab.models import Model, encode, left_padded
from steerlab.steering import Rows, refuse_fixed_rows, steer_rows


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
    heads = encode(model, prompts)
    tails = [
        [_answer_ids(model, prompt, head, answer) for answer in own]
        for prompt, head, own in zip(prompts, heads, answers, strict=True)
    ]
    if all(len(tail) == 1 for own in tails for tail in own):
        encode(model, prompts, new_tokens=1)
        return torch.stack(_single(model, heads, tails, rows=rows, progress=progress))
    flat = [(i, j) for i, own in enumerate(tails) for j in range(len(own))]
    found = _spelled(model, heads, tails, flat, rows=rows, progress=progress)
    return torch.tensor(found).reshape(len(prompts), -1)


def _answer_ids(model: Model, prompt: str, head: list[int], answer: str) -> list[int]:
    (whole,) = encode(model, [prompt + answer])
    if whole[: len(head)] == head:
        ids = whole[len(head) :]
    else:
        ids = list(model.tokenizer(answer, add_special_tokens=False)["input_ids"])
    if not ids:
        raise PromptError(f"the answer {answer!r} has no token of its own: give another one in the template.")
    return ids


@contextmanager
def _rows_of(model: Model, rows: Rows | None, batch: Sequence[int], lengths: list[int]) -> Iterator[None]:
    with prompt_lengths(model.network, lengths):
        if rows is None:
            yield
        else:
            with steer_rows(model, [rows[i] for i in batch]):
                yield


def _single(
    model: Model,
    heads: list[list[int]],
    tails: list[list[list[int]]],
    *,
    rows: Rows | None,
    progress: Progress | None,
) -> list[Tensor]:

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


def _spelled(
    model: Model,
    heads: list[list[int]],
    tails: list[list[list[int]]],
    flat: list[tuple[int, int]],
    *,
    rows: Rows | None,
    progress: Progress | None,
) -> list[float]:

    texts = [heads[i] + tails[i][j] for i, j in flat]
    if model.context is not None and max(map(len, texts)) > model.context:
        at = max(range(len(texts)), key=lambda k: len(texts[k]))
        raise PromptError(
            f"prompt number {flat[at][0]} with its answer has {len(texts[at])} tokens: {model.name} has a context of "
            f"{model.context}."
        )

    def run(batch: list[int]) -> list[float]:
        lengths = [len(heads[flat[k][0]]) for k in batch]
        with torch.inference_mode(), _rows_of(model, rows, [flat[k][0] for k in batch], lengths):
            output = model.network(**left_padded(model, [texts[k] for k in batch]), use_cache=False)
        values = []
        for at, k in enumerate(batch):
            tail = tails[flat[k][0]][flat[k][1]]
            chances = output.logits[at, -len(tail) - 1 : -1].float().log_softmax(dim=-1)
            values.append(float(chances[range(len(tail)), tail].sum()))
        return values

    return run_batched(model, [len(text) for text in texts], run, progress=progress)
