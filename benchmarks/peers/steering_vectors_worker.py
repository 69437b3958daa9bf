"""steering-vectors: a context manager that adds a vector at the output of decoder blocks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from steering_vectors import SteeringVector, record_activations
from torch import Tensor
from worker import (
    Cell,
    Loaded,
    Peer,
    Probes,
    Values,
    Ways,
    by_forwards,
    encoded,
    greedy,
    load_plain,
    log_chances,
    new_tokens,
    run,
)

LAST = {"min_token_index": None, "token_indices": [-1]}  # 0.12.2: an error with min_token_index left at its default


def vector_of(cell: Cell) -> SteeringVector:
    return SteeringVector(layer_activations={cell.layer: cell.vector})


def last(loaded: Loaded, prompt: str, cell: Cell) -> Tensor:
    batch = encoded(loaded.tokenizer, prompt)
    with torch.inference_mode(), vector_of(cell).apply(loaded.network, **LAST):
        return loaded.network(**batch).logits[0, -1]


def everywhere(loaded: Loaded, prompt: str, cell: Cell) -> Tensor:
    with torch.inference_mode(), vector_of(cell).apply(loaded.network):
        return loaded.network(**encoded(loaded.tokenizer, prompt)).logits[0, -1]


def generate(loaded: Loaded, prompts: list[str], cell: Cell, count: int) -> list[list[int]]:
    batch = encoded(loaded.tokenizer, prompts)
    with vector_of(cell).apply(loaded.network):
        return new_tokens(greedy(loaded, batch, count), batch)


def extract(loaded: Loaded, texts: list[str]) -> np.ndarray:
    with torch.inference_mode(), record_activations(loaded.network) as recorded:
        for text in texts:
            loaded.network(**encoded(loaded.tokenizer, text))
    return np.stack([[each[0, -1].numpy() for each in recorded[layer]] for layer in sorted(recorded)])


def probes(loaded: Loaded, given: Probes) -> Mapping[str, Ways]:
    long = given.prompts[0]
    batch = encoded(loaded.tokenizer, long)
    padded = encoded(loaded.tokenizer, given.prompts)
    first = vector_of(given.first)

    def from_last(**where: object) -> Values:
        with first.apply(loaded.network, **where):
            return new_tokens(greedy(loaded, batch, given.new_tokens), batch)[0]

    def both_rows() -> Values:
        with torch.inference_mode(), first.apply(loaded.network):
            return log_chances(loaded.network(**padded).logits[:, -1], given.answers)

    def own_operator() -> Values:
        rows = torch.stack([given.first.vector, given.second.vector])[:, None]
        with torch.inference_mode(), first.apply(loaded.network, operator=lambda residual, _: rows.expand_as(residual)):
            return log_chances(loaded.network(**padded).logits[:, -1], given.answers)

    def clean_up() -> Values:
        try:
            with first.apply(loaded.network):
                raise KeyError("an error inside the block")
        except KeyError:
            pass
        with torch.inference_mode():
            return [log_chances(loaded.network(**batch).logits[0, -1], given.answers)]

    return {
        "decoding": {"apply around generate": lambda: generate(loaded, [long], given.first, given.new_tokens)[0]},
        "positions": {
            "min_token_index": lambda: from_last(min_token_index=batch["input_ids"].shape[1] - 1),
            "token_indices=[-1]": lambda: from_last(token_indices=[-1]),
            "token_indices=[-1], min_token_index=None": lambda: from_last(**LAST),
        },
        "left_padding": {"apply around a forward": both_rows},
        "rows": {"an operator of one's own": own_operator},
        "clean_up": {"error inside apply": clean_up},
    }


if __name__ == "__main__":
    run(
        Peer(
            packages=("steering-vectors",),
            load=load_plain,
            sweep={"last": by_forwards(last), "all": by_forwards(everywhere)},
            generate=generate,
            extract=extract,
            probes=probes,
            notes=("a vector per row is not in the API; an operator of one's own can hold one per row",),
        )
    )
