"""The page docs/reference/commands.md: every command with its options, made from what --help says."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from steerlab.cli import app

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "commands.md"
BEGINNING = """# Commands

What `--help` says, on one page (made by `make format`; `make lint` fails when it differs). stdout is the result,
`--json` makes it one object; progress goes to stderr. Exit code 0; 1: you can mend it, and one line says how; 2: usage.
"""


def commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command below `command` with the words that one types for it, groups before what they hold."""
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*path, name))


def row(parameter: Any) -> str:
    """The table row of one option or argument."""
    is_option = bool(getattr(parameter, "help", None)) and parameter.opts[0].startswith("-")
    names = ", ".join(f"`{name}`" for name in parameter.opts) if is_option else f"`{parameter.name.upper()}`"
    said = (getattr(parameter, "help", None) or "").replace("|", "\\|")
    default = parameter.default
    shown = "needed" if parameter.required else "" if default in (None, "", False, 0, 0.0) else f"`{default}`"
    return f"| {names} | {said} | {shown} |"


def section(path: tuple[str, ...], command: Any) -> str:
    """One command: its words, what it does, its options."""
    lines = [f"{'##' if len(path) == 2 else '###'} {' '.join(path)}", "", " ".join((command.help or "").split())]
    rows = [row(parameter) for parameter in command.params if "--help" not in parameter.opts]
    if rows:
        lines += ["", "| option | what it says | by default |", "|---|---|---|", *rows]
    return "\n".join(lines)


def page() -> str:
    """The whole page."""
    every = [found for found in commands(typer.main.get_command(app), ("steerlab",)) if len(found[0]) > 1]
    return "\n\n".join([BEGINNING.rstrip("\n"), *(section(path, command) for path, command in every)]) + "\n"


def main() -> None:
    """Write the page, or with --check say whether it is as it should be."""
    wanted = page()
    if "--check" not in sys.argv:
        PAGE.write_text(wanted, "utf-8")
    elif not PAGE.is_file() or wanted != PAGE.read_text("utf-8"):
        raise SystemExit("docs/reference/commands.md differs from the commands: run `make format`.")


if __name__ == "__main__":
    main()
