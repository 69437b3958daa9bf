"""What a study of secure code works on: tasks and pairs that fit, folds over both, residuals, vectors, cells to try."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from steerlab.analysers import family
from steerlab.batches import Progress
from steerlab.completion_contrast import (
    CompletionResiduals,
    as_completion,
    completion_residuals,
    completion_vector,
)
from steerlab.contrast import ContrastPair, ProgramSet
from steerlab.errors import DataError
from steerlab.interventions import Intervention
from steerlab.models import Model
from steerlab.selection import Fold, nested_folds
from steerlab.studies.secure_settings import SecureCodeSettings
from steerlab.studies.writing import Write
from steerlab.sweep import SweepCell, grid, layer_sets, search
from steerlab.tasks.coding import CodingTask, CodingTasks, task_pairs
from steerlab.vectors import Recipe, SteeringVector
from steerlab.wave import wave_generate

PAIR = "pair: "  # before the strata of pairs, so that folds spread tasks and pairs each by CWE


@dataclass(frozen=True, kw_only=True)
class SecureMaterial:
    """What the trials draw on. `numbers` is the place of each task in the set: its samples' seeds do not move."""

    model: Model
    settings: SecureCodeSettings
    task_set: CodingTasks
    tasks: tuple[CodingTask, ...]
    too_long: tuple[CodingTask, ...]
    pairs: tuple[ContrastPair, ...]
    pairs_sha256: str
    folds: tuple[Fold, ...]
    cells: tuple[SweepCell, ...]
    numbers: Mapping[str, int]
    notes: tuple[str, ...]
    write: Write
    _residuals: dict[str, CompletionResiduals] = field(default_factory=dict)

    @property
    def layers(self) -> tuple[int, ...]:
        """Every layer that some cell steers, ascending."""
        return tuple(sorted({layer for cell in self.cells for layer in cell.layers}))

    @property
    def by_family(self) -> bool:
        """Whether each family of CWEs has a vector of its own."""
        return self.settings.scope == "per_family"

    def tasks_in(self, groups: frozenset[str]) -> list[CodingTask]:
        """The tasks of these groups, in order."""
        return [task for task in self.tasks if task.group in groups]

    def pairs_in(self, groups: frozenset[str]) -> list[ContrastPair]:
        """The pairs of these groups, in order."""
        return [pair for pair in self.pairs if pair.group in groups]

    def capture(self, contrast: str, *, progress: Progress | None = None) -> CompletionResiduals:
        """The residuals of all pairs under `contrast`, read once."""
        if contrast not in self._residuals:
            self._residuals[contrast] = completion_residuals(
                self.model, self.pairs, layers=self.layers, contrast=contrast, progress=progress
            )
        return self._residuals[contrast]

    def vector(self, pairs: Sequence[ContrastPair], cell: SweepCell, *, method: str = "", seed: int) -> SteeringVector:
        """The vector of exactly these pairs at the cell's layers; `method` replaces the cell's. Raises: DataError."""
        places = {pair.id: place for place, pair in enumerate(self.pairs)}
        recipe = Recipe(
            method=method or cell.method,
            layers=cell.layers,
            positions=cell.contrast,
            seed=seed,
            source=self.settings.pairs_from,
        )
        own = self.capture(cell.contrast).of([places[pair.id] for pair in pairs])
        return completion_vector(self.model, pairs, own, recipe=recipe)

    def intervention(self, vector: SteeringVector, cell: SweepCell) -> Intervention:
        """`vector` as `cell` says, with the study's dose."""
        return Intervention(
            vector=vector,
            coefficient=cell.coefficient,
            operation=cell.operation,
            positions=cell.positions,
            dose=self.settings.dose,  # type: ignore[arg-type]
        )


