"""Programs written and judged: arms x problems to rows, in chunks that a killed run finds whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from steerlab.files import atomic_file
from steerlab.generation import Completion
from steerlab.interventions import Intervention
from steerlab.studies.coefficient_choice import Written
from steerlab.studies.correctness_material import Bench, CorrectnessMaterial
from steerlab.tasks.problems import Problem, body_of, check_programs, parses, program_of
from steerlab.trials import digest
from steerlab.wave import Cell

CHUNK = 16  # problems that are written, judged and kept together

Verdicts = dict[tuple[str, str], tuple[bool, str]]
"""(problem id, body) -> whether it passed and the reason: an equal program is not run twice."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way to write programs: what it is called, and what is done to the residual stream (nothing: unsteered).

    `target` says which latent it is about, "correct" or "incorrect" (predicting); `latent` is None where the direction
    is no latent's. `draw` numbers the draws of a random control.
    """

    name: str
    interventions: tuple[Intervention, ...] = ()
    target: str = ""
    layer: int | None = None
    latent: int | None = None
    coefficient: float = 0.0
    draw: int = 0

    def names(self) -> dict[str, Any]:
        """The arm by names only: columns of its rows, and what its trial ids are made of."""
        return {
            "arm": self.name,
            "target": self.target,
            "layer": -1 if self.layer is None else self.layer,
            "latent": -1 if self.latent is None else self.latent,
            "coefficient": float(self.coefficient),
            "draw": self.draw,
        }


UNSTEERED = Arm(name="unsteered")


def trial_of(stage: str, arm: Arm, problem: Problem) -> str:
    """The id of one arm on one problem."""
    return digest([stage, arm.names(), problem.id])


@dataclass
class Writer:
    """Writes and judges the programs of a stage; remembers verdicts, so that an equal program has an equal one."""

    bench: Bench
    stage: str
    verdicts: Verdicts = field(default_factory=dict)

    def __post_init__(self) -> None:
        rows = self.bench.opened.rows()
        if {"program", "body", "passed"} <= set(rows.columns):
            known = rows[rows["passed"].notna()]
            for program, body, passed, reason in zip(
                known["program"], known["body"], known["passed"], known["reason"], strict=True
            ):
                self.verdicts[program, body] = bool(passed), str(reason)

    def write(self, arms: Sequence[Arm], problems: Sequence[Problem], *, what: str) -> None:
        """Every arm on every problem that is not done yet; rows go to the run chunk by chunk."""
        opened, total = self.bench.opened, len(arms) * len(problems)
        for start in range(0, len(problems), CHUNK):
            chunk = problems[start : start + CHUNK]
            missing = [
                arm for arm in arms if any(trial_of(self.stage, arm, problem) not in opened.done for problem in chunk)
            ]
            self.bench.step(what, start * len(arms), total)
            if missing:
                rows = self._chunk(missing, chunk)
                opened.append([row for row in rows if row["trial"] not in opened.done])
        self.bench.step(what, total, total)

    def _chunk(self, arms: Sequence[Arm], problems: Sequence[Problem]) -> list[dict[str, Any]]:
        material = self.bench.material
        written = material.write(
            [problem.prompt for problem in problems],
            cells=[Cell(interventions=arm.interventions) for arm in arms],
            decoding=material.decoding,
        )
        jobs = [
            (arm, problem, completion)
            for arm, completions in zip(arms, written.completions, strict=True)
            for problem, completion in zip(problems, completions, strict=True)
        ]
        outcomes = self._judge([(problem, completion.text) for _, problem, completion in jobs])
        return [
            {**self._row(arm, problem, completion), "passed": outcome[0], "reason": outcome[1], "way": written.way}
            for (arm, problem, completion), outcome in zip(jobs, outcomes, strict=True)
        ]

    def _judge(self, jobs: Sequence[tuple[Problem, str]]) -> list[tuple[bool | None, str]]:
        """Whether each completion's program passes, and why not; what is known is not run again."""
        keys = [(problem.id, body_of(text, entry=problem.entry)) for problem, text in jobs]
        new = {key: job for key, job in zip(keys, jobs, strict=True) if key not in self.verdicts}
        programs = [program_of(problem, text) for problem, text in new.values()]
        results = check_programs([problem for problem, _ in new.values()], programs)
        fresh = {key: (result.passed, result.reason) for key, result in zip(new, results, strict=True)}
        self.verdicts |= {key: (passed, reason) for key, (passed, reason) in fresh.items() if passed is not None}
        return [self.verdicts.get(key) or fresh[key] for key in keys]

    def _row(self, arm: Arm, problem: Problem, completion: Completion) -> dict[str, Any]:
        body = body_of(completion.text, entry=problem.entry)
        return {
            "trial": trial_of(self.stage, arm, problem),
            "stage": self.stage,
            **arm.names(),
            **_about(self.bench.material, problem),
            "completion": completion.text,
            "completion_tokens": len(completion.tokens),
            "ended": completion.ended,
            "body": body,
            "parses": bool(body.strip()) and parses(program_of(problem, completion.text)),
        }


def _about(material: CorrectnessMaterial, problem: Problem) -> dict[str, Any]:
    return {
        "program": problem.id,
        "split": material.splits[problem.id],
        "complexity": problem.complexity,
        "band": problem.band,
    }


def stage_rows(bench: Bench, stage: str) -> pd.DataFrame:
    """The rows of a stage with `passed` as True, False or None; empty, with these columns, where there is none."""
    rows = bench.opened.rows({"stage": {stage}})
    if "passed" not in rows.columns:  # all of them unscored: a column that holds nothing is not kept
        rows["passed"] = None
    rows["passed"] = [None if value is None or pd.isna(value) else bool(value) for value in rows["passed"]]
    rows["passed"] = rows["passed"].astype(object).where(rows["passed"].notna(), None)
    return rows


def rows_of(rows: pd.DataFrame, arm: Arm) -> pd.DataFrame:
    """The rows of one arm."""
    wanted = pd.Series(data=True, index=rows.index)
    for column, value in arm.names().items():
        wanted &= rows[column] == value
    return rows[wanted]


def before_and_after(baseline: pd.DataFrame, steered: pd.DataFrame) -> list[Written]:
    """The problems that both have rows for, in the order of `steered`."""
    plain: dict[str, Any] = {str(row["program"]): dict(row) for row in baseline.to_dict("records")}
    return [
        Written(
            problem=row["program"],
            before=plain[row["program"]]["body"],
            after=row["body"],
            passed_before=plain[row["program"]]["passed"],
            passed_after=row["passed"],
            parses=bool(row["parses"]),
        )
        for row in steered.to_dict("records")
        if row["program"] in plain
    ]


def write_rows(path: Path, rows: pd.DataFrame) -> None:
    """Write rows as Parquet, atomically, in a stable order of rows and columns."""
    keys = [
        key for key in ("arm", "target", "layer", "latent", "coefficient", "draw", "program", "rank") if key in rows
    ]
    ordered = rows.sort_values(keys, kind="stable")
    with atomic_file(path) as file:
        ordered[sorted(ordered.columns)].to_parquet(file, index=False)
