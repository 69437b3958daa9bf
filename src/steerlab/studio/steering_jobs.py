"""The jobs of the page: write both ways, next-token probabilities both ways, the dose strip, build a vector."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from steerlab.building import build_from_source
from steerlab.errors import OptionError, PromptError
from steerlab.generation import Decoding, complete_rows, steered_stream
from steerlab.hooks import last_logits_only
from steerlab.interventions import Intervention
from steerlab.models import Model
from steerlab.sources.jsonl import parse_jsonl
from steerlab.steering import check
from steerlab.studio.asked import Building, Dosing, Picking, Reading, Steering, Writing
from steerlab.studio.desk import Job
from steerlab.studio.shelf import Shelf, add_vector, described, known, model_of
from steerlab.sweep import layer_sets
from steerlab.tokens import encode, left_padded
from steerlab.wave import Cell, wave_log_likelihoods

SHOWN_TOKENS = 10
SIDES = ("unsteered", "steered")


def pick(shelf: Shelf, asked: Picking, job: Job) -> Mapping[str, Any]:
    """Have the model in memory; gives its facts."""
    model_of(shelf, asked.model)
    return {"facts": shelf.facts[asked.model]}


def intervention_of(shelf: Shelf, model: Model, asked: Steering) -> Intervention:
    """The intervention that the page asks for. Raises: OptionError, VectorError, InterventionError, LayerError."""
    vector = known(shelf.vectors, asked.vector, "vector").vector
    found = Intervention(
        vector=vector.at(asked.layers),
        coefficient=asked.coefficient,
        operation=asked.operation,
        positions=asked.positions,  # type: ignore[arg-type]
        dose=asked.dose,  # type: ignore[arg-type]
    )
    check(model, [found])
    return found


def write(shelf: Shelf, asked: Writing, job: Job) -> Mapping[str, Any]:
    """Complete the prompt without and with steering in one batch of two rows; each step is told as it is written."""
    model = model_of(shelf, asked.model)
    steering = intervention_of(shelf, model, asked.steering)
    how = Decoding(max_new_tokens=asked.max_new_tokens, temperature=asked.temperature, seed=asked.seed)
    (head,) = encode(model, [asked.prompt], new_tokens=how.max_new_tokens)
    ids: tuple[list[int], list[int]] = ([], [])
    shown = ["", ""]

    def wrote(tokens: Mapping[int, int]) -> None:
        step: dict[str, dict[str, Any]] = {}
        for row, token in tokens.items():
            ids[row].append(token)
            text = model.tokenizer.decode(ids[row], skip_special_tokens=True)
            # a character may take several tokens: until it is whole, the text ends in the replacement character
            piece = "" if text.endswith("�") else text[len(shown[row]) :]
            shown[row] += piece
            step[SIDES[row]] = {"token": token, "text": piece}
        job.tell({"kind": "tokens", **step})

    both = complete_rows(model, [head, head], numbers=[0, 0], how=how, rows=[(), (steering,)], wrote=wrote)
    return {
        side: {"text": completion.text, "ended": completion.ended, "n_tokens": len(completion.tokens)}
        for side, completion in zip(SIDES, both, strict=True)
    }


def read_next(shelf: Shelf, asked: Reading, job: Job) -> Mapping[str, Any]:
    """The likeliest next tokens, both ways, after the prompt and what is written behind it."""
    model = model_of(shelf, asked.model)
    steering = intervention_of(shelf, model, asked.steering)
    (head,) = encode(model, [asked.prompt])
    if any(token >= model.d_vocab for token in asked.written):
        raise OptionError(f"written holds a token that {model.name} does not have: ids are below {model.d_vocab}.")
    tokens = head + asked.written
    if model.context is not None and len(tokens) > model.context:
        raise PromptError(f"{len(tokens)} tokens exceed the context of {model.context} tokens of {model.name}.")
    with (
        torch.inference_mode(),
        steered_stream(model, [len(head)] * 2, [(), (steering,)]),
        last_logits_only(model.network, model.head),
    ):
        output = model.network(**left_padded(model, [tokens, tokens]), use_cache=False)
    logs = output.logits[:, -1].float().log_softmax(dim=-1).cpu()
    chances = logs.exp()
    likely = chances.topk(min(SHOWN_TOKENS, chances.shape[1]), dim=1).indices.flatten().tolist()
    order = sorted(dict.fromkeys(likely), key=lambda token: -float(chances[:, token].max()))[:SHOWN_TOKENS]
    return {
        "n_tokens": len(tokens),
        "kl": float((chances[0] * (logs[0] - logs[1])).sum()),
        "tokens": [
            {
                "token": token,
                "text": model.tokenizer.decode([token]),
                **{side: float(chances[row, token]) for row, side in enumerate(SIDES)},
            }
            for token in order
        ],
    }


def dose(shelf: Shelf, asked: Dosing, job: Job) -> Mapping[str, Any]:
    """The answer margin (nats) at every coefficient and unsteered, by the wave."""
    model = model_of(shelf, asked.model)
    steering = intervention_of(shelf, model, asked.steering)
    began = time.monotonic()
    cells = [Cell(interventions=(replace(steering, coefficient=value),)) for value in asked.coefficients]
    total, done = len(cells) + 1, 0

    def progress(n: int) -> None:
        nonlocal done
        done += n
        job.tell({"kind": "progress", "what": "reading answers", "done": done, "total": total})

    result = wave_log_likelihoods(
        model, [asked.prompt], [list(asked.answers)], cells=[Cell(), *cells], progress=progress
    )
    margins = (result.log_likelihoods[:, 0, 0] - result.log_likelihoods[:, 0, 1]).tolist()
    return {
        "coefficients": list(asked.coefficients),
        "unsteered": margins[0],
        "margins": margins[1:],
        "way": result.way,
        "seconds": time.monotonic() - began,
    }


def build(shelf: Shelf, asked: Building, job: Job) -> Mapping[str, Any]:
    """Build a vector from pairs and put it on the shelf; pairs beyond the context are left out and counted."""
    if bool(asked.pairs) == bool(asked.text.strip()):
        raise OptionError("give either pairs that the studio was started with or pairs typed on the page.")
    source = (
        known(shelf.pairs, asked.pairs, "pairs")
        if asked.pairs
        else parse_jsonl(asked.text, where="the pairs on the page")
    )
    model = model_of(shelf, asked.model)
    names = [part.strip() for part in asked.layers.split(",") if part.strip()]
    layers = sorted({layer for chosen in layer_sets(names or ["all"], n_layers=model.n_layers) for layer in chosen})
    vector = build_from_source(
        model,
        source,
        method=asked.method,
        layers=layers,
        positions=asked.positions,
        template=asked.template,
        too_long="skip",
        step=lambda what, done, total: job.tell({"kind": "progress", "what": what, "done": done, "total": total}),
    )
    identity = add_vector(shelf, asked.name.strip() or f"{asked.method} of {source.name}", vector)
    return {
        "vector": described(identity, shelf.vectors[identity]),
        "n_left_out": len(source.pairs) - vector.recipe.n_pairs,
    }
