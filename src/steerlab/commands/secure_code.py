"""steerlab run secure-code: does steering make the model write code that is secure and still works?"""

from __future__ import annotations

import time
from dataclasses import replace
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

NAME = "secure-code"


def run_secure_code(
    model: ModelName = "",
    tasks: Annotated[
        str, typer.Option(help="What is completed: starter (with tests), cyberseceval:PATH or sven-scenarios:PATH.")
    ] = "",
    pairs: Pairs = "",
    out: Out = "",
    resume: Resume = False,
    as_json: AsJson = False,
    language: Annotated[str, typer.Option(help="Only tasks in this language, for example python.")] = "",
    cwes: Annotated[str, typer.Option(help="Only tasks of these, for example CWE-22,CWE-89.")] = "",
    limit: Annotated[int, typer.Option(help="So many tasks, the CWEs in turn; 0: all.", min=0)] = 0,
    max_pairs: Annotated[int, typer.Option(help="So many pairs, drawn at random; 0: all.", min=0)] = 0,
    analysers: Annotated[str, typer.Option(help="Who judges tasks without tests; by default all that are here.")] = "",
    preset: Preset = "",
    settings: SettingsFile = "",
    layers: LayerSets = "",
    coefficients: Annotated[str, typer.Option(help="For example --coefficients=0.1,0.2,0.4.")] = "",
    methods: Annotated[str, typer.Option(help="Direction methods, for example mean_difference,logistic.")] = "",
    contrast: Annotated[
        str, typer.Option(help="Tokens that pairs are contrasted at: differing, whole (completion); by default both.")
    ] = "",
    operations: Annotated[str, typer.Option(help="Of add, ablate, clamp, add_preserving_norm.")] = "",
    positions: Annotated[str, typer.Option(help="Where to steer; by default from_last_prompt_token.")] = "",
    dose: Annotated[str, typer.Option(help="residual_norm (by default), unit_norm or absolute.")] = "",
    search: Annotated[str, typer.Option(help="grid, or for example random:40 (cells drawn from the grid).")] = "",
    shortlist: Annotated[
        int | None, typer.Option(help="Set-ups written out at each coefficient, best margin first; 0: all.", min=0)
    ] = None,
    scope: Annotated[str, typer.Option(help="pooled (one vector) or per_family.")] = "",
    selection: Annotated[str, typer.Option(help="nested (all folds are tested) or split (only the first).")] = "",
    curve: Annotated[str, typer.Option(help="Fewer pairs, measured by margin or completions; or none.")] = "",
    samples: Annotated[int, typer.Option(help="Completions per task in every tested arm.", min=0)] = 0,
    temperature: Annotated[float | None, typer.Option(help="0 is greedy, with one sample.", min=0.0)] = None,
    max_new_tokens: Annotated[int, typer.Option(help="Longest completion.", min=0)] = 0,
    folds: Annotated[int, typer.Option(help="Outer folds.", min=0)] = 0,
    draws: Annotated[int, typer.Option(help="Random and shuffled vectors per fold.", min=0)] = 0,
    engine: Annotated[str, typer.Option(help="Who writes: hooks (by default), or vllm with the same steering.")] = "",
    seed: Annotated[int, typer.Option(help="Seed of folds, samples, draws and controls.")] = 0,
    dtype: Dtype = "",
    device: Device = "",
    revision: Revision = "",
    trust_remote_code: Trust = False,
) -> None:
    """Does steering make the model write code that is secure and still works?"""
    from steerlab.commands.study_files import asked_for

    given: dict[str, Any] = {
        "model": model,
        "tasks": tasks,
        "pairs": pairs,
        "out": out,
        "language": language,
        "cwes": console.words(cwes),
        "limit": limit,
        "max_pairs": max_pairs,
        "analysers": console.words(analysers),
        "layers": console.words(layers),
        "coefficients": console.numbers(coefficients, option="--coefficients") if coefficients else (),
        "methods": console.words(methods),
        "contrasts": console.words(contrast),
        "operations": console.words(operations),
        "positions": console.words(positions),
        "dose": dose,
        "search": search,
        "scope": scope,
        "selection": selection,
        "curve": curve,
        "samples": samples,
        "max_new_tokens": max_new_tokens,
        "folds": folds,
        "draws": draws,
        "engine": engine,
        "seed": seed,
        "dtype": dtype,
        "device": device,
        "revision": revision,
    }
    needed = {"model": "--model embedded", "tasks": "--tasks starter"}
    asked = asked_for(NAME, given, preset=preset, file=settings, trust_remote_code=trust_remote_code, needed=needed)
    may_be_zero = {"shortlist": shortlist, "temperature": temperature}
    own = asked.settings | {name: value for name, value in may_be_zero.items() if value is not None}
    console.print_study(*perform(replace(asked, settings=own), resume=resume), as_json=as_json)


def perform(asked: Asked, *, resume: bool) -> tuple[dict[str, Any], Path]:
    """Run the study as it was asked for: its summary and its directory."""
    from steerlab.commands.study_files import make_settings, run_directory
    from steerlab.errors import OptionError
    from steerlab.models import load_model
    from steerlab.sources import load_source
    from steerlab.studies.secure_code import run as run_study
    from steerlab.tasks.coding import load_tasks

    if asked.workers not in ("", "local"):
        raise OptionError(
            f"workers {asked.workers!r} do not exist for {NAME}: leave them out, it runs in this process."
        )
    settings = make_settings(NAME, asked.settings)
    out = run_directory(NAME, asked.out, resume=resume, now=time.strftime("%Y%m%d-%H%M%S"))
    tasks = load_tasks(
        settings.tasks,
        language=settings.language,
        cwes=settings.cwes,
        limit=settings.limit,
        analysers=settings.analysers,
    )
    source = load_source(settings.pairs_from)
    model = load_model(settings.model, **asked.load)
    console.errors().print(f"run directory: {out}", markup=False)
    with console.progress() as step:
        return run_study(settings, model, tasks, source, out, resume=resume, step=step), out
