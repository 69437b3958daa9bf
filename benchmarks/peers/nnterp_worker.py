"""nnterp: `steer` of a StandardizedTransformer, written in nnsight's traces.

Traces run under no_grad, as nnterp's own functions do: the in-place addition of `steer` fails under inference_mode.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import numpy as np
import torch
from nnterp import StandardizedTransformer
from nnterp.nnsight_utils import get_token_activations
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


def load(directory: str) -> Loaded:
    plain = load_plain(directory)
    own = StandardizedTransformer(plain.network, tokenizer=plain.tokenizer)
    return Loaded(network=plain.network, tokenizer=plain.tokenizer, own=own)


def last(loaded: Loaded, prompt: str, cell: Cell) -> Tensor:
    model = loaded.own
    with torch.no_grad(), model.trace(prompt):
        model.steer(layers=cell.layer, steering_vector=cell.vector, token_positions=-1)
        logits = model.logits[0, -1].save()
    return logits  # noqa: RET504 - nnsight runs the block elsewhere and brings the name back


def everywhere(loaded: Loaded, prompt: str, cell: Cell) -> Tensor:
    model = loaded.own
    with torch.no_grad(), model.trace(prompt):
        model.steer(layers=cell.layer, steering_vector=cell.vector)
        logits = model.logits[0, -1].save()
    return logits  # noqa: RET504 - nnsight runs the block elsewhere and brings the name back


def generate(loaded: Loaded, prompts: list[str], cell: Cell, count: int) -> list[list[int]]:
    model = loaded.own
    with model.generate(prompts, max_new_tokens=count, do_sample=False) as tracer:
        for _ in tracer.iter[:count]:
            model.steer(layers=cell.layer, steering_vector=cell.vector)
        ids = tracer.result.save()
    return new_tokens(ids, encoded(loaded.tokenizer, prompts))


def extract(loaded: Loaded, texts: list[str]) -> np.ndarray:
    return get_token_activations(loaded.own, texts).numpy()


def decoding(loaded: Loaded, given: Probes) -> Ways:
    model, layer, vector, count = loaded.own, given.first.layer, given.first.vector, given.new_tokens
    long = given.prompts[0]
    batch = encoded(loaded.tokenizer, long)

    def unbounded() -> Values:
        with model.generate(max_new_tokens=count, do_sample=False) as tracer:
            with tracer.invoke(long):
                for _ in tracer.all():
                    model.steer(layers=layer, steering_vector=vector)
            with tracer.invoke():
                ids = tracer.result.save()
        return new_tokens(ids, batch)[0]

    def bare() -> Values:
        with model.generate(long, max_new_tokens=count, do_sample=False) as tracer:
            model.steer(layers=layer, steering_vector=vector)
            ids = tracer.result.save()
        return new_tokens(ids, batch)[0]

    return {
        "steer in tracer.iter[:N]": lambda: generate(loaded, [long], given.first, count)[0],
        "steer in tracer.all()": unbounded,
        "a bare steer in generate": bare,
    }


def positions(loaded: Loaded, given: Probes) -> Ways:
    model, layer, vector, count = loaded.own, given.first.layer, given.first.vector, given.new_tokens
    long = given.prompts[0]

    def from_last() -> Values:
        with model.generate(long, max_new_tokens=count, do_sample=False) as tracer:
            for _ in tracer.iter[:count]:
                model.steer(layers=layer, steering_vector=vector, token_positions=-1)
            ids = tracer.result.save()
        return new_tokens(ids, encoded(loaded.tokenizer, long))[0]

    return {"token_positions=-1 in tracer.iter[:N]": from_last}


def rows(loaded: Loaded, given: Probes) -> Ways:
    model, layer, answers = loaded.own, given.first.layer, given.answers
    first, second = given.first.vector, given.second.vector
    long, short = given.prompts

    def by_index() -> Values:
        with torch.no_grad(), model.trace([long, short]):
            model.steer(layers=layer, steering_vector=first, batch_index=0)
            model.steer(layers=layer, steering_vector=second, batch_index=1)
            logits = model.logits[:, -1].save()
        return log_chances(logits, answers)

    def by_invoke() -> Values:
        with torch.no_grad(), model.trace() as tracer:
            with tracer.invoke(long):
                model.steer(layers=layer, steering_vector=first)
                one = model.logits[0, -1].save()
            with tracer.invoke(short):
                model.steer(layers=layer, steering_vector=second)
                two = model.logits[0, -1].save()
        return log_chances(torch.stack([one, two]), answers)

    def by_invoke_at_head() -> Values:
        with torch.no_grad(), model.trace() as tracer:
            with tracer.invoke(long):
                model.steer(layers=layer, steering_vector=first)
                one = model.lm_head.output[0, -1].save()
            with tracer.invoke(short):
                model.steer(layers=layer, steering_vector=second)
                two = model.lm_head.output[0, -1].save()
        return log_chances(torch.stack([one, two]), answers)

    return {
        "batch_index": by_index,
        "one invoke per row, logits": by_invoke,
        "one invoke per row, lm_head.output": by_invoke_at_head,
    }


def probes(loaded: Loaded, given: Probes) -> Mapping[str, Ways]:
    model, layer, vector, answers = loaded.own, given.first.layer, given.first.vector, given.answers
    long, short = given.prompts

    def list_of_prompts() -> Values:
        with torch.no_grad(), model.trace([long, short]):
            model.steer(layers=layer, steering_vector=vector)
            logits = model.logits[:, -1].save()
        return log_chances(logits, answers)

    def clean_up() -> Values:
        with contextlib.suppress(KeyError), torch.no_grad(), model.trace(long):
            model.steer(layers=layer, steering_vector=vector)
            raise KeyError("an error inside the trace")
        with torch.inference_mode():
            logits = loaded.network(**encoded(loaded.tokenizer, long)).logits[0, -1]
        return [log_chances(logits, answers)]

    return {
        "decoding": decoding(loaded, given),
        "positions": positions(loaded, given),
        "left_padding": {"a list of prompts": list_of_prompts},
        "rows": rows(loaded, given),
        "clean_up": {"error inside trace": clean_up},
    }


if __name__ == "__main__":
    run(
        Peer(
            packages=("nnterp", "nnsight"),
            load=load,
            sweep={"last": by_forwards(last), "all": by_forwards(everywhere)},
            generate=generate,
            extract=extract,
            probes=probes,
            notes=(
                "with nnsight 0.8 it cannot be imported: nnsight 0.7 here",
                "inside one invoke of several, `logits` is the whole batch, not the invoke's rows",
            ),
        )
    )
