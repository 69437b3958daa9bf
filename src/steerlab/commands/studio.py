"""steerlab studio: the local page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from steerlab import console
from steerlab.commands.options import Device, Dtype, Revision, Trust
from steerlab.errors import MissingExtraError


def studio(
    model: Annotated[list[str] | None, typer.Option("--model", help="A model to pick on the page; repeatable.")] = None,
    vector: Annotated[list[Path] | None, typer.Option("--vector", help="A steering vector file; repeatable.")] = None,
    pairs: Annotated[
        list[str] | None, typer.Option("--pairs", help="starter, fresh, secllmholmes:PATH, ...; repeatable.")
    ] = None,
    runs: Annotated[
        list[Path] | None, typer.Option("--runs", help="A run directory, or a folder of runs; repeatable.")
    ] = None,
    port: Annotated[int, typer.Option(help="Port on this machine; 0 takes any free one.", min=0, max=65535)] = 8765,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
    dtype: Dtype = "auto",
    device: Device = "auto",
    revision: Revision = "",
    trust_remote_code: Trust = False,
) -> None:
    """Open a local page: steer with a slider, read both completions side by side, browse runs. Ctrl-C ends it."""
    try:
        from steerlab.studio.server import listen, serve
    except ImportError:
        raise MissingExtraError("the studio needs FastAPI and uvicorn: pip install 'steerlab[studio]'.") from None
    from contextlib import suppress
    from functools import partial

    from steerlab.models import load_model
    from steerlab.studio.shelf import fill_shelf

    load = partial(
        load_model, dtype=dtype, device=device, revision=revision or None, trust_remote_code=trust_remote_code
    )
    with listen(port) as on:
        shelf = fill_shelf(
            models=model or ["embedded"], vectors=vector or [], pairs=pairs or ["starter"], runs=runs or [], load=load
        )
        address = f"http://127.0.0.1:{on.getsockname()[1]}/"
        console.output().print(f"studio: {address}", markup=False)
        if not no_browser:
            import webbrowser

            webbrowser.open(address)
        with suppress(KeyboardInterrupt):
            serve(shelf, on)
        console.errors().print("studio: ended.", markup=False)
