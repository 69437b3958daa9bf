"""What the page of a code-correctness study holds between its head and its end."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from steerlab.report.correctness_figures import arms_svg, attention_svg, coefficient_svg
from steerlab.report.correctness_tables import (
    ARM_COLUMNS,
    ARM_NAMES,
    COEFFICIENT_COLUMNS,
    LATENT_COLUMNS,
    arm_rows,
    coefficient_rows,
    latent_rows,
    selected_rows,
)
from steerlab.report.sections import cards, marked
from steerlab.report.tables import count, html_table, interval, number, p_value

if TYPE_CHECKING:
    import pandas as pd

SIZES = (
    ("problems from", "problems"),
    ("problems", "n_problems"),
    ("analysed", "n_analysis"),
    ("longer than the context", "n_too_long"),
    ("autoencoder", "sae"),
)

Summary = Mapping[str, Any]


def body(summary: Summary, rows: pd.DataFrame) -> str:
    """The sections as HTML; what the summary lacks is left out. The rows are not shown one by one."""
    sections = (_arms, _figures, _latents, _coefficients, _bands, _examples)
    return "".join(section(summary) for section in sections)


def _arms(summary: Summary) -> str:
    table = arm_rows(summary)
    if not table:
        return ""
    meanings = summary.get("arm_meanings") or {}
    listed = "".join(
        f"<li><b>{escape(ARM_NAMES[arm].strip())}</b>: {escape(str(meanings[arm]))}</li>"
        for arm in ARM_NAMES
        if arm in meanings and arm in summary["arms"]
    )
    primary = summary.get("primary") or {"arm": "steered", "reason": ""}
    why = f" The verdict is about the marked arm: {escape(primary['reason'])}." if primary["reason"] else ""
    return (
        "<section><h2>Steered and its controls</h2><p class=soft>Problems of the analysis split, which played no part "
        "in any choice. Corrects: of the programs that fail unsteered those that pass now; corrupts: of those that "
        f"pass those that fail now. Unscored is not failed.{why}</p>"
        + html_table(ARM_COLUMNS, table, kind="stacked", marked=ARM_NAMES[primary["arm"]])
        + _gate(summary)
        + f"<details><summary>What the arms are</summary><ul>{listed}</ul></details></section>"
    )


def _gate(summary: Summary) -> str:
    """Constant against gated, where the gates fire, and the binomial tests, in words."""
    lines = []
    if change := (summary.get("gated_minus_constant") or {}).get("pass_rate"):
        p = p_value(summary["gated_minus_constant"].get("mcnemar_p"))
        lines.append(
            f"Gated minus constant: {number(change.get('value'), signed=True)} {interval(change)} of programs pass "
            f"(McNemar p {p})."
        )
    for target, sides in (summary.get("gate_fires") or {}).items():
        shares = ", ".join(
            f"{number(share.get('value'))} {interval(share)} of {count(share.get('n'))} {side}"
            for side, share in sides.items()
        )
        lines.append(f"The gate of the {target} direction fires on {shares} problems.")
    for arm, entry in (summary.get("differences") or {}).items():
        if entry.get("binomial_p") is not None:
            name = ARM_NAMES[arm].strip() + (" (gated)" if arm.endswith("gated") else "")
            lines.append(
                f"{name}: more corrections than random directions make, exact binomial p "
                f"{p_value(entry['binomial_p'])}; McNemar p after Holm {p_value(entry.get('mcnemar_p_holm'))}."
            )
    return '<ul class="note">' + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>" if lines else ""


def _figures(summary: Summary) -> str:
    measured = summary.get("attention") or {}
    caption = (
        f"Mean over heads, the tokens of the code and {measured.get('n')} problems; the same text is read both times, "
        "so only the steering differs."
    )
    return cards(
        [
            (
                "Corrections and corruptions",
                arms_svg(summary),
                "Steering helps where it corrects more than it corrupts.",
            ),
            (
                "What each coefficient did",
                coefficient_svg(summary),
                "Problems of the tuning split. The dotted line is the coefficient that was taken.",
            ),
            ("Where attention moved", attention_svg(summary), caption),
        ]
    )


def _latents(summary: Summary) -> str:
    table = latent_rows(summary)
    if not table:
        return ""
    probe = ((summary["latents"].get("mean_difference") or {}).get("tuning") or {}).get("auroc")
    beside = f" The mean difference reaches {number(probe.get('value'))} {interval(probe)}." if probe else ""
    gates = "".join(
        f"<li>Gate of the {escape(target)} direction: latent {count(gate['latent'])} of layer {count(gate['layer'])}, "
        f"projection {escape(gate['comparison'])} {gate['threshold']:.4g}"
        f"{'' if gate['exact'] else ' (chosen on the selection split: this autoencoder has no linear threshold)'}.</li>"
        for target, gate in (summary["latents"].get("gates") or {}).items()
    )
    return (
        "<section><h2>Latents</h2><p class=soft>Active at the last prompt token; ranked on the selection split, scored "
        f"on the tuning split.{escape(beside)}</p>{html_table(LATENT_COLUMNS, table, kind='stacked')}"
        f'<ul class="note">{gates}</ul></section>'
    )


def _coefficients(summary: Summary) -> str:
    parts = []
    for target, entry in (summary.get("coefficients") or {}).items():
        table = html_table(COEFFICIENT_COLUMNS, coefficient_rows(entry), kind="stacked")
        parts.append(f"<h3>{escape(target)}-predicting latent {count(entry.get('latent'))}</h3>{table}")
    if not parts:
        return ""
    picked = html_table(("latent", "coefficient", "by", "reason"), selected_rows(summary), kind="stacked words")
    return (
        "<section><h2>Coefficients, and which were taken</h2><p class=soft>Every flip with its code before and after "
        f"is in coefficient_examples/index.html.</p>{picked}{''.join(parts)}</section>"
    )


def _bands(summary: Summary) -> str:
    rows = []
    for band, arms in (summary.get("by_band") or {}).items():
        for arm, rates in arms.items():
            cells = [
                text
                for key in ("pass_rate", "correction", "corruption")
                for text in _cells(rates[key], arm=arm, key=key)
            ]
            rows.append([band, ARM_NAMES[arm], *cells])
    if not rows:
        return ""
    columns = ("band", "arm", "passes", "interval", "n", "corrects", "interval", "n", "corrupts", "interval", "n")
    return f"<section><h2>By complexity</h2>{html_table(columns, rows, kind='stacked')}</section>"


def _cells(estimate: Mapping[str, Any], *, arm: str, key: str) -> list[str]:
    if arm == "unsteered" and key != "pass_rate":
        return ["–"] * 3
    return [number(estimate.get("value")), interval(estimate), count(estimate.get("n"))]


def _examples(summary: Summary) -> str:
    found = "".join(
        side_by_side(
            f"{entry['problem']}: {entry['flip']}",
            str(entry["prompt"]),
            (str(entry["unsteered"]), str(entry["steered"])),
        )
        for entry in summary.get("examples") or []
    )
    return f"<section><h2>Programs that changed</h2>{found}</section>" if found else ""


def side_by_side(title: str, prompt: str, programs: tuple[str, str], reasons: tuple[str, str] = ("", "")) -> str:
    """An article with the code before and after, differences marked, and why each failed."""
    texts = marked(*programs)
    sides = "".join(
        f"<div><b>{name}</b>{': ' + escape(reason) if reason else ''}<pre>{text}</pre></div>"
        for name, text, reason in zip(("unsteered", "steered"), texts, reasons, strict=True)
    )
    return (
        f"<article><h3>{escape(title)}</h3><details><summary>Prompt</summary><pre>{escape(prompt)}</pre></details>"
        f'<div class="two">{sides}</div></article>'
    )
