"""steerlab run code-correctness, and select: a person's choice of a coefficient."""

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
    Layers,
    ModelName,
    Out,
    Preset,
    Resume,
    Revision,
    SettingsFile,
    Trust,
)

if TYPE_CHECKING:
    from steerlab.commands.study_files import Asked

NAME = "code-correctness"
NEEDED = {"model": "--model embedded", "sae": "--sae embedded", "problems": "--problems exercises"}


def run_correctness(
    model: ModelName = "",
    sae: Annotated[
        str, typer.Option(help="embedded, a directory or file of a sparse autoencoder, or a released name (sae-lens).")
    ] = "",
    problems: Annotated[str, typer.Option(help="exercises, mbpp:PATH, mbpp-sanitized:PATH or humaneval:PATH.")] = "",
    out: Out = "",
    resume: Resume = False,
    first: Annotated[
        str, typer.Option("--from", help="Begin at: problems, baseline, latents, coefficients or effect.")
    ] = "problems",
    last: Annotated[str, typer.Option("--until", help="End after this stage.")] = "effect",
    start: Annotated[int, typer.Option(help="Of the problems that a stage goes over, from this one on.", min=0)] = 0,
    end: Annotated[int, typer.Option(help="... and before this one; 0: to the last.", min=0)] = 0,
    figures_only: Annotated[
        bool, typer.Option("--figures-only", help="Draw figures and pages of --out again; compute nothing.")
    ] = False,
    as_json: AsJson = False,
    preset: Preset = "",
    settings: SettingsFile = "",
    bands: Annotated[str, typer.Option(help="Only problems of these bands of complexity, for example 3,4.")] = "",
    limit: Annotated[int, typer.Option(help="So many problems, spread over complexity; 0: all.", min=0)] = 0,
    layers: Layers = "",
    correct: Annotated[str, typer.Option(help="The correct-predicting latent by hand, LAYER:LATENT.")] = "",
    incorrect: Annotated[str, typer.Option(help="The incorrect-predicting latent by hand, LAYER:LATENT.")] = "",
    coefficients: Annotated[str, typer.Option(help="By default 1,3,10,30,100,300,1000.")] = "",
    per_coefficient: Annotated[int, typer.Option(help="Problems tried at each coefficient (10).", min=0)] = 0,
    refine: Annotated[int, typer.Option(help="Coefficients more by golden section around the best.", min=0)] = 0,
    flips: Annotated[str, typer.Option(help="Flip rates that the rule allows, by default 0.2,0.6.")] = "",
    parse_floor: Annotated[float, typer.Option(help="Smallest parse rate that the rule allows (0.8).", min=0.0)] = 0.0,
    general_limit: Annotated[
        float, typer.Option(help="Drop latents active on more of the tokens of ordinary code (0.02).", min=0.0)
    ] = 0.0,
    draws: Annotated[int, typer.Option(help="Random latents and directions each (3).", min=0)] = 0,
    max_new_tokens: Annotated[int, typer.Option(help="By default what the problem set needs.", min=0)] = 0,
    engine: Annotated[str, typer.Option(help="Who writes: hooks (by default), or vllm with the same steering.")] = "",
    seed: Annotated[int, typer.Option(help="Seed of splits, draws and controls.")] = 0,
    dtype: Dtype = "",
    device: Device = "",
    revision: Revision = "",
    trust_remote_code: Trust = False,
) -> None:
    """Which latents predict that the program about to be written passes, and does steering with them help?"""
    from steerlab.commands.study_files import asked_for

    if figures_only:
        _redraw(out, as_json=as_json)
        return
    given: dict[str, Any] = {
        "model": model,
        "sae": sae,
        "problems": problems,
        "out": out,
        "bands": console.layers(bands, n_layers=0),
        "limit": limit,
        "layers": () if layers == "all" else console.layers(layers, n_layers=0),
        "correct": correct,
        "incorrect": incorrect,
        "coefficients": console.numbers(coefficients, option="--coefficients") if coefficients else (),
        "per_coefficient": per_coefficient,
        "refine": refine,
        "flips": console.numbers(flips, option="--flips") if flips else (),
        "parse_floor": parse_floor,
        "general_limit": general_limit,
        "draws": draws,
        "max_new_tokens": max_new_tokens,
        "engine": engine,
        "seed": seed,
        "dtype": dtype,
        "device": device,
        "revision": revision,
    }
    asked = asked_for(NAME, given, preset=preset, file=settings, trust_remote_code=trust_remote_code, needed=NEEDED)
    summary, where = perform(asked, resume=resume, stages=(first, last), window=(start, end or None))
    if last == "effect":
        console.print_study(summary, where, as_json=as_json)
    elif as_json:
        console.print_json({**summary, "out": str(where)})
    else:
        plain = {key: value for key, value in summary.items() if not isinstance(value, dict | list)}
        console.print_facts(f"{NAME} until {last}", {**plain, "out": where})


