"""Ordinary code to measure side effects on: stretches of Python's own standard library."""

from __future__ import annotations

import sysconfig
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from steerlab.models import Model

MODULES = (
    "bisect",
    "calendar",
    "cmd",
    "colorsys",
    "csv",
    "fnmatch",
    "fractions",
    "heapq",
    "queue",
    "sched",
    "statistics",
    "textwrap",
)
CHARACTERS = 900


@dataclass(frozen=True, kw_only=True)
class OrdinaryText:
    """A stretch of whole lines of one module, about 900 characters long."""

    name: str
    text: str


@cache
def ordinary_code() -> tuple[OrdinaryText, ...]:
    """One stretch from the middle of each of twelve modules of the standard library, from a function's first line on.

    Nothing is shipped: the text is that of the Python that runs, and differs a little between its versions.
    """
    folder = Path(sysconfig.get_paths()["stdlib"])
    found = []
    for name in MODULES:
        lines = (folder / f"{name}.py").read_text("utf-8").splitlines(keepends=True)
        starts = [place for place, line in enumerate(lines) if line.lstrip().startswith("def ")]
        piece = ""
        for line in lines[starts[len(starts) // 2] :]:
            if len(piece) >= CHARACTERS:
                break
            piece += line
        found.append(OrdinaryText(name=name, text=piece))
    return tuple(found)


def standard_library() -> dict[str, str]:
    """The top-level modules of Python's standard library by name, those of `ordinary_code` left out: to train on."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    files = [path for path in sorted(folder.glob("*.py")) if path.stem not in MODULES]
    return {path.stem: path.read_text("utf-8") for path in files}


def fitting_code(model: Model) -> list[tuple[str, str]]:
    """Name and text of each stretch, cut to the beginning that fits the model's context."""
    return [(text.name, _shortened(model, text.text)) for text in ordinary_code()]


def _shortened(model: Model, text: str) -> str:
    """The beginning of `text` that fits the context, without what a cut through a token leaves."""
    ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
    room = (model.context or len(ids) + 8) - 8  # what a tokenizer adds at the ends
    return text if len(ids) <= room else str(model.tokenizer.decode(ids[:room])).rstrip("\ufffd")
