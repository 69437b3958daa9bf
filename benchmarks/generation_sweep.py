"""Generation sweep: coefficients x prompts, the wave against one steered `generate` per coefficient and prompt.

    taskset -c 0,1 .venv/bin/python benchmarks/generation_sweep.py --json

All ratios are of one run on one machine; works take turns, so that a slow minute hits all of them. The sequential loop
is timed on a sample of rows that is spread over coefficients and prompts, and scaled to all rows; `rows_different`
compares every row of the wave with the sequential loop, token by token, for both kinds of positions.
`overhead_percent` is the median over rounds of steered / unsteered (the same batched `generate`, all
positions) minus 1; `steps_percent` is the share of a steered run that is spent in the arithmetic of steering.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from unittest import mock

import shapes
import torch
import transformers

import steerlab
from steerlab.generation import Completion, Decoding, generate
from steerlab.models import Model
from steerlab.steering import Step, steer
from steerlab.wave import Cell, WaveCompletions, wave_generate

COEFFICIENTS = (-8.0, -4.0, -2.0, 1.0, 2.0, 4.0, 8.0)
PROTOTYPE = {
    "num_hidden_layers": 12,
    "hidden_size": 512,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "intermediate_size": 1408,
    "vocab_size": 8192,
}
SHAPES = {"small": shapes.SMALL, "prototype": PROTOTYPE, "half-billion": shapes.HALF_BILLION}
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
KINDS = {"all": "all", "last": "from_last_prompt_token"}


def rounds(
    works: Mapping[str, Callable[[], object]], repeats: int, *, clock: Callable[[], float]
) -> dict[str, list[float]]:
    """Seconds of each work in each round; the works take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            start = clock()
            work()
            seconds[name].append(clock() - start)
    return seconds


def cells_of(model: Model, layer: int, positions: str) -> list[Cell]:
    return [
        Cell(interventions=(shapes.random_intervention(model, layer, c, positions=positions),)) for c in COEFFICIENTS
    ]


def sequential(
    model: Model, prompts: list[str], cells: list[Cell], *, rows: list[tuple[int, int]], decoding: Decoding
) -> dict[tuple[int, int], Completion]:
    """What the published pipelines do: one steered generation per cell and prompt."""
    found = {}
    for c, p in rows:
        with steer(model, *cells[c].interventions):
            (found[c, p],) = generate(model, [prompts[p]], decoding=decoding)
    return found


def different(result: WaveCompletions, expected: Mapping[tuple[int, int], Completion]) -> int:
    return sum(result.completions[c][p].tokens != one.tokens for (c, p), one in expected.items())


def paired_overhead(
    model: Model, prompts: list[str], *, layer: int, decoding: Decoding, args: argparse.Namespace
) -> list[float]:
    """Steered / unsteered of each round, in percent above 1: the faster of two each, in the order a b b a."""
    intervention = shapes.random_intervention(model, layer, 4.0, positions="all")

    def steered() -> None:
        with steer(model, intervention):
            generate(model, prompts, decoding=decoding)

    def plain() -> None:
        generate(model, prompts, decoding=decoding)

    works = {"plain 1": plain, "steered 1": steered, "steered 2": steered, "plain 2": plain}
    taken = rounds(works, max(args.repeats, 5), clock=CLOCKS[args.clock])
    with_steering = [min(pair) for pair in zip(taken["steered 1"], taken["steered 2"], strict=True)]
    without = [min(pair) for pair in zip(taken["plain 1"], taken["plain 2"], strict=True)]
    return [100 * (a / b - 1) for a, b in zip(with_steering, without, strict=True)]


def share_of_steps(
    model: Model, prompts: list[str], *, layer: int, decoding: Decoding, args: argparse.Namespace
) -> float:
    """Percent of a steered run that is spent in the steps that steer: what is left when the machine's noise is not."""
    clock, spent = CLOCKS[args.clock], 0.0
    plain = Step.apply

    def timed(step: Step, *arguments: torch.Tensor) -> torch.Tensor:
        nonlocal spent
        start = clock()
        moved = plain(step, *arguments)
        spent += clock() - start
        return moved

    with (
        mock.patch.object(Step, "apply", timed),
        steer(model, shapes.random_intervention(model, layer, 4.0, positions="all")),
    ):
        start = clock()
        generate(model, prompts, decoding=decoding)
        whole = clock() - start
    return 100 * spent / whole


