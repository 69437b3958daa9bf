"""What else a study asks of its choice: transfer over CWEs, fewer pairs, side effects, first-order effects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from steerlab.batches import Progress
from steerlab.contrast import Program, cwe_number
from steerlab.controls import CONTROL_METHODS
from steerlab.ordinary import fitting_code
from steerlab.screening import screen
from steerlab.selection import Choice, Fold
from steerlab.side_effects import text_sums
from steerlab.studies.detection_material import Material
from steerlab.studies.detection_trials import (
    UNSTEERED,
    Plan,
    Row,
    Setting,
    build_vectors,
    cell_columns,
    cell_trial,
    pairs_vector,
    pooled,
    trial_row,
)
from steerlab.sweep import SweepCell
from steerlab.tasks.templates import Template, render
from steerlab.trials import Trial

SIZES = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144)


def transfer_settings(
    material: Material, fold: Fold, template: Template, choices: Sequence[Choice], base: Trial
) -> list[tuple[Trial, Setting]]:
    """Per CWE with training pairs: the vector of its pairs alone, at the fold's pooled cell, for all test programs."""
    cell, found = pooled(choices), []
    for cwe in sorted({program.cwe for program in material.programs}, key=cwe_number):
        pairs = material.pairs_in(fold.train, cwe)
        if not pairs:
            continue
        vector = pairs_vector(
            material, template, pairs, method=cell.method, layers=cell.layers, seed=material.settings.seed
        )
        trial = replace(cell_trial(base, cell, material.settings.dose), train=f"{base.train} {cwe}")
        found.append((trial, Setting(plans={"": Plan(vector=vector, cell=cell)})))
    return found


def sample_sizes(n_pairs: int) -> list[int]:
    """1, 2, 3, 5, 8, 13, ... below the number of pairs, and that number itself."""
    return [size for size in SIZES if size < n_pairs] + [n_pairs]


def sample_settings(
    material: Material, fold: Fold, template: Template, choices: Sequence[Choice], base: Trial
) -> list[tuple[Trial, Setting]]:
    """Vectors from n training pairs, drawn `draws` times, beside random and shuffled ones from the same pairs."""
    cell, found = pooled(choices), []
    pairs = material.pairs_in(fold.train)
    for draw in range(material.settings.draws):
        seed = material.settings.seed + 7919 * (fold.number + 1) + draw
        order = np.random.default_rng(seed).permutation(len(pairs))
        for n in sample_sizes(len(pairs)):
            taken = [pairs[place] for place in order[:n]]
            for method in (cell.method, *CONTROL_METHODS.values()):
                if n == 1 and method == CONTROL_METHODS["shuffled_labels"]:
                    continue  # the labels of one pair cannot be shuffled
                vector = pairs_vector(material, template, taken, method=method, layers=cell.layers, seed=seed)
                own = replace(cell, method=method)
                trial = cell_trial(base, own, material.settings.dose)
                trial = replace(trial, train=f"{base.train}, {n} pairs", seed=seed)
                found.append((trial, Setting(plans={"": Plan(vector=vector, cell=own)})))
    return found


def side_effect_rows(
    material: Material,
    wanted: Sequence[tuple[Trial, SweepCell]],
    fold: Fold,
    template: Template,
    *,
    progress: Progress | None = None,
) -> list[Row]:
    """What cells do to ordinary code, per text and per token in nats: KL to unsteered, and the losses of both.

    The first token of a text counts as its prompt, so that all the others are steered wherever a cell steers answers.
    """
    steering = []
    for _, cell in wanted:
        vectors = build_vectors(
            material, template, fold.train, method=cell.method, layers=cell.layers, seed=material.settings.seed
        )
        steering.append([material.intervention(vectors[""], cell)])
    texts = fitting_code(material.model)
    sums = text_sums(material.model, [text for _, text in texts], steering, progress=progress)
    return [
        {
            "trial": trial.id,
            "arm": trial.arm,
            "readout": trial.readout,
            "train": trial.train,
            "test": trial.test,
            "template": trial.template,
            **cell_columns(cell),
            "seed": trial.seed,
            "program": name,
            "group": name,
            "kl": float(sums.kl[number, place] / sums.n_tokens[place]),
            "loss": float(sums.loss[number, place] / sums.n_tokens[place]),
            "unsteered_loss": float(sums.unsteered_loss[place] / sums.n_tokens[place]),
            "n_tokens": int(sums.n_tokens[place]),
        }
        for number, (trial, cell) in enumerate(wanted)
        for place, (name, _) in enumerate(texts)
    ]


def screened_sets(material: Material) -> list[tuple[str, tuple[int, ...]]]:
    """The (method, layer set) combinations of the grid that add a direction: only these have a first-order effect."""
    return list(dict.fromkeys((cell.method, cell.layers) for cell in material.cells if cell.operation == "add"))


def screening_rows(
    material: Material,
    wanted: Sequence[tuple[Trial, str, tuple[int, ...]]],
    built_on: frozenset[str],
    programs: Sequence[Program],
    template: Template,
    *,
    progress: Progress | None = None,
) -> list[Row]:
    """First-order effect on the margin per unit coefficient, per program, of vectors from the groups `built_on`.

    One backward pass gives the effects of every direction at every layer; that of a layer set is their sum.
    """
    vectors = [
        pairs_vector(
            material,
            template,
            material.pairs_in(built_on),
            method=method,
            layers=layers,
            seed=material.settings.seed,
        )
        for _, method, layers in wanted
    ]
    found = screen(
        material.model,
        [render(template, program) for program in programs],
        [(template.vulnerable, template.patched)] * len(programs),
        vectors,
        positions=material.settings.positions[0],
        dose=material.settings.dose,  # type: ignore[arg-type]
        progress=progress,
    )
    at = {layer: place for place, layer in enumerate(found.layers)}
    effects = [
        found.effects[:, [at[layer] for layer in vector.layers], number].sum(dim=1).tolist()
        for number, vector in enumerate(vectors)
    ]
    return [
        trial_row(trial, program, UNSTEERED, material, margin=effects[number][place])
        | {"method": method, "layers": trial.layers}
        for number, (trial, method, _) in enumerate(wanted)
        for place, program in enumerate(programs)
    ]
