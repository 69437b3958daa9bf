"""Prompts to completions: our own decode loop, batched and seeded; rows leave when they are done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from steerlab.batches import Progress, run_batched
from steerlab.errors import OptionError
from steerlab.hooks import Stream, last_logits_only, prompt_lengths
from steerlab.models import Model
from steerlab.steering import Rows, check_row_count, refuse_fixed_rows, steer_rows
from steerlab.tokens import encode, left_padded

Wrote = Callable[[Mapping[int, int]], None]  # row -> the token that it has just written; raise in it to end the writing


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How tokens are chosen: greedy at temperature 0, else sampled with a seed of its own per prompt.

    `stop` strings end a row and are cut off. `top_p` keeps the smallest set of tokens with that probability.
    """

    max_new_tokens: int = 64
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise OptionError(f"max_new_tokens {self.max_new_tokens} is not positive.")
        if not 0 <= self.temperature < float("inf") or not 0 < self.top_p <= 1:
            raise OptionError("temperature must be at least 0 and top_p within (0, 1].")
        if "" in self.stop:
            raise OptionError("a stop string is empty: it would end every completion at once.")


@dataclass(frozen=True, kw_only=True)
class Completion:
    """What the model wrote after a prompt: text, token ids, and why it ended."""

    text: str
    tokens: tuple[int, ...]
    ended: Literal["eos", "stop", "length"]
    prompt_tokens: int


def generate(
    model: Model,
    prompts: Sequence[str],
    *,
    decoding: Decoding | None = None,
    rows: Rows | None = None,
    progress: Progress | None = None,
) -> list[Completion]:
    """Complete each prompt; `rows[i]` are the interventions of prompt i.

    A row's completion depends neither on the other rows nor on padding: sampling uses one generator per prompt, seeded
    with (seed, number of the prompt). Call it inside `steer(...)` to steer all rows alike.
    Raises: PromptError when a prompt and its completion do not fit the context.
    """
    refuse_fixed_rows(model, "generate")
    check_row_count(rows, len(prompts))
    how = decoding or Decoding()
    heads = encode(model, prompts, new_tokens=how.max_new_tokens)

    def run(batch: list[int]) -> list[Completion]:
        own = None if rows is None else [rows[i] for i in batch]
        return complete_rows(model, [heads[i] for i in batch], numbers=batch, how=how, rows=own)

    return run_batched(model, [len(head) + how.max_new_tokens for head in heads], run, progress=progress)


@dataclass(frozen=True, kw_only=True)
class ReadRows:
    """Rows that have read their prompts: the logits after the last prompt token, the KV cache and its real columns."""

    logits: Float[Tensor, "row vocab"]
    cache: Any
    mask: Int[Tensor, "row column"]


def complete_rows(
    model: Model,
    heads: list[list[int]],
    *,
    numbers: Sequence[int],
    how: Decoding,
    rows: Rows | None,
    wrote: Wrote | None = None,
) -> list[Completion]:
    """Complete the prompts with token ids `heads` in one batch, as `generate` does.

    `numbers[i]` is the number of the prompt that row i is sampled as; `rows[i]` are its interventions. `wrote` is
    called after each step; what it raises ends the writing, and nothing stays attached.
    """
    lengths = [len(head) for head in heads]
    with (
        torch.inference_mode(),
        steered_stream(model, lengths, rows) as stream,
        last_logits_only(model.network, model.head),
    ):
        batch = left_padded(model, heads)
        output = model.network(**batch, use_cache=True)
        read = ReadRows(
            logits=output.logits[:, -1],
            cache=getattr(output, "past_key_values", None),
            mask=batch["attention_mask"],
        )
        return decode_rows(model, read, stream, how=how, numbers=numbers, prompt_tokens=lengths, wrote=wrote)


@contextmanager
def steered_stream(model: Model, lengths: list[int], rows: Rows | None) -> Iterator[Stream]:
    """Steer row i by `rows[i]` (None: no row) while the block runs; its prompt has `lengths[i]` tokens."""
    with prompt_lengths(model.network, lengths) as stream:
        if rows is None:
            yield stream
        else:
            with steer_rows(model, rows):
                yield stream