def perform(
    asked: Asked,
    *,
    resume: bool,
    stages: tuple[str, str] = ("problems", "effect"),
    window: tuple[int, int | None] = (0, None),
) -> tuple[dict[str, Any], Path]:
    """Run the stages as they were asked for: the summary of the last one, and the run's directory."""
    from steerlab.commands.study_files import make_settings, run_directory
    from steerlab.latents import load_saes
    from steerlab.models import load_model
    from steerlab.studies.code_correctness import run_correctness as run_study
    from steerlab.tasks.problem_sets import load_problems

    goes_on = resume or stages[0] != "problems"
    out = run_directory(NAME, asked.out, resume=goes_on, now=time.strftime("%Y%m%d-%H%M%S"))
    settings = make_settings(NAME, asked.settings)
    problems = load_problems(settings.problems)
    autoencoders = load_saes(settings.sae, layers=settings.layers)
    model = load_model(settings.model, **asked.load)
    console.errors().print(f"run directory: {out}", markup=False)
    with console.progress() as step:
        summary = run_study(
            settings,
            model,
            problems,
            autoencoders,
            out,
            resume=resume,
            first=stages[0],
            last=stages[1],
            window=window,
            step=step,
        )
    return summary, out


def _redraw(out: str, *, as_json: bool) -> None:
    from steerlab.errors import OptionError
    from steerlab.studies.code_correctness import redraw

    if not out:
        raise OptionError("--figures-only needs --out: say which run is drawn again.")
    page = redraw(Path(out))
    console.print_json({"out": out, "page": str(page)}) if as_json else console.print_facts("drawn", {"page": page})


def select(
    run_directory: Annotated[Path, typer.Argument(help="A run with the stage coefficients done.", metavar="RUN")],
    coefficient: Annotated[str, typer.Option(help="The coefficient to steer with.")],
    reason: Annotated[str, typer.Option(help="Why: it is kept beside the rule's reason.")],
    direction: Annotated[str, typer.Option(help="correct or incorrect: which latent's.")] = "correct",
    as_json: AsJson = False,
) -> None:
    """Choose a coefficient by hand, after a look at coefficient_examples/index.html; the stage effect uses it."""
    from steerlab.studies.code_correctness import redraw
    from steerlab.studies.selected_coefficients import select_by_hand

    value = console.number(coefficient, option="--coefficient")
    entry = select_by_hand(run_directory, value, reason=reason, target=direction)
    redraw(run_directory)
    if as_json:
        console.print_json({"direction": direction, **entry})
        return
    facts = {
        "by hand": f"{entry['value']:g}: {entry['reason']}",
        "by rule": f"{entry['rule']['value']:g}: {entry['rule']['reason']}",
        "next": f"steerlab run {NAME} ... --from effect --out {run_directory}",
    }
    console.print_facts(f"{direction}-predicting latent {entry['latent']}, layer {entry['layer']}", facts)
