"""The jobs of a detection study: what any worker can do from names alone, to rows."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field, replace

from steerlab.batches import Progress
from steerlab.contrast import Program
from steerlab.controls import INSTRUCTION
from steerlab.selection import Choice, Fold
from steerlab.studies import detection_analyses as analyses
from steerlab.studies.derived_rows import ngram_rows, reading_rows
from steerlab.studies.detection_material import Material
from steerlab.studies.detection_trials import (
    UNSTEERED,
    Plan,
    Row,
    Setting,
    build_vectors,
    cell_trial,
    read_cells,
    read_generated,
    read_margins,
    steered_arms,
)
from steerlab.sweep import SweepCell
from steerlab.trials import Trial

CHUNK = 96  # programs in one job


@dataclass(frozen=True, kw_only=True)
class Job:
    """A piece of the study: a stage on a fold, on the `part`-th CHUNK programs that it is about.

    What is lost when a run is killed is the job in flight.
    """

    stage: str
    template: str
    fold: int = -1
    inner: int = -1
    part: int = 0
    choices: tuple[Choice, ...] = ()
    cells: tuple[SweepCell, ...] = ()


@dataclass(kw_only=True)
class Done:
    """What a job gave: the rows of its trials that were not there before, and the ways the wave took."""

    rows: list[Row] = field(default_factory=list)
    ways: set[str] = field(default_factory=set)


def perform(material: Material, job: Job, done: Container[str], progress: Progress | None = None) -> Done:
    """Do `job` but for the trials in `done`; `progress` is called with the number of programs read."""
    return _STAGES[job.stage](material, job, done, progress)


def in_parts(material: Material, job: Job) -> list[Job]:
    """The job once for each CHUNK of its programs."""
    n = len(_all_programs(material, job))
    return [replace(job, part=part) for part in range(max(1, -(-n // CHUNK)))]


def _fold(material: Material, job: Job) -> Fold:
    return next(fold for fold in material.folds if fold.number == job.fold)


def _all_programs(material: Material, job: Job) -> list[Program]:
    if job.stage == "unsteered":
        return list(material.programs)
    fold = _fold(material, job)
    return material.in_groups(fold.test if job.inner < 0 else fold.inner[job.inner][1])


def _programs(material: Material, job: Job) -> list[Program]:
    return _all_programs(material, job)[job.part * CHUNK : (job.part + 1) * CHUNK]


def _base(job: Job, arm: str, readout: str = "likelihood") -> Trial:
    """The names of a trial of this job, without a cell: what it is built on and what it is read on."""
    where = f"fold {job.fold}" + (f" inner {job.inner}" if job.inner >= 0 else "")
    part = f", part {job.part}" if job.part else ""
    return Trial(arm=arm, readout=readout, template=job.template, train=where, test=where + part)


def unsteered_trial(job: Job) -> Trial:
    """The trial that reads programs without steering."""
    return replace(_base(job, "unsteered"), train="none", test="all" + (f", part {job.part}" if job.part else ""))


def _unsteered(material: Material, job: Job, done: Container[str], progress: Progress | None) -> Done:
    trial = unsteered_trial(job)
    if trial.id in done:
        return Done()
    return Done(rows=read_margins(material, trial, _programs(material, job), progress=progress))


def grid_trials(material: Material, job: Job) -> list[tuple[Trial, SweepCell]]:
    """The trials of the grid on one part of an inner fold."""
    base = replace(_base(job, "grid"), seed=material.settings.seed)
    return [(cell_trial(base, cell, material.settings.dose), cell) for cell in material.cells]


def _grid(material: Material, job: Job, done: Container[str], progress: Progress | None) -> Done:
    template = material.template(job.template)
    built_on, _ = _fold(material, job).inner[job.inner]
    left = [(trial, cell) for trial, cell in grid_trials(material, job) if trial.id not in done]
    vectors = {
        (cell.method, cell.layers): build_vectors(
            material, template, built_on, method=cell.method, layers=cell.layers, seed=material.settings.seed
        )
        for cell in {(cell.method, cell.layers): cell for _, cell in left}.values()
    }
    wanted = [
        (trial, Setting(plans={cwe: Plan(vector=v, cell=cell) for cwe, v in vectors[cell.method, cell.layers].items()}))
        for trial, cell in left
    ]
    return _read(material, job, wanted, progress, margins_only=True)


def _read(
    material: Material,
    job: Job,
    wanted: list[tuple[Trial, Setting]],
    progress: Progress | None,
    *,
    margins_only: bool = False,
) -> Done:
    if not wanted:
        return Done()
    programs = _programs(material, job)
    rows, ways = read_cells(material, wanted, programs, margins_only=margins_only, progress=progress)
    return Done(rows=rows, ways=ways)


def _test(material: Material, job: Job, done: Container[str], progress: Progress | None) -> Done:
    fold, template = _fold(material, job), material.template(job.template)
    arms = steered_arms(material, fold, template, job.choices, _base(job, ""))
    wanted = list(arms)
    if "transfer" in material.settings.analyses:
        wanted += analyses.transfer_settings(material, fold, template, job.choices, _base(job, "transfer"))
    if "samples" in material.settings.analyses:
        wanted += analyses.sample_settings(material, fold, template, job.choices, _base(job, "samples"))
    found = _read(material, job, [(trial, s) for trial, s in wanted if trial.id not in done], progress)
    programs = _programs(material, job)
    instructed = _base(job, "prompt_only")
    if instructed.id not in done:
        found.rows += read_margins(material, instructed, programs, instruction=INSTRUCTION, progress=progress)
    steered, setting = arms[0]
    for trial, own in ((_base(job, "unsteered"), UNSTEERED), (steered, setting)):
        written = replace(trial, readout="generated")
        if written.id not in done:
            found.rows += read_generated(material, written, programs, own, progress=progress)
    counted = _base(job, "ngrams")
    if counted.id not in done:
        found.rows += ngram_rows(material, counted, fold, programs)
    return found


def _reading(material: Material, job: Job, done: Container[str], progress: Progress | None) -> Done:
    fold, template, found = _fold(material, job), material.template(job.template), Done()
    for layer in material.layers:
        trial = replace(_base(job, "reading"), method="mean_difference", layers=str(layer))
        if trial.id not in done:
            found.rows += reading_rows(material, trial, fold, template, layer, _programs(material, job))
    return found


def _side_effects(material: Material, job: Job, done: Container[str], progress: Progress | None) -> Done:
    fold, template = _fold(material, job), material.template(job.template)
    left = [(trial, cell) for trial, cell in side_effect_trials(material, job) if trial.id not in done]
    if not left:
        return Done()
    return Done(rows=analyses.side_effect_rows(material, left, fold, template, progress=progress))


def side_effect_trials(material: Material, job: Job) -> list[tuple[Trial, SweepCell]]:
    """The trials that measure what cells do to ordinary code, with vectors of a fold's training side."""
    base = replace(_base(job, "side_effects"), test="ordinary code", seed=material.settings.seed)
    return [(cell_trial(base, cell, material.settings.dose), cell) for cell in job.cells]


