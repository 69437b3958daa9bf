"""Figures of a study of secure code: security against correctness, and dose and response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steerlab.report.figures import COLOURS, Scale, canvas, finite, legend, svg

CHANGE = Scale(key="margin_change", name="margin change, nats", centre=0.0, reach=0.05)
_WORDS = {"functional": "passes its tests", "parses": "parses"}


def joint_scale(name: str) -> Scale:
    """The share of joint completions on an axis."""
    return Scale(key="joint", name=f"share {name}", centre=0.0, reach=0.05)


def trade_off(summary: Mapping[str, Any]) -> str | None:
    """Share that is secure against share that is correct, one point per written cell; Pareto's front is marked."""
    points = [
        entry
        for entry in summary.get("written") or []
        if finite(entry.get("secure")) and finite(entry.get(entry.get("correct_by", "")))
    ]
    if not points:
        return None
    by = str(points[0]["correct_by"])
    figure, axes = canvas(height=3.3)
    front = sorted((entry for entry in points if entry["front"]), key=lambda entry: entry[by])
    axes.plot([e[by] for e in front], [e["secure"] for e in front], "-", color="#9aa0a6", linewidth=1.2, zorder=1)
    for named, own, colour, marker in (
        ("unsteered", [e for e in points if not e["layers"]], COLOURS["unsteered"], "D"),
        ("steered, on the front", [e for e in points if e["layers"] and e["front"]], COLOURS["steered"], "o"),
        ("steered, behind it", [e for e in points if e["layers"] and not e["front"]], "#9dbde4", "o"),
    ):
        axes.plot([e[by] for e in own], [e["secure"] for e in own], marker, color=colour, markersize=6, label=named)
    labelled: dict[tuple[float, float], list[str]] = {}
    for entry in points:
        if entry["layers"]:
            labelled.setdefault((entry[by], entry["secure"]), []).append(f"{entry['coefficient']:g}")
    for place, doses in labelled.items():
        text = ", ".join(sorted(set(doses), key=float)[:6])
        axes.annotate(text, place, (4, 4), textcoords="offset points", fontsize=7)
    axes.set_xlabel(f"share that {_WORDS[by]}")
    axes.set_ylabel("share that is secure")
    axes.margins(x=0.15)
    axes.set_ylim(-0.02, max(0.1, 1.2 * max(entry["secure"] for entry in points)))
    legend(figure, axes, columns=2)
    return svg(figure, name="trade-off", label="Security against correctness by coefficient")


def dose(summary: Mapping[str, Any]) -> str | None:
    """Shares by coefficient in one picture, margin change and side effect below: all on the training sides."""
    entries = [entry for entry in summary.get("dose") or [] if finite(entry.get("coefficient"))]
    lines = (
        ("joint", str(summary.get("joint") or "secure and correct"), COLOURS["steered"], "o-"),
        ("secure", "secure", "#2c8a4b", "v--"),
        ("functional", "passes its tests", "#7b4aa0", "s--"),
        ("parses", "parses", COLOURS["unsteered"], "D:"),
    )
    drawn = [line for line in lines if any(finite(entry.get(line[0])) for entry in entries)]
    if not drawn:
        return None
    figure, axes = canvas(height=3.1)
    for key, label, colour, style in drawn:
        known = [(entry["coefficient"], entry[key]) for entry in entries if finite(entry.get(key))]
        axes.plot([x for x, _ in known], [y for _, y in known], style, color=colour, markersize=4, label=label)
    axes.axvline(0, color="#9aa0a6", linewidth=0.8)
    axes.set_xlabel("coefficient (0 is unsteered)")
    axes.set_ylabel("share of completions")
    axes.set_ylim(-0.02, 1.02)
    legend(figure, axes, columns=2)
    return svg(figure, name="dose-shares", label="Shares of completions by coefficient")


def dose_margin(summary: Mapping[str, Any]) -> str | None:
    """Margin change and KL on ordinary code by coefficient, in nats."""
    entries = [entry for entry in summary.get("dose") or [] if finite(entry.get("margin_change"))]
    if len(entries) < 2:
        return None
    figure, axes = canvas(height=3.1)
    where = [entry["coefficient"] for entry in entries]
    axes.plot(where, [e["margin_change"] for e in entries], "o-", color=COLOURS["steered"], label="margin change")
    effects = [(e["coefficient"], e["kl"]) for e in entries if finite(e.get("kl"))]
    axes.plot(
        [x for x, _ in effects],
        [y for _, y in effects],
        "^:",
        color="#4d535b",
        label="KL on ordinary code, per token",
    )
    axes.axhline(0, color="#9aa0a6", linewidth=0.8, linestyle="--")
    axes.axvline(0, color="#9aa0a6", linewidth=0.8)
    axes.set_xlabel("coefficient (0 is unsteered)")
    axes.set_ylabel("nats")
    legend(figure, axes, columns=2)
    return svg(figure, name="dose-margin", label="Margin change and side effect by coefficient")
