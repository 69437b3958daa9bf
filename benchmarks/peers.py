"""steerlab beside six peers (nnsight, nnterp, transformer-lens, ...): speed, equality, correctness on a random model.

    .venv/bin/python benchmarks/peers.py --json [--only NAME,...] [--small] [--repeats N] [--envs DIR] [--write]

Each peer has an environment of its own below --envs, made on first use (minutes, and a package index). Each is driven
by a worker, `benchmarks/peers/NAME_worker.py`: a job file in, a line of JSON out. In every round the sides take turns,
each in a fresh process; seconds are given beside plain forwards of the same process. `--write` renders
`benchmarks/results-peers.md`.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import peers_table
import shapes
import torch
import transformers
from peers_environments import ENVIRONMENTS, PEERS, SIDES, PeerError, environment_of, python_of

from steerlab.capturing import capture
from steerlab.models import Model, inspect_model

RESULTS = Path(__file__).parent / "results-peers.md"
DOSES = (-1.0, -0.5, -0.25, 0.125, 0.25, 0.5, 1.0)  # of the mean residual norm of the layer
ANSWERS = "AB"
FULL = {
    "prompts": 4,
    "tokens": 200,
    "cells": 3,
    "completions": 10,
    "new_tokens": 32,
    "texts": 12,
}
SMALL = {"prompts": 3, "tokens": 48, "cells": 3, "completions": 10, "new_tokens": 32, "texts": 8}
WORKER_SECONDS = 3600


def lively_model(shape: dict[str, int]) -> Model:
    """A random model whose blocks outweigh its embeddings: otherwise it repeats its last token, steered or not.

    It has no end-of-text token, so that every row runs to its full length.
    """
    model = shapes.random_qwen2(shape, dtype=torch.float32)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for layer in model.layers:
            for parameter in layer.parameters():
                if parameter.ndim == 2:
                    parameter.normal_(std=1.5 * parameter.shape[1] ** -0.5, generator=generator)
    network, tokenizer = model.network, shapes.byte_tokenizer()
    tokenizer.eos_token = None
    network.config.eos_token_id = network.generation_config.eos_token_id = None
    return inspect_model(network, tokenizer, name="random Qwen2")


def save(model: Model, folder: Path) -> Path:
    """A Hugging Face directory that transformers 4 and 5 read alike."""
    model.network.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    changes = {
        "config.json": {"rope_theta": model.network.config.rope_parameters["rope_theta"]},
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",  # transformers 5 writes a name that 4 does not know
            "model_input_names": ["input_ids", "attention_mask"],
        },
    }
    for name, change in changes.items():
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
    return folder


def job_for(model: Model, sizes: Mapping[str, int], *, directory: Path, threads: int) -> dict[str, Any]:
    """What every worker is asked, the same for all sides."""
    rng = np.random.default_rng(0)
    texts = shapes.random_prompts(sizes["texts"], sizes["tokens"], seed=1)
    prompts = shapes.random_prompts(sizes["prompts"], sizes["tokens"], seed=2)
    residuals = capture(model, prompts, layers=range(model.n_layers))
    directions = {}
    for layer, residual in residuals.items():
        drawn = rng.normal(size=model.d_model)
        length = float(residual.norm(dim=-1).mean())
        directions[str(layer)] = (drawn * length / np.linalg.norm(drawn)).astype(np.float32).tolist()
    cells = [[layer, dose] for layer in range(model.n_layers) for dose in DOSES]
    step = len(cells) // sizes["cells"]
    middle, answers = model.n_layers // 2, model.tokenizer(ANSWERS)["input_ids"]
    long, short = "".join(shapes.random_prompts(1, 24, seed=3)), "".join(shapes.random_prompts(1, 9, seed=4))
    return {
        "model": str(directory),
        "threads": threads,
        "sweep": {
            "prompts": prompts, "cells": cells, "answers": answers, "directions": directions,
            "sample": list(range(step // 2, len(cells), step))[: sizes["cells"]],
        },
        "generation": {
            "prompts": shapes.random_prompts(sizes["completions"], 48, seed=5), "cell": [middle, 0.5],
            "directions": directions, "new_tokens": sizes["new_tokens"],
        },
        "extraction": {"texts": texts},
        "probes": {
            "prompts": [long, short], "cells": [[middle, 1.0], [middle, -1.0]], "directions": directions,
            "answers": answers, "new_tokens": 10,
        },
    }  # fmt: skip


def run_worker(command: Sequence[str], *, environment: Mapping[str, str]) -> dict[str, Any]:
    """The JSON object in the last line of what a worker prints; its stderr is passed on when it fails.

    Raises: PeerError when it ends with an error, takes longer than WORKER_SECONDS, or prints something else.
    """
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=dict(environment), timeout=WORKER_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise PeerError(f"the worker took longer than {WORKER_SECONDS} seconds") from None
    if done.returncode:
        sys.stderr.write(done.stderr)
        last = (done.stderr.strip().splitlines() or ["nothing was printed"])[-1]
        raise PeerError(f"the worker ended with status {done.returncode}: {last}")
    line = (done.stdout.strip().splitlines() or [""])[-1]
    try:
        found = json.loads(line)
    except json.JSONDecodeError:
        raise PeerError(f"the worker's last line is {line[:60]!r}, not a JSON object") from None
    if not isinstance(found, dict):
        raise PeerError(f"the worker's last line is a JSON {type(found).__name__}, not an object")
    return found


def import_seconds(python: Path, name: str, environment: Mapping[str, str]) -> float:
    """Wall seconds of a process that imports what a user of the side imports, and ends."""
    began = time.perf_counter()
    done = subprocess.run(
        [python, "-c", SIDES[name].imports], env=dict(environment), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise PeerError(f"{name} cannot be imported: {(done.stderr.strip().splitlines() or [''])[-1]}")
    return time.perf_counter() - began


def round_of(name: str, job: Mapping[str, Any], number: int, *, folder: Path, python: Path) -> dict[str, Any]:
    """One round of one side: start-up, then its worker; {"error": one line} when there is no result."""
    print(f"round {number + 1}: {name}", file=sys.stderr)
    asked = folder / f"{name}-{number}.json"
    more = {"reference": name == "steerlab" and number == 0, "probes": job["probes"] if number == 0 else None}
    asked.write_text(json.dumps(dict(job) | more))
    environment = environment_of(name, job["threads"])
    try:
        seconds = import_seconds(python, name, environment)
        command = [str(python), str(SIDES[name].worker(name)), str(asked)]
        return run_worker(command, environment=environment) | {"import_seconds": seconds}
    except PeerError as error:
        return {"error": str(error)}


def interpreters(names: Sequence[str], envs: Path) -> dict[str, Path | str]:
    """The interpreter of each side, or the line that says why it has none."""
    found: dict[str, Path | str] = {}
    for name in names:
        try:
            found[name] = python_of(name, envs)
        except PeerError as error:
            print(error, file=sys.stderr)
            found[name] = str(error)
    return found


def measure(
    shape: dict[str, int], sizes: dict[str, int], names: Sequence[str], *, repeats: int, envs: Path
) -> dict[str, Any]:
    """All rounds of steerlab and the peers `names`."""
    order = ["steerlab", *names]
    pythons, load = interpreters(order, envs), os.getloadavg()[0]
    rounds: dict[str, list[dict[str, Any]]] = {
        name: [{"error": python}] if isinstance(python, str) else [] for name, python in pythons.items()
    }
    with tempfile.TemporaryDirectory(prefix="peers-") as temporary:
        folder = Path(temporary)
        model = lively_model(shape)
        job = job_for(model, sizes, directory=save(model, folder / "model"), threads=torch.get_num_threads())
        del model
        for number in range(repeats):
            for name in order if number % 2 == 0 else order[::-1]:
                if isinstance(python := pythons[name], Path):
                    rounds[name].append(round_of(name, job, number, folder=folder, python=python))
        ours, n_cells = rounds["steerlab"], len(job["sweep"]["cells"])
        for each in ours:
            if "error" in each:
                raise PeerError(f"steerlab itself failed: {each['error']}")
        sides = {name: peers_table.side(own, ours, n_cells=n_cells, folder=folder) for name, own in rounds.items()}
    return {
        "sides": sides, "shape": shape, "sizes": sizes, "n_cells": n_cells, "doses": DOSES, "dtype": "float32",
        "threads": job["threads"], "cores": len(os.sched_getaffinity(0)), "load_average": round(load, 1),
        "repeats": repeats, "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--only", default=",".join(PEERS), metavar="NAME,...", help="peers (steerlab always runs)")
    parser.add_argument("--small", action="store_true", help="6 layers and d_model 256: seconds, not minutes")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="rounds")
    parser.add_argument("--envs", type=Path, default=ENVIRONMENTS, metavar="DIR", help="where environments are kept")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    options = parser.parse_args()
    names = [name.strip() for name in options.only.split(",") if name.strip() and name.strip() != "steerlab"]
    unknown = [name for name in names if name not in PEERS]
    if unknown:
        parser.error(f"{', '.join(unknown)}: no such peer. Choose from {', '.join(PEERS)}.")
    if options.repeats < 1:
        parser.error(f"{options.repeats} rounds: give at least 1.")
    shape, sizes = (shapes.SMALL, SMALL) if options.small else (shapes.HALF_BILLION, FULL)
    found = measure(shape, sizes, names, repeats=options.repeats, envs=options.envs.resolve())
    found["options"] = " ".join(sys.argv[1:]) or "none"
    page = peers_table.markdown(found)
    if options.write:
        RESULTS.write_text(page)
    print(json.dumps(found) if options.json else page)


if __name__ == "__main__":
    main()
