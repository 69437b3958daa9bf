"""No way is taken on trust: before it runs on a network it must give the plain way's values on short rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from steerlab.batches import Progress
from steerlab.models import Model
from steerlab.readout import read_single_tokens, read_whole_answers
from steerlab.steering import steer
from steerlab.wave.behind import run_layers, run_rows, run_tree
from steerlab.wave.cells import Live
from steerlab.wave.reading import Reading
from steerlab.wave.tails import run_tails
from steerlab.wave.through import run_shared
from steerlab.wave.trial import CHECK_ERRORS, failure, lengths_to_try, trial_cells, verdict

Run = Callable[[Model, Reading, Live, int | None, Progress | None], Tensor]


def run_plain(model: Model, reading: Reading, cells: Live, chunk: int | None, progress: Progress | None) -> Tensor:
    """[cell, prompt, answer]; one run per cell, as without a wave."""
    heads, tails = reading.heads, reading.tails
    done: list[Tensor] = []
    for cell in cells:
        with steer(model, *cell):
            if reading.single:
                found = torch.stack(read_single_tokens(model, heads, tails, rows=None, progress=progress))
            else:
                listed = read_whole_answers(model, heads, tails, reading.units, rows=None, progress=progress)
                found = torch.tensor(listed)
        done.append(found)
    return reading.shaped(torch.stack(done))


RUNS: Mapping[str, Run] = {
    "layers": run_layers,
    "tree": run_tree,
    "rows": run_rows,
    "tails": run_tails,
    "shared": run_shared,
    "plain": run_plain,
}

_CHECKS: WeakKeyDictionary[nn.Module, dict[tuple[object, ...], str]] = WeakKeyDictionary()


def failed_check(model: Model, reading: Reading, way: str) -> str:
    """Empty when `way` gives the plain way's values on short rows of this model; remembered per network."""
    known = _CHECKS.setdefault(model.network, {})
    longest = max(reading.heads, key=len)
    config = getattr(model.network, "config", None)
    for tokens in lengths_to_try(model, len(longest)):
        attention = getattr(config, "_attn_implementation", None)
        key = (way, tokens, reading.single, reading.relative, model.dtype, model.device, attention)
        if key not in known:
            known[key] = _compare(model, reading, way, tokens)
        if known[key]:
            return known[key]
    return ""


def _compare(model: Model, reading: Reading, way: str, tokens: tuple[int, int]) -> str:
    longest = max(reading.heads, key=len)
    heads = [longest[: tokens[0]], longest[: tokens[1]]]
    some = [model.d_vocab * part // 7 for part in range(7)]
    tails = [[[token] if reading.single else [token, *some[: 1 + at % 3]] for at, token in enumerate(some)]] * len(
        heads
    )
    short = Reading(heads=heads, tails=tails, relative=reading.relative)
    cells = trial_cells(model, positions="all" if way == "shared" else "from_last_prompt_token")
    try:
        found = RUNS[way](model, short, cells, None, None)
    except CHECK_ERRORS as error:
        return failure(way, error)
    expected = run_plain(model, short, cells, None, None)
    if reading.relative:
        found, expected = found - found[..., :1], expected - expected[..., :1]
    return verdict(model, way, float((found - expected).abs().max()))
