"""The trials of a detection study: one setting on one part of the programs, to rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from steerlab.batches import Progress
from steerlab.building import rendered_pair
from steerlab.contrast import ContrastPair, Program
from steerlab.controls import CONTROL_METHODS
from steerlab.directions import vector_from_residuals
from steerlab.errors import DataError
from steerlab.generation import Decoding, generate
from steerlab.interventions import Intervention
from steerlab.readout import answer_log_likelihoods
from steerlab.selection import Choice, Fold
from steerlab.studies.detection_material import Material
from steerlab.sweep import SweepCell
from steerlab.tasks.answers import parse_answer
from steerlab.tasks.detection import answers_from_margins
from steerlab.tasks.templates import Template, render
from steerlab.trials import Trial
from steerlab.vectors import Recipe, SteeringVector
from steerlab.wave import Cell, wave_log_likelihoods

ANSWER_ROOM = 16  # tokens kept free for the answer strings

Row = dict[str, Any]
Vectors = Mapping[str, SteeringVector]  # by CWE; the empty string is the pooled vector


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A vector and the cell that says how to steer with it."""

    vector: SteeringVector
    cell: SweepCell


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How one trial steers: plans by CWE, the empty string for those without one of their own; none: unsteered."""

    plans: Mapping[str, Plan] = field(default_factory=dict)

    def plan(self, program: Program) -> Plan | None:
        """What is done to one program."""
        return self.plans.get(program.cwe) or self.plans.get("")

    def of(self, material: Material, program: Program) -> tuple[Intervention, ...]:
        """The interventions on one program."""
        plan = self.plan(program)
        return () if plan is None else (material.intervention(plan.vector, plan.cell),)


UNSTEERED = Setting()


def build_vectors(
    material: Material, template: Template, groups: frozenset[str], *, method: str, layers: Sequence[int], seed: int
) -> Vectors:
    """The pooled vector of the pairs in `groups` at `layers`; with scope per_cwe also one per CWE with pairs there."""
    vectors = {"": pairs_vector(material, template, material.pairs_in(groups), method=method, layers=layers, seed=seed)}
    if material.settings.scope == "per_cwe":
        for cwe in sorted({program.cwe for program in material.programs}):
            pairs = material.pairs_in(groups, cwe)
            if pairs:
                vectors[cwe] = pairs_vector(material, template, pairs, method=method, layers=layers, seed=seed)
    return vectors


def pairs_vector(
    material: Material,
    template: Template,
    pairs: Sequence[ContrastPair],
    *,
    method: str,
    layers: Sequence[int],
    seed: int,
) -> SteeringVector:
    """The vector of exactly these pairs. Raises: DataError when there is none."""
    if not pairs:
        raise DataError("a training side has no contrast pair: use fewer folds or more pairs.")
    sides = [rendered_pair(template, pair) for pair in pairs]
    positive, negative = (
        {layer: material.residuals(template, [side[place] for side in sides], layer) for layer in layers}
        for place in (0, 1)
    )
    recipe = Recipe(
        method=method,
        layers=tuple(layers),
        positions="last_prompt_token",
        seed=seed,
        source=material.source.name,
        template=template.name,
    )
    return vector_from_residuals(material.model, positive, negative, recipe=recipe)


def chosen_setting(
    material: Material,
    template: Template,
    groups: frozenset[str],
    choices: Sequence[Choice],
    *,
    seed: int,
    method: str = "",
    sign: float = 1.0,
) -> Setting:
    """The choices as plans, with vectors built on `groups`; a control has another `method`, or the other `sign`."""
    plans: dict[str, Plan] = {}
    for choice in choices:
        cell = replace(choice.cell, method=method or choice.cell.method, coefficient=sign * choice.cell.coefficient)
        vectors = build_vectors(material, template, groups, method=cell.method, layers=cell.layers, seed=seed)
        if choice.cwe:
            plans[choice.cwe] = Plan(vector=vectors.get(choice.cwe, vectors[""]), cell=cell)
        else:
            plans |= {cwe: Plan(vector=vector, cell=cell) for cwe, vector in vectors.items() if cwe not in plans}
    return Setting(plans=plans)


def read_margins(
    material: Material,
    trial: Trial,
    programs: Sequence[Program],
    *,
    instruction: str = "",
    progress: Progress | None = None,
) -> list[Row]:
    """Unsteered readout: margin = log P(vulnerable) - log P(patched); above 0 the answer is vulnerable."""
    template, model = material.template(trial.template), material.model
    prompts = {program.id: instruction + render(template, program) for program in programs}
    long = _too_long(material, prompts) if instruction else set()
    asked = [program for program in programs if program.id not in long]
    answers = [(template.vulnerable, template.patched)] * len(asked)
    texts = [prompts[program.id] for program in asked]
    found = answer_log_likelihoods(model, texts, answers, progress=progress).tolist() if asked else []
    return [
        trial_row(trial, program, UNSTEERED, material, margin=yes - no, log_vulnerable=yes, log_patched=no)
        for program, (yes, no) in zip(asked, found, strict=True)
    ] + [
        trial_row(trial, program, UNSTEERED, material, answer=None, unscored="longer than the context")
        for program in programs
        if program.id in long
    ]


def _too_long(material: Material, prompts: Mapping[str, str]) -> set[str]:
    """Ids of the prompts that leave no room for an answer."""
    model = material.model
    if model.context is None:
        return set()
    lengths = model.tokenizer(list(prompts.values()))["input_ids"]
    room = model.context - ANSWER_ROOM
    return {name for name, ids in zip(prompts, lengths, strict=True) if len(ids) > room}


def read_cells(
    material: Material,
    wanted: Sequence[tuple[Trial, Setting]],
    programs: Sequence[Program],
    *,
    margins_only: bool = False,
    progress: Progress | None = None,
) -> tuple[list[Row], set[str]]:
    """Log-likelihood readout of many steered trials on the same programs by the wave; rows, and the ways used.

    `margins_only`: the margin is all that is wanted; the answers' own log-likelihoods stay None.
    """
    template = material.template(wanted[0][0].template)
    by_vector: dict[str, list[Program]] = {}
    for program in programs:
        own = any(program.cwe in setting.plans for _, setting in wanted)
        by_vector.setdefault(program.cwe if own else "", []).append(program)
    rows: list[Row] = []
    ways: set[str] = set()
    for members in by_vector.values():
        found = wave_log_likelihoods(
            material.model,
            [render(template, program) for program in members],
            [(template.vulnerable, template.patched)] * len(members),
            cells=[Cell(interventions=setting.of(material, members[0])) for _, setting in wanted],
            progress=progress,
            relative=margins_only,
        )
        ways.add(f"{found.way} ({found.reason})" if found.reason else found.way)
        for (trial, setting), values in zip(wanted, found.log_likelihoods.tolist(), strict=True):
            for program, (yes, no) in zip(members, values, strict=True):
                logs = {} if margins_only else {"log_vulnerable": yes, "log_patched": no}
                rows.append(trial_row(trial, program, setting, material, margin=yes - no, **logs))
    return rows, ways


def read_generated(
    material: Material,
    trial: Trial,
    programs: Sequence[Program],
    setting: Setting,
    *,
    progress: Progress | None = None,
) -> list[Row]:
    """Generated readout: a greedy explanation, parsed to vulnerable, patched or no answer."""
    template = material.template(trial.template)
    prompts = [render(template, program) for program in programs]
    rows = [setting.of(material, program) for program in programs] if setting.plans else None
    decoding = Decoding(max_new_tokens=material.settings.max_new_tokens, stop=("\n\n",))
    written = generate(material.model, prompts, decoding=decoding, rows=rows, progress=progress)
    return [
        trial_row(
            trial,
            program,
            setting,
            material,
            answer=parse_answer(completion.text),
            completion=completion.text,
            completion_tokens=len(completion.tokens),
        )
        for program, completion in zip(programs, written, strict=True)
    ]


def trial_row(trial: Trial, program: Program, setting: Setting, material: Material, **found: Any) -> Row:
    """One row: the names of the trial, how this program was steered, and what was found."""
    margin = found.get("margin")
    if "answer" not in found:
        (found["answer"],) = answers_from_margins([margin])
    plan = setting.plan(program)
    return {
        "trial": trial.id,
        "arm": trial.arm,
        "readout": trial.readout,
        "train": trial.train,
        "test": trial.test,
        "template": trial.template,
        **cell_columns(plan.cell if plan else None),
        "seed": trial.seed,
        "program": program.id,
        "group": program.group,
        "cwe": program.cwe,
        "language": program.language,
        "label": program.label,
        "margin": margin,
        "log_vulnerable": found.get("log_vulnerable"),
        "log_patched": found.get("log_patched"),
        "answer": found["answer"],
        "unscored": found.get("unscored", "") or _why_unscored(found["answer"], margin),
        "completion": found.get("completion", ""),
        "completion_tokens": found.get("completion_tokens", 0),
        "direction_norm": max(map(plan.vector.norm, plan.vector.layers)) if plan else 0.0,
        "residual_norm": max(plan.vector.residual_norms.values(), default=0.0) if plan else 0.0,
    }


def cell_columns(cell: SweepCell | None) -> Row:
    """The columns that say how a row was steered; empty for an unsteered one."""
    return {
        "method": cell.method if cell else "",
        "layers": cell.layer_set if cell else "",
        "operation": cell.operation if cell else "",
        "positions": cell.positions if cell else "",
        "coefficient": cell.coefficient if cell else 0.0,
    }


def _why_unscored(answer: str | None, margin: float | None) -> str:
    if answer is not None:
        return ""
    return "no verdict in the text" if margin is None else "a tie"


def cell_trial(base: Trial, cell: SweepCell, dose: str) -> Trial:
    """The trial of one cell on the part that `base` names."""
    return replace(
        base,
        method=cell.method,
        layers=cell.layer_set,
        coefficient=cell.coefficient,
        operation=cell.operation,
        positions=cell.positions,
        dose=dose,
        contrast=cell.contrast,
    )


def steered_arms(
    material: Material, fold: Fold, template: Template, choices: Sequence[Choice], base: Trial
) -> list[tuple[Trial, Setting]]:
    """The arms that steer at a fold's chosen cells: the choice first, then the controls."""
    seed = material.settings.seed
    shared = pooled(choices)

    def arm(name: str, own_seed: int, *, method: str = "", sign: float = 1.0) -> tuple[Trial, Setting]:
        setting = chosen_setting(material, template, fold.train, choices, seed=own_seed, method=method, sign=sign)
        cell = replace(shared, method=method or shared.method, coefficient=sign * shared.coefficient)
        return replace(cell_trial(base, cell, material.settings.dose), arm=name, seed=own_seed), setting

    arms = [arm("steered", seed), arm("flipped_sign", seed, sign=-1.0)]
    for name, method in CONTROL_METHODS.items():
        for draw in range(material.settings.draws):
            arms.append(arm(name, seed + 101 * (fold.number + 1) + draw, method=method))
    return arms


def pooled(choices: Sequence[Choice]) -> SweepCell:
    """The cell that a fold chose for all CWEs together."""
    return next(choice.cell for choice in choices if not choice.cwe)
