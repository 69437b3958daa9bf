"""steerlab: this project, held to the same contract and the same probes as its peers."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import numpy as np
import torch
from worker import (
    Cell,
    Loaded,
    Peer,
    Probes,
    Values,
    Ways,
    encoded,
    greedy,
    load_tokenizer,
    log_chances,
    new_tokens,
    run,
)

import steerlab.wave
from steerlab import Decoding, Intervention, Recipe, SteeringVector, capture, generate, load_model, steer, steer_rows
from steerlab.models import Model

POSITIONS = {"last": "from_last_prompt_token", "all": "all"}


def load(directory: str) -> Loaded:
    model = load_model(directory, dtype="float32", device="cpu")
    return Loaded(network=model.network, tokenizer=load_tokenizer(directory), own=model)


def adding(model: Model, cell: Cell, positions: str = "all") -> Intervention:
    recipe = Recipe(method="random_control", layers=(cell.layer,), positions=positions, seed=0)
    vector = SteeringVector(directions={cell.layer: cell.vector.numpy()}, model=model.fingerprint, recipe=recipe)
    return Intervention(vector=vector, coefficient=1.0, positions=positions)


def sweep(loaded: Loaded, prompts: list[str], cells: list[Cell], answers: list[int], *, positions: str) -> Values:
    """All cells in one wave: the prompts are read once."""
    texts = [loaded.tokenizer.decode([answer]) for answer in answers]
    settings = [steerlab.wave.Cell(interventions=(adding(loaded.own, cell, positions),)) for cell in cells]
    found = steerlab.wave.wave_log_likelihoods(loaded.own, prompts, [texts] * len(prompts), cells=settings)
    return found.log_likelihoods.tolist()


def last(loaded: Loaded, prompts: list[str], cells: list[Cell], answers: list[int]) -> Values:
    return sweep(loaded, prompts, cells, answers, positions=POSITIONS["last"])


def everywhere(loaded: Loaded, prompts: list[str], cells: list[Cell], answers: list[int]) -> Values:
    return sweep(loaded, prompts, cells, answers, positions=POSITIONS["all"])


def completed(loaded: Loaded, prompts: list[str], cell: Cell, count: int, *, positions: str = "all") -> list[list[int]]:
    with steer(loaded.own, adding(loaded.own, cell, positions)):
        found = generate(loaded.own, prompts, decoding=Decoding(max_new_tokens=count))
    return [list(each.tokens) for each in found]


def extract(loaded: Loaded, texts: list[str]) -> np.ndarray:
    found = capture(loaded.own, texts, layers=range(loaded.own.n_layers))
    return np.stack([found[layer].numpy() for layer in sorted(found)])


def probes(loaded: Loaded, given: Probes) -> Mapping[str, Ways]:
    model, count = loaded.own, given.new_tokens
    long, _ = given.prompts
    batch, padded = encoded(loaded.tokenizer, long), encoded(loaded.tokenizer, given.prompts)

    def theirs(positions: str) -> Values:
        with steer(model, adding(model, given.first, positions)):
            return new_tokens(greedy(loaded, batch, count), batch)[0]

    def forward() -> Values:
        with torch.inference_mode():
            return log_chances(loaded.network(**padded).logits[:, -1], given.answers)

    def both_rows() -> Values:
        with steer(model, adding(model, given.first)):
            return forward()

    def own_rows() -> Values:
        with steer_rows(model, [(adding(model, given.first),), (adding(model, given.second),)]):
            return forward()

    def clean_up() -> Values:
        with contextlib.suppress(KeyError), steer(model, adding(model, given.first)):
            raise KeyError("an error inside the block")
        with torch.inference_mode():
            return [log_chances(loaded.network(**batch).logits[0, -1], given.answers)]

    from_last = POSITIONS["last"]
    return {
        "decoding": {
            "steer around generate": lambda: completed(loaded, [long], given.first, count)[0],
            "steer around transformers' generate": lambda: theirs("all"),
        },
        "positions": {
            "steer around generate": lambda: completed(loaded, [long], given.first, count, positions=from_last)[0],
            "steer around transformers' generate": lambda: theirs(from_last),
        },
        "left_padding": {"a forward": both_rows},
        "rows": {"steer_rows": own_rows},
        "clean_up": {"error inside steer": clean_up},
    }


if __name__ == "__main__":
    run(
        Peer(
            packages=("steerlab",),
            load=load,
            sweep={"last": last, "all": everywhere},
            generate=completed,
            extract=extract,
            probes=probes,
            whole_sweep=("last",),
        )
    )
