"""Rows that need no steered forward: recalibrated threshold, n-grams, what the residual knows, the gated arm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from steerlab.contrast import Program
from steerlab.ngrams import ngram_baseline
from steerlab.selection import Fold
from steerlab.studies.detection_material import Material
from steerlab.studies.detection_trials import UNSTEERED, Row, cell_columns, pairs_vector, trial_row
from steerlab.sweep import SweepCell
from steerlab.tasks.detection import answers_from_margins, best_bias
from steerlab.tasks.templates import Template, render
from steerlab.trials import Trial


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


def ngram_rows(material: Material, trial: Trial, fold: Fold, test: Sequence[Program]) -> list[Row]:
    """The n-gram classifier, trained on the programs of the training groups."""
    train = material.in_groups(fold.train)
    margins = ngram_baseline(
        [program.code for program in train],
        [program.label for program in train],
        [program.code for program in test],
        seed=material.settings.seed,
    )
    return [
        trial_row(trial, program, UNSTEERED, material, margin=float(margin))
        for program, margin in zip(test, margins, strict=True)
    ]


def reading_rows(  # noqa: PLR0917
    material: Material, trial: Trial, fold: Fold, template: Template, layer: int, test: Sequence[Program]
) -> list[Row]:
    """What the residual at `layer` knows: minus the held-out projection on the fold's direction, as a margin.

    Projections are centred on the training side's mean, so that folds can be pooled. `fires` says whether the margin is
    above the threshold that is best on the training side: the condition of gated steering. `agreement` is the share of
    training pairs whose sides project in the right order.
    """
    groups = fold.train
    vector = pairs_vector(
        material,
        template,
        material.pairs_in(groups),
        method="mean_difference",
        layers=(layer,),
        seed=material.settings.seed,
    )
    direction = vector.unit().directions[layer]
    train = material.in_groups(groups)
    known = -material.residuals(template, [render(template, program) for program in train], layer) @ direction
    seen = -material.residuals(template, [render(template, program) for program in test], layer) @ direction
    centre = float(np.mean(known))
    bias = best_bias(known - centre, [program.label for program in train])
    cell = SweepCell(method="mean_difference", layers=(layer,), coefficient=0.0)
    return [
        trial_row(trial, program, UNSTEERED, material, margin=float(value) - centre)
        | cell_columns(cell)
        | {"fires": float(value - centre + bias > 0), "agreement": vector.agreement[layer]}
        for program, value in zip(test, seen, strict=True)
    ]


def gated_rows(trial: Trial, steered: pd.DataFrame, unsteered: pd.DataFrame, readings: pd.DataFrame) -> list[Row]:
    """Each program's steered row where the condition fires, its unsteered row elsewhere.

    A row's steering depends on nothing outside the row, so this is what a gate in the batch gives. The condition is the
    reading at the lowest steered layer: steering away from "vulnerable" (a positive coefficient) happens only where the
    reading says patched, steering towards it only where the reading says vulnerable.
    """
    plain = {str(row["program"]): row for row in unsteered.to_dict("records")}
    fires = {(str(row["layers"]), str(row["program"])): bool(row["fires"]) for row in readings.to_dict("records")}
    rows: list[Row] = []
    for row in steered.to_dict("records"):
        name, lowest = str(row["program"]), str(row["layers"]).split("+", maxsplit=1)[0]
        taken = row if fires[lowest, name] == (float(row["coefficient"]) < 0) else plain[name]
        moved = {"trial": trial.id, "arm": trial.arm, "train": trial.train, "test": trial.test}
        rows.append({str(key): value for key, value in taken.items()} | moved)
    return rows
