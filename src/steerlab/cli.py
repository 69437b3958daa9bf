"""The command line: parse, call the library, print."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from steerlab import console
from steerlab.errors import OptionError, RunError, nearest

app = typer.Typer(
    name="steerlab",
    help="Steer code language models, with evidence: build a direction from contrast pairs, add it to the residual "
    "stream while the model runs, and find out whether it helped.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
vector_app = typer.Typer(no_args_is_help=True, help="Build and look at steering vectors.")
data_app = typer.Typer(no_args_is_help=True, help="List, check and fetch sources of contrast pairs.")
app.add_typer(vector_app, name="vector")
app.add_typer(data_app, name="data")
sandbox_app = typer.Typer(no_args_is_help=True, help="The sandbox that runs untrusted code.")
app.add_typer(sandbox_app, name="sandbox")

ModelName = Annotated[str, typer.Option("--model", help="Hugging Face directory or hub name, or: embedded.")]
Pairs = Annotated[str, typer.Option("--pairs", help="starter, fresh, secllmholmes:PATH, sven:PATH or jsonl:FILE.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Dtype = Annotated[str, typer.Option("--dtype", help="auto, float32, bfloat16 or float16.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, ... or spread (over all devices).")]
Revision = Annotated[str, typer.Option("--revision", help="Branch, tag or commit on the hub.")]
Trust = Annotated[
    bool, typer.Option("--trust-remote-code", help="Let the model's own Python code run. Off by default.")
]
Layers = Annotated[str, typer.Option("--layers", help="all, or for example 2,4 (0-based).")]
LayerSets = Annotated[
    str, typer.Option("--layers", help="all, 2,4 or sets that are steered at once: 4,12,4+12+20. 0-based; -1: last.")
]
Operation = Annotated[str, typer.Option(help="add, ablate, clamp or add_preserving_norm.")]
PositionsOption = Annotated[
    str, typer.Option("--positions", help="all, prompt, completion, last_prompt_token or from_last_prompt_token.")
]
Dose = Annotated[str, typer.Option(help="absolute (factor on the direction), unit_norm or residual_norm.")]


@app.command()
def quickstart(
    out: Annotated[str, typer.Option(help="Run directory; by default a new one below runs/.")] = "",
    as_json: AsJson = False,
) -> None:
    """Vulnerability detection on the embedded model and the starter pairs, with a report at the end."""
    _run_detection({"model": "embedded", "pairs": "starter"}, out=out, resume=False, as_json=as_json, load={})


@app.command()
def run(
    study: Annotated[str, typer.Argument(help="vulnerability-detection, or a TOML file that names study and options.")],
    model: ModelName = "",
    pairs: Pairs = "",
    out: Annotated[str, typer.Option(help="Run directory; by default a new one below runs/.")] = "",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run in --out.")] = False,
    workers: Annotated[
        str, typer.Option(help="local, ray (one actor per GPU; RAY_ADDRESS: a cluster) or ray:N (N actors).")
    ] = "",
    as_json: AsJson = False,
    limit: Annotated[int, typer.Option(help="About this many programs (whole groups); 0: all.", min=0)] = 0,
    preset: Annotated[str, typer.Option(help="Settings of a preset (see steerlab presets); options overrule it.")] = "",
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
    """Run a study from data to verdict: rows, result.json and report.html in --out."""
    given: dict[str, Any] = {
        "model": model,
        "pairs": pairs,
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
        "analyses": console.words(analyses),
        "cwes": console.words(cwes),
        "templates": templates,
        "folds": folds,
        "draws": draws,
        "seed": seed,
    }
    load: dict[str, Any] = {"dtype": dtype, "device": device, "revision": revision}
    load = {key: value for key, value in load.items() if value} | {"trust_remote_code": trust_remote_code}
    study, from_file = _study(study, preset)
    chosen = from_file | {key: value for key, value in given.items() if value}
    out = out or str(chosen.pop("out", ""))
    chosen.pop("out", None)
    workers = workers or str(chosen.get("workers", ""))
    chosen.pop("workers", None)
    for key in ("dtype", "device", "revision"):
        if key in chosen:
            load.setdefault(key, chosen.pop(key))
    for key in ("model", "pairs"):
        if not chosen.get(key):
            raise OptionError(f"--{key} is missing: name one, for example --model embedded --pairs starter.")
    _run_detection(chosen, out=out, resume=resume, as_json=as_json, load=load, workers=workers)


def _study(name: str, preset: str) -> tuple[str, dict[str, Any]]:
    """The study and its settings from a name or a TOML file, on top of those of a preset."""
    from steerlab.presets import preset_file
    from steerlab.studies import STUDIES

    study, settings = _from_toml(preset_file(preset)) if preset else ("", {})
    if name.endswith(".toml"):
        named, own = _from_toml(Path(name))
    else:
        named, own = name, {}
    if named not in STUDIES:
        raise OptionError(f"study {named!r} does not exist. {nearest(named, STUDIES)}")
    if study and study != named:
        raise OptionError(f"preset {preset!r} is for the study {study}, not for {named}.")
    return named, settings | own


def _from_toml(path: Path) -> tuple[str, dict[str, Any]]:
    """The study that a file names, and its other keys as settings."""
    import tomllib
    from dataclasses import fields

    from steerlab.studies import STUDIES
    from steerlab.studies.detection_material import DetectionSettings

    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise OptionError(f"{path} cannot be read as TOML: {error}") from None
    study = found.pop("study", "")
    if study not in STUDIES:
        raise OptionError(f"{path}: study {study!r} does not exist. {nearest(str(study), STUDIES)}")
    known = {field.name for field in fields(DetectionSettings)} | {"out", "dtype", "device", "revision", "workers"}
    for key in found:
        if key not in known:
            raise OptionError(f"{path}: key {key!r} does not exist. {nearest(key, known)}")
    return study, {key: tuple(value) if isinstance(value, list) else value for key, value in found.items()}


@app.command()
def presets(
    name: Annotated[str, typer.Argument(help="A preset; without it, all are listed.")] = "",
    as_json: AsJson = False,
) -> None:
    """List the presets, or print one as the TOML file that it is: copy it, change it, run it."""
    from steerlab.presets import preset_file, preset_names

    if name:
        text = preset_file(name).read_text("utf-8")
        console.print_json({"name": name, "toml": text}) if as_json else sys.stdout.write(text)
        return
    found = {entry: preset_file(entry).read_text("utf-8").partition("\n")[0].lstrip("# ") for entry in preset_names()}
    console.print_json({"presets": found}) if as_json else console.print_facts("presets", found)


def _run_detection(
    given: dict[str, Any], *, out: str, resume: bool, as_json: bool, load: dict[str, Any], workers: str = ""
) -> None:
    from steerlab.models import load_model
    from steerlab.report import terminal_table
    from steerlab.sources import load_source
    from steerlab.studies.detection_material import DetectionSettings
    from steerlab.studies.ray_workers import choose_workers
    from steerlab.studies.vulnerability_detection import run as run_study

    performing = choose_workers(workers, load)
    if resume and not out:
        raise RunError("--resume needs --out: say which run goes on.")
    source = load_source(given["pairs"])
    found = load_model(given["model"], **load)
    if given.get("analyses") == ("none",):
        given = given | {"analyses": ()}
    try:
        settings = DetectionSettings(**given)
    except TypeError as error:
        raise OptionError(f"a setting has the wrong form: {error}") from None
    where = Path(out) if out else Path("runs") / f"vulnerability-detection-{time.strftime('%Y%m%d-%H%M%S')}"
    console.errors().print(f"run directory: {where}", markup=False)
    with console.progress() as step:
        summary = run_study(settings, found, source, where, resume=resume, step=step, workers=performing)
    report = where / "report.html"
    if as_json:
        console.print_json({**summary, "out": str(where), "report": str(report)})
        return
    screen = console.output()
    for table in terminal_table(summary):
        screen.print(table)
    screen.print(f"\n{summary['verdict']}", markup=False)
    screen.print(f"report: {report}", markup=False, soft_wrap=True)


@app.command()
def doctor(
    model: ModelName = "embedded",
    as_json: AsJson = False,
    dtype: Dtype = "auto",
    device: Device = "auto",
    revision: Revision = "",
    trust_remote_code: Trust = False,
) -> None:
    """Load a model and print what was found: architecture, layers, sizes, and the outcome of each check."""
    from steerlab.doctor import examine
    from steerlab.models import load_model

    found = load_model(
        model, dtype=dtype, device=device, revision=revision or None, trust_remote_code=trust_remote_code
    )
    facts = examine(found)
    if as_json:
        console.print_json(facts)
    else:
        console.print_facts(f"model {model}", facts)


@app.command()
def generate(
    prompt: Annotated[str, typer.Argument(help="What the model goes on from.")],
    vector: Annotated[Path, typer.Option(help="A steering vector file.")],
    model: ModelName = "embedded",
    coefficient: Annotated[str, typer.Option(help="The dose, in the operation's unit.")] = "1",
    layers: Layers = "",
    operation: Operation = "add",
    positions: PositionsOption = "all",
    dose: Dose = "absolute",
    max_new_tokens: Annotated[int, typer.Option(help="Tokens to write at most.", min=1)] = 64,
    temperature: Annotated[float, typer.Option(help="0 is greedy.", min=0.0)] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of the sampling.")] = 0,
    as_json: AsJson = False,
    dtype: Dtype = "auto",
    device: Device = "auto",
    revision: Revision = "",
    trust_remote_code: Trust = False,
) -> None:
    """Complete a prompt without and with steering, side by side."""
    from steerlab.formats.safetensors_file import load_vector
    from steerlab.generation import Decoding
    from steerlab.generation import generate as complete
    from steerlab.interventions import Intervention
    from steerlab.models import load_model
    from steerlab.steering import check

    factor = console.number(coefficient, option="--coefficient")
    steering = load_vector(vector)
    found = load_model(
        model, dtype=dtype, device=device, revision=revision or None, trust_remote_code=trust_remote_code
    )
    if layers:
        steering = steering.at(console.layers(layers, n_layers=found.n_layers))
    intervention = Intervention(
        vector=steering,
        coefficient=factor,
        operation=operation,
        positions=positions,  # type: ignore[arg-type]
        dose=dose,  # type: ignore[arg-type]
    )
    check(found, [intervention])
    decoding = Decoding(max_new_tokens=max_new_tokens, temperature=temperature, seed=seed)
    (plain,) = complete(found, [prompt], decoding=decoding)
    (steered,) = complete(found, [prompt], decoding=decoding, rows=[(intervention,)])
    if as_json:
        console.print_json(
            {
                "prompt": prompt,
                "unsteered": asdict(plain),
                "steered": asdict(steered),
                "differs": plain.tokens != steered.tokens,
                "coefficient": factor,
                "layers": list(steering.layers),
            }
        )
        return
    title = f"steered, coefficient {factor:g}, layers {', '.join(map(str, steering.layers))}"
    console.side_by_side([(prompt, plain.text, steered.text)], headings=("prompt", "unsteered", title))


@vector_app.command("build")
def vector_build(
    model: ModelName,
    pairs: Pairs,
    out: Annotated[Path, typer.Option(help="The file to write (.safetensors).")],
    method: Annotated[str, typer.Option(help="mean_difference, pca, logistic, ...")] = "mean_difference",
    layers: Layers = "all",
    positions: PositionsOption = "last_prompt_token",
    template: Annotated[
        str, typer.Option(help="Question template around each program, or none; auto: the first where CWEs are named.")
    ] = "auto",
    templates: Annotated[str, typer.Option(help="A file of question templates.")] = "",
    cwes: Annotated[str, typer.Option(help="Only pairs of these, for example CWE-22,CWE-787.")] = "",
    seed: Annotated[int, typer.Option(help="Seed of methods that draw.")] = 0,
    skip_long: Annotated[bool, typer.Option("--skip-long", help="Leave out pairs beyond the context.")] = False,
    as_json: AsJson = False,
    dtype: Dtype = "auto",
    device: Device = "auto",
    revision: Revision = "",
    trust_remote_code: Trust = False,
) -> None:
    """Build a steering vector from contrast pairs; a positive coefficient steers toward the patched side."""
    from steerlab.building import build_from_source
    from steerlab.formats.safetensors_file import save_vector
    from steerlab.models import load_model
    from steerlab.sources import load_source

    source = load_source(pairs)
    found = load_model(
        model, dtype=dtype, device=device, revision=revision or None, trust_remote_code=trust_remote_code
    )
    with console.progress() as step:
        steering = build_from_source(
            found,
            source,
            method=method,
            layers=console.layers(layers, n_layers=found.n_layers),
            positions=positions,
            template=template,
            templates=templates,
            cwes=console.words(cwes),
            seed=seed,
            too_long="skip" if skip_long else "error",
            step=step,
        )
    save_vector(steering, out)
    _print_vector({"file": str(out), **steering.describe()}, as_json=as_json)


@vector_app.command("show")
def vector_show(
    file: Annotated[Path, typer.Argument(help="A steering vector file.")],
    as_json: AsJson = False,
) -> None:
    """Print what a steering vector file holds: layers, norms, recipe, model."""
    from steerlab.formats.safetensors_file import load_vector

    _print_vector({"file": str(file), **load_vector(file).describe()}, as_json=as_json)


def _print_vector(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        console.print_json(facts)
        return
    shown = {key: facts[key] for key in ("file", "model", "recipe")}
    for layer in facts["layers"]:
        at = str(layer)
        residual, agreement = facts["residual_norms"].get(at), facts["agreement"].get(at)
        shown[f"layer {at}"] = f"norm {facts['norms'][at]:.4g}" + (
            f", residual norm {residual:.4g}, sign agrees on {agreement:.0%} of the pairs"
            if residual is not None and agreement is not None
            else ""
        )
    console.print_facts("steering vector", shown)


@data_app.command("list")
def data_list(as_json: AsJson = False) -> None:
    """The sources of contrast pairs: what they hold, their licence, how to get them."""
    from steerlab.sources import list_sources

    entries = list_sources()
    if as_json:
        console.print_json({"sources": entries})
        return
    for entry in entries:
        console.print_facts(str(entry["name"]), {k: v for k, v in entry.items() if k != "name"})


@data_app.command("check")
def data_check(
    source: Annotated[str, typer.Argument(help="starter, fresh, secllmholmes:PATH, sven:PATH or jsonl:FILE.")] = "",
    embedded: Annotated[bool, typer.Option("--embedded", help="Measure the embedded kit against its bars.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="With --embedded: less of each set, under a minute.")] = False,
    secllmholmes: Annotated[str, typer.Option(help="With --embedded: also on the benchmark in PATH.")] = "",
    sven: Annotated[str, typer.Option(help="With --embedded: also on SVEN's validation part in PATH.")] = "",
    out: Annotated[str, typer.Option(help="With --embedded: where the figure goes; by default below runs/.")] = "",
    as_json: AsJson = False,
) -> None:
    """Read a source whole and print its counts; the starter pairs are proven by running them.

    With --embedded: the bars of the embedded kit (model, pairs, exercises, tasks) in one table with intervals.
    """
    from steerlab.sources import check_source

    if embedded and not source:
        _check_kit(out=out, size="quick" if quick else "full", secllmholmes=secllmholmes, sven=sven, as_json=as_json)
        return
    if embedded or quick or secllmholmes or sven or out:
        raise OptionError("--quick, --secllmholmes, --sven and --out go with --embedded, which takes no source.")
    if not source:
        raise OptionError("name a source (for example starter), or give --embedded for the bars of the embedded kit.")
    facts = check_source(source)
    if as_json:
        console.print_json(facts)
    else:
        console.print_facts(source, facts)


def _check_kit(*, out: str, size: Literal["full", "quick"], secllmholmes: str, sven: str, as_json: bool) -> None:
    from steerlab.kit import check_kit
    from steerlab.kit.rows import terminal_table

    paths = {name: Path(path) for name, path in (("secllmholmes", secllmholmes), ("sven", sven)) if path}
    where = Path(out) if out else Path("runs") / f"kit-{time.strftime('%Y%m%d-%H%M%S')}"
    said = console.errors()
    found = check_kit(where, size=size, paths=paths, say=lambda text: said.print(text, markup=False))
    if as_json:
        console.print_json(found.as_json())
        return
    how_much = "quick: a part of each set" if size == "quick" else "full"
    title = f"The embedded kit against its bars ({how_much}; {found.facts['seconds']:.0f} s)"
    bars = found.facts["bars"]
    screen = console.output()
    screen.print(terminal_table(found.rows, title=title))
    screen.print(f"{bars['met']} bars met, {bars['not met']} not met", markup=False)
    screen.print(f"figure: {found.figure}", markup=False, soft_wrap=True)


@data_app.command("fetch")
def data_fetch(
    name: Annotated[str, typer.Argument(help="secllmholmes, sven, mbpp, humaneval or cyberseceval.")],
    out: Annotated[Path, typer.Option(help="A new directory.")],
    origin: Annotated[str, typer.Option(help="Another git repository or URL to fetch from (a mirror).")] = "",
    as_json: AsJson = False,
) -> None:
    """Get a data set at its pinned commit and verify its checksums."""
    from steerlab.sources.fetch import fetch

    found = fetch(name, out, origin=origin or None)
    facts = {key: str(value) if isinstance(value, Path) else value for key, value in asdict(found).items()}
    if as_json:
        console.print_json(facts)
    else:
        console.print_facts(f"fetched {name}", facts)


@sandbox_app.command("check")
def sandbox_check(as_json: AsJson = False) -> None:
    """Attack the sandbox on this machine (about a minute) and say what each attack did; exit 1 unless all were held."""
    from steerlab.sandbox import sandbox_check as check

    facts = check()
    if as_json:
        console.print_json(facts)
    else:
        attacks = {name: f"{'held' if a['held'] else 'NOT HELD'}: {a['what']}" for name, a in facts["attacks"].items()}
        console.print_facts("sandbox", {k: v for k, v in facts.items() if k != "attacks"} | attacks)
    if not facts["held"]:
        raise typer.Exit(1)


@app.command()
def report(
    run_directory: Annotated[Path, typer.Argument(help="A finished run directory.", metavar="RUN")],
    as_json: AsJson = False,
) -> None:
    """Write report.html of a finished run again and print its table."""
    from steerlab.report import terminal_table, write_report
    from steerlab.results import read_run

    summary, rows = read_run(run_directory)
    write_report(summary, rows, run_directory)
    if as_json:
        console.print_json({**summary, "report": str(run_directory / "report.html")})
        return
    screen = console.output()
    for table in terminal_table(summary):
        screen.print(table)
    screen.print(f"\n{summary['verdict']}", markup=False)
    screen.print(f"report: {run_directory / 'report.html'}", markup=False, soft_wrap=True)


def main() -> None:
    """Entry point: exit code 0, 1 (the user can mend it, one line) or 2 (usage)."""
    sys.exit(console.guarded(lambda: app(standalone_mode=False)))
