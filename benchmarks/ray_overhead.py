"""Ray's overhead per job: the grid of a detection study by one actor against the same jobs in this process.

    .venv/bin/python benchmarks/ray_overhead.py --json [--repeats 5]

Embedded model, fresh pairs, six layers and six coefficients; a thread per core on both sides, which is what one actor
gets. The actor is started and has loaded before the clock runs; the sides take turns, and the ratio is the median over
rounds. Two bounds are printed: jobs of a few seconds (as here) and, from the difference per job, the job length at
which the overhead is 5 per cent.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time

os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # loopback only; read when Ray is imported

import torch

from steerlab.models import load_model
from steerlab.sources import load_source
from steerlab.studies.detection_jobs import Job, in_parts
from steerlab.studies.detection_material import DetectionSettings, Material, prepare
from steerlab.studies.ray_workers import RayWorkers
from steerlab.studies.workers import LocalWorkers, Workers


def jobs(material: Material) -> list[Job]:
    """The grid of all folds."""
    made = [
        Job(stage="grid", template=material.templates[0].name, fold=fold.number, inner=inner)
        for fold in material.folds
        for inner in range(len(fold.inner))
    ]
    return [part for job in made for part in in_parts(material, job)]


def seconds(workers: Workers, wanted: list[Job]) -> float:
    """Wall time until the rows of all jobs are here."""
    began = time.perf_counter()
    for _ in workers.perform(wanted, frozenset(), lambda what, share, job: None):
        pass
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    threads = len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    settings = DetectionSettings(model="embedded", pairs="fresh", layers=("all",))
    load = {"device": "cpu"}
    material = prepare(settings, load_model("embedded", **load), load_source("fresh"))
    wanted = jobs(material)
    rounds = []
    with LocalWorkers(material) as here, RayWorkers(material, load=load, n=1) as there:
        for workers in (here, there):
            seconds(workers, wanted[:1])  # residuals are captured and ways are tried once
            seconds(workers, wanted)
        rounds = [(seconds(here, wanted), seconds(there, wanted)) for _ in range(options.repeats)]
    local, ray = (statistics.median(each[side] for each in rounds) for side in (0, 1))
    per_job = statistics.median((b - a) / len(wanted) for a, b in rounds)
    found = {
        "overhead_percent": 100 * (statistics.median(b / a for a, b in rounds) - 1),
        "milliseconds_per_job": 1000 * per_job,
        "job_seconds_for_5_percent": max(0.0, per_job / 0.05),
        "seconds": {"local": local, "ray": ray},
        "jobs": len(wanted),
        "cells": len(material.cells),
        "repeats": options.repeats,
        "threads": threads,
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }
    if options.json:
        print(json.dumps(found, indent=1))
    else:
        print(
            f"{len(wanted)} jobs: {local:.2f} s here, {ray:.2f} s by one Ray actor: {found['overhead_percent']:.1f} % "
            f"overhead, {found['milliseconds_per_job']:.1f} ms per job"
        )


if __name__ == "__main__":
    main()
