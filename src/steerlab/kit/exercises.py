"""The kit's programming exercises: read, complete greedily, run in the sandbox; pass@1 per complexity band."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path

from steerlab.embedded import exercises_file
from steerlab.errors import DataError
from steerlab.generation import Decoding, generate
from steerlab.kit.rows import Bar, Row, judged
from steerlab.models import Model
from steerlab.sandbox import Limits, python_check
from steerlab.sources.reading import read_json_lines
from steerlab.statistics import wilson

NEW_TOKENS = 128
STOP = ("\ndef ", "\nclass ", "\nassert ", "\nprint(", "\nif ", "\n#")
LIMITS = Limits(cpu_seconds=5.0, wall_seconds=10.0, memory_bytes=256 << 20)
PASS_BAR = Bar(text="0.60 to 0.90", low=0.6, high=0.9)


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """One problem: `prompt` ends after the docstring, `asserts` judge the function `entry`.

    `complexity` is the cyclomatic complexity of `solution`, the reference; `band` is 1 (lowest) to 4. `branching`: the
    filter has two conditions or the map decides.
    """

    id: str
    composition: str
    prompt: str
    asserts: tuple[str, ...]
    entry: str
    solution: str
    complexity: int
    band: int
    branching: bool


def load_exercises(path: Path | None = None) -> tuple[Exercise, ...]:
    """The exercises of a file; those of the package where `path` is None.

    Raises: DataError, naming file and line, for a missing, unknown or wrong key.
    """
    path = exercises_file() if path is None else path
    found = tuple(_exercise(entry, where=f"{path} line {number}") for number, entry in read_json_lines(path))
    if not found:
        raise DataError(f"{path} holds no exercises. Install steerlab again.")
    return found


def _exercise(entry: dict[str, object], *, where: str) -> Exercise:
    keys = {field.name for field in fields(Exercise)}
    if entry.keys() != keys:
        raise DataError(f"{where}: the keys must be {', '.join(sorted(keys))}; they are {', '.join(sorted(entry))}.")
    asserts = entry["asserts"]
    if not isinstance(asserts, list) or not asserts or not all(isinstance(line, str) for line in asserts):
        raise DataError(f"{where}: asserts must be a list of texts.")
    kinds = {"complexity": int, "band": int, "branching": bool}
    for key in keys - {"asserts"}:
        kind = kinds.get(key, str)
        if type(entry[key]) is not kind:
            raise DataError(f"{where}: {key} must be of type {kind.__name__}.")
    if entry["band"] not in (1, 2, 3, 4):
        raise DataError(f"{where}: band {entry['band']} is not 1, 2, 3 or 4.")
    return Exercise(**{**entry, "asserts": tuple(asserts)})  # type: ignore[arg-type]


def own_lines(completion: str) -> str:
    """The function's body in a raw continuation: all up to the first line that is neither empty nor indented."""
    kept: list[str] = []
    for line in completion.split("\n"):
        if line.strip() and not line.startswith((" ", "\t")):
            break
        kept.append(line)
    return "\n".join(kept).rstrip() + "\n"


def passes(exercises: Sequence[Exercise], completions: Sequence[str], *, workers: int = 0) -> list[bool | None]:
    """Whether each completed function passes its asserts in the sandbox; None where that could not be found out.

    `workers` 0: one per core. Raises: MissingExtraError when no sandbox works here.
    """

    def check(exercise: Exercise, completion: str) -> bool | None:
        program = exercise.prompt + own_lines(completion)
        return python_check(program, "\n".join(exercise.asserts), limits=LIMITS, entry_points=(exercise.entry,)).passed

    with ThreadPoolExecutor(workers or len(os.sched_getaffinity(0)), thread_name_prefix="exercises") as pool:
        return list(pool.map(check, exercises, completions))


def exercise_rows(model: Model, exercises: Sequence[Exercise]) -> list[Row]:
    """pass@1, greedy: in all, against its bar, and by complexity band."""
    decoding = Decoding(max_new_tokens=NEW_TOKENS, stop=STOP)
    written = generate(model, [exercise.prompt for exercise in exercises], decoding=decoding)
    passed = passes(exercises, [completion.text for completion in written])
    rows = [_row("exercises, unseen compositions: pass@1", passed, PASS_BAR, note="greedy; Wilson")]
    for band in sorted({exercise.band for exercise in exercises}):
        own = [p for exercise, p in zip(exercises, passed, strict=True) if exercise.band == band]
        complexities = [exercise.complexity for exercise in exercises if exercise.band == band]
        note = f"cyclomatic complexity {min(complexities)} to {max(complexities)}; Wilson"
        rows.append(_row(f"exercises, complexity band {band}: pass@1", own, None, note=note))
    for branching, name in ((False, "one condition at most"), (True, "two conditions or a deciding map")):
        own = [p for exercise, p in zip(exercises, passed, strict=True) if exercise.branching == branching]
        rows.append(_row(f"exercises, {name}: pass@1", own, None, note="greedy; Wilson"))
    return rows


def _row(name: str, passed: Sequence[bool | None], bar: Bar | None, *, note: str) -> Row:
    scored = [outcome for outcome in passed if outcome is not None]
    return judged(name, wilson(sum(scored), len(scored), n_unscored=len(passed) - len(scored)), bar, note=note)
