"""The stage `effect`: the picked coefficients on the analysis split, constant and gated, beside their controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from steerlab.errors import RunError
from steerlab.interventions import Intervention
from steerlab.studies.correctness_material import Bench
from steerlab.studies.correctness_writing import Arm, Writer, rows_of, stage_rows, trial_of
from steerlab.studies.latents_found import ChosenLatent, LatentsFound, read_latents
from steerlab.studies.selected_coefficients import TARGETS, read_selected
from steerlab.tasks.problems import Problem
from steerlab.vectors import Direction, SteeringVector

STAGE = "effect"

# What each arm is, for tables and the report.
ARMS: Mapping[str, str] = {
    "unsteered": "the model as it is",
    "steered": "the correct-predicting latent's decoder direction added at all positions",
    "gated": "as steered, only on problems where the incorrect-predicting latent fires at the last prompt token",
    "away": "the incorrect-predicting latent's decoder direction subtracted at all positions",
    "away_gated": "as away, only on problems where that latent fires at the last prompt token",
    "mean_difference": "the mean residual of passing minus that of failing problems, same layer and norm as steered",
    "flipped_sign": "the steered direction with its sign flipped",
    "random_latent": "latents that are active about as often as that of steered, same layer, norm and coefficient",
    "random_direction": "random directions, same layer, norm and coefficient as steered",
    "away_random_latent": "the same for away: its layer, norm and coefficient",
    "away_random_direction": "random directions, same layer, norm and coefficient as away",
    "ablated": "the correct-predicting direction removed from the residual after every layer, at all positions",
    "away_ablated": "the incorrect-predicting direction removed from the residual after every layer, at all positions",
}
GATED = {"gated": ("steered", "correct"), "away_gated": ("away", "incorrect")}


def effect_stage(bench: Bench) -> None:
    """Every arm on the problems of the analysis split that are in the window and have a baseline.

    Gated arms need no generation of their own: rows are independent, so a problem on which the gate fires is as steered
    and any other as unsteered.
    Raises: RunError when no such problem has a baseline, or an earlier stage is missing.
    """
    found, selected = read_latents(bench.opened.path, bench.material.model), read_selected(bench.opened.path)
    problems = analysis_problems(bench)
    if unread := [problem.id for problem in problems if problem.id not in found.fires["correct"]]:
        raise RunError(
            f"{len(unread)} problems ({unread[0]}, ...) have a baseline that is newer than the stage latents: run it "
            "again (--from latents)."
        )
    arms = effect_arms(bench, found, {target: float(selected[target]["value"]) for target in TARGETS})
    writer = Writer(bench, STAGE)
    writer.write(arms, problems, what=f"{len(arms)} arms on {len(problems)} problems")
    for name in GATED:
        _gate(bench, found, name, arms, problems)


def analysis_problems(bench: Bench) -> tuple[Problem, ...]:
    """The problems of the analysis split in the window that have a baseline. Raises: RunError when there is none."""
    baseline = set(stage_rows(bench, "baseline")["program"])
    known = tuple(problem for problem in bench.own(bench.material.of("analysis")) if problem.id in baseline)
    if not known:
        raise RunError("no problem of the analysis split has a baseline here: run the stage baseline for them first.")
    return known


def effect_arms(bench: Bench, found: LatentsFound, coefficients: Mapping[str, float]) -> list[Arm]:
    """The arms whose programs are written: steered, away, controls at the coefficient of steered, ablations."""
    correct, incorrect = found.chosen["correct"], found.chosen["incorrect"]
    steered = _added("steered", correct, coefficients["correct"])
    away = _added("away", incorrect, coefficients["incorrect"])
    return [
        steered,
        away,
        _turned(steered, "mean_difference", found.mean_difference),
        _added("flipped_sign", correct, -coefficients["correct"]),
        *_random_arms(bench, found, steered, prefix=""),
        *_random_arms(bench, found, away, prefix="away_"),
        _ablated("ablated", correct),
        _ablated("away_ablated", incorrect),
    ]


def _random_arms(bench: Bench, found: LatentsFound, arm: Arm, *, prefix: str) -> list[Arm]:
    """Random latents of like frequency and random directions with the layer, norm and coefficient of `arm`."""
    rng = np.random.default_rng([bench.material.settings.seed, len(prefix)])
    drawn = [rng.normal(size=bench.material.model.d_model) for _ in range(bench.material.settings.draws)]
    return [
        *(
            replace(_turned(arm, f"{prefix}random_latent", row), latent=latent, draw=draw)
            for draw, (latent, row) in enumerate(found.random_latents[arm.target])
        ),
        *(
            replace(_turned(arm, f"{prefix}random_direction", direction), draw=draw)
            for draw, direction in enumerate(drawn)
        ),
    ]


def _added(name: str, latent: ChosenLatent, coefficient: float) -> Arm:
    return Arm(
        name=name,
        interventions=(Intervention(vector=latent.vector, coefficient=coefficient, positions="all"),),
        target=latent.target,
        layer=latent.layer,
        latent=latent.latent,
        coefficient=coefficient,
    )


def _turned(arm: Arm, name: str, direction: Direction) -> Arm:
    """The arm with another direction of the same norm."""
    (own,) = arm.interventions
    (layer,) = own.vector.layers
    scaled = (direction * (own.vector.norm(layer) / np.linalg.norm(direction))).astype(np.float32)
    vector = replace(own.vector, directions={layer: scaled}, recipe=replace(own.vector.recipe, method=name))
    return replace(arm, name=name, latent=None, interventions=(replace(own, vector=vector),))


def _ablated(name: str, latent: ChosenLatent) -> Arm:
    """The latent's direction removed from the output of every layer."""
    vector: SteeringVector = latent.vector
    everywhere = dict.fromkeys(range(vector.model.n_layers), vector.directions[latent.layer])
    return Arm(
        name=name,
        interventions=(
            Intervention(
                vector=replace(vector, directions=everywhere), coefficient=1.0, operation="ablate", positions="all"
            ),
        ),
        target=latent.target,
        layer=latent.layer,
        latent=latent.latent,
        coefficient=1.0,
    )