def decode_rows(
    model: Model,
    read: ReadRows,
    stream: Stream,
    *,
    how: Decoding,
    numbers: Sequence[int],
    prompt_tokens: Sequence[int],
    wrote: Wrote | None = None,
) -> list[Completion]:
    """Write the completion of each row; rows that have ended leave the batch, its cache and `stream`.

    `numbers[i]` is the number of the prompt that row i is sampled as; `prompt_tokens[i]` is its prompt's length.
    `wrote` is called after each step.
    """
    from steerlab.caches import make_room

    make_room(read.cache, tokens=how.max_new_tokens)
    generators = (
        [torch.Generator().manual_seed(row_seed(how.seed, number)) for number in numbers] if how.temperature else []
    )
    written: list[list[int]] = [[] for _ in numbers]
    ended: dict[int, Completion] = {}
    alive = list(range(len(numbers)))
    while True:
        chosen = _choose(read.logits, how, [generators[row] for row in alive] if generators else [])
        for row, token in zip(alive, chosen, strict=True):
            written[row].append(token)
            completion = completion_if_ended(model, written[row], how, prompt_tokens=prompt_tokens[row])
            if completion is not None:
                ended[row] = completion
        if wrote is not None:
            wrote(dict(zip(alive, chosen, strict=True)))
        stay = [at for at, row in enumerate(alive) if row not in ended]
        if not stay:
            return [ended[row] for row in range(len(numbers))]
        if len(stay) < len(alive):
            read = kept_rows(read, stream, stay)
            alive, chosen = [alive[at] for at in stay], [chosen[at] for at in stay]
        read = next_step(model, read, chosen)


def kept_rows(read: ReadRows, stream: Stream, stay: list[int]) -> ReadRows:
    """Go on with these rows only; the cache is compacted in place."""
    rows = torch.tensor(stay, device=read.mask.device)
    read.cache.batch_select_indices(rows)
    stream.keep(rows)
    return ReadRows(logits=read.logits[rows], cache=read.cache, mask=read.mask[rows])


def next_step(model: Model, read: ReadRows, tokens: list[int]) -> ReadRows:
    """Append one token to each row; the cache grows in place."""
    mask = torch.cat([read.mask, read.mask.new_ones(len(tokens), 1)], dim=1)
    step: dict[str, Any] = {"input_ids": torch.tensor(tokens, device=mask.device)[:, None]}
    if model.accepts_position_ids:
        step["position_ids"] = mask.sum(dim=1, keepdim=True) - 1
    output = model.network(**step, attention_mask=mask, past_key_values=read.cache, use_cache=True)
    return ReadRows(logits=output.logits[:, -1], cache=output.past_key_values, mask=mask)


def row_seed(seed: int, number: int) -> int:
    """The seed of the prompt of this number (63 bits)."""
    import numpy as np

    state = np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0]
    return int(state >> np.uint64(1))


def _choose(logits: Tensor, how: Decoding, generators: list[torch.Generator]) -> list[int]:
    if how.temperature == 0:
        return logits.argmax(dim=-1).tolist()
    chances = (logits.float().cpu() / how.temperature).softmax(dim=-1)
    if how.top_p < 1:
        ordered, tokens = chances.sort(dim=-1, descending=True)
        ordered[ordered.cumsum(dim=-1) - ordered >= how.top_p] = 0
        chances = torch.zeros_like(chances).scatter(-1, tokens, ordered)
    return [
        int(torch.multinomial(row, 1, generator=generator)) for row, generator in zip(chances, generators, strict=True)
    ]


def completion_if_ended(model: Model, tokens: list[int], how: Decoding, *, prompt_tokens: int) -> Completion | None:
    """The completion if a row that has written `tokens` ends here (eos, stop string, full length), else None.

    `prompt_tokens` is the length of its prompt, which the completion records.
    """
    ids = tuple(tokens)
    if ids[-1] in model.eos_token_ids:
        text = model.tokenizer.decode(ids[:-1], skip_special_tokens=True)
        return Completion(text=text, tokens=ids, ended="eos", prompt_tokens=prompt_tokens)
    if how.stop:
        text = model.tokenizer.decode(ids, skip_special_tokens=True)
        places = [at for stop in how.stop if (at := text.find(stop)) >= 0]
        if places:
            return Completion(text=text[: min(places)], tokens=ids, ended="stop", prompt_tokens=prompt_tokens)
    if len(ids) >= how.max_new_tokens:
        text = model.tokenizer.decode(ids, skip_special_tokens=True)
        return Completion(text=text, tokens=ids, ended="length", prompt_tokens=prompt_tokens)
    return None