def _screening(material: Material, job: Job, done: Container[str], progress: Progress | None) -> Done:
    fold, template = _fold(material, job), material.template(job.template)
    base = replace(_base(job, "screening"), seed=material.settings.seed)
    built_on, _ = fold.inner[job.inner]
    wanted = analyses.screened_sets(material)
    left = [(replace(base, method=m, layers="+".join(map(str, layers))), m, layers) for m, layers in wanted]
    left = [entry for entry in left if entry[0].id not in done]
    if not left:
        return Done()
    rows = analyses.screening_rows(material, left, built_on, _programs(material, job), template, progress=progress)
    return Done(rows=rows)


_STAGES: Mapping[str, Callable[[Material, Job, Container[str], Progress | None], Done]] = {
    "unsteered": _unsteered,
    "grid": _grid,
    "test": _test,
    "reading": _reading,
    "side_effects": _side_effects,
    "screening": _screening,
}


def size(material: Material, job: Job) -> int:
    """How many trials a job has, for the progress bar."""
    sizes = {
        "grid": len(material.cells),
        "test": _n_test_trials(material),
        "reading": len(material.layers),
        "side_effects": len(job.cells),
        "screening": len(analyses.screened_sets(material)),
    }
    return sizes.get(job.stage, 1)


def _n_test_trials(material: Material) -> int:
    s = material.settings
    transfer = len({program.cwe for program in material.programs}) if "transfer" in s.analyses else 0
    samples = 3 * s.draws * len(analyses.sample_sizes(len(material.pairs))) if "samples" in s.analyses else 0
    return 6 + 2 * s.draws + transfer + samples


def describe(job: Job) -> str:
    """What the progress bar says of a job."""
    words = {
        "unsteered": f"unsteered, {job.template}",
        "grid": f"fold {job.fold + 1}: choosing layer and coefficient",
        "test": f"fold {job.fold + 1}: testing the choice and the controls",
        "reading": f"fold {job.fold + 1}: reading the residual stream",
        "side_effects": f"fold {job.fold + 1}: side effects on ordinary code",
        "screening": f"fold {job.fold + 1}: first-order effects",
    }
    return words[job.stage]
