"""Coefficient sweep: seven coefficients x ten problems as one sweep against one program after the other.

    .venv/bin/python benchmarks/coefficient_sweep.py --json

The embedded model on ten of the package's exercises, a fixed direction added at all positions throughout generation.
`ratio` is the median over rounds of (one steered `generate` per coefficient and problem) / (one `wave_generate`); which
of the two goes first alternates. `programs_different` compares every program, token by token; `programs_moved` counts
those that steering changed: a sweep that changes nothing proves nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from dataclasses import replace

import shapes
import torch
import transformers

import steerlab
from steerlab.generation import Completion, Decoding, generate
from steerlab.models import Model, load_model
from steerlab.steering import steer
from steerlab.studies.coefficient_choice import GRID
from steerlab.tasks.exercises import load_exercises
from steerlab.tasks.problems import STOP
from steerlab.tasks.splits import draw_problems
from steerlab.wave import Cell, wave_generate

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def one_by_one(
    model: Model, prompts: list[str], cells: list[Cell], *, decoding: Decoding
) -> list[tuple[Completion, ...]]:
    """What a plain loop does: one steered generation per coefficient and problem."""
    found = []
    for cell in cells:
        with steer(model, *cell.interventions):
            found.append(tuple(generate(model, [prompt], decoding=decoding)[0] for prompt in prompts))
    return found


def measure(model: Model, args: argparse.Namespace) -> dict[str, object]:
    clock = CLOCKS[args.clock]
    prompts = [problem.prompt for problem in draw_problems(load_exercises(), args.problems, seed=0)]
    decoding = Decoding(max_new_tokens=args.new_tokens, stop=STOP)
    cells = []
    for coefficient in GRID:
        intervention = shapes.random_intervention(model, args.layer, coefficient, positions="all")
        cells.append(Cell(interventions=(replace(intervention, dose="unit_norm"),)))
    seconds: dict[str, list[float]] = {"sweep": [], "one_by_one": []}
    swept = wave_generate(model, prompts, cells=cells, decoding=decoding)  # the first call tries its way
    plain: list[tuple[Completion, ...]] = []
    for number in range(args.repeats):
        for work in ("sweep", "one_by_one")[:: 1 if number % 2 == 0 else -1]:
            start = clock()
            if work == "sweep":
                swept = wave_generate(model, prompts, cells=cells, decoding=decoding)
            else:
                plain = one_by_one(model, prompts, cells, decoding=decoding)
            seconds[work].append(clock() - start)
    ratios = [b / a for a, b in zip(seconds["sweep"], seconds["one_by_one"], strict=True)]
    pairs = [(a, b) for one, two in zip(swept.completions, plain, strict=True) for a, b in zip(one, two, strict=True)]
    unsteered = generate(model, prompts, decoding=decoding)
    moved = sum(a.tokens != b.tokens for one in swept.completions for a, b in zip(one, unsteered, strict=True))
    return {
        "ratio": statistics.median(ratios),
        "ratio_rounds": ratios,
        "programs": len(pairs),
        "programs_different": sum(a.tokens != b.tokens for a, b in pairs),
        "programs_moved": moved,
        "tokens": sum(len(a.tokens) for a, _ in pairs),
        "way": swept.way,
        "reason": swept.reason,
        "seconds": {name: statistics.median(taken) for name, taken in seconds.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--problems", type=int, default=10)
    parser.add_argument("--new-tokens", type=int, default=128)
    parser.add_argument("--layer", type=int, default=2, help="the steered layer")
    parser.add_argument("--threads", type=int, help="threads of torch (all it finds)")
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="cpu: this process's time, for a shared machine"
    )
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    found = measure(load_model(args.model), args)
    found |= {
        "coefficients": GRID,
        "n_problems": args.problems,
        "new_tokens": args.new_tokens,
        "clock": args.clock,
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
