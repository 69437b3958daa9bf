"""The trials of a study of secure code: one setting on one part of the tasks or pairs, to rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from steerlab.analysers import family
from steerlab.batches import Progress
from steerlab.contrast import ContrastPair
from steerlab.controls import CONTROL_METHODS, secure_prompt
from steerlab.generation import Completion, Decoding
from steerlab.interventions import Intervention
from steerlab.selection import Fold
from steerlab.studies.detection_trials import cell_columns, cell_trial
from steerlab.studies.secure_material import SecureMaterial
from steerlab.sweep import SweepCell
from steerlab.tasks.coding import CodingTask, Judgement, judge_completions
from steerlab.trials import Trial
from steerlab.vectors import SteeringVector
from steerlab.wave import Cell, wave_log_likelihoods

SEEDS_PER_TASK = 100_000  # the number of a task's sample is task x this + sample

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Steering:
    """How one trial steers: a cell, and vectors by family, the empty string for those without one of their own."""

    cell: SweepCell | None = None
    vectors: Mapping[str, SteeringVector] = field(default_factory=dict)

    def vector(self, cwe: str) -> SteeringVector | None:
        """The vector for tasks of this CWE; None: not steered."""
        return self.vectors.get(family(cwe)) or self.vectors.get("")

    def of(self, material: SecureMaterial, cwe: str) -> tuple[Intervention, ...]:
        """The interventions on tasks and pairs of this CWE."""
        vector = self.vector(cwe)
        return () if vector is None or self.cell is None else (material.intervention(vector, self.cell),)


UNSTEERED = Steering()
Wanted = Sequence[tuple[Trial, Steering]]


def steering(
    material: SecureMaterial, pairs: Sequence[ContrastPair], cell: SweepCell, *, method: str = "", seed: int
) -> Steering:
    """The cell with the vector of `pairs`; with scope per_family also one for each family that has some."""
    vectors = {"": material.vector(pairs, cell, method=method, seed=seed)}
    if material.by_family:
        for name in sorted({family(pair.labels.get("cwe", "")) for pair in pairs}):
            own = [pair for pair in pairs if family(pair.labels.get("cwe", "")) == name]
            if len(own) > 1 or method != CONTROL_METHODS["shuffled_labels"]:
                vectors[name] = material.vector(own, cell, method=method, seed=seed)
    return Steering(cell=cell if not method else replace(cell, method=method), vectors=vectors)


def steered_arms(material: SecureMaterial, fold: Fold, cell: SweepCell, base: Trial) -> list[tuple[Trial, Steering]]:
    """The arms that steer at a fold's chosen cell, with vectors of its training side; the choice comes first."""
    pairs, seed, dose = material.pairs_in(fold.train), material.settings.seed, material.settings.dose

    def arm(name: str, own: SweepCell, *, method: str = "", own_seed: int = seed) -> tuple[Trial, Steering]:
        found = steering(material, pairs, own, method=method, seed=own_seed)
        assert found.cell is not None
        return replace(cell_trial(base, found.cell, dose), arm=name, seed=own_seed), found

    arms = [arm("steered", cell), arm("flipped_sign", replace(cell, coefficient=-cell.coefficient))]
    for name, method in CONTROL_METHODS.items():
        for draw in range(material.settings.draws):
            arms.append(arm(name, cell, method=method, own_seed=seed + 101 * (fold.number + 1) + draw))
    return arms


def read_margins(
    material: SecureMaterial,
    wanted: Wanted,
    pairs: Sequence[ContrastPair],
    *,
    instructed: bool = False,
    progress: Progress | None = None,
) -> tuple[list[Row], set[str]]:
    """Margins of many trials on the same pairs by the wave: log P(patched) - log P(vulnerable) after the prompt (nats).

    `instructed` reads them behind the comment of the prompt-only arm.
    """
    rows: list[Row] = []
    ways: set[str] = set()
    for members in _alike(material, pairs, lambda pair: pair.labels.get("cwe", "")):
        cwe = members[0].labels.get("cwe", "")
        found = wave_log_likelihoods(
            material.model,
            [_prompt(pair, instructed=instructed) for pair in members],
            [(pair.positive, pair.negative) for pair in members],
            cells=[Cell(interventions=own.of(material, cwe)) for _, own in wanted],
            progress=progress,
        )
        ways.add(f"{found.way} ({found.reason})" if found.reason else found.way)
        for (trial, own), values in zip(wanted, found.log_likelihoods.tolist(), strict=True):
            rows += [
                _names(trial, own, pair.labels.get("cwe", ""))
                | {
                    "program": pair.id,
                    "group": pair.group,
                    "language": pair.labels.get("language", ""),
                    "margin": patched - vulnerable,
                    "log_patched": patched,
                    "log_vulnerable": vulnerable,
                }
                for pair, (patched, vulnerable) in zip(members, values, strict=True)
            ]
    return rows, ways


