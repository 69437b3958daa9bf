"""The trials of a detection study: one setting on one part of the programs, to rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from steerlab.batches import Progress
from steerlab.building import rendered_pair
from steerlab.contrast import ContrastPair, Program
from steerlab.controls import CONTROL_METHODS
from steerlab.directions import vector_from_residuals
from steerlab.errors import DataError
from steerlab.generation import Decoding, generate
from steerlab.interventions import Intervention
from steerlab.ngrams import ngram_baseline
from steerlab.readout import answer_log_likelihoods
from steerlab.selection import Choice, Fold
from steerlab.studies.detection_material import Material
from steerlab.tasks.answers import parse_answer
from steerlab.tasks.detection import answers_from_margins, best_bias
from steerlab.tasks.templates import Template, render
from steerlab.trials import Trial
from steerlab.vectors import Recipe, SteeringVector
from steerlab.wave import Cell, wave_log_likelihoods

ANSWER_ROOM = 16  # tokens kept free for the answer strings

Row = dict[str, Any]
Vectors = Mapping[str, SteeringVector]  # by CWE; the empty string is the pooled vector


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How one trial steers: the vectors by CWE and the coefficient (None and 0 without steering)."""

    vectors: Vectors | None = None
    coefficient: float = 0.0

    def of(self, material: Material, program: Program) -> tuple[Intervention, ...]:
        """The interventions on one program."""
        if self.vectors is None:
            return ()
        vector = self.vectors.get(program.cwe) or self.vectors[""]
        return (material.intervention(vector, self.coefficient),)


UNSTEERED = Setting()


def build_vectors(
    material: Material, template: Template, groups: frozenset[str], *, method: str, layer: int, seed: int
) -> Vectors:
    """The pooled vector of the pairs in `groups` at `layer`; with scope per_cwe also one per CWE with pairs there."""
    pooled = _vector(material, template, material.pairs_in(groups), method=method, layer=layer, seed=seed)
    vectors = {"": pooled}
    if material.settings.scope == "per_cwe":
        for cwe in sorted({program.cwe for program in material.programs}):
            pairs = material.pairs_in(groups, cwe)
            if pairs:
                vectors[cwe] = _vector(material, template, pairs, method=method, layer=layer, seed=seed)
    return vectors


