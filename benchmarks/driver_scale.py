"""The driver of a sweep with cells that cost nothing: jobs give rows, the driver appends, keeps, merges, reads back.

    taskset -c 1 .venv/bin/python benchmarks/driver_scale.py --cells 1000000 --json

A cell is one row: one program under one setting. Rows have the columns of a detection study. The clock covers
everything that the driver does: the rows of fake jobs are made, looked up in the done-set, appended, flushed to disk
(fsync), merged into rows.parquet, and the merged file is read back once, a row group at a time. `peak_mib` is the
highest resident memory of the whole process, `after_append_mib` that before the merge. `cells_per_cpu_second` counts
this process's processor time instead of the wall clock, for machines that do other work. Bars: at least 5,000 cells
per second; peak below 1,500 MiB at 1,000,000 cells and flat: not growing with --cells.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from steerlab.results import open_run
from steerlab.trials import Trial

CELLS_PER_JOB = 96 * 6  # 96 programs under 6 settings
CWES = ("CWE-22", "CWE-77", "CWE-79", "CWE-89", "CWE-190", "CWE-416", "CWE-476", "CWE-787")


def jobs(n_cells: int, programs: int) -> Iterator[list[tuple[Trial, int]]]:
    """The jobs: settings with their number of programs; all together give `n_cells` rows."""
    left, number = n_cells, 0
    while left:
        job: list[tuple[Trial, int]] = []
        room = min(CELLS_PER_JOB, left)
        while room:
            size = min(programs, room)
            base = Trial(arm="grid", readout="likelihood", template="question", train="fold 0 inner 0", test="")
            layer, coefficient = str(number % 48), float(number // 48)
            setting = {"method": "mean_difference", "layers": layer, "coefficient": coefficient}
            job.append((replace(base, test="fold 0 inner 0", **setting), size))
            room, left, number = room - size, left - size, number + 1
        yield job


def rows_of(trial: Trial, trial_id: str, size: int) -> list[dict[str, Any]]:
    """What a worker would give for one trial."""
    names = {"trial": trial_id, **vars(trial)}
    return [
        names
        | {
            "program": f"hand-crafted/{CWES[i % 8]}/{i}",
            "group": f"{CWES[i % 8]}/{i // 2}",
            "cwe": CWES[i % 8],
            "language": "c",
            "label": ("vulnerable", "patched")[i % 2],
            "margin": math.sin(i + 0.1 * trial.coefficient) * 5,
            "log_vulnerable": math.sin(i + 0.1 * trial.coefficient) * 5 - 9,
            "log_patched": -9.0,
            "answer": "vulnerable",
            "unscored": "",
            "completion": "",
            "completion_tokens": 0,
            "direction_norm": 3.0,
            "residual_norm": 41.0,
        }
        for i in range(size)
    ]


def peak_mib() -> float:
    """Highest resident memory of this process so far."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def measure(n_cells: int, programs: int, out: Path) -> dict[str, Any]:
    """Run the driver's side over `n_cells` in `out`."""
    empty, start, cpu = peak_mib(), time.perf_counter(), time.process_time()
    with open_run(out, settings={"cells": n_cells}, facts={}, resume=False) as opened:
        for job in jobs(n_cells, programs):
            named = [(trial, trial.id, size) for trial, size in job]
            left = [(trial, name, size) for trial, name, size in named if name not in opened.done]
            opened.append([row for trial, name, size in left for row in rows_of(trial, name, size)])
        opened.flush()
        appended, after_append = time.perf_counter(), peak_mib()
        opened.finish({})
        trials = len(opened.done)
    merged = time.perf_counter()
    n_read = 0
    with pq.ParquetFile(out / "rows.parquet") as file:
        for batch in file.iter_batches(batch_size=65536):
            n_read += batch.num_rows
    end, cpu = time.perf_counter(), time.process_time() - cpu
    assert n_read == n_cells, f"{n_read} rows were read back, not {n_cells}"
    return {
        "cells": n_cells,
        "trials": trials,
        "cells_per_second": round(n_cells / (end - start)),
        "cells_per_cpu_second": round(n_cells / cpu),
        "cells_per_second_append": round(n_cells / (appended - start)),
        "seconds": {
            "append": round(appended - start, 1),
            "merge": round(merged - appended, 1),
            "read": round(end - merged, 1),
        },
        "peak_mib": peak_mib(),
        "after_append_mib": after_append,
        "before_mib": empty,
        "shards": len(list((out / "rows").glob("part-*.parquet"))),
        "disk_mib": round(sum(f.stat().st_size for f in out.rglob("*.parquet")) / 2**20, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--programs", type=int, default=24, help="programs (rows) of one trial; 1 is the hardest")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="driver-scale-"))
    try:
        found = measure(given.cells, given.programs, folder / "run") | {"python": platform.python_version()}
    finally:
        shutil.rmtree(folder)
    if given.json:
        print(json.dumps(found, indent=1))
    else:
        print("\n".join(f"{key:<26}{value}" for key, value in found.items()))


if __name__ == "__main__":
    main()
