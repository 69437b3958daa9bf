"""TransformerLens: hooks on `resid_post` of a TransformerBridge, no BOS token before the prompts.

A bridge takes the modules of its network over, so the plain network is a second one.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.utilities import get_act_name
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
    load_tokenizer,
    log_chances,
    new_tokens,
    other_hooks,
    run,
)

Hook = tuple[str, Callable[..., Tensor]]


def load(directory: str) -> Loaded:
    plain = load_plain(directory)
    own = TransformerBridge.boot_transformers(directory, device="cpu", tokenizer=load_tokenizer(directory))
    return Loaded(network=plain.network, tokenizer=plain.tokenizer, own=own)


def adding(layer: int, vector: Tensor, *, start: int | None = None) -> Hook:
    """The hook that adds a vector at positions from `start` on."""

    def add(residual: Tensor, hook: Any) -> Tensor:
        residual[:, start:] += vector
        return residual

    return get_act_name("resid_post", layer), add


def last(loaded: Loaded, prompt: str, cell: Cell) -> Tensor:
    hooks = [adding(cell.layer, cell.vector, start=-1)]
    with torch.inference_mode():
        return loaded.own.run_with_hooks(prompt, prepend_bos=False, fwd_hooks=hooks)[0, -1]


def everywhere(loaded: Loaded, prompt: str, cell: Cell) -> Tensor:
    hooks = [adding(cell.layer, cell.vector)]
    with torch.inference_mode():
        return loaded.own.run_with_hooks(prompt, prepend_bos=False, fwd_hooks=hooks)[0, -1]


def written(loaded: Loaded, prompts: list[str], hook: Hook, count: int, **more: Any) -> list[list[int]]:
    """The new tokens of greedy decoding with the hook in place."""
    with loaded.own.hooks(fwd_hooks=[hook]):
        ids = loaded.own.generate(
            prompts, max_new_tokens=count, do_sample=False, stop_at_eos=False, prepend_bos=False,
            return_type="tokens", verbose=False, **more,
        )  # fmt: skip
    return new_tokens(ids, encoded(loaded.tokenizer, prompts))


def generate(loaded: Loaded, prompts: list[str], cell: Cell, count: int) -> list[list[int]]:
    return written(loaded, prompts, adding(cell.layer, cell.vector), count)


def extract(loaded: Loaded, texts: list[str]) -> np.ndarray:
    layers, found = range(loaded.own.cfg.n_layers), []
    names = [get_act_name("resid_post", layer) for layer in layers]
    for text in texts:
        with torch.inference_mode():
            _, cache = loaded.own.run_with_cache(text, prepend_bos=False, names_filter=names)
        found.append([cache["resid_post", layer][0, -1].numpy() for layer in layers])
    return np.asarray(found).transpose(1, 0, 2)


def decoding(loaded: Loaded, given: Probes) -> Ways:
    model, count = loaded.own, given.new_tokens
    long = given.prompts[0]
    hook = adding(given.first.layer, given.first.vector)

    def by_transformers() -> Values:
        tokens = model.to_tokens(long, prepend_bos=False)
        with model.hooks(fwd_hooks=[hook]):
            ids = model.hf_generate(tokens, max_new_tokens=count, do_sample=False, stop_at_eos=False)
        return ids[0, tokens.shape[1] :].tolist()

    return {
        "hooks around generate": lambda: written(loaded, [long], hook, count)[0],
        "hooks around generate, use_past_kv_cache=False": lambda: written(
            loaded, [long], hook, count, use_past_kv_cache=False
        )[0],
        "hooks around hf_generate of tokens": by_transformers,
    }


def positions(loaded: Loaded, given: Probes) -> Ways:
    long, count = given.prompts[:1], given.new_tokens
    hook = adding(given.first.layer, given.first.vector, start=-1)
    return {
        "residual[:, -1:] += v around generate": lambda: written(loaded, long, hook, count)[0],
        "the same, use_past_kv_cache=False": lambda: written(loaded, long, hook, count, use_past_kv_cache=False)[0],
    }


def clean_up(loaded: Loaded, given: Probes) -> Ways:
    model, answers = loaded.own, given.answers
    long = given.prompts[0]
    hook = adding(given.first.layer, given.first.vector)
    after = get_act_name("resid_post", model.cfg.n_layers - 1)

    def fail(residual: Tensor, hook: Any) -> Tensor:
        raise KeyError("an error inside the forward")

    def chances() -> Values:
        with torch.inference_mode():
            return [log_chances(model(long, prepend_bos=False)[0, -1], answers)]

    def in_hook() -> Values:
        with contextlib.suppress(KeyError), torch.inference_mode():
            model.run_with_hooks(long, prepend_bos=False, fwd_hooks=[hook, (after, fail)])
            raise AssertionError("the error did not come through")
        return chances()

    def in_context() -> Values:
        with contextlib.suppress(KeyError), model.hooks(fwd_hooks=[hook]):
            raise KeyError("an error inside the block")
        return chances()

    def added() -> Values:
        try:
            with contextlib.suppress(KeyError):
                model.add_hook(*hook)
                raise KeyError("an error between add_hook and reset_hooks")
            return chances()
        finally:
            model.reset_hooks()

    return {
        "error inside run_with_hooks": in_hook,
        "error inside hooks": in_context,
        "error between add_hook and reset_hooks": added,
    }


def probes(loaded: Loaded, given: Probes) -> Mapping[str, Ways]:
    model, layer, answers = loaded.own, given.first.layer, given.answers
    first, second = given.first.vector, given.second.vector

    def steered(prompts: list[str] | Tensor, vector: Tensor, **more: Any) -> Values:
        if isinstance(prompts, list):
            more["prepend_bos"] = False
        with torch.inference_mode():
            logits = model.run_with_hooks(prompts, fwd_hooks=[adding(layer, vector)], **more)
        return log_chances(logits[:, -1], answers)

    def tokens(*, masked: bool) -> Values:
        more = {"attention_mask": encoded(loaded.tokenizer, given.prompts)["attention_mask"]} if masked else {}
        return steered(model.to_tokens(given.prompts, prepend_bos=False), first, **more)

    bridged = dataclasses.replace(loaded, network=model.original_model)
    return {
        "decoding": decoding(loaded, given),
        "positions": positions(loaded, given),
        "left_padding": {
            "a list of prompts": lambda: steered(given.prompts, first),
            "to_tokens": lambda: tokens(masked=False),
            "to_tokens and attention_mask": lambda: tokens(masked=True),
        },
        "rows": {
            "a hook that adds [row, 1, d_model]": lambda: steered(given.prompts, torch.stack([first, second])[:, None])
        },
        "clean_up": clean_up(loaded, given),
        "other_hooks": {"a steered forward": lambda: other_hooks(PEER, bridged, given)},
    }


PEER = Peer(
    packages=("transformer-lens",),
    load=load,
    sweep={"last": by_forwards(last), "all": by_forwards(everywhere)},
    generate=generate,
    extract=extract,
    probes=probes,
    notes=(
        "takes the network's modules over: the plain forwards run on a second network, which its memory includes",
        "hf_generate of a text has no `prepend_bos`: it prepends the tokenizer's BOS token, so it is given tokens here",
    ),
)


if __name__ == "__main__":
    run(PEER)
