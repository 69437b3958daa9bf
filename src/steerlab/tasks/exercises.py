"""The exercises of the package: compositional list, string and number problems in the form the embedded model knows."""

from __future__ import annotations

from pathlib import Path

from steerlab.embedded import exercises_file
from steerlab.errors import DataError
from steerlab.sources.reading import read_json_lines
from steerlab.tasks.problems import Problem

_KINDS = {
    "id": str,
    "composition": str,
    "prompt": str,
    "entry": str,
    "solution": str,
    "complexity": int,
    "band": int,
    "branching": bool,
}


def load_exercises(path: Path | None = None) -> tuple[Problem, ...]:
    """The exercises of a file; those of the package where `path` is None.

    The prompt is the header and, below it, a docstring with the description and the asserts: so they stand in the
    embedded model's training text. Labels: composition, and branching ("yes" where the filter has two conditions or
    the map decides). Raises: DataError, naming file and line, for a missing, unknown or wrong key.
    """
    path = exercises_file() if path is None else path
    found = tuple(_exercise(entry, where=f"{path} line {number}") for number, entry in read_json_lines(path))
    if not found:
        raise DataError(f"{path} holds no exercises. Install steerlab again.")
    return found


def _exercise(entry: dict[str, object], *, where: str) -> Problem:
    keys = {*_KINDS, "asserts"}
    if entry.keys() != keys:
        raise DataError(f"{where}: the keys must be {', '.join(sorted(keys))}; they are {', '.join(sorted(entry))}.")
    asserts = entry["asserts"]
    if not isinstance(asserts, list) or not asserts or not all(isinstance(line, str) for line in asserts):
        raise DataError(f"{where}: asserts must be a list of texts.")
    for key, kind in _KINDS.items():
        if type(entry[key]) is not kind:
            raise DataError(f"{where}: {key} must be of type {kind.__name__}.")
    if entry["band"] not in (1, 2, 3, 4):
        raise DataError(f"{where}: band {entry['band']} is not 1, 2, 3 or 4.")
    return Problem(
        id=str(entry["id"]),
        source="exercises",
        prompt=str(entry["prompt"]),
        entry=str(entry["entry"]),
        tests=tuple(asserts),
        setup="",
        reference=f"{entry['prompt']}{entry['solution']}",
        complexity=int(str(entry["complexity"])),
        band=int(str(entry["band"])),
        labels={"composition": str(entry["composition"]), "branching": "yes" if entry["branching"] else "no"},
    )
