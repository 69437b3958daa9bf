"""The stage `coefficients`: the grid of both latents in one sweep, the rule's pick, the files for review."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from steerlab.errors import RunError
from steerlab.interventions import Intervention
from steerlab.report.coefficient_page import draw_coefficient_files, read_flips, write_coefficient_files
from steerlab.results import write_json
from steerlab.studies.coefficient_choice import CoefficientChoice, Response, choose_coefficient, refine, response
from steerlab.studies.correctness_material import Bench
from steerlab.studies.correctness_writing import Arm, Writer, before_and_after, rows_of, stage_rows, write_rows
from steerlab.studies.latents_found import ChosenLatent, read_latents
from steerlab.studies.selected_coefficients import TARGETS, read_selected, write_by_rule
from steerlab.tasks.problems import Problem
from steerlab.tasks.splits import draw_problems

STAGE = "coefficients"
SUMMARY = "summary.json"


def coefficients_stage(bench: Bench) -> dict[str, Any]:
    """Try every coefficient of both latents on problems of the tuning split; pick, refine, write the files.

    Raises: RunError when no problem of the tuning split in the window has a baseline.
    """
    latents = read_latents(bench.opened.path, bench.material.model).chosen
    problems = tuning_problems(bench)
    settings = bench.material.settings
    writer = Writer(bench, STAGE)
    grid = {target: list(settings.coefficients) for target in TARGETS}
    arms = [grid_arm(latents[target], coefficient) for target in TARGETS for coefficient in grid[target]]
    writer.write(arms, problems, what=f"{len(settings.coefficients)} coefficients of 2 latents")
    found = {target: measured(bench, latents[target], grid[target], problems) for target in TARGETS}
    choices = {target: choose_coefficient(found[target], settings.rule()) for target in TARGETS}
    if settings.refine:
        for target in TARGETS:
            found[target] += _refined(bench, writer, latents[target], choices[target], problems)
            choices[target] = choose_coefficient(found[target], settings.rule())
    return _files(bench, latents, found, choices)


def tuning_problems(bench: Bench) -> tuple[Problem, ...]:
    """The problems that coefficients are tried on: of the tuning split, in the window, with a baseline."""
    baseline = set(stage_rows(bench, "baseline")["program"])
    known = [problem for problem in bench.own(bench.material.of("tuning")) if problem.id in baseline]
    if not known:
        raise RunError("no problem of the tuning split has a baseline here: run the stage baseline for them first.")
    settings = bench.material.settings
    return draw_problems(known, settings.per_coefficient, seed=settings.seed)


def grid_arm(latent: ChosenLatent, coefficient: float) -> Arm:
    """The latent's decoder direction, toward passing, times `coefficient`, at all positions throughout generation."""
    return Arm(
        name="grid",
        interventions=(Intervention(vector=latent.vector, coefficient=coefficient, positions="all"),),
        target=latent.target,
        layer=latent.layer,
        latent=latent.latent,
        coefficient=coefficient,
    )


def measured(
    bench: Bench, latent: ChosenLatent, coefficients: Sequence[float], problems: Sequence[Problem]
) -> list[Response]:
    """What each coefficient did to `problems`, from the rows of the run."""
    baseline, rows = stage_rows(bench, "baseline"), stage_rows(bench, STAGE)
    wanted = rows[rows["program"].isin([problem.id for problem in problems])]
    level = bench.material.settings.level
    return [
        response(c, before_and_after(baseline, rows_of(wanted, grid_arm(latent, c))), level=level) for c in coefficients
    ]


def _refined(
    bench: Bench, writer: Writer, latent: ChosenLatent, choice: CoefficientChoice, problems: Sequence[Problem]
) -> list[Response]:
    settings = bench.material.settings

    def measure(coefficient: float) -> Response:
        writer.write([grid_arm(latent, coefficient)], problems, what=f"refining at {coefficient:g}")
        return measured(bench, latent, [coefficient], problems)[0]

    return refine(choice.coefficient, settings.coefficients, measure, rule=settings.rule(), steps=settings.refine)


def _files(
    bench: Bench,
    latents: Mapping[str, ChosenLatent],
    found: Mapping[str, list[Response]],
    choices: Mapping[str, CoefficientChoice],
) -> dict[str, Any]:
    out, settings = bench.opened.path, bench.material.settings
    picks = {
        target: {
            "direction": target,
            "layer": latents[target].layer,
            "latent": latents[target].latent,
            "sign": latents[target].sign,
            "value": choice.coefficient,
            "qualifies": choice.qualifies,
            "reason": choice.reason,
        }
        for target, choice in choices.items()
    }
    selected = write_by_rule(out, str(bench.opened.manifest["run"]), picks)
    problems = [problem.id for problem in tuning_problems(bench)]
    summary = {
        "stage": STAGE,
        "run": bench.opened.manifest["run"],
        "model": bench.material.model.name,
        "n_problems": len(problems),
        "problems": problems,
        "rule": {"flips": list(settings.flips), "parse_floor": settings.parse_floor},
        "directions": {
            target: {
                "layer": latents[target].layer,
                "latent": latents[target].latent,
                "coefficients": [one.as_json() for one in sorted(found[target], key=lambda one: one.coefficient)],
            }
            for target in TARGETS
        },
        "selected": selected,
    }
    write_json(out / SUMMARY, summary)
    rows = stage_rows(bench, STAGE)
    write_rows(out / "coefficients.parquet", rows)
    kept = rows[rows["program"].isin(problems)]
    prompts = {problem.id: problem.prompt for problem in bench.material.problems}
    write_coefficient_files(summary, flips(stage_rows(bench, "baseline"), kept, prompts), out)
    return summary


def redraw_coefficients(out: Path) -> Path:
    """Draw the figure and the page of the stage again, with the selection as it is now; returns the page's path.

    Raises: RunError when the stage has not been done in `out`.
    """
    selected = read_selected(out)
    try:
        summary = json.loads((out / SUMMARY).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{out / SUMMARY} cannot be read ({error}): run the stage coefficients again.") from None
    return draw_coefficient_files({**summary, "selected": selected}, read_flips(out), out)


def flips(baseline: pd.DataFrame, rows: pd.DataFrame, prompts: Mapping[str, str]) -> dict[str, dict[float, list[Any]]]:
    """Per target and coefficient the programs that changed between passing and failing, with the code before and after.

    A coefficient without a flip has an empty list.
    """
    plain = {row["program"]: row for row in baseline.to_dict("records")}
    found: dict[str, dict[float, list[Any]]] = {}
    for row in rows.sort_values(["target", "coefficient", "program"]).to_dict("records"):
        entries = found.setdefault(row["target"], {}).setdefault(float(row["coefficient"]), [])
        before = plain.get(row["program"])
        if before is None or None in (before["passed"], row["passed"]) or before["passed"] == row["passed"]:
            continue
        entries.append(
            {
                "problem": row["program"],
                "complexity": int(row["complexity"]),
                "flip": "corrected" if row["passed"] else "corrupted",
                "prompt": prompts[row["program"]],
                "before": before["body"],
                "after": row["body"],
                "reason_before": before["reason"],
                "reason_after": row["reason"],
            }
        )
    return found
