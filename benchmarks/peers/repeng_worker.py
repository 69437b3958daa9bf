"""repeng: a ControlModel that wraps decoder blocks and holds one control vector until it is reset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from repeng import ControlModel, ControlVector
from repeng.extract import batched_get_hiddens
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
    load_plain,
    log_chances,
    new_tokens,
    run,
)


@contextmanager
def controlled(loaded: Loaded, cell: Cell) -> Iterator[ControlModel]:
    """The model with the cell's vector set; unwrapped again at the end."""
    model = ControlModel(loaded.network, [cell.layer])
    try:
        directions = {cell.layer: cell.vector.numpy()}
        model.set_control(ControlVector(model_type="qwen2", directions=directions), 1.0)
        yield model
    finally:
        model.unwrap()


def everywhere(loaded: Loaded, prompt: str, cell: Cell) -> Tensor:
    with torch.inference_mode(), controlled(loaded, cell) as model:
        return model(**encoded(loaded.tokenizer, prompt)).logits[0, -1]


def generate(loaded: Loaded, prompts: list[str], cell: Cell, count: int) -> list[list[int]]:
    batch = encoded(loaded.tokenizer, prompts)
    with controlled(loaded, cell) as model:
        ids = model.generate(**batch, max_new_tokens=count, do_sample=False)
    return new_tokens(ids, batch)


def extract(loaded: Loaded, texts: list[str]) -> np.ndarray:
    layers = list(range(loaded.network.config.num_hidden_layers))
    found = batched_get_hiddens(loaded.network, loaded.tokenizer, texts, layers, 32)
    return np.stack([found[layer] for layer in layers])


def probes(loaded: Loaded, given: Probes) -> Mapping[str, Ways]:
    long, _ = given.prompts
    batch, padded = encoded(loaded.tokenizer, long), encoded(loaded.tokenizer, given.prompts)
    places = (padded["attention_mask"].cumsum(dim=1) - 1).clamp(min=0)

    def both_rows(**more: Tensor) -> Values:
        with torch.inference_mode(), controlled(loaded, given.first) as model:
            return log_chances(model(**padded, **more).logits[:, -1], given.answers)

    def generated() -> Values:
        with controlled(loaded, given.first) as model:
            scores = model.generate(
                **padded, max_new_tokens=1, do_sample=False, output_logits=True, return_dict_in_generate=True
            ).logits
        return log_chances(scores[0], given.answers)

    def raw_rows(**more: Tensor) -> Values:
        rows = torch.stack([given.first.vector, given.second.vector])[:, None]
        with torch.inference_mode(), controlled(loaded, given.first) as model:
            model.set_raw_control({given.first.layer: rows})
            return log_chances(model(**padded, **more).logits[:, -1], given.answers)

    def clean_up() -> Values:
        model = ControlModel(loaded.network, [given.first.layer])
        vector = ControlVector(model_type="qwen2", directions={given.first.layer: given.first.vector.numpy()})
        try:
            try:
                model.set_control(vector, 1.0)
                raise KeyError("an error between set_control and reset")
                model.reset()
            except KeyError:
                pass
            with torch.inference_mode():
                return [log_chances(loaded.network(**batch).logits[0, -1], given.answers)]
        finally:
            model.unwrap()

    return {
        "decoding": {"set_control, generate": lambda: generate(loaded, [long], given.first, given.new_tokens)[0]},
        "left_padding": {
            "a forward": both_rows,
            "a forward with position_ids": lambda: both_rows(position_ids=places),
            "generate": generated,
        },
        "rows": {
            "set_raw_control [row, 1, d_model]": raw_rows,
            "set_raw_control and position_ids": lambda: raw_rows(position_ids=places),
        },
        "clean_up": {"error between set_control and reset": clean_up},
    }


if __name__ == "__main__":
    run(
        Peer(
            packages=("repeng",),
            load=load_plain,
            sweep={"all": by_forwards(everywhere)},
            generate=generate,
            extract=extract,
            probes=probes,
            notes=(
                "always steers all positions: no sweep at the last prompt token",
                "reads hidden_states, whose last one is behind the final norm: not the residual of the last layer",
            ),
        )
    )
