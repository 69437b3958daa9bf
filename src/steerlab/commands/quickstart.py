"""steerlab quickstart: the three studies, small, on what comes with the package."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steerlab import console
from steerlab.commands import correctness, detection, secure_code
from steerlab.commands.options import AsJson, Out

if TYPE_CHECKING:
    Perform = Callable[..., tuple[dict[str, Any], Path]]


def quickstart(out: Out = "", as_json: AsJson = False) -> None:
    """The three studies on the embedded model, its pairs, tasks and exercises: tables, verdicts and one page."""
    from steerlab.commands.study_files import Asked, run_directory
    from steerlab.report import overview

    where = run_directory("quickstart", out, resume=False, now=time.strftime("%Y%m%d-%H%M%S"))
    summaries: dict[str, dict[str, Any]] = {}
    for name, (perform, settings) in _studies().items():
        asked = Asked(settings={"model": "embedded", **settings}, load={}, out=str(where / name), workers="")
        summary, directory = perform(asked, resume=False)
        summaries[name] = summary
        if not as_json:
            console.print_study(summary, directory, as_json=False)
            console.output().print()
    page = overview.write_overview(summaries, where)
    if as_json:
        console.print_json({**summaries, "out": str(where), "report": str(page)})
        return
    screen = console.output()
    for name, summary in summaries.items():
        screen.print(f"{name}: {summary['verdict']}", markup=False)
    screen.print(f"all three: {page}", markup=False, soft_wrap=True)


def _studies() -> Mapping[str, tuple[Perform, Mapping[str, Any]]]:
    """Who does each study, and with which settings beside the model."""
    from steerlab.studies.code_correctness import SMALL as SMALL_CORRECTNESS
    from steerlab.studies.secure_code import SMALL as SMALL_SECURE

    return {
        detection.NAME: (detection.perform, {"pairs": "starter"}),
        secure_code.NAME: (secure_code.perform, {"tasks": "starter", **SMALL_SECURE}),
        correctness.NAME: (correctness.perform, {"sae": "embedded", "problems": "exercises", **SMALL_CORRECTNESS}),
    }
