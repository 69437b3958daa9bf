"""report: a finished run's page and table again. presets: settings of published set-ups."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from steerlab import console
from steerlab.commands.options import AsJson


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


def report(
    run_directory: Annotated[Path, typer.Argument(help="A finished run directory.", metavar="RUN")],
    as_json: AsJson = False,
) -> None:
    """Write report.html of a finished run again and print its table."""
    from steerlab.report import write_report
    from steerlab.results import read_run

    summary, rows = read_run(run_directory)
    write_report(summary, rows, run_directory)
    console.print_study(summary, run_directory, as_json=as_json)
