"""Readout sweep: every layer x coefficient over prompts, the wave against one forward per prompt and cell.

    taskset -c 0,1 .venv/bin/python benchmarks/readout_sweep.py --json

All ratios are of one run on one machine; seconds are medians. The naive loops are timed on a sample of cells spread
over layers and coefficients, over all prompts, and scaled to all cells (a forward costs the same for every cell); the
sample is also what `max_difference` (natural-log odds of the first answer against each other) and `flips` compare.
The wave reads what a sweep reads, differences between answers (`relative`); `wave_log_likelihoods` is the same with
the whole vocabulary's logits for every cell.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping

import shapes
import torch
import transformers
from torch import Tensor

import steerlab
from steerlab.batches import run_batched
from steerlab.hooks import last_logits_only
from steerlab.models import Model
from steerlab.steering import steer
from steerlab.tokens import encode, left_padded
from steerlab.wave import Cell, wave_log_likelihoods

COEFFICIENTS = (-8.0, -4.0, -2.0, 1.0, 2.0, 4.0, 8.0)
ANSWERS = ["A", "B"]


def median_seconds(works: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median wall time of each work; the works take turns, so that a slow minute of the machine hits all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def naive_loop(model: Model, prompts: list[str], cells: list[Cell], *, logits_to_keep: int) -> Tensor:
    """What the published pipelines do: per cell and prompt one forward. 0 keeps the logits of all positions."""
    tokens = [encode(model, [answer])[0][0] for answer in ANSWERS]
    found = torch.zeros(len(cells), len(prompts), len(tokens))
    for c, cell in enumerate(cells):
        for p, row in enumerate(encode(model, prompts)):
            with torch.inference_mode(), steer(model, *cell.interventions):
                output = model.network(**left_padded(model, [row]), use_cache=False, logits_to_keep=logits_to_keep)
            found[c, p] = output.logits[0, -1].float().log_softmax(dim=-1)[tokens]
    return found


def prefill(model: Model, prompts: list[str], *, logits: str) -> None:
    """The floor: one plain batched forward over the prompts with a cache, unsteered."""
    rows = encode(model, prompts)

    def run(batch: list[int]) -> list[None]:
        head = model.head if logits == "last" else None
        with torch.inference_mode(), last_logits_only(model.network, head):
            model.network(**left_padded(model, [rows[i] for i in batch]), use_cache=True)
        return [None] * len(batch)

    run_batched(model, [len(row) for row in rows], run)


def measure(model: Model, args: argparse.Namespace) -> dict[str, object]:
    prompts = shapes.random_prompts(args.prompts, args.tokens)
    cells = [
        Cell(interventions=(shapes.random_intervention(model, layer, c, positions=args.positions),))
        for layer in range(model.n_layers)
        for c in COEFFICIENTS
    ]
    step = max(1, len(cells) // args.naive_cells)
    sample = list(range(step // 2, len(cells), step))[: args.naive_cells]
    sampled, scale = [cells[i] for i in sample], len(cells) / len(sample)
    answers = [ANSWERS] * len(prompts)
    for relative in (False, True):  # and the way's checks
        result = wave_log_likelihoods(model, prompts, answers, cells=cells, way=args.way, relative=relative)
    expected = naive_loop(model, prompts, sampled, logits_to_keep=0)
    found = result.log_likelihoods[sample]
    found, expected = found - found[..., :1], expected - expected[..., :1]

    seconds = median_seconds(
        {
            "wave": lambda: wave_log_likelihoods(model, prompts, answers, cells=cells, way=args.way, relative=True),
            "wave_log_likelihoods": lambda: wave_log_likelihoods(model, prompts, answers, cells=cells, way=args.way),
            "prefill": lambda: prefill(model, prompts, logits="last"),
            "prefill_all_logits": lambda: prefill(model, prompts, logits="all"),
            "naive_scaled": lambda: naive_loop(model, prompts, sampled, logits_to_keep=0),
            "naive_last_logits_scaled": lambda: naive_loop(model, prompts, sampled, logits_to_keep=1),
        },
        args.repeats,
    )
    seconds |= {name: value * scale for name, value in seconds.items() if name.startswith("naive")}
    wave = seconds["wave"]
    return {
        "ratio_naive": seconds["naive_scaled"] / wave,
        "ratio_naive_last_logits": seconds["naive_last_logits_scaled"] / wave,
        "ratio_prefill": wave / seconds["prefill"],
        "ratio_prefill_log_likelihoods": seconds["wave_log_likelihoods"] / seconds["prefill"],
        "ratio_prefill_all_logits": wave / seconds["prefill_all_logits"],
        "max_difference": float((found - expected).abs().max()),
        "flips": int((found.argmax(dim=-1) != expected.argmax(dim=-1)).sum()),
        "moved": float((expected - expected[:1]).abs().max()),
        "way": result.way,
        "reason": result.reason,
        "seconds": seconds,
        "n_cells": len(cells) * len(prompts),
        "naive_timed_on": f"{len(sample)} of {len(cells)} settings x {len(prompts)} prompts, scaled by {scale:.2f}",
        "repeats": args.repeats,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument(
        "--small", action="store_true", help="a model of 6 layers and d_model 256: seconds, not minutes"
    )
    parser.add_argument("--layers", type=int, help="number of decoder layers")
    parser.add_argument("--d-model", type=int, help="width, a multiple of 64 (d_ff follows)")
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=300, help="longest prompt, in tokens")
    parser.add_argument("--positions", default="from_last_prompt_token")
    parser.add_argument("--way", default="auto")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--threads", type=int, help="threads of torch (all it finds)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--naive-cells", type=int, default=4, help="settings that the naive loops are timed on")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    shape = dict(shapes.SMALL if args.small else shapes.HALF_BILLION)
    if args.layers:
        shape["num_hidden_layers"] = args.layers
    if args.d_model:
        heads = args.d_model // 64
        shape |= {"hidden_size": args.d_model, "num_attention_heads": heads, "intermediate_size": args.d_model * 4}
        shape["num_key_value_heads"] = 2 if heads % 2 == 0 else 1
    model = shapes.random_qwen2(shape, dtype=getattr(torch, args.dtype))
    found = measure(model, args)
    found |= {
        "shape": {**shape, "n_prompts": args.prompts, "longest_prompt_tokens": args.tokens},
        "coefficients": COEFFICIENTS,
        "positions": args.positions,
        "dtype": args.dtype,
        "threads": torch.get_num_threads(),
        "cores": len(os.sched_getaffinity(0)),
        "versions": {
            "steerlab": steerlab.__version__,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "python": platform.python_version(),
        },
    }
    if args.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:26} {value}")


if __name__ == "__main__":
    main()
