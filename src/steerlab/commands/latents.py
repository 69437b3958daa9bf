"""steerlab latents: train sparse autoencoders on a model's residual stream, and look at them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from steerlab import console
from steerlab.commands.options import AsJson, Device, Dtype, ModelName, Revision, Trust
from steerlab.errors import OptionError

latents_app = typer.Typer(no_args_is_help=True, help="Train sparse autoencoders and look at them.")

MEASURED = 60  # held-out texts
SHARES = ("explained_variance", "l0", "loss", "loss_reconstructed", "recovered_zero", "recovered_mean")

Layer = Annotated[int, typer.Option("--layer", help="The layer whose output is read (0-based).")]


@latents_app.command("train")
def latents_train(
    model: ModelName,
    layer: Layer,
    out: Annotated[Path, typer.Option(help="The directory to write, in SAELens' form.")],
    texts: Annotated[str, typer.Option(help="A file or folder of code; by default Python's standard library.")] = "",
    latents: Annotated[int, typer.Option(help="How many latents; 0: eight times d_model.")] = 0,
    k: Annotated[int, typer.Option(help="Active latents per token (on average, for batchtopk).")] = 32,
    kind: Annotated[str, typer.Option(help="batchtopk (written as jumprelu) or topk.")] = "batchtopk",
    tokens: Annotated[int, typer.Option(help="How many residuals are shown.")] = 2_000_000,
    rate: Annotated[float, typer.Option(help="Adam's learning rate.")] = 1e-3,
    seed: Annotated[int, typer.Option(help="Seed of the start and of the order of texts.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted training in --out.")] = False,
    as_json: AsJson = False,
    dtype: Dtype = "auto",
    device: Device = "auto",
    revision: Revision = "",
    trust_remote_code: Trust = False,
) -> None:
    """Train a sparse autoencoder on the residual stream at one layer; prints its figures on held-out texts."""
    from steerlab.latents.measures import measure
    from steerlab.latents.texts import divided, read_texts
    from steerlab.latents.training import Report, TrainingSettings, train
    from steerlab.models import load_model
    from steerlab.ordinary import standard_library

    found = load_model(
        model, dtype=dtype, device=device, revision=revision or None, trust_remote_code=trust_remote_code
    )
    settings = TrainingSettings(
        layer=layer,
        n_latents=latents or 8 * found.d_model,
        k=k,
        kind=kind,
        tokens=tokens,
        rate=rate,
        seed=seed,
    )
    split = divided(read_texts(Path(texts).expanduser()) if texts else standard_library())
    with console.progress() as step:

        def show(report: Report) -> None:
            what = f"explained variance {report.explained_variance:.3f}, dead {report.dead:.3f}"
            step(what, report.tokens, report.total)

        autoencoder = train(found, split, settings, folder=out, resume=resume, step=show)
        held_out = split.held_out[:MEASURED]
        done = 0

        def count(n: int) -> None:
            nonlocal done
            done += n
            step("measuring on held-out texts", done, len(held_out))

        measures = measure(found, autoencoder, held_out, progress=count)
    facts = {"directory": str(out), **autoencoder.describe(), "measured_on": "held-out texts", **asdict(measures)}
    _print_autoencoder(facts, as_json=as_json)


@latents_app.command("show")
def latents_show(
    sae: Annotated[str, typer.Argument(help="A directory, a released name (needs steerlab[sae]), or: embedded.")],
    layer: Annotated[int, typer.Option("--layer", help="Which one, where there are several; -1: the only one.")] = -1,
    model: Annotated[str, typer.Option("--model", help="Measure it on ordinary code with this model.")] = "",
    as_json: AsJson = False,
    dtype: Dtype = "auto",
    device: Device = "auto",
) -> None:
    """Print what an autoencoder is: architecture, sizes, site, producer, norms; with --model its figures, too."""
    from steerlab.latents.loading import load_sae

    if layer < -1:
        raise OptionError(f"--layer {layer} does not exist: layers are counted from 0.")
    autoencoder = load_sae(sae, layer=None if layer == -1 else layer)
    facts = autoencoder.describe()
    if model:
        from steerlab.latents.measures import measure
        from steerlab.models import load_model
        from steerlab.ordinary import ordinary_code

        texts = [stretch.text for stretch in ordinary_code()]
        found = load_model(model, dtype=dtype, device=device)
        facts |= {"measured_on": "ordinary code", **asdict(measure(found, autoencoder, texts))}
    _print_autoencoder(facts, as_json=as_json)


def _print_autoencoder(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        console.print_json(facts)
        return
    shown = {key: value for key, value in facts.items() if value is not None and key not in SHARES}
    shown["norms"] = {key: f"{value:.3g}" for key, value in facts["norms"].items()}
    for key in SHARES:
        if key in facts:
            own = facts[key]
            shown[key] = f"{own['value']:.3f} [{own['low']:.3f}, {own['high']:.3f}], {own['n']} texts"
    for key in ("loss_zero", "loss_mean"):
        if key in shown:
            shown[key] = f"{facts[key]['value']:.3f}"
    console.print_facts("sparse autoencoder", shown)
