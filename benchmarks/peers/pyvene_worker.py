"""pyvene: an IntervenableModel that adds a constant at a component, rebuilt for each setting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyvene
import torch
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


def adding(loaded: Loaded, cell: Cell) -> Any:
    """The model that adds the cell's vector to the output of its block."""
    addition = pyvene.AdditionIntervention(embed_dim=len(cell.vector), source_representation=cell.vector)
    place = {"layer": cell.layer, "component": "block_output", "intervention": addition}
    return pyvene.IntervenableModel(place, model=loaded.network)


def last(loaded: Loaded, prompt: str, cell: Cell) -> Tensor:
    batch = encoded(loaded.tokenizer, prompt)
    with torch.inference_mode():
        _, output = adding(loaded, cell)(batch, unit_locations={"base": batch["input_ids"].shape[1] - 1})
    return output.logits[0, -1]


def everywhere(loaded: Loaded, prompt: str, cell: Cell) -> Tensor:
    with torch.inference_mode():
        _, output = adding(loaded, cell)(encoded(loaded.tokenizer, prompt))
    return output.logits[0, -1]


def generate(loaded: Loaded, prompts: list[str], cell: Cell, count: int) -> list[list[int]]:
    batch = encoded(loaded.tokenizer, prompts)
    _, ids = adding(loaded, cell).generate(batch, intervene_on_prompt=True, max_new_tokens=count, do_sample=False)
    return new_tokens(ids, batch)


def extract(loaded: Loaded, texts: list[str]) -> np.ndarray:
    n_layers = loaded.network.config.num_hidden_layers
    places = [
        {"layer": layer, "component": "block_output", "intervention_type": pyvene.CollectIntervention}
        for layer in range(n_layers)
    ]
    model = pyvene.IntervenableModel(places, model=loaded.network)
    found = []
    for text in texts:
        batch = encoded(loaded.tokenizer, text)
        with torch.inference_mode():
            (_, collected), _ = model(batch, unit_locations={"base": batch["input_ids"].shape[1] - 1})
        found.append([each.reshape(-1).numpy() for each in collected])
    return np.asarray(found).transpose(1, 0, 2)


def broken_once(loaded: Loaded, work: Callable[[], object]) -> None:
    """Run `work` while the LM head raises; not by a hook: pyvene takes every hook off the network before it starts."""

    def fail(*_: object) -> None:
        raise KeyError("an error inside the forward")

    head = loaded.network.lm_head
    head.forward = fail
    try:
        work()
    except KeyError:
        return
    finally:
        del head.forward
    raise AssertionError("the error did not come through")


def probes(loaded: Loaded, given: Probes) -> Mapping[str, Ways]:
    long, _ = given.prompts
    batch, padded = encoded(loaded.tokenizer, long), encoded(loaded.tokenizer, given.prompts)
    count = given.new_tokens

    def both_rows() -> Values:
        with torch.inference_mode():
            _, output = adding(loaded, given.first)(padded)
        return log_chances(output.logits[:, -1], given.answers)

    def own_rows() -> Values:
        rows = torch.stack([given.first.vector, given.second.vector])[:, None]
        place = {"layer": given.first.layer, "component": "block_output"}
        model = pyvene.IntervenableModel(
            place | {"intervention_type": pyvene.AdditionIntervention}, model=loaded.network
        )
        rows = rows.expand(-1, padded["input_ids"].shape[1], -1)
        with torch.inference_mode():
            _, output = model(padded, source_representations=rows)
        return log_chances(output.logits[:, -1], given.answers)

    def after(broken: Callable[[], object]) -> Values:
        hooks = loaded.network.model.layers[given.first.layer]._forward_hooks
        try:
            broken_once(loaded, broken)
            with torch.inference_mode():
                return [log_chances(loaded.network(**batch).logits[0, -1], given.answers)]
        finally:
            hooks.clear()  # so that what was left behind does not reach the next probe

    return {
        "decoding": {"generate(intervene_on_prompt=True)": lambda: generate(loaded, [long], given.first, count)[0]},
        "left_padding": {"a forward": both_rows},
        "rows": {"source_representations [row, position, d_model]": own_rows},
        "clean_up": {
            "error inside a forward": lambda: after(lambda: adding(loaded, given.first)(batch)),
            "error inside generate": lambda: after(
                lambda: adding(loaded, given.first).generate(batch, intervene_on_prompt=True, max_new_tokens=count)
            ),
        },
    }


if __name__ == "__main__":
    run(
        Peer(
            packages=("pyvene",),
            load=load_plain,
            sweep={"last": by_forwards(last), "all": by_forwards(everywhere)},
            generate=generate,
            extract=extract,
            probes=probes,
            notes=(
                "steers the prompt or the generated tokens, not both from a chosen token on",
                "has no block: its error is raised by the network inside a forward",
            ),
        )
    )
