"""The jobs of a study of secure code: what a worker can do from names alone, to rows."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from steerlab.batches import Progress
from steerlab.contrast import ContrastPair
from steerlab.controls import CONTROL_METHODS
from steerlab.ordinary import fitting_code
from steerlab.selection import Choice, Fold
from steerlab.side_effects import text_sums
from steerlab.studies.detection_analyses import sample_sizes
from steerlab.studies.detection_jobs import Done
from steerlab.studies.detection_trials import cell_columns, cell_trial
from steerlab.studies.secure_material import SecureMaterial
from steerlab.studies.secure_trials import (
    UNSTEERED,
    Row,
    Steering,
    Wanted,
    read_margins,
    steered_arms,
    steering,
    write_completions,
)
from steerlab.sweep import SweepCell
from steerlab.tasks.coding import CodingTask
from steerlab.trials import Trial

CHUNK = 48  # tasks or pairs in one job


@dataclass(frozen=True, kw_only=True)
class SecureJob:
    """A piece of the study: a stage on a fold, on CHUNK of its tasks or pairs. A kill loses the job in flight."""

    stage: str
    fold: int = -1
    inner: int = -1
    part: int = 0
    sample: int = 0
    choice: Choice | None = None
    cells: tuple[SweepCell, ...] = ()


def perform(material: SecureMaterial, job: SecureJob, done: Container[str], progress: Progress | None = None) -> Done:
    """Do `job` but for the trials in `done`; `progress` is called with the number of texts read or written."""
    return _STAGES[job.stage](material, job, done, progress)


def in_parts(material: SecureMaterial, job: SecureJob) -> list[SecureJob]:
    """The job once for each CHUNK of its tasks or pairs."""
    n = len(_all_items(material, job))
    return [replace(job, part=part) for part in range(-(-n // CHUNK))]


def trials(material: SecureMaterial, job: SecureJob) -> list[Trial]:
    """The trials of a job whose rows a choice is made from: the unsteered ones, the grid, what was written out."""
    if job.stage.startswith("unsteered"):
        return [_unsteered_trial(job)]
    return [trial for trial, _ in _cell_trials(material, job)]


def size(material: SecureMaterial, job: SecureJob) -> int:
    """How many trials a job has, for the progress bar."""
    arms = 3 + 2 * material.settings.draws
    n_cells = len(material.cells)
    sizes = {"grid": n_cells, "written": len(job.cells), "side_effects": len(job.cells)}
    on_arms = {"test": arms, "test_margins": arms, "curve": _n_curve(material), "curve_completions": _n_curve(material)}
    return (sizes | on_arms).get(job.stage, 1)


def _n_curve(material: SecureMaterial) -> int:
    return (1 + len(CONTROL_METHODS)) * material.settings.draws * len(sample_sizes(len(material.pairs)))


def describe(job: SecureJob) -> str:
    """What the progress bar says of a job."""
    what = {
        "unsteered": "unsteered completions",
        "unsteered_margins": "unsteered margins",
        "grid": "margins of the grid",
        "written": "writing out the shortlist",
        "side_effects": "side effects on ordinary code",
        "test": "testing the choice and the controls",
        "test_margins": "margins of the choice and the controls",
        "curve": "fewer pairs",
        "curve_completions": "fewer pairs, written out",
    }[job.stage]
    return what if job.fold < 0 else f"fold {job.fold + 1}: {what}"


# --- which tasks, which trials ---------------------------------------------------------------------------------------

_ON_PAIRS = ("unsteered_margins", "grid", "test_margins", "curve")


def _fold(material: SecureMaterial, job: SecureJob) -> Fold:
    return next(fold for fold in material.folds if fold.number == job.fold)


def _all_items(material: SecureMaterial, job: SecureJob) -> Sequence[CodingTask] | Sequence[ContrastPair]:
    on_pairs = job.stage in _ON_PAIRS
    if job.fold < 0:
        return material.pairs if on_pairs else material.tasks
    fold = _fold(material, job)
    groups = fold.test if job.inner < 0 else fold.inner[job.inner][1]
    return material.pairs_in(groups) if on_pairs else material.tasks_in(groups)


def _items(material: SecureMaterial, job: SecureJob) -> Any:
    return _all_items(material, job)[job.part * CHUNK : (job.part + 1) * CHUNK]


def _base(job: SecureJob, arm: str) -> Trial:
    """The names of a trial of this job, without a cell: what it is built on and what it is read on."""
    on_pairs = job.stage in _ON_PAIRS
    where = "all" if job.fold < 0 else f"fold {job.fold}" + (f" inner {job.inner}" if job.inner >= 0 else "")
    part = f", part {job.part}" if job.part else ""
    sample = "" if on_pairs else f", sample {job.sample}"
    readout = "margin" if on_pairs else "completion"
    return Trial(arm=arm, readout=readout, template="none", train=where, test=where + part + sample)


def _unsteered_trial(job: SecureJob) -> Trial:
    return replace(_base(job, "unsteered"), train="none")


def _cell_trials(material: SecureMaterial, job: SecureJob) -> list[tuple[Trial, SweepCell]]:
    arm = job.stage
    base = replace(_base(job, arm), seed=material.settings.seed)
    if arm == "side_effects":
        base = replace(base, readout="text", test="ordinary code")
    cells = material.cells if job.stage == "grid" else job.cells
    return [(cell_trial(base, cell, material.settings.dose), cell) for cell in cells]


def _left(found: Wanted, done: Container[str]) -> list[tuple[Trial, Steering]]:
    return [(trial, own) for trial, own in found if trial.id not in done]


# --- the stages ------------------------------------------------------------------------------------------------------


def _margins(
    material: SecureMaterial, job: SecureJob, found: Wanted, progress: Progress | None, *, instructed: bool = False
) -> Done:
    if not found:
        return Done()
    rows, ways = read_margins(material, found, _items(material, job), instructed=instructed, progress=progress)
    return Done(rows=rows, ways={f"margins by {way}" for way in ways})


def _completions(
    material: SecureMaterial, job: SecureJob, found: Wanted, progress: Progress | None, *, instructed: bool = False
) -> Done:
    if not found:
        return Done()
    rows, ways = write_completions(
        material, found, _items(material, job), sample=job.sample, instructed=instructed, progress=progress
    )
    return Done(rows=rows, ways={f"completions by {way}" for way in ways})


def _unsteered(material: SecureMaterial, job: SecureJob, done: Container[str], progress: Progress | None) -> Done:
    read = _margins if job.stage in _ON_PAIRS else _completions
    return read(material, job, _left([(_unsteered_trial(job), UNSTEERED)], done), progress)


def _cells(material: SecureMaterial, job: SecureJob, done: Container[str], progress: Progress | None) -> Done:
    """Cells with vectors of the groups that an inner fold builds on, read on the groups that it tries them on."""
    built_on = material.pairs_in(_fold(material, job).inner[job.inner][0])
    left = [(trial, cell) for trial, cell in _cell_trials(material, job) if trial.id not in done]
    built: dict[SweepCell, Steering] = {}
    for _, cell in left:
        unit = replace(cell, coefficient=1.0)
        if unit not in built:
            built[unit] = steering(material, built_on, unit, seed=material.settings.seed)
    wanted = [(trial, replace(built[replace(cell, coefficient=1.0)], cell=cell)) for trial, cell in left]
    return (_margins if job.stage == "grid" else _completions)(material, job, wanted, progress)


def _test(material: SecureMaterial, job: SecureJob, done: Container[str], progress: Progress | None) -> Done:
    assert job.choice is not None, "the choice comes before its test"
    arms = steered_arms(material, _fold(material, job), job.choice.cell, _base(job, ""))
    read = _margins if job.stage == "test_margins" else _completions
    found = read(material, job, _left(arms, done), progress)
    asked = _left([(replace(_base(job, "prompt_only"), train="none"), UNSTEERED)], done)
    alone = read(material, job, asked, progress, instructed=True)
    return Done(rows=found.rows + alone.rows, ways=found.ways | alone.ways)


def _curve(material: SecureMaterial, job: SecureJob, done: Container[str], progress: Progress | None) -> Done:
    """The chosen cell with vectors from n training pairs, beside random and shuffled ones from the same pairs."""
    assert job.choice is not None, "the choice comes before its curve"
    fold, cell = _fold(material, job), job.choice.cell
    base, wanted = _base(job, job.stage), []
    pairs = material.pairs_in(fold.train)
    for draw in range(material.settings.draws):
        seed = material.settings.seed + 7919 * (fold.number + 1) + draw
        order = np.random.default_rng(seed).permutation(len(pairs))
        for n in sample_sizes(len(pairs)):
            taken = [pairs[place] for place in order[:n]]
            for method in (cell.method, *CONTROL_METHODS.values()):
                if n == 1 and method == CONTROL_METHODS["shuffled_labels"]:
                    continue  # the labels of one pair cannot be shuffled
                own = replace(cell, method=method)
                trial = cell_trial(base, own, material.settings.dose)
                trial = replace(trial, train=f"{base.train}, {n} pairs", seed=seed)
                if trial.id not in done:
                    vector = material.vector(taken, own, seed=seed)
                    wanted.append((trial, Steering(cell=own, vectors={"": vector})))
    return (_margins if job.stage == "curve" else _completions)(material, job, wanted, progress)


def _side_effects(material: SecureMaterial, job: SecureJob, done: Container[str], progress: Progress | None) -> Done:
    """What cells do to ordinary code, per text and token in nats, with the pooled vectors of a fold's training side."""
    left = [(trial, cell) for trial, cell in _cell_trials(material, job) if trial.id not in done]
    if not left:
        return Done()
    pairs, seed = material.pairs_in(_fold(material, job).train), material.settings.seed
    cells = [(material.intervention(material.vector(pairs, cell, seed=seed), cell),) for _, cell in left]
    names, texts = zip(*fitting_code(material.model), strict=True)
    sums = text_sums(material.model, list(texts), cells, progress=progress)
    rows: list[Row] = [
        {
            "trial": trial.id,
            "arm": trial.arm,
            "readout": trial.readout,
            "train": trial.train,
            "test": trial.test,
            "contrast": cell.contrast,
            **cell_columns(cell),
            "seed": trial.seed,
            "program": name,
            "group": name,
            "kl": float(sums.kl[number, place] / sums.n_tokens[place]),
            "loss": float(sums.loss[number, place] / sums.n_tokens[place]),
            "unsteered_loss": float(sums.unsteered_loss[place] / sums.n_tokens[place]),
            "n_tokens": int(sums.n_tokens[place]),
        }
        for number, (trial, cell) in enumerate(left)
        for place, name in enumerate(names)
    ]
    return Done(rows=rows)


_STAGES: Mapping[str, Callable[[SecureMaterial, SecureJob, Container[str], Progress | None], Done]] = {
    "unsteered": _unsteered,
    "unsteered_margins": _unsteered,
    "grid": _cells,
    "written": _cells,
    "side_effects": _side_effects,
    "test": _test,
    "test_margins": _test,
    "curve": _curve,
    "curve_completions": _curve,
}
