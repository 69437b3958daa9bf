"""Summary and rows to one HTML page that opens offline: verdict, tables, figures, examples, how to run it again."""

from __future__ import annotations

import base64
import hashlib
import os
import shlex
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steerlab.errors import RunError
from steerlab.report.kinds import report_of, verdict
from steerlab.report.style import SCRIPT, STYLE
from steerlab.report.tables import NOTHING, html_table, unbroken

if TYPE_CHECKING:
    import pandas as pd


def write_report(summary: Mapping[str, Any], rows: pd.DataFrame, out: Path) -> Path:
    """Write `report.html` into the directory `out` (made where missing) and return its path.

    Raises: RunError when it cannot be written.
    """
    path = out / "report.html"
    unfinished = out / "report.html.tmp"
    text = page(summary, rows)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with unfinished.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror}.") from error
    return path


def page(summary: Mapping[str, Any], rows: pd.DataFrame) -> str:
    """The page as HTML: one file, no outside request, every text escaped. What the summary lacks is left out."""
    body = _head(summary) + _notes(summary) + report_of(summary).body(summary, rows) + _again(summary)
    return document(_title(summary), body)


def document(title: str, body: str) -> str:
    """One file of HTML around `body`, which is HTML; no outside request."""
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><main>{body}</main><script>{SCRIPT}</script></body></html>\n"
    )


def _title(summary: Mapping[str, Any]) -> str:
    study = str(summary.get("study") or "study").replace("-", " ")
    return f"{study}: {summary['model']}" if summary.get("model") else study


def _head(summary: Mapping[str, Any]) -> str:
    sizes = report_of(summary).sizes
    facts = [f"<li>{escape(label)}: <b>{escape(str(summary[key]))}</b></li>" for label, key in sizes if key in summary]
    sentence = str(summary.get("verdict") or verdict(summary))
    sentence = sentence[:1].upper() + sentence[1:]
    return (
        f"<header><h1>{escape(_title(summary))}</h1>"
        f'<p class="verdict">{unbroken(escape(sentence))}</p><ul class="facts">{"".join(facts)}</ul></header>'
    )


def _notes(summary: Mapping[str, Any]) -> str:
    notes = summary.get("notes") or []
    if not notes:
        return ""
    return '<ul class="note">' + "".join(f"<li>{escape(str(note))}</li>" for note in notes) + "</ul>"


def _again(summary: Mapping[str, Any]) -> str:
    manifest = summary.get("manifest") or {}
    if not manifest:
        return ""
    command = manifest.get("command")
    if isinstance(command, (list, tuple)):
        command = shlex.join(str(part) for part in command)
    shown = f"<pre>{escape(str(command))}</pre>" if command else ""
    rows = [[name, text] for name, text in _flat(manifest) if name != "command"]
    return (
        f"<section><h2>Run it again</h2>{shown}<details><summary>Settings, versions, hashes</summary>"
        f"{html_table(('what', 'value'), rows, kind='words')}</details></section>"
    )


def _flat(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested mappings as (dotted name, text)."""
    found: list[tuple[str, str]] = []
    for key, entry in value.items():
        name = f"{prefix}{key}"
        if isinstance(entry, Mapping):
            found += _flat(entry, f"{name}.")
        elif isinstance(entry, (list, tuple)):
            found.append((name, ", ".join(str(part) for part in entry)))
        else:
            found.append((name, NOTHING if entry is None else str(entry)))
    return found
