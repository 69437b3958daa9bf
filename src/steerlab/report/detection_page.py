"""The page of a detection study: its sections from summary and rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from steerlab.report import analysis_figures, figures
from steerlab.report.sections import cards, cell, chosen, marked, side_effects
from steerlab.report.tables import (
    ARM_COLUMNS,
    CWE_COLUMNS,
    arm_name,
    arm_rows,
    count,
    cwe_rows,
    estimate_of,
    html_table,
    in_order,
    metric_rows,
    number,
)

if TYPE_CHECKING:
    import pandas as pd

MAX_PROGRAM_ROWS = 2000
SIZES = (
    ("pairs from", "pairs"),
    ("programs", "n_programs"),
    ("groups, never split", "n_groups"),
    ("contrast pairs", "n_pairs"),
    ("longer than the context", "n_too_long"),
)


def body(summary: Mapping[str, Any], rows: pd.DataFrame) -> str:
    """The sections between the verdict and how to run it again. What the summary lacks is left out."""
    sections: Sequence[Callable[[Mapping[str, Any]], str]] = (
        _arms,
        _figures,
        _cwes,
        _generated,
        _examples,
        side_effects,
        chosen,
        _grid,
    )
    return "".join(section(summary) for section in sections) + _programs(rows)


def _arms(summary: Mapping[str, Any]) -> str:
    rows = arm_rows(summary)
    if not rows:
        return ""
    levels = {estimate_of(summary, arm).get("level") for arm in summary["arms"]} - {None}
    level = f"{100 * float(str(next(iter(levels)))):g} % " if len(levels) == 1 else ""
    meanings = summary.get("arm_meanings") or {}
    listed = "".join(
        f"<li><b>{escape(arm_name(arm))}</b>: {escape(str(meanings[arm]))}</li>"
        for arm in in_order(summary["arms"])
        if arm in meanings
    )
    columns, all_metrics = metric_rows(summary["arms"])
    return (
        "<section><h2>Steered and its controls</h2>"
        f"<p class=soft>Balanced accuracy on held-out programs, with {level}intervals over groups of programs; "
        "programs without an answer are unscored, not wrong.</p>"
        + html_table(ARM_COLUMNS, rows, kind="stacked", marked=arm_name("steered"))
        + (f"<details><summary>What the arms are</summary><ul>{listed}</ul></details>" if listed else "")
        + "<details><summary>All numbers of all arms</summary>"
        + html_table(columns, all_metrics)
        + "</details></section>"
    )


def _figures(summary: Mapping[str, Any]) -> str:
    drawn: list[tuple[str, str | None, str]] = [
        ("Steered beside every control", figures.controls(summary), "A gain counts where it is above all of these."),
        (
            "Reading and saying",
            figures.layers(summary),
            "What the model could know (held-out projection on the direction) and what it says (answer margin). "
            "The distance between the two is the room for steering; at 0.5 there is nothing to steer with.",
        ),
        ("Dose and response", figures.dose(summary), "A dose that only raises the yes-rate tells nothing apart."),
        ("By CWE, with intervals", figures.by_cwe(summary), "Few programs per CWE: read the intervals, not the bars."),
        *(
            (title, svg, "Training sides only. Boxes: chosen cells, with the number of folds that chose them.")
            for title, svg in figures.heat_maps(summary)
        ),
        (
            "Transfer: the vector of one CWE on programs of another",
            analysis_figures.transfer(summary),
            "Gain in balanced accuracy over unsteered at the chosen cell. A gain only on the diagonal is specific to "
            "its CWE; few programs per field, so read single fields with care.",
        ),
        (
            "How many pairs it takes",
            analysis_figures.samples(summary),
            "Held-out programs, chosen cell; drawn several times per number of pairs. Real vectors count where they "
            "part from random and shuffled ones.",
        ),
        (
            "First-order screening against the exact map",
            analysis_figures.screening(summary),
            "Each point is a cell on the first fold's training side: the predicted and the exact mean change of the "
            "answer margin.",
        ),
    ]
    return cards(drawn)


def _cwes(summary: Mapping[str, Any]) -> str:
    rows = cwe_rows(summary)
    return f"<section><h2>By CWE</h2>{html_table(CWE_COLUMNS, rows, kind='stacked')}</section>" if rows else ""


def _generated(summary: Mapping[str, Any]) -> str:
    parts = ""
    if generated := summary.get("generated") or {}:
        columns, rows = metric_rows(generated)
        parts += html_table(columns, rows)
    if explanations := summary.get("explanations") or {}:
        names = list(dict.fromkeys(name for entry in explanations.values() for name in entry))
        columns = ["explanations", *(arm_name(arm) for arm in in_order(explanations))]
        rows = [
            [
                name.replace("_", " "),
                *(
                    count(explanations[arm].get(name)) if name == "n" else number(explanations[arm].get(name))
                    for arm in in_order(explanations)
                ),
            ]
            for name in names
        ]
        parts += html_table(columns, rows)
    return f"<section><h2>Generated answers</h2>{parts}</section>" if parts else ""


def _examples(summary: Mapping[str, Any]) -> str:
    articles = []
    for example in summary.get("examples") or []:
        before, after = str(example.get("unsteered") or ""), str(example.get("steered") or "")
        left, right = marked(before, after)
        named = [str(example[key]) for key in ("program", "cwe") if example.get(key)]
        truth = f" is {example['label']}" if example.get("label") else ""
        sides = "".join(
            f"<div><b>{name}</b>: {escape(str(example.get(f'answer_{name}') or 'no answer'))}<pre>{text}</pre></div>"
            for name, text in (("unsteered", left), ("steered", right))
        )
        prompt = escape(str(example.get("prompt") or ""))
        articles.append(
            f"<article><h3>{escape(', '.join(named) + truth)}</h3>"
            f"<details><summary>Prompt</summary><pre>{prompt}</pre></details>"
            f'<div class="two">{sides}</div></article>'
        )
    return f"<section><h2>Example answers</h2>{''.join(articles)}</section>" if articles else ""


def _grid(summary: Mapping[str, Any]) -> str:
    cells = summary.get("grid") or []
    if not cells:
        return ""
    known = (
        "template",
        "method",
        "layers",
        "operation",
        "positions",
        "coefficient",
        "balanced_accuracy",
        "auroc",
        "yes_rate",
        "n",
    )
    keys = [key for key in known if any(key in entry for entry in cells)]
    ordered = sorted(cells, key=lambda entry: -(entry.get("balanced_accuracy") or -1))
    table = html_table(
        [key.replace("_", " ") for key in keys],
        [[cell(entry.get(key)) for key in keys] for entry in ordered],
        kind="sortable",
    )
    return (
        f"<section><h2>All cells of the grid</h2><details><summary>{len(cells)} cells, on training sides only"
        f'</summary><div class="tall">{table}</div></details></section>'
    )


def _programs(rows: pd.DataFrame) -> str:
    """The steered answers one by one, folded."""
    keys = [key for key in ("program", "cwe", "label", "answer", "margin") if key in rows.columns]
    if "arm" not in rows.columns or "program" not in keys:
        return ""
    steered = rows[rows["arm"] == "steered"]
    if "readout" in rows.columns:
        steered = steered[steered["readout"] == "likelihood"]
    steered = steered[keys].astype(object).head(MAX_PROGRAM_ROWS)
    if steered.empty:
        return ""
    cells = [[cell(value) for value in row] for row in steered.itertuples(index=False)]
    table = html_table(keys, cells, kind="sortable")
    return (
        f"<section><h2>Every steered answer</h2><details><summary>{len(cells)} programs</summary>"
        f'<div class="tall">{table}</div></details></section>'
    )