def _gate(bench: Bench, found: LatentsFound, name: str, arms: Sequence[Arm], problems: Sequence[Problem]) -> None:
    """Append the rows of a gated arm: those of the constant arm where the gate fires, else those of the baseline."""
    constant, target = GATED[name]
    arm = next(one for one in arms if one.name == constant)
    gated = gated_arm(name, arm)
    steered = rows_of(stage_rows(bench, STAGE), arm).set_index("program")
    plain = stage_rows(bench, "baseline").set_index("program")
    fires = found.fires[target]
    rows: list[dict[str, Any]] = []
    for problem in problems:
        trial = trial_of(STAGE, gated, problem)
        if trial in bench.opened.done or problem.id not in steered.index:
            continue
        source = steered if fires[problem.id] else plain
        row = {str(key): value for key, value in source.loc[problem.id].to_dict().items()}
        own = {"trial": trial, "stage": STAGE, "program": problem.id, "fires": bool(fires[problem.id])}
        rows.append({**row, **gated.names(), **own})
    bench.opened.append(rows)


def gated_arm(name: str, arm: Arm) -> Arm:
    """The gated arm that belongs to a constant one."""
    return replace(arm, name=name)


def effect_rows(bench: Bench) -> dict[str, pd.DataFrame]:
    """The rows of every arm at the coefficients that are selected now, by arm, on the same problems as `unsteered`."""
    found, selected = read_latents(bench.opened.path, bench.material.model), read_selected(bench.opened.path)
    arms = effect_arms(bench, found, {target: float(selected[target]["value"]) for target in TARGETS})
    arms += [gated_arm(name, next(a for a in arms if a.name == GATED[name][0])) for name in GATED]
    rows = stage_rows(bench, STAGE)
    parts: dict[str, list[pd.DataFrame]] = {}
    for arm in arms:
        parts.setdefault(arm.name, []).append(rows_of(rows, arm))
    done = {name: pd.concat(several, ignore_index=True) for name, several in parts.items()}
    ids = set(done["steered"]["program"])
    baseline = stage_rows(bench, "baseline")
    done["unsteered"] = baseline[baseline["program"].isin(ids)]
    return {name: done[name] for name in ARMS if name in done}
