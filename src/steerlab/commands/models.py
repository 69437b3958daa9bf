"""doctor: what was found in a model. generate: a prompt completed without and with steering, side by side."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from steerlab import console
from steerlab.commands.options import (
    AsJson,
    Device,
    Dose,
    Dtype,
    Layers,
    ModelName,
    Operation,
    PositionsOption,
    Revision,
    Trust,
)


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
