"""nnsight: edits written in traces, local ones."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import nnsight
import numpy as np
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


def load(directory: str) -> Loaded:
    plain = load_plain(directory)
    own = nnsight.TransformersModel(plain.network, tokenizer=plain.tokenizer)
    return Loaded(network=plain.network, tokenizer=plain.tokenizer, own=own)


def last(loaded: Loaded, prompt: str, cell: Cell) -> Tensor:
    model = loaded.own
    with torch.inference_mode(), model.trace(prompt):
        model.model.layers[cell.layer].output[:, -1] += cell.vector
        logits = model.output.logits[0, -1].save()
    return logits  # noqa: RET504 - nnsight runs the block elsewhere and brings the name back


def everywhere(loaded: Loaded, prompt: str, cell: Cell) -> Tensor:
    model = loaded.own
    with torch.inference_mode(), model.trace(prompt):
        model.model.layers[cell.layer].output[:] += cell.vector
        logits = model.output.logits[0, -1].save()
    return logits  # noqa: RET504 - nnsight runs the block elsewhere and brings the name back


def generate(loaded: Loaded, prompts: list[str], cell: Cell, count: int) -> list[list[int]]:
    model = loaded.own
    with model.generate(prompts, max_new_tokens=count, do_sample=False) as tracer:
        for _ in tracer.iter[:count]:
            model.model.layers[cell.layer].output[:] += cell.vector
        ids = tracer.result.save()
    return new_tokens(ids, encoded(loaded.tokenizer, prompts))


def extract(loaded: Loaded, texts: list[str]) -> np.ndarray:
    model, found = loaded.own, []
    for text in texts:
        with torch.inference_mode(), model.trace(text):
            saved = nnsight.save([])
            for layer in model.model.layers:
                saved.append(layer.output[0, -1])
        found.append(torch.stack(list(saved)).numpy())
    return np.asarray(found).transpose(1, 0, 2)


def decoding(loaded: Loaded, given: Probes) -> Ways:
    model, layer, vector, count = loaded.own, given.first.layer, given.first.vector, given.new_tokens
    long = given.prompts[0]
    batch = encoded(loaded.tokenizer, long)

    def unbounded() -> Values:
        with model.generate(max_new_tokens=count, do_sample=False) as tracer:
            with tracer.invoke(long):
                for _ in tracer.all():
                    model.model.layers[layer].output[:] += vector
            with tracer.invoke():
                ids = tracer.result.save()
        return new_tokens(ids, batch)[0]

    def bare() -> Values:
        with model.generate(long, max_new_tokens=count, do_sample=False) as tracer:
            model.model.layers[layer].output[:] += vector
            ids = tracer.result.save()
        return new_tokens(ids, batch)[0]

    return {
        "tracer.iter[:N]": lambda: generate(loaded, [long], given.first, count)[0],
        "tracer.all()": unbounded,
        "a bare edit in generate": bare,
    }


def positions(loaded: Loaded, given: Probes) -> Ways:
    model, count = loaded.own, given.new_tokens
    long = given.prompts[0]

    def from_last() -> Values:
        with model.generate(long, max_new_tokens=count, do_sample=False) as tracer:
            for _ in tracer.iter[:count]:
                model.model.layers[given.first.layer].output[:, -1] += given.first.vector
            ids = tracer.result.save()
        return new_tokens(ids, encoded(loaded.tokenizer, long))[0]

    return {"output[:, -1] in tracer.iter[:N]": from_last}


def probes(loaded: Loaded, given: Probes) -> Mapping[str, Ways]:
    model, layer, answers = loaded.own, given.first.layer, given.answers
    long, short = given.prompts

    def list_of_prompts() -> Values:
        with torch.inference_mode(), model.trace([long, short]):
            model.model.layers[layer].output[:] += given.first.vector
            logits = model.output.logits[:, -1].save()
        return log_chances(logits, answers)

    def old_idiom() -> Values:
        with torch.inference_mode(), model.trace([long, short]):
            model.model.layers[layer].output[0][:] += given.first.vector
            logits = model.output.logits[:, -1].save()
        return log_chances(logits, answers)

    def own_rows() -> Values:
        with torch.inference_mode(), model.trace() as tracer:
            with tracer.invoke(long):
                model.model.layers[layer].output[:] += given.first.vector
                one = model.output.logits[0, -1].save()
            with tracer.invoke(short):
                model.model.layers[layer].output[:] += given.second.vector
                two = model.output.logits[0, -1].save()
        return log_chances(torch.stack([one, two]), answers)

    def clean_up() -> Values:
        with contextlib.suppress(KeyError), torch.inference_mode(), model.trace(long):
            model.model.layers[layer].output[:] += given.first.vector
            raise KeyError("an error inside the trace")
        with torch.inference_mode():
            logits = loaded.network(**encoded(loaded.tokenizer, long)).logits[0, -1]
        return [log_chances(logits, answers)]

    return {
        "decoding": decoding(loaded, given),
        "positions": positions(loaded, given),
        "left_padding": {"a list of prompts": list_of_prompts, "output[0][:] += v": old_idiom},
        "rows": {"one invoke per row": own_rows},
        "clean_up": {"error inside trace": clean_up},
    }


if __name__ == "__main__":
    run(
        Peer(
            packages=("nnsight",),
            load=load,
            sweep={"last": by_forwards(last), "all": by_forwards(everywhere)},
            generate=generate,
            extract=extract,
            probes=probes,
        )
    )
