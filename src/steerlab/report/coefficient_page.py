"""The files for a person to review coefficients: the flips as JSON and as one page, and the figure of the rates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from steerlab.files import write_atomically
from steerlab.report.correctness_figures import coefficient_png
from steerlab.report.correctness_page import side_by_side
from steerlab.report.correctness_tables import COEFFICIENT_COLUMNS, coefficient_rows, selected_rows
from steerlab.report.page import document
from steerlab.report.tables import html_table

EXAMPLES, FIGURE = "coefficient_examples", "coefficient_analysis.png"

Flips = Mapping[str, Mapping[float, list[Mapping[str, Any]]]]
"""Target -> coefficient -> the programs that changed between passing and failing."""


def write_coefficient_files(summary: Mapping[str, Any], flips: Flips, out: Path) -> None:
    """Write coefficient_examples/TARGET-COEFFICIENT.json, its index.html, and coefficient_analysis.png into `out`.

    Raises: RunError when they cannot be written.
    """
    for target, found in flips.items():
        for coefficient, entries in found.items():
            content = {"direction": target, "coefficient": coefficient, "flips": list(entries)}
            text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
            write_atomically(out / EXAMPLES / f"{target}-{coefficient:g}.json", f"{text}\n".encode())
    draw_coefficient_files(summary, flips, out)


def draw_coefficient_files(summary: Mapping[str, Any], flips: Flips, out: Path) -> Path:
    """Write the page and the figure only; returns the page's path."""
    write_atomically(out / FIGURE, coefficient_png(summary))
    page = out / EXAMPLES / "index.html"
    write_atomically(page, coefficient_page(summary, flips).encode())
    return page


def read_flips(out: Path) -> dict[str, dict[float, list[Mapping[str, Any]]]]:
    """The flips that were written into `out`."""
    found: dict[str, dict[float, list[Mapping[str, Any]]]] = {}
    for file in sorted((out / EXAMPLES).glob("*.json")):
        content = json.loads(file.read_text("utf-8"))
        found.setdefault(content["direction"], {})[content["coefficient"]] = content["flips"]
    return found


def coefficient_page(summary: Mapping[str, Any], flips: Flips) -> str:
    """The page: what was taken and why, the rates, and every flip side by side, by latent and coefficient."""
    parts = [f"<header><h1>Coefficients: {escape(str(summary.get('model')))}</h1></header>"]
    parts.append(html_table(("latent", "coefficient", "by", "reason"), selected_rows(summary), kind="stacked words"))
    parts.append(
        "<p class=soft>To overrule: <code>steerlab select RUN --direction correct --coefficient 30 --reason "
        "&quot;...&quot;</code>. The stage effect uses it.</p>"
    )
    for target, entry in summary["directions"].items():
        parts.append(f"<section><h2>{escape(target)}-predicting latent {entry['latent']}, layer {entry['layer']}</h2>")
        parts.append(html_table(COEFFICIENT_COLUMNS, coefficient_rows(entry), kind="stacked"))
        for coefficient, entries in sorted((flips.get(target) or {}).items()):
            shown = "".join(
                side_by_side(
                    f"{flip['problem']}: {flip['flip']}",
                    flip["prompt"],
                    (flip["before"], flip["after"]),
                    (flip["reason_before"], flip["reason_after"]),
                )
                for flip in entries
            )
            many = f"{len(entries)} flips" if entries else "no flip"
            parts.append(f"<details><summary>coefficient {coefficient:g}: {many}</summary>{shown}</details>")
        parts.append("</section>")
    return document(f"Coefficients: {summary.get('model')}", "".join(parts))
