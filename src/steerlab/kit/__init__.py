"""The embedded kit's bars, measured in one go: model, pairs, exercises and tasks of the package."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from steerlab.contrast import Program
from steerlab.embedded import MODEL_NAME, fresh_file, held_out_families_file
from steerlab.errors import DataError, OptionError, nearest
from steerlab.kit.completing import task_rows
from steerlab.kit.direction import Response, measure, response_rows, split
from steerlab.kit.exercises import exercise_rows
from steerlab.kit.figure import write_figure
from steerlab.kit.rows import Row, absent
from steerlab.kit.sizes import SIZES, Size, SizeName, spread
from steerlab.kit.speed import size_row, speed_rows
from steerlab.kit.verdicts import (
    Asked,
    family_ngrams,
    generated_rows,
    in_each,
    in_turn,
    of_groups,
    outside_rows,
    parsed_answers,
    starter_rows,
)
from steerlab.models import Model, load_model
from steerlab.sources import load_source
from steerlab.sources.fresh import load_generated
from steerlab.tasks.completion import starter_tasks
from steerlab.tasks.exercises import load_exercises

FIGURE = "direction.svg"
OUTSIDE = ("secllmholmes", "sven")

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class KitReport:
    """All rows, what was measured on, and how the direction answered its dose; `figure` is the drawing of that."""

    rows: tuple[Row, ...]
    response: Response
    figure: Path
    facts: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        direction = asdict(self.response) | {"monotone": self.response.monotone, "met": self.response.met}
        rows = [row.as_json() for row in self.rows]
        return {**self.facts, "rows": rows, "direction": direction, "figure": str(self.figure)}


def check_kit(
    out: Path,
    *,
    size: SizeName = "full",
    paths: dict[str, Path] | None = None,
    say: Say | None = None,
) -> KitReport:
    """Measure every bar of the embedded kit and draw the direction's figure into `out`.

    `size` "quick" reads less of each set. `paths` may give the places of "secllmholmes" and "sven". `say` is told each
    step as it begins. A missed bar is a row, never an error.
    Raises: OptionError for an unknown size; DataError for a path that does not hold its set; MissingExtraError where
    no sandbox works.
    """
    if size not in SIZES:
        raise OptionError(f"size {size!r} does not exist. {nearest(size, SIZES)}")
    began, counts = time.perf_counter(), SIZES[size]
    outside = {name: _outside(name, path, counts) for name, path in (paths or {}).items()}
    say = say or _silent
    say("loading the model")
    model = load_model(MODEL_NAME)
    loaded = time.perf_counter() - began
    fresh = load_generated(fresh_file(), name="fresh")
    held_out = load_generated(held_out_families_file(), name="held-out families")
    starter = of_groups(load_source("starter"), per_cwe=counts.starter_per_cwe)
    new, unseen = (of_groups(source, per_cwe=counts.pairs_per_cwe) for source in (fresh, held_out))
    exercises = spread(load_exercises(), counts.exercises)
    rows: list[Row] = []
    say("speed and size")
    rows += speed_rows(model, name=MODEL_NAME, prompt=exercises[0].prompt, repeats=counts.repeats)
    rows.append(size_row())
    say(f"{len(exercises)} exercises, written and run")
    rows += exercise_rows(model, exercises)
    say(f"verdicts on {len(new)} fresh programs")
    rows += generated_rows(model, "fresh pairs", new)
    say(f"verdicts on {len(unseen)} programs of held-out families")
    rows += generated_rows(model, "held-out families", unseen)
    rows += family_ngrams(fresh.evaluated(), held_out.evaluated())
    say(f"verdicts on {len(starter)} starter programs")
    rows += starter_rows(model, starter, n_templates=counts.templates)
    rows += _outside_rows(model, outside, counts, say)
    say("written answers")
    rows.append(parsed_answers(model, [p for part in (starter, new) for p in _programs_of(part, counts.answers)]))
    tasks = spread(starter_tasks(), counts.tasks)
    say(f"{len(tasks)} starter tasks, written and run")
    rows += task_rows(model, tasks)
    say("the direction bar")
    groups = {program.group for program in of_groups(fresh, per_cwe=counts.direction_per_cwe)}
    pairs = [pair for pair in fresh.pairs if pair.group in groups]
    response = measure(model, split(pairs), coefficients=counts.coefficients, draws=counts.draws)
    rows += response_rows(response)
    write_figure(response, out / FIGURE)
    seconds = time.perf_counter() - began
    facts = {
        "size": size,
        "model": {"n_layers": model.n_layers, "d_model": model.d_model, "sha256": model.fingerprint.sha256},
        "seconds": seconds,
        "first_load_seconds": loaded,
        "bars": {verdict: sum(row.verdict == verdict for row in rows) for verdict in ("met", "not met")},
    }
    return KitReport(rows=tuple(rows), response=response, figure=out / FIGURE, facts=facts)


def _silent(_: str) -> None:
    """Say nothing."""


def _programs_of(programs: Sequence[Program], n_pairs: int) -> list[Program]:
    groups = set(spread(list(dict.fromkeys(program.group for program in programs)), n_pairs))
    return [program for program in programs if program.group in groups]


def _outside(name: str, path: Path, counts: Size) -> list[Program]:
    """The programs that are judged of a set outside the package. Raises: DataError."""
    if name not in OUTSIDE:
        raise OptionError(f"set {name!r} does not exist. {nearest(name, OUTSIDE)}")
    part = {"secllmholmes": "hand-crafted", "sven": "val"}[name]
    programs = [program for program in load_source(f"{name}:{path}").evaluated() if program.part == part]
    if not programs:
        raise DataError(f"{path} holds no {part} programs of {name}.")
    return programs if name == "secllmholmes" else _programs_of(programs, counts.svens)


def _outside_rows(model: Model, sets: dict[str, list[Program]], counts: Size, say: Say) -> list[Row]:
    titles = {"secllmholmes": "SecLLMHolmes hand-crafted", "sven": "SVEN validation"}
    ask: dict[str, Callable[[Sequence[Program]], list[Asked]]] = {
        "secllmholmes": partial(in_each, n_templates=counts.templates),
        "sven": in_turn,
    }
    rows: list[Row] = []
    for name in OUTSIDE:
        if name not in sets:
            rows.append(absent(f"{titles[name]}: balanced accuracy", verdict="not given", note=f"give --{name} PATH"))
            continue
        say(f"verdicts on {len(sets[name])} programs of {titles[name]}")
        rows += outside_rows(model, titles[name], sets[name], ask[name])
    return rows