def measure(model: Model, args: argparse.Namespace) -> dict[str, object]:
    prompts = shapes.random_prompts(args.prompts, args.tokens)
    decoding = Decoding(max_new_tokens=args.new_tokens)
    layer = model.n_layers // 2 if args.layer is None else args.layer
    cells = {kind: cells_of(model, layer, positions) for kind, positions in KINDS.items()}
    every = [(c, p) for c in range(len(COEFFICIENTS)) for p in range(len(prompts))]
    step = max(1, len(every) // args.sequential_rows)
    sample = every[step // 2 :: step][: args.sequential_rows]
    compared = sample if args.compare == "sample" else every
    results = {kind: wave_generate(model, prompts, cells=own, decoding=decoding) for kind, own in cells.items()}
    expected = {kind: sequential(model, prompts, own, rows=compared, decoding=decoding) for kind, own in cells.items()}

    def one_by_one(kind: str) -> Callable[[], object]:
        return lambda: sequential(model, prompts, cells[kind], rows=sample, decoding=decoding)

    def wave(kind: str) -> Callable[[], object]:
        return lambda: wave_generate(model, prompts, cells=cells[kind], decoding=decoding)

    first = replace(decoding, max_new_tokens=1)
    taken = rounds(
        {
            "wave_all": wave("all"),
            "wave_last": wave("last"),
            "sequential_all": one_by_one("all"),
            "sequential_last": one_by_one("last"),
            "unsteered_batch": lambda: generate(model, prompts, decoding=decoding),
            "prefill_prompts": lambda: generate(model, prompts, decoding=first),
            "prefill_rows": lambda: generate(model, prompts * len(COEFFICIENTS), decoding=first),
        },
        args.repeats,
        clock=CLOCKS[args.clock],
    )
    scale = len(every) / len(sample)
    ratios = {
        kind: [scale * s / w for s, w in zip(taken[f"sequential_{kind}"], taken[f"wave_{kind}"], strict=True)]
        for kind in KINDS
    }
    overhead = paired_overhead(model, prompts, layer=layer, decoding=decoding, args=args)
    seconds = {name: statistics.median(values) for name, values in taken.items()}
    seconds |= {name: value * scale for name, value in seconds.items() if name.startswith("sequential")}
    return {
        "ratio_sequential_all": statistics.median(ratios["all"]),
        "ratio_sequential_last": statistics.median(ratios["last"]),
        "rows_different": sum(different(results[kind], expected[kind]) for kind in KINDS),
        "rows_compared": sum(len(one) for one in expected.values()),
        "rows_moved": sum(results[kind].completions[0] != results[kind].completions[-1] for kind in KINDS),
        "overhead_percent": statistics.median(overhead),
        "overhead_rounds": overhead,
        "steps_percent": share_of_steps(model, prompts, layer=layer, decoding=decoding, args=args),
        "ratio_rounds": ratios,
        "ways": {kind: result.way for kind, result in results.items()},
        "reasons": {kind: result.reason for kind, result in results.items()},
        "seconds": seconds,
        "floor": "unsteered_batch: the prompts once, unsteered; prefill_prompts, prefill_rows: reading them only",
        "steered_layer": layer,
        "n_rows": len(every),
        "sequential_timed_on": f"{len(sample)} of {len(every)} rows, scaled by {scale:.2f}",
        "repeats": args.repeats,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--shape", choices=SHAPES, default="prototype", help="12 layers and d_model 512 by default")
    parser.add_argument("--small", action="store_true", help="6 layers, d_model 256, 5 prompts: under a minute")
    parser.add_argument("--prompts", type=int, default=10)
    parser.add_argument("--tokens", type=int, default=300, help="longest prompt, in tokens")
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--layer", type=int, help="the steered layer (the middle one)")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--threads", type=int, help="threads of torch (all it finds)")
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="cpu: this process's time, for a machine that others use"
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sequential-rows", type=int, default=14, help="rows that the sequential loop is timed on")
    parser.add_argument("--compare", choices=("all", "sample"), default="all", help="rows that are compared")
    args = parser.parse_args()
    if args.small:
        args.shape, args.prompts, args.new_tokens, args.sequential_rows = "small", 5, 32, 5
    if args.threads:
        torch.set_num_threads(args.threads)
    model = shapes.random_qwen2(SHAPES[args.shape], dtype=getattr(torch, args.dtype))
    model = replace(model, eos_token_ids=())  # every row runs to its full length
    found = measure(model, args)
    found |= {
        "shape": {
            **SHAPES[args.shape],
            "n_prompts": args.prompts,
            "longest_prompt_tokens": args.tokens,
            "new_tokens": args.new_tokens,
        },
        "coefficients": COEFFICIENTS,
        "clock": args.clock,
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
