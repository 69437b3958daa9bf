"""What the kit costs: seconds to load, seconds for 64 tokens, megabytes on disk."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

import steerlab
from steerlab.generation import Decoding, generate
from steerlab.kit.rows import Bar, Row, measured
from steerlab.models import Model, load_model

TOKENS = 64
MEGABYTE = 10**6
SECOND = Bar(text="< 1 s", high=1.0)
WHEEL = Bar(text="< 40 MB", high=40.0)


def speed_rows(model: Model, *, name: str, prompt: str, repeats: int) -> list[Row]:
    """Loading and decoding, the median of `repeats` each; no end token ends the decoding early.

    `model` was loaded before, so the imports are not in the loading time.
    """
    endless = replace(model, eos_token_ids=())
    decoding = Decoding(max_new_tokens=TOKENS)
    loaded = _median(lambda: load_model(name), repeats)
    written = _median(lambda: generate(endless, [prompt], decoding=decoding), repeats)
    note = f"median of {repeats}, {torch.get_num_threads()} threads"
    return [
        measured("load time of the model", loaded, SECOND, n=repeats, unit="s", note=f"{note}, imports not counted"),
        measured(f"{TOKENS} greedy tokens", written, SECOND, n=repeats, unit="s", note=note),
    ]


def _median(work: Callable[[], object], repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def size_row() -> Row:
    """The bytes of the installed package, unpacked: an upper bound of the wheel's."""
    folder = Path(steerlab.__file__).parent
    files = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    megabytes = sum(path.stat().st_size for path in files) / MEGABYTE
    note = f"{len(files)} files of the installed package, unpacked"
    return measured("size of the package", megabytes, WHEEL, n=len(files), unit="MB", note=note)