def _vector(
    material: Material, template: Template, pairs: Sequence[ContrastPair], *, method: str, layer: int, seed: int
) -> SteeringVector:
    if not pairs:
        raise DataError("a training side has no contrast pair: use fewer folds or more pairs.")
    sides = [rendered_pair(template, pair) for pair in pairs]
    positive = material.residuals(template, [side[0] for side in sides], layer)
    negative = material.residuals(template, [side[1] for side in sides], layer)
    recipe = Recipe(
        method=method,
        layers=(layer,),
        positions="last_prompt_token",
        seed=seed,
        source=material.source.name,
        template=template.name,
    )
    return vector_from_residuals(material.model, {layer: positive}, {layer: negative}, recipe=recipe)


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
        _row(trial, program, UNSTEERED, material, margin=yes - no, log_vulnerable=yes, log_patched=no)
        for program, (yes, no) in zip(asked, found, strict=True)
    ] + [
        _row(trial, program, UNSTEERED, material, answer=None, unscored="longer than the context")
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
    progress: Progress | None = None,
) -> tuple[list[Row], set[str]]:
    """Log-likelihood readout of many steered trials on the same programs by the wave; rows, and the ways used."""
    template = material.template(wanted[0][0].template)
    by_vector: dict[str, list[Program]] = {}
    for program in programs:
        known = all(program.cwe in (setting.vectors or {}) for _, setting in wanted)
        by_vector.setdefault(program.cwe if known else "", []).append(program)
    rows: list[Row] = []
    ways: set[str] = set()
    for members in by_vector.values():
        found = wave_log_likelihoods(
            material.model,
            [render(template, program) for program in members],
            [(template.vulnerable, template.patched)] * len(members),
            cells=[Cell(interventions=setting.of(material, members[0])) for _, setting in wanted],
            progress=progress,
        )
        ways.add(f"{found.way} ({found.reason})" if found.reason else found.way)
        for (trial, setting), values in zip(wanted, found.log_likelihoods.tolist(), strict=True):
            rows += [
                _row(trial, program, setting, material, margin=yes - no, log_vulnerable=yes, log_patched=no)
                for program, (yes, no) in zip(members, values, strict=True)
            ]
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
    rows = None if setting.vectors is None else [setting.of(material, program) for program in programs]
    decoding = Decoding(max_new_tokens=material.settings.max_new_tokens, stop=("\n\n",))
    written = generate(material.model, prompts, decoding=decoding, rows=rows, progress=progress)
    return [
        _row(
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


def _row(trial: Trial, program: Program, setting: Setting, material: Material, **found: Any) -> Row:
    margin = found.get("margin")
    if "answer" not in found:
        (found["answer"],) = answers_from_margins([margin])
    used = setting.of(material, program)
    layer = trial.layer if used else -1
    return {
        "trial": trial.id,
        "arm": trial.arm,
        "readout": trial.readout,
        "train": trial.train,
        "test": trial.test,
        "template": trial.template,
        "method": trial.method,
        "layer": trial.layer,
        "coefficient": trial.coefficient,
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
        "direction_norm": used[0].vector.norm(layer) if used else 0.0,
        "residual_norm": used[0].vector.residual_norms[layer] if used else 0.0,
    }


def _why_unscored(answer: str | None, margin: float | None) -> str:
    if answer is not None:
        return ""
    return "no verdict in the text" if margin is None else "a tie"


def grid_trial(material: Material, base: Trial, *, method: str, layer: int, coefficient: float) -> Trial:
    """The trial of one cell on the part that `base` names."""
    s = material.settings
    return replace(
        base,
        method=method,
        layer=layer,
        coefficient=coefficient,
        operation=s.operation,
        positions=s.positions,
        dose=s.dose,
        seed=s.seed,
    )


def steered_arms(
    material: Material, fold: Fold, template: Template, choice: Choice, base: Trial
) -> list[tuple[Trial, Setting]]:
    """The arms that steer at a fold's chosen cell: the choice first, then the controls."""
    seed = material.settings.seed

    def arm(name: str, method: str, own_seed: int, coefficient: float) -> tuple[Trial, Setting]:
        vectors = build_vectors(material, template, fold.train, method=method, layer=choice.layer, seed=own_seed)
        trial = grid_trial(material, base, method=method, layer=choice.layer, coefficient=coefficient)
        return replace(trial, arm=name, seed=own_seed), Setting(vectors=vectors, coefficient=coefficient)

    arms = [
        arm("steered", choice.method, seed, choice.coefficient),
        arm("flipped_sign", choice.method, seed, -choice.coefficient),
    ]
    for name, method in CONTROL_METHODS.items():
        for draw in range(material.settings.draws):
            arms.append(arm(name, method, seed + 101 * (fold.number + 1) + draw, choice.coefficient))
    return arms


def recalibrated_rows(trial: Trial, train: pd.DataFrame, test: pd.DataFrame) -> list[Row]:
    """Unsteered test rows with the threshold moved by the bias that is best on the training rows."""
    bias = best_bias(train["margin"].to_numpy(dtype=float), train["label"].tolist())
    rows: list[Row] = []
    for row in test.to_dict("records"):
        margin = float(row["margin"]) + bias
        (answer,) = answers_from_margins([margin])
        moved = {"trial": trial.id, "arm": trial.arm, "train": trial.train, "test": trial.test}
        rows.append({str(key): value for key, value in row.items()} | moved | {"margin": margin, "answer": answer})
    return rows


def ngram_rows(material: Material, trial: Trial, fold: Fold) -> list[Row]:
    """The n-gram classifier, trained on the programs of the training groups."""
    train, test = material.in_groups(fold.train), material.in_groups(fold.test)
    margins = ngram_baseline(
        [program.code for program in train],
        [program.label for program in train],
        [program.code for program in test],
        seed=material.settings.seed,
    )
    return [
        _row(trial, program, UNSTEERED, material, margin=float(margin))
        for program, margin in zip(test, margins, strict=True)
    ]


def reading_rows(material: Material, fold: Fold, template: Template, layer: int) -> list[Row]:
    """What the residual at `layer` knows: minus the held-out projection on the fold's direction, as a margin.

    Projections are centred on the training side's mean, so that folds can be pooled.
    """
    vectors = build_vectors(
        material, template, fold.train, method="mean_difference", layer=layer, seed=material.settings.seed
    )
    direction = vectors[""].unit().directions[layer]
    train = [render(template, program) for program in material.in_groups(fold.train)]
    test = material.in_groups(fold.test)
    centre = float(np.mean(material.residuals(template, train, layer) @ direction))
    seen = material.residuals(template, [render(template, program) for program in test], layer) @ direction
    return [
        {
            "layer": layer,
            "program": program.id,
            "group": program.group,
            "cwe": program.cwe,
            "label": program.label,
            "margin": centre - float(value),
            "agreement": vectors[""].agreement[layer],
        }
        for program, value in zip(test, seen, strict=True)
    ]
