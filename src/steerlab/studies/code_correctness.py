"""Track C: which latents predict that the program about to be written passes, and does steering with them help?"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from steerlab.errors import OptionError, RunError, nearest
from steerlab.latents.loading import check_fits
from steerlab.models import Model
from steerlab.report import verdict, write_report
from steerlab.results import command_line, open_run, write_json
from steerlab.statistics import wilson
from steerlab.studies.attention_change import attention_stage
from steerlab.studies.correctness_coefficients import coefficients_stage, redraw_coefficients
from steerlab.studies.correctness_effect import effect_rows, effect_stage
from steerlab.studies.correctness_latents import latents_stage
from steerlab.studies.correctness_material import (
    Bench,
    CorrectnessMaterial,
    CorrectnessSettings,
    Step,
    prepare_correctness,
)
from steerlab.studies.correctness_summary import summarise_correctness
from steerlab.studies.correctness_writing import UNSTEERED, Writer, stage_rows, write_rows
from steerlab.studies.writing import writing
from steerlab.tasks.problem_sets import problems_sha256
from steerlab.tasks.problems import Problem
from steerlab.tasks.splits import SPLITS

if TYPE_CHECKING:
    from steerlab.latents import SparseAutoencoder

NAME = "code-correctness"

# Stage -> the file that says that it has been done.
STAGES: Mapping[str, str] = {
    "problems": "splits.json",
    "baseline": "baseline.json",
    "latents": "latents.json",
    "coefficients": "selected_coefficients.json",
    "effect": "result.json",
}

# Settings that take less than a minute on the embedded model: for the quickstart.
SMALL: Mapping[str, Any] = {
    "bands": (3, 4),
    "limit": 60,
    "coefficients": (10.0, 30.0, 100.0),
    "per_coefficient": 6,
    "draws": 1,
    "max_new_tokens": 64,
}


def run_correctness(
    settings: CorrectnessSettings,
    model: Model,
    problems: Sequence[Problem],
    autoencoders: Sequence[SparseAutoencoder],
    out: Path,
    *,
    resume: bool = False,
    first: str = "problems",
    last: str = "effect",
    window: tuple[int, int | None] = (0, None),
    step: Step | None = None,
) -> dict[str, Any]:
    """Run the stages `first` to `last` in the directory `out`; returns the summary (of the last stage, if not effect).

    Every stage finds the files of those before it in `out`, goes on where it was interrupted, and writes its files
    whole. `window` (start, end): of the problems that a stage goes over (baseline: all; coefficients: tuning; effect:
    analysis) those from start on and before end. Starting later than `problems` opens the run that is there.
    Raises: OptionError for an unknown stage or window; RunError when an earlier stage is missing; SteerlabError.
    """
    chosen = _stages(first, last)
    _check_window(window)
    for stage in list(STAGES)[: list(STAGES).index(first)]:
        if not (out / STAGES[stage]).is_file():
            raise RunError(
                f"{out} has no {STAGES[stage]}: the stage {stage} has not been done there. Run it first "
                f"(--from {stage})."
            )
    for autoencoder in autoencoders:
        check_fits(model, autoencoder)  # here, not in the stage that uses it: the baseline takes hours
    with writing(settings.engine, model) as write:
        material = prepare_correctness(settings, model, problems, write=write)
        with open_run(
            out,
            settings={"study": NAME, **asdict(settings)},
            facts=_facts(material, autoencoders),
            resume=resume or first != "problems",
            command=command_line(),
        ) as opened:
            bench = Bench(
                opened=opened, material=material, step=step or (lambda what, done, total: None), window=window
            )
            summary: dict[str, Any] = {}
            for stage in chosen:
                summary = _perform(stage, bench, autoencoders)
                opened.flush()
            return {"study": NAME, "stages": list(chosen), **summary}


def redraw(out: Path) -> Path:
    """Draw the figures and pages of a run again from its files, without computing; returns the report's path.

    Raises: RunError when neither the stage coefficients nor effect has been done in `out`.
    """
    drawn = redraw_coefficients(out)
    if (out / "result.json").is_file():
        summary = json.loads((out / "result.json").read_text("utf-8"))
        return write_report(summary, pd.DataFrame(), out)
    return drawn


def _stages(first: str, last: str) -> tuple[str, ...]:
    for name in (first, last):
        if name not in STAGES:
            raise OptionError(f"stage {name!r} does not exist. {nearest(name, STAGES)}")
    names = list(STAGES)
    if names.index(first) > names.index(last):
        raise OptionError(f"stage {first} comes after {last}: give --from and --until in the order {', '.join(names)}.")
    return tuple(names[names.index(first) : names.index(last) + 1])


def _check_window(window: tuple[int, int | None]) -> None:
    start, end = window
    if start < 0 or (end is not None and end <= start):
        raise OptionError(f"problems {start} to {end}: --start is 0 or more and --end lies above it.")


def _facts(material: CorrectnessMaterial, autoencoders: Sequence[SparseAutoencoder]) -> dict[str, Any]:
    return {
        "data_sha256": problems_sha256((*material.problems, *material.too_long)),
        "model_sha256": material.model.fingerprint.sha256,
        "dtype": material.model.dtype_name,
        "sae_sha256": [autoencoder.sha256 for autoencoder in autoencoders],
        "layers": [autoencoder.layer for autoencoder in autoencoders],
        "max_new_tokens": material.decoding.max_new_tokens,
    }


def _perform(stage: str, bench: Bench, autoencoders: Sequence[SparseAutoencoder]) -> dict[str, Any]:
    stages: Mapping[str, Callable[[], dict[str, Any]]] = {
        "problems": lambda: _problems_stage(bench),
        "baseline": lambda: _baseline_stage(bench),
        "latents": lambda: latents_stage(bench, autoencoders),
        "coefficients": lambda: coefficients_stage(bench),
        "effect": lambda: _effect(bench),
    }
    return stages[stage]()


def _problems_stage(bench: Bench) -> dict[str, Any]:
    """Write problems.parquet and splits.json."""
    material, out = bench.material, bench.opened.path
    long = {problem.id for problem in material.too_long}
    rows = [
        {
            "program": problem.id,
            "source": problem.source,
            "split": material.splits[problem.id],
            "complexity": problem.complexity,
            "band": problem.band,
            "entry": problem.entry,
            "prompt": problem.prompt,
            "fits": problem.id not in long,
        }
        for problem in (*material.problems, *material.too_long)
    ]
    write_rows(out / "problems.parquet", pd.DataFrame(rows))
    splits = {split: sorted(name for name, own in material.splits.items() if own == split) for split in SPLITS}
    write_json(out / "splits.json", {"seed": material.settings.seed, "splits": splits, "too_long": sorted(long)})
    return {
        "n_problems": len(rows),
        "n_too_long": len(long),
        "n_by_split": {split: len(names) for split, names in splits.items()},
    }


def _baseline_stage(bench: Bench) -> dict[str, Any]:
    """Greedy completions of the problems in the window, judged; baseline.parquet and baseline.json."""
    problems = bench.own(bench.material.problems)
    if not problems:
        raise OptionError(f"--start {bench.window[0]} lies behind the last of {len(bench.material.problems)} problems.")
    Writer(bench, "baseline").write([UNSTEERED], problems, what=f"{len(problems)} programs without steering")
    rows = stage_rows(bench, "baseline")
    prompts = {problem.id: problem.prompt for problem in bench.material.problems}
    rows["prompt"] = [prompts[name] for name in rows["program"]]
    write_rows(bench.opened.path / "baseline.parquet", rows)
    summary = {
        "n_baseline": len(rows),
        "pass_rate": _pass_rate(bench, rows),
        "pass_rate_by_band": {str(band): _pass_rate(bench, own) for band, own in rows.groupby("band")},
        "pass_rate_by_split": {str(split): _pass_rate(bench, own) for split, own in rows.groupby("split")},
    }
    write_json(bench.opened.path / "baseline.json", summary)
    return summary


def _pass_rate(bench: Bench, rows: pd.DataFrame) -> dict[str, Any]:
    known = [bool(outcome) for outcome in rows["passed"] if outcome is not None]
    level = bench.material.settings.level
    return asdict(wilson(sum(known), len(known), n_unscored=len(rows) - len(known), level=level))


def _effect(bench: Bench) -> dict[str, Any]:
    """Write the programs of every arm, measure attention, summarise; effect.parquet, result.json, report.html."""
    effect_stage(bench)
    attention_stage(bench)
    arms = effect_rows(bench)
    write_rows(bench.opened.path / "effect.parquet", pd.concat([part.assign(arm=n) for n, part in arms.items()]))
    summary = summarise_correctness(bench, arms)
    summary["verdict"] = verdict(summary)
    bench.opened.finish(summary)
    summary = {**summary, "manifest": bench.opened.manifest}
    write_report(summary, pd.DataFrame(), bench.opened.path)
    return summary
