"""steerlab run vulnerability-detection."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from steerlab import console
from steerlab.commands.options import (
    AsJson,
    Device,
    Dtype,
    LayerSets,
    ModelName,
    Out,
    Pairs,
    Preset,
    Resume,
    Revision,
    SettingsFile,
    Trust,
)

if TYPE_CHECKING:
    from steerlab.commands.study_files import Asked

NAME = "vulnerability-detection"


def run_detection(
    model: ModelName = "",
    pairs: Pairs = "",
    out: Out = "",
    resume: Resume = False,
    workers: Annotated[
        str, typer.Option(help="local, ray (one actor per GPU; RAY_ADDRESS: a cluster) or ray:N (N actors).")
    ] = "",
    as_json: AsJson = False,
    limit: Annotated[int, typer.Option(help="About this many programs (whole groups); 0: all.", min=0)] = 0,
    preset: Preset = "",
    settings: SettingsFile = "",
    layers: LayerSets = "",
    coefficients: Annotated[str, typer.Option(help="For example --coefficients=-4,-2,2,4.")] = "",
    methods: Annotated[str, typer.Option(help="Direction methods, for example mean_difference,logistic.")] = "",
    operations: Annotated[str, typer.Option(help="Of add, ablate, clamp, add_preserving_norm.")] = "",
    positions: Annotated[str, typer.Option(help="Where to steer; by default from_last_prompt_token.")] = "",
    dose: Annotated[str, typer.Option(help="absolute, unit_norm or residual_norm.")] = "",
    search: Annotated[str, typer.Option(help="grid, or for example random:40 (cells drawn from the grid).")] = "",
    selection: Annotated[str, typer.Option(help="nested (all folds are tested) or split (only the first).")] = "",
    scope: Annotated[str, typer.Option(help="pooled (one vector) or per_cwe.")] = "",
    tune: Annotated[str, typer.Option(help="all (one cell for all CWEs) or per_cwe.")] = "",
    max_kl: Annotated[float, typer.Option(help="Largest side effect of a chosen cell, nats per token.", min=0.0)] = 0.0,
    max_perplexity: Annotated[
        float, typer.Option(help="Largest perplexity of ordinary code, times the unsteered, such as 1.1.", min=0.0)
    ] = 0.0,
    analyses: Annotated[
        str, typer.Option(help="Of transfer, samples, gate, side_effects, screening; or none. By default all.")
    ] = "",
    cwes: Annotated[str, typer.Option(help="Only these, for example CWE-22,CWE-787.")] = "",
    templates: Annotated[str, typer.Option(help="A file of question templates.")] = "",
    folds: Annotated[int, typer.Option(help="Outer folds.", min=0)] = 0,
    draws: Annotated[int, typer.Option(help="Random and shuffled vectors per fold.", min=0)] = 0,
    seed: Annotated[int, typer.Option(help="Seed of folds, draws and controls.")] = 0,
    dtype: Dtype = "",
    device: Device = "",
    revision: Revision = "",
    trust_remote_code: Trust = False,
) -> None:
    """Does steering make the model tell vulnerable from patched programs, or only say one of them more often?"""
    from steerlab.commands.study_files import asked_for

    given: dict[str, Any] = {
        "model": model,
        "pairs": pairs,
        "out": out,
        "workers": workers,
        "limit": limit,
        "layers": console.words(layers),
        "coefficients": console.numbers(coefficients, option="--coefficients") if coefficients else (),
        "methods": console.words(methods),
        "operations": console.words(operations),
        "positions": console.words(positions),
        "dose": dose,
        "search": search,
        "selection": selection,
        "scope": scope,
        "tune": tune,
        "max_kl": max_kl,
        "max_perplexity": max_perplexity,
        "analyses": console.words(analyses),
        "cwes": console.words(cwes),
        "templates": templates,
        "folds": folds,
        "draws": draws,
        "seed": seed,
        "dtype": dtype,
        "device": device,
        "revision": revision,
    }
    needed = {"model": "--model embedded", "pairs": "--pairs starter"}
    asked = asked_for(NAME, given, preset=preset, file=settings, trust_remote_code=trust_remote_code, needed=needed)
    console.print_study(*perform(asked, resume=resume), as_json=as_json)


def perform(asked: Asked, *, resume: bool) -> tuple[dict[str, Any], Path]:
    """Run the study as it was asked for: its summary and its directory."""
    from steerlab.commands.study_files import make_settings, run_directory
    from steerlab.models import load_model
    from steerlab.sources import load_source
    from steerlab.studies.ray_workers import choose_workers
    from steerlab.studies.vulnerability_detection import run as run_study

    performing = choose_workers(asked.workers, asked.load)
    out = run_directory(NAME, asked.out, resume=resume, now=time.strftime("%Y%m%d-%H%M%S"))
    source = load_source(asked.settings["pairs"])
    model = load_model(asked.settings["model"], **asked.load)
    given = asked.settings
    if given.get("analyses") == ("none",):
        given = given | {"analyses": ()}
    settings = make_settings(NAME, given)
    console.errors().print(f"run directory: {out}", markup=False)
    with console.progress() as step:
        return run_study(settings, model, source, out, resume=resume, step=step, workers=performing), out
