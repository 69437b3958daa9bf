"""The terminal: results on stdout, progress and errors on stderr, numbers and lists read from options."""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from steerlab.errors import OptionError, SteerlabError

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

Step = Callable[[str, int, int], None]

INTERRUPTED = 130  # what typer 0.29 makes of Ctrl-C
NO_MEMORY = (
    "out of memory, also with one row at a time: take a smaller model, --dtype bfloat16, shorter inputs or another "
    "--device. What a run had computed is on disk; the same command with --out and --resume goes on."
)
RESUMABLE = "interrupted: what a run had computed is on disk; the same command with --out and --resume goes on."


def errors() -> Console:
    """The console for progress and errors."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def output() -> Console:
    """The console for results; 120 columns where stdout is no terminal."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object on stdout."""
    sys.stdout.write(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def print_facts(title: str, facts: Mapping[str, Any]) -> None:
    """A two-column table of facts on stdout."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for key, value in facts.items():
        if isinstance(value, Mapping):
            value = ", ".join(f"{k} {v}" for k, v in value.items())  # noqa: PLW2901 - shown, not kept
        elif isinstance(value, (list, tuple)):
            value = "\n".join(map(str, value))  # noqa: PLW2901 - shown, not kept
        table.add_row(key, Text(str(value)))
    output().print(table)


def print_study(summary: Mapping[str, Any], out: Path, *, as_json: bool) -> None:
    """The tables, the verdict and where the report lies; with `as_json` the summary as one object."""
    from steerlab.report import terminal_table

    report = out / "report.html"
    if as_json:
        print_json({**summary, "out": str(out), "report": str(report)})
        return
    screen = output()
    for table in terminal_table(summary):
        screen.print(table)
    screen.print(f"\n{summary['verdict']}", markup=False)
    screen.print(f"report: {report}", markup=False, soft_wrap=True)


@contextmanager
def progress() -> Iterator[Step]:
    """A bar on stderr with rate and time left, for anything that takes longer than a moment."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        """Steps per second."""

        def render(self, task: Any) -> Text:
            return Text(f"{task.speed:.1f}/s" if task.speed else "", style="dim")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
    )
    console = errors()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=None)

        def step(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield step


def numbers(text: str, *, option: str) -> tuple[float, ...]:
    """The numbers of a comma-separated option. Raises: OptionError that names what is no number."""
    found = []
    for part in text.split(","):
        try:
            found.append(float(part))
        except ValueError:
            raise OptionError(f"{option}: {part.strip()!r} is not a number. Write for example {option}=-4,4.") from None
    return tuple(found)


def number(text: str, *, option: str) -> float:
    """One number. Raises: OptionError when it is none."""
    found = numbers(text, option=option)
    if len(found) != 1:
        raise OptionError(f"{option} takes one number, not {text!r}.")
    return found[0]


def layers(text: str, *, n_layers: int) -> tuple[int, ...]:
    """The layers of "all" or "2,4"; empty stays empty. Raises: OptionError."""
    if not text:
        return ()
    if text == "all":
        return tuple(range(n_layers))
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if not part.isdigit():
            raise OptionError(f'--layers: {part!r} is not a layer. Write "all" or for example --layers 2,4.')
    return tuple(int(part) for part in parts)


def words(text: str) -> tuple[str, ...]:
    """The words of a comma-separated option; empty stays empty."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def guarded(work: Callable[[], Any]) -> int:
    """Run a command: 0 when it ends well, 1 with one line on stderr for what the user can mend or on Ctrl-C.

    2 is a usage error. STEERLAB_DEBUG=1 shows the traceback as well.
    """
    from typer.exceptions import Abort, Exit, TyperException

    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    try:
        code = work()
    except SteerlabError as error:
        return _fail(str(error))
    except Exit as end:
        return int(end.exit_code)
    except TyperException as error:
        if error.format_message():  # without arguments the help page has been shown already
            sys.stderr.write(f"usage: {error.format_message()} (see --help)\n")
        return int(error.exit_code)
    except (KeyboardInterrupt, Abort):
        return _fail(RESUMABLE)
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except OSError as error:
        return _fail(f"{error.filename or 'a file'}: {error.strerror or error}")
    except MemoryError:
        return _fail(NO_MEMORY)
    except Exception as error:  # noqa: BLE001 - the last line of defence: a bug is reported in one line, too
        if _is_out_of_memory(error):
            return _fail(NO_MEMORY)
        return _fail(f"an internal error: {type(error).__name__}: {error} (STEERLAB_DEBUG=1 shows where)")
    if code == INTERRUPTED:
        return _fail(RESUMABLE)
    return code if isinstance(code, int) else 0


def _is_out_of_memory(error: Exception) -> bool:
    from steerlab.batches import is_out_of_memory

    return is_out_of_memory(error)


def _fail(message: str) -> int:
    if os.environ.get("STEERLAB_DEBUG") == "1":
        traceback.print_exc()
    sys.stderr.write(f"error: {' '.join(message.split())}\n")
    return 1


def side_by_side(rows: Sequence[tuple[str, str, str]], *, headings: tuple[str, str, str]) -> None:
    """A table of texts side by side, as they are (no markup)."""
    from rich.table import Table
    from rich.text import Text

    table = Table(show_lines=True)
    for heading in headings:
        table.add_column(heading, overflow="fold", ratio=1)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    output().print(table)