def prepare(
    settings: SecureCodeSettings, model: Model, tasks: CodingTasks, source: ProgramSet, *, write: Write | None = None
) -> SecureMaterial:
    """Split pairs into prompt and continuations, drop what does not fit the context (counted and named), make folds.

    `write` writes completions (by default the model with hooks).

    Raises: DataError when no task fits or fewer than two pairs are left; LayerError, OptionError.
    """
    room = float("inf") if model.context is None else model.context
    prompts = [task.prompt for task in tasks.tasks]
    lengths = [len(ids) for ids in model.tokenizer(prompts)["input_ids"]]
    fits = [n + settings.prompt_room + settings.max_new_tokens <= room for n in lengths]
    kept = tuple(task for task, fit in zip(tasks.tasks, fits, strict=True) if fit)
    too_long = tuple(task for task, fit in zip(tasks.tasks, fits, strict=True) if not fit)
    notes = list(source.notes)
    if too_long:
        named = ", ".join(task.id for task in too_long[:5]) + (", ..." if len(too_long) > 5 else "")
        notes.append(
            f"{len(too_long)} of {len(fits)} tasks do not fit the context of {model.context} tokens with "
            f"{settings.max_new_tokens} new ones and are unscored: {named}"
        )
    if not kept:
        raise DataError(f"no task of {tasks.name} fits the context of {model.name} ({model.context} tokens).")
    pairs, left_out = _pairs(settings, model, tasks, source)
    groups = [task.group for task in kept] + [pair.group for pair in pairs]
    strata = [task.cwe for task in kept] + [PAIR + pair.labels.get("cwe", "") for pair in pairs]
    folds = nested_folds(
        groups,
        strata,
        n_folds=settings.folds,
        n_inner=settings.inner_folds,
        seed=settings.seed,
        with_pairs=frozenset(pair.group for pair in pairs),
    )
    return SecureMaterial(
        model=model,
        settings=settings,
        task_set=tasks,
        tasks=kept,
        too_long=too_long,
        pairs=tuple(pairs),
        pairs_sha256=source.sha256,
        folds=tuple(folds if settings.selection == "nested" else folds[:1]),
        cells=tuple(_cells(model, settings)),
        numbers={task.id: number for number, task in enumerate(tasks.tasks)},
        notes=(*notes, *left_out),
        write=write or partial(wave_generate, model),
    )


def _cells(model: Model, settings: SecureCodeSettings) -> list[SweepCell]:
    found = list(layer_sets(settings.layers, n_layers=model.n_layers))
    if not settings.layers and len(found) > 1:
        found.append(tuple(sorted({layer for layers in found for layer in layers})))
    cells = grid(
        methods=settings.methods,
        layers=found,
        coefficients=settings.coefficients,
        operations=settings.operations,
        positions=settings.positions,
        contrasts=settings.contrasts,
        dose=settings.dose,
    )
    return search(cells, settings.search, seed=settings.seed)


def _pairs(
    settings: SecureCodeSettings, model: Model, tasks: CodingTasks, source: ProgramSet
) -> tuple[list[ContrastPair], list[str]]:
    """The pairs that fit, as a prompt and two continuations, and notes. Pairs of the tasks are their own bodies."""
    own = settings.pairs_from == tasks.name
    found = task_pairs(tasks) if own else [as_completion(pair) for pair in source.pairs]
    if settings.cwes:
        families = {family(cwe) for cwe in settings.cwes}
        found = [pair for pair in found if family(pair.labels.get("cwe", "")) in families]
    notes: list[str] = []
    if settings.max_pairs and len(found) > settings.max_pairs:
        drawn = np.random.default_rng(settings.seed).permutation(len(found))[: settings.max_pairs]
        notes.append(f"{settings.max_pairs} of {len(found)} pairs were drawn (--max-pairs).")
        found = [found[place] for place in sorted(drawn.tolist())]
    if model.context is not None and found:
        texts = [pair.prompt + side for pair in found for side in (pair.positive, pair.negative)]
        sizes = [len(ids) for ids in model.tokenizer(texts)["input_ids"]]
        long = [max(sizes[2 * i : 2 * i + 2]) > model.context for i in range(len(found))]
        if any(long):
            notes.append(f"{sum(long)} of {len(found)} pairs exceed the context and are left out.")
        found = [pair for pair, is_long in zip(found, long, strict=True) if not is_long]
    if len({pair.group for pair in found}) < 2:
        raise DataError(f"{settings.pairs_from} leaves {len(found)} pairs: directions need at least 2, of two groups.")
    return found, notes
