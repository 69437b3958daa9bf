"""steerlab data: list, check and fetch pairs, tasks and problems; measure the analysers and the embedded kit."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from steerlab import console
from steerlab.commands.options import AsJson
from steerlab.errors import DataError, OptionError, nearest

CHECKED = (
    "Pairs (starter, fresh, secllmholmes:PATH, sven:PATH, jsonl:FILE), tasks (starter-tasks, cyberseceval:PATH, "
    "sven-scenarios:PATH), problems (exercises, mbpp:PATH, mbpp-sanitized:PATH, humaneval:PATH), or analysers: how "
    "well they judge the starter pairs."
)
data_app = typer.Typer(no_args_is_help=True, help="List, check and fetch contrast pairs, tasks and problems.")


@data_app.command("list")
def data_list(as_json: AsJson = False) -> None:
    """The sources of contrast pairs, tasks and problems: what they hold, their licence, how to get them."""
    from steerlab.sources import list_sources
    from steerlab.tasks.problem_sets import list_problem_sets
    from steerlab.tasks.task_sets import list_task_sets

    found = {"sources": list_sources(), "tasks": list_task_sets(), "problems": list_problem_sets()}
    if as_json:
        console.print_json(found)
        return
    for entries in found.values():
        for entry in entries:
            console.print_facts(str(entry["name"]), {k: v for k, v in entry.items() if k != "name"})


@data_app.command("check")
def data_check(
    source: Annotated[str, typer.Argument(help=CHECKED)] = "",
    embedded: Annotated[bool, typer.Option("--embedded", help="Measure the embedded kit against its bars.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="With --embedded: less of each set, under a minute.")] = False,
    secllmholmes: Annotated[str, typer.Option(help="With --embedded: also on the benchmark in PATH.")] = "",
    sven: Annotated[str, typer.Option(help="With --embedded: also on SVEN's validation part in PATH.")] = "",
    out: Annotated[str, typer.Option(help="With --embedded: where the figure goes; by default below runs/.")] = "",
    as_json: AsJson = False,
) -> None:
    """Read a source whole and print its counts; starter pairs, tasks and references are proven by running them.

    analysers, or analysers:SOURCE, measures the analysers that are installed: recall, false alarms, precision per CWE.

    With --embedded: the bars of the embedded kit (model, pairs, exercises, tasks) in one table with intervals.
    """
    if embedded and not source:
        _check_kit(out=out, size="quick" if quick else "full", secllmholmes=secllmholmes, sven=sven, as_json=as_json)
        return
    if embedded or quick or secllmholmes or sven or out:
        raise OptionError("--quick, --secllmholmes, --sven and --out go with --embedded, which takes no source.")
    if not source:
        raise OptionError("name a source (for example starter), or give --embedded for the bars of the embedded kit.")
    name, _, rest = source.partition(":")
    if name == "analysers":
        _check_analysers(rest or "starter", as_json=as_json)
        return
    facts = _facts(name, source)
    if as_json:
        console.print_json(facts)
    else:
        console.print_facts(source, facts)


def _facts(name: str, source: str) -> dict[str, Any]:
    """The counts of `source`, of whichever kind `name` is."""
    from steerlab.sources import SOURCES, check_source
    from steerlab.tasks.problem_sets import PROBLEM_SETS, check_problems, load_problems
    from steerlab.tasks.task_sets import TASK_SETS, check_task_set

    known = [*SOURCES, *TASK_SETS, *PROBLEM_SETS, "analysers"]
    if name not in known:
        raise DataError(f"source {name!r} does not exist. {nearest(name, known)}")
    if name in TASK_SETS:
        return check_task_set(source)
    if name in SOURCES:
        return check_source(source)
    total, done = len(load_problems(source)), 0
    with console.progress() as step:

        def tick(n: int) -> None:
            nonlocal done
            done += n
            step("references", done, total)

        return check_problems(source, tick=tick)


def _check_analysers(source: str, *, as_json: bool) -> None:
    from steerlab.sources import load_source
    from steerlab.tasks.analyser_quality import check_analysers, terminal_table

    facts = check_analysers(load_source(source))
    if as_json:
        console.print_json(facts)
        return
    console.output().print(terminal_table(facts))
    for name, how in facts["missing"].items():
        console.errors().print(f"not measured: {name}: {how}", markup=False)


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
