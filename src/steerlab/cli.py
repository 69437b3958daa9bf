"""The command line: the groups of commands put together, and the entry point."""

from __future__ import annotations

import sys

import typer

from steerlab import console
from steerlab.commands import correctness, leaving, models, quickstart, runs, studio
from steerlab.commands.data import data_app
from steerlab.commands.latents import latents_app
from steerlab.commands.sandbox import sandbox_app
from steerlab.commands.studies import run_app
from steerlab.commands.study_files import with_study_named
from steerlab.commands.vector import vector_app

app = typer.Typer(
    name="steerlab",
    help="Steer code language models, with evidence: build a direction from contrast pairs, add it to the residual "
    "stream while the model runs, and find out whether it helped.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(quickstart.quickstart)
app.add_typer(run_app, name="run")
app.command()(models.doctor)
app.command()(models.generate)
app.command()(leaving.bake)
app.command()(leaving.equivalence)
app.command()(runs.report)
app.command()(correctness.select)
app.command()(runs.presets)
app.command()(studio.studio)
app.add_typer(vector_app, name="vector")
app.add_typer(latents_app, name="latents")
app.add_typer(data_app, name="data")
app.add_typer(sandbox_app, name="sandbox")


def main() -> None:
    """Entry point: exit code 0, 1 (the user can mend it, one line) or 2 (usage)."""
    sys.exit(console.guarded(lambda: app(with_study_named(sys.argv[1:]), standalone_mode=False)))
