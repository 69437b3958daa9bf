"""One page over several runs: the verdict of each study, with a link to its report."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from steerlab.files import write_atomically
from steerlab.report.page import document


def write_overview(summaries: Mapping[str, Mapping[str, Any]], out: Path) -> Path:
    """Write `report.html` into `out`, where each study has its run in a folder of its name; returns the page's path.

    Raises: RunError when it cannot be written.
    """
    path = out / "report.html"
    write_atomically(path, overview(summaries).encode())
    return path


def overview(summaries: Mapping[str, Mapping[str, Any]]) -> str:
    """The page as HTML: one section per study."""
    sections = [
        f"<section><h2>{escape(name.replace('-', ' '))}</h2><p class=verdict>{escape(_sentence(summary))}</p>"
        f'<p><a href="{escape(name)}/report.html">The whole report</a></p></section>'
        for name, summary in summaries.items()
    ]
    head = "<header><h1>Quickstart</h1><p class=soft>Small runs on the model that comes with the package.</p></header>"
    return document("steerlab quickstart", head + "".join(sections))


def _sentence(summary: Mapping[str, Any]) -> str:
    sentence = str(summary["verdict"])
    return sentence[:1].upper() + sentence[1:]
