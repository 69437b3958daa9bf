"""steerlab run: the studies, from data to verdict, one command each; a .toml file names its study itself."""

from __future__ import annotations

import typer

from steerlab.commands import correctness, detection, secure_code

run_app = typer.Typer(
    no_args_is_help=False,
    help="Run a study from data to verdict: rows, result.json and report.html in --out. "
    "`steerlab run my-study.toml` takes study and settings from a file.",
)
run_app.command(detection.NAME)(detection.run_detection)
run_app.command(secure_code.NAME)(secure_code.run_secure_code)
run_app.command(correctness.NAME)(correctness.run_correctness)
