"""The page of a study of secure code: its sections from summary and rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from steerlab.report import analysis_figures, figures, secure_figures
from steerlab.report.sections import cards, cell, chosen, marked, side_effects
from steerlab.report.secure_tables import (
    FAMILY_COLUMNS,
    MARGIN_COLUMNS,
    METRICS,
    arm_columns,
    arm_rows,
    family_rows,
    joint_name,
    margin_rows,
)
from steerlab.report.tables import NOTHING, arm_name, html_table, in_order, interval, metric_rows, number

if TYPE_CHECKING:
    import pandas as pd

MAX_ROWS = 2000
SIZES = (
    ("tasks", "tasks"),
    ("tasks that fit", "n_tasks"),
    ("longer than the context", "n_too_long"),
    ("groups, never split", "n_groups"),
    ("contrast pairs from", "pairs"),
    ("contrast pairs", "n_pairs"),
    ("samples per task", "samples"),
    ("temperature", "temperature"),
)
Summary = Mapping[str, Any]


def body(summary: Summary, rows: pd.DataFrame) -> str:
    """The sections between the verdict and how to run it again. What the summary lacks is left out."""
    sections: Sequence[Callable[[Summary], str]] = (
        _arms,
        _margins,
        _figures,
        _families,
        _at_k,
        _examples,
        side_effects,
        chosen,
        _written,
    )
    return "".join(section(summary) for section in sections) + _findings(rows)


def _arms(summary: Summary) -> str:
    rows = arm_rows(summary)
    if not rows:
        return ""
    meanings = summary.get("arm_meanings") or {}
    listed = "".join(
        f"<li><b>{escape(arm_name(arm))}</b>: {escape(str(meanings[arm]))}</li>"
        for arm in in_order(summary["arms"])
        if arm in meanings
    )
    names = {"joint": joint_name(summary), **METRICS}
    columns, metrics = metric_rows(summary["arms"], names)
    return (
        "<section><h2>Steered and its controls</h2>"
        f"<p class=soft>Share of completions of held-out tasks that are {escape(joint_name(summary))}, with intervals "
        "over tasks; differences on the same tasks and seeds. What could not be judged is unscored, not wrong.</p>"
        + html_table(arm_columns(summary), rows, kind="stacked", marked=arm_name("steered"))
        + (f"<details><summary>What the arms are</summary><ul>{listed}</ul></details>" if listed else "")
        + "<details><summary>All numbers of all arms</summary>"
        + html_table(columns, metrics)
        + "</details></section>"
    )


def _margins(summary: Summary) -> str:
    rows = margin_rows(summary)
    if not rows:
        return ""
    return (
        "<section><h2>What the model would rather write</h2><p class=soft>Log-likelihood of the patched body less that "
        "of the vulnerable one after the same prompt, on held-out pairs, in nats. It moves where pass rates are 0.</p>"
        + html_table(MARGIN_COLUMNS, rows, kind="stacked", marked=arm_name("steered"))
        + "</section>"
    )


def _figures(summary: Summary) -> str:
    joint = joint_name(summary)
    curve_name = {"margin_change": "margin change, nats", "joint": f"share {joint}"}.get(
        str(summary.get("curve_metric")), ""
    )
    return cards(
        [
            (
                "Security against correctness",
                secure_figures.trade_off(summary),
                "One point per coefficient that was written out, on training sides; the line is Pareto's front. Secure "
                "code that does not work is worth nothing.",
            ),
            (
                f"Steered beside every control: {joint}",
                figures.controls(summary, secure_figures.joint_scale(joint)),
                "A gain counts where it is above all of these.",
            ),
            (
                "Steered beside every control: margin change",
                figures.controls(summary, secure_figures.CHANGE),
                "Random directions of the same norm show how much any push moves the margin.",
            ),
            (
                "Dose and response: completions",
                secure_figures.dose(summary),
                "A dose at which fewer completions parse buys its security with broken code.",
            ),
            (
                "Dose and response: margin and side effect",
                secure_figures.dose_margin(summary),
                "Training sides; the side effect is the KL to the unsteered model on ordinary code.",
            ),
            (
                "How many pairs it takes",
                analysis_figures.by_pairs(summary.get("curve") or [], name=curve_name, limits=None),
                "Held-out, chosen cell; drawn several times per number of pairs. Real vectors count where they part "
                "from random and shuffled ones.",
            ),
            *(
                (
                    title,
                    svg,
                    "Mean change of the margin on training sides. Boxes: chosen cells, with the number of folds.",
                )
                for title, svg in figures.heat_maps(summary, secure_figures.CHANGE)
            ),
        ]
    )


def _families(summary: Summary) -> str:
    rows = family_rows(summary)
    if not rows:
        return ""
    table = html_table(FAMILY_COLUMNS, rows, kind="stacked")
    return (
        f"<section><h2>By family of weaknesses</h2><p class=soft>Share {escape(joint_name(summary))}, share secure, "
        f"and the change of the margin. Few tasks per family: read the intervals.</p>{table}</section>"
    )


def _at_k(summary: Summary) -> str:
    table = summary.get("at_k") or {}
    arms = in_order(table)
    if not arms:
        return ""
    names = {"joint": joint_name(summary), "secure": "secure", "functional": "pass"}
    rows = []
    for metric, sizes in table[arms[0]].items():
        for k in sizes:
            cells = [table[arm][metric][k] for arm in arms]
            if any(number(estimate["value"]) != NOTHING for estimate in cells):
                shown = [f"{number(estimate['value'])} {interval(estimate)}" for estimate in cells]
                rows.append([f"{names[metric]}@{k}", *shown])
    columns = ("at k", *(arm_name(arm) for arm in arms))
    return (
        "<section><h2>One of k completions</h2><p class=soft>The chance that at least one of k completions is right, "
        f"estimated without bias from the samples of each task.</p>{html_table(columns, rows)}</section>"
    )


def _examples(summary: Summary) -> str:
    articles = []
    for example in summary.get("examples") or []:
        before, after = example["unsteered"], example["steered"]
        texts = marked(before["completion"], after["completion"])
        sides = "".join(
            f"<div><b>{name}</b>: {escape(_facts(side))}<pre>{text}</pre></div>"
            for name, side, text in zip(("unsteered", "steered"), (before, after), texts, strict=True)
        )
        prompt = escape(str(example.get("prompt") or ""))
        articles.append(
            f"<article><h3>{escape(str(example['task']))}, {escape(str(example['cwe']))}</h3>"
            f"<details><summary>Prompt</summary><pre>{prompt}</pre></details>"
            f'<div class="two">{sides}</div></article>'
        )
    return f"<section><h2>Completions side by side</h2>{''.join(articles)}</section>" if articles else ""


def _facts(side: Summary) -> str:
    """The facts of a completion as words, with what the analysers, the exploit or the tests said."""
    words = [
        word
        for key, yes, no in (
            ("parses", "parses", "does not parse"),
            ("functional", "passes its tests", "fails its tests"),
            ("exploited", "exploited", ""),
            ("secure", "secure", "not secure"),
        )
        if (word := yes if side.get(key) is True else no if side.get(key) is False else "")
    ]
    said = [str(side[key]) for key in ("finding", "reason", "unscored") if side.get(key)]
    return ", ".join(words) + (f" ({'; '.join(dict.fromkeys(said))[:200]})" if said else "")


def _written(summary: Summary) -> str:
    """Every cell that was written out."""
    entries = summary.get("written") or []
    if not entries:
        return ""
    keys = ("contrast", "method", "layers", "operation", "positions", "coefficient", "joint", "secure", "functional")
    more = ("parses", "margin_change", "kl", "n", "front")
    ordered = sorted(entries, key=lambda entry: (-(entry.get("joint") or 0), -(entry.get("margin_change") or 0)))
    columns = [joint_name(summary) if key == "joint" else key.replace("_", " ") for key in (*keys, *more)]
    shown = [[cell(_word(entry.get(key))) for key in (*keys, *more)] for entry in ordered]
    return (
        f"<section><h2>All cells that were written out</h2><details><summary>{len(entries)} cells, on training sides "
        f'only</summary><div class="tall">{html_table(columns, shown, kind="sortable")}</div></details></section>'
    )


def _word(value: object) -> object:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value


def _findings(rows: pd.DataFrame) -> str:
    """The steered completions one by one, folded: their facts and what was found."""
    keys = [
        key for key in ("program", "cwe", "sample", "joint", "secure", "functional", "parses") if key in rows.columns
    ]
    if "arm" not in rows.columns or "joint" not in keys:
        return ""
    steered = rows[(rows["arm"] == "steered") & (rows["readout"] == "completion")]
    columns = [*keys, *(key for key in ("finding", "reason", "unscored") if key in rows.columns)]
    known = steered[columns].astype(object)
    table = known.where(known.notna(), None).head(MAX_ROWS)
    if table.empty:
        return ""
    cells = [[cell(value) for value in row] for row in table.itertuples(index=False)]
    return (
        f"<section><h2>Every steered completion</h2><details><summary>{len(cells)} completions</summary>"
        f'<div class="tall">{html_table(columns, cells, kind="sortable")}</div></details></section>'
    )
