"""bake: a checkpoint with steering in its weights. equivalence: the same steering held against several engines."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from steerlab import console
from steerlab.commands.options import AsJson, Device, Dose, Dtype, Layers, ModelName, Operation, Revision, Trust

if TYPE_CHECKING:
    from steerlab.equivalence import Equivalence
    from steerlab.interventions import Intervention
    from steerlab.models import Model

Vector = Annotated[Path, typer.Option(help="A steering vector file.")]
Coefficient = Annotated[str, typer.Option(help="The dose, in the operation's unit.")]


def bake(
    vector: Vector,
    out: Annotated[Path, typer.Option(help="A new directory for the folded checkpoint.")],
    model: ModelName = "embedded",
    coefficient: Coefficient = "1",
    layers: Layers = "",
    operation: Operation = "add",
    dose: Dose = "absolute",
    as_json: AsJson = False,
    dtype: Dtype = "auto",
    device: Device = "auto",
    revision: Revision = "",
    trust_remote_code: Trust = False,
) -> None:
    """Fold steering into the weights: a Hugging Face directory for any engine, checked against hooks, or refused.

    --operation add: a constant at all positions. --operation ablate: the direction of one layer (--layers) is removed
    from everything that is written to the residual stream.
    """
    from steerlab.bake import fold
    from steerlab.models import load_model

    found = load_model(
        model, dtype=dtype, device=device, revision=revision or None, trust_remote_code=trust_remote_code
    )
    intervention = _intervention(found, vector, coefficient=coefficient, layers=layers, operation=operation, dose=dose)
    folded = fold(found, intervention, out)
    facts = {**asdict(folded), "directory": str(folded.directory), "changed": list(folded.changed)}
    if as_json:
        console.print_json(facts)
        return
    shown: dict[str, Any] = {
        "directory": folded.directory,
        "how": folded.how,
        "tensors": f"{len(folded.changed)} changed or added, stored in {folded.dtype}",
        "checked against": f"{folded.reference}, {folded.n_tokens} random tokens",
        "largest difference": f"{folded.difference:.2g} (logits); {folded.relative:.2g} of their standard deviation",
        "steering moves": f"up to {folded.moved:.2g} standard deviations",
    }
    if folded.from_layer_hooks is not None:
        shown["from layer hooks"] = f"{folded.from_layer_hooks:.2g} standard deviations: they ablate less than this"
    console.print_facts("folded", shown)


def equivalence(
    vector: Vector,
    model: ModelName = "embedded",
    coefficient: Coefficient = "1",
    layers: Layers = "",
    operation: Operation = "add",
    dose: Dose = "absolute",
    engines: Annotated[
        str, typer.Option(help="hooks, nnsight, folded, vllm, folded-vllm; separated by commas.")
    ] = "hooks,nnsight,folded",
    as_json: AsJson = False,
    dtype: Dtype = "auto",
    device: Device = "auto",
    revision: Revision = "",
    trust_remote_code: Trust = False,
) -> None:
    """Ask several engines for the same steering: 20 greedy completions and log-likelihoods; exit 1 when one differs."""
    from steerlab.equivalence import compare_engines
    from steerlab.models import load_model

    found = load_model(
        model, dtype=dtype, device=device, revision=revision or None, trust_remote_code=trust_remote_code
    )
    intervention = _intervention(found, vector, coefficient=coefficient, layers=layers, operation=operation, dose=dose)
    with console.progress() as step:
        compared = compare_engines(found, intervention, console.words(engines), progress=step)
    if as_json:
        console.print_json(asdict(compared))
    else:
        _print_table(compared)
    if any(result.status == "differs" for result in compared.results):
        raise typer.Exit(1)


def _intervention(
    model: Model, vector: Path, *, coefficient: str, layers: str, operation: str, dose: str
) -> Intervention:
    from steerlab.bake import everywhere
    from steerlab.formats.safetensors_file import load_vector
    from steerlab.interventions import Intervention
    from steerlab.steering import check

    steering = load_vector(vector)
    if layers:
        steering = steering.at(console.layers(layers, n_layers=model.n_layers))
    if operation == "ablate":
        steering = everywhere(steering, model)
    factor = console.number(coefficient, option="--coefficient")
    intervention = Intervention(vector=steering, coefficient=factor, operation=operation, dose=dose)  # type: ignore[arg-type]
    check(model, [intervention])
    return intervention


def _print_table(compared: Equivalence) -> None:
    from rich.table import Table

    n_prompts = compared.results[0].n_prompts
    table = Table(title=f"The same steering, {n_prompts} prompts, against hooks", title_justify="left", box=None)
    for heading in ("engine", "result", "same completions", "largest log-likelihood difference", "seconds"):
        table.add_column(heading, justify="left" if heading in ("engine", "result") else "right")
    for result in compared.results:
        table.add_row(
            result.engine,
            result.status,
            "–" if result.same_tokens is None else f"{result.same_tokens} of {result.n_prompts}",
            "–" if result.largest_difference is None else f"{result.largest_difference:.1e}",
            "–" if result.seconds is None else f"{result.seconds:.1f}",
        )
    screen = console.output()
    screen.print(table)
    for result in compared.results:
        if result.reason:
            screen.print(f"{result.engine}: {result.reason}", markup=False)
    screen.print(
        f"equal: all completions the same, log-likelihoods within {compared.tolerance:g}. Steering itself changes "
        f"{compared.moved_completions} of {n_prompts} completions and log-likelihoods by up to {compared.moved:.2g}.",
        markup=False,
    )