def _prompt(pair: ContrastPair, *, instructed: bool) -> str:
    """The prompt of a pair; where it has none, a newline, since something must be read before the first token."""
    prompt = pair.prompt or "\n"
    return secure_prompt(prompt, pair.labels.get("language", "")) if instructed else prompt


def _alike(material: SecureMaterial, items: Sequence[Any], cwe: Any) -> list[list[Any]]:
    """The items in groups that are steered by the same vectors."""
    if not material.by_family:
        return [list(items)] if items else []
    groups: dict[str, list[Any]] = {}
    for item in items:
        groups.setdefault(family(cwe(item)), []).append(item)
    return list(groups.values())


def write_completions(
    material: SecureMaterial,
    wanted: Wanted,
    tasks: Sequence[CodingTask],
    *,
    sample: int,
    instructed: bool = False,
    progress: Progress | None = None,
) -> tuple[list[Row], set[str]]:
    """One completion of each task for many trials by the wave, judged. The same sample of a task has the same seed.

    `instructed` writes behind the comment of the prompt-only arm.
    """
    rows: list[Row] = []
    ways: set[str] = set()
    how = decoding(material)
    for members in _alike(material, tasks, lambda task: task.cwe):
        found = material.write(
            [secure_prompt(task.prompt, task.language) if instructed else task.prompt for task in members],
            cells=[Cell(interventions=own.of(material, members[0].cwe)) for _, own in wanted],
            decoding=how,
            numbers=[material.numbers[task.id] * SEEDS_PER_TASK + sample for task in members],
            progress=progress,
        )
        ways.add(f"{found.way} ({found.reason})" if found.reason else found.way)
        written = [completion for own in found.completions for completion in own]
        judged = judge_completions(
            list(members) * len(wanted),
            [completion.text for completion in written],
            analysers=material.task_set.analysers,
        )
        places = [(trial, own, task) for trial, own in wanted for task in members]
        rows += [
            _names(trial, own, task.cwe) | _of_task(task, sample) | _written(completion) | judgement_columns(judgement)
            for (trial, own, task), completion, judgement in zip(places, written, judged, strict=True)
        ]
    return rows, ways


def decoding(material: SecureMaterial) -> Decoding:
    """How every completion of the study is written."""
    s = material.settings
    return Decoding(max_new_tokens=s.max_new_tokens, temperature=s.temperature, top_p=s.top_p, seed=s.seed)


def _names(trial: Trial, own: Steering, cwe: str) -> Row:
    vector = own.vector(cwe)
    return {
        "trial": trial.id,
        "arm": trial.arm,
        "readout": trial.readout,
        "train": trial.train,
        "test": trial.test,
        "contrast": own.cell.contrast if own.cell else "",
        **cell_columns(own.cell),
        "seed": trial.seed,
        "cwe": cwe,
        "family": family(cwe),
        "direction_norm": max(map(vector.norm, vector.layers)) if vector else 0.0,
        "residual_norm": max(vector.residual_norms.values(), default=0.0) if vector else 0.0,
    }


def _of_task(task: CodingTask, sample: int) -> Row:
    return {"program": task.id, "group": task.group, "language": task.language, "sample": sample}


def _written(completion: Completion) -> Row:
    return {
        "completion": completion.text,
        "completion_tokens": len(completion.tokens),
        "ended": completion.ended,
    }


def judgement_columns(judgement: Judgement) -> Row:
    """The facts of a completion as columns: 1.0, 0.0, or None where unscored."""

    def fact(value: bool | None) -> float | None:
        return None if value is None else float(value)

    return {
        "parses": fact(judgement.parses),
        "runs": fact(judgement.runs),
        "functional": fact(judgement.functional),
        "exploited": fact(judgement.exploited),
        "secure": fact(judgement.secure),
        "joint": fact(judgement.joint),
        "complexity": judgement.complexity,
        "repetition": judgement.repetition,
        "judged_characters": len(judgement.completion),
        "finding": judgement.finding,
        "reason": judgement.reason,
        "unscored": judgement.unscored,
    }
