"""Track B: does steering make the model write code that is secure and still works?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from steerlab.contrast import ProgramSet
from steerlab.models import Model
from steerlab.report import verdict, write_report
from steerlab.results import command_line, open_run
from steerlab.selection import CELL_COLUMNS, Choice, Fold, split_by
from steerlab.studies.secure_choice import Key, cell_key, choose, margin_changes, shortlisted
from steerlab.studies.secure_jobs import SecureJob, describe, in_parts, perform, size, trials
from steerlab.studies.secure_material import SecureMaterial, prepare
from steerlab.studies.secure_settings import SecureCodeSettings
from steerlab.studies.secure_summary import summarise
from steerlab.studies.workers import LocalWorkers, Stages, Step, Workers
from steerlab.studies.writing import writing
from steerlab.sweep import SweepCell
from steerlab.tasks.coding import CodingTasks

NAME = "secure-code"
JOINT: dict[str, str] = {"tests": "secure and correct", "analysers": "without a finding and parsed"}

SMALL: dict[str, Any] = {
    "limit": 8,
    "curve": "none",
    "layers": ("1+3+4",),
    "contrasts": ("differing",),
    "coefficients": (0.1, 0.3),
    "samples": 1,
    "temperature": 0.0,
    "max_new_tokens": 64,
    "folds": 2,
    "draws": 1,
}
"""Settings with which the study of the embedded model and the starter tasks takes well under a minute."""


def run(
    settings: SecureCodeSettings,
    model: Model,
    tasks: CodingTasks,
    source: ProgramSet,
    out: Path,
    *,
    resume: bool = False,
    step: Step | None = None,
    workers: Callable[[SecureMaterial], Workers] | None = None,
) -> dict[str, Any]:
    """Run the study into the directory `out` and return its summary (also written as result.json).

    Per outer fold: inner folds of the training side read every cell by the margin, write out the shortlist and choose
    a cell; vectors are built on the pairs of the whole training side; every arm is written and read on the test tasks
    and pairs, which played no part in any choice. Interrupted, it goes on with `resume`; what is lost is the job in
    flight. Raises: SteerlabError with one line for anything that the user can mend.
    """
    with writing(settings.engine, model) as write:
        material = prepare(settings, model, tasks, source, write=write)
        facts = {
            "tasks_sha256": tasks.sha256,
            "pairs_sha256": source.sha256,
            "analysers": list(tasks.analysers),
            "model_sha256": model.fingerprint.sha256,
            "dtype": model.dtype_name,
            "cells": len(material.cells),
            "layers": list(material.layers),
        }
        with open_run(
            out, settings={"study": NAME, **asdict(settings)}, facts=facts, resume=resume, command=command_line()
        ) as opened:
            with (workers or _local)(material) as pool:
                stages = Stages(opened, pool, size=partial(size, material), total=_expected(material), step=step)
                choices = _Study(stages, material).run()
            rows = opened.rows()
            summary = summarise(material, rows, choices, joint=JOINT[tasks.judge], manifest=opened.manifest)
            summary["notes"] += [f"The wave gave {way}." for way in sorted(stages.ways)]
            summary["verdict"] = verdict(summary)
            opened.finish(summary)
            summary = {**summary, "manifest": opened.manifest}
            write_report(summary, rows, out)
    return summary


def _local(material: SecureMaterial) -> Workers:
    return LocalWorkers(material, perform=perform, describe=describe, n_items=len(material.tasks))


def _expected(material: SecureMaterial) -> int:
    """How many trials a run has."""
    jobs = _unsteered_jobs(material) + [job for fold in material.folds for job in _grid_jobs(material, fold)]
    cells = shortlisted({}, material.cells, n=material.settings.shortlist)
    jobs += [job for fold in material.folds for job in _written_jobs(material, fold, cells)]
    jobs += [job for fold in material.folds for job in _test_jobs(material, fold, None)]
    return sum(size(material, job) for job in jobs)


def _parts(material: SecureMaterial, jobs: Sequence[SecureJob]) -> list[SecureJob]:
    return [part for job in jobs for part in in_parts(material, job)]


def _unsteered_jobs(material: SecureMaterial) -> list[SecureJob]:
    samples = [SecureJob(stage="unsteered", sample=sample) for sample in range(material.settings.samples)]
    return _parts(material, [*samples, SecureJob(stage="unsteered_margins")])


def _grid_jobs(material: SecureMaterial, fold: Fold) -> list[SecureJob]:
    inner = range(len(fold.inner))
    return _parts(material, [SecureJob(stage="grid", fold=fold.number, inner=number) for number in inner])


def _written_jobs(material: SecureMaterial, fold: Fold, cells: Sequence[SweepCell]) -> list[SecureJob]:
    """The shortlist written out on inner held-out tasks, and its side effects on ordinary code."""
    own = tuple(cells)
    inner = range(len(fold.inner))
    jobs = [SecureJob(stage="written", fold=fold.number, inner=number, cells=own) for number in inner]
    return [*_parts(material, jobs), SecureJob(stage="side_effects", fold=fold.number, cells=own)]


def _test_jobs(material: SecureMaterial, fold: Fold, choice: Choice | None) -> list[SecureJob]:
    s = material.settings
    jobs = [SecureJob(stage="test", fold=fold.number, sample=sample, choice=choice) for sample in range(s.samples)]
    jobs.append(SecureJob(stage="test_margins", fold=fold.number, choice=choice))
    if s.curve != "none":
        stage = "curve" if s.curve == "margin" else "curve_completions"
        jobs.append(SecureJob(stage=stage, fold=fold.number, choice=choice))
    return _parts(material, jobs)


class _Study:
    """The open run of one study: its stages, and the choice of each fold."""

    def __init__(self, stages: Stages, material: SecureMaterial) -> None:
        self.stages, self.material = stages, material

    def run(self) -> dict[int, Choice]:
        """All stages; returns the choice of each fold."""
        material, folds = self.material, self.material.folds
        self.stages.do(_unsteered_jobs(material))
        self.stages.do([job for fold in folds for job in _grid_jobs(material, fold)])
        plain = self._rows(_unsteered_jobs(material))
        changes = {fold.number: self._changes(fold, plain) for fold in folds}
        shortlists = {
            number: shortlisted(found, material.cells, n=material.settings.shortlist)
            for number, found in changes.items()
        }
        self.stages.do([job for fold in folds for job in _written_jobs(material, fold, shortlists[fold.number])])
        choices = {
            fold.number: self._choose(fold, plain, shortlists[fold.number], changes[fold.number]) for fold in folds
        }
        self.stages.do([job for fold in folds for job in _test_jobs(material, fold, choices[fold.number])])
        return choices

    def _rows(self, jobs: Sequence[SecureJob]) -> pd.DataFrame:
        return self.stages.rows_of([trial.id for job in jobs for trial in trials(self.material, job)])

    def _changes(self, fold: Fold, plain: pd.DataFrame) -> dict[Key, float]:
        grid = self._rows(_grid_jobs(self.material, fold))
        margins = plain[plain["readout"] == "margin"]
        return margin_changes(grid, margins[margins["group"].isin(fold.train)])

    def _choose(self, fold: Fold, plain: pd.DataFrame, cells: Sequence[SweepCell], changes: dict[Key, float]) -> Choice:
        rows = self._rows(_written_jobs(self.material, fold, cells))
        effects = rows[rows["arm"] == "side_effects"]
        kl = {
            key: float((part["kl"] * part["n_tokens"]).sum() / part["n_tokens"].sum())
            for key, part in split_by(effects, "contrast", *CELL_COLUMNS)
        }
        written = rows[rows["arm"] == "written"]
        base = plain[(plain["readout"] == "completion") & (plain["sample"] == 0) & plain["group"].isin(fold.train)]
        return choose(
            written,
            base,
            cells=cells,
            changes={cell_key(cell): changes[cell_key(cell)] for cell in cells},
            kl=kl,
            joint=JOINT[self.material.task_set.judge],
        )
