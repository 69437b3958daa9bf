"""Figures of a code-correctness study: what each coefficient did, arms with their intervals, where attention moved."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from steerlab.report.correctness_tables import ARM_NAMES
from steerlab.report.figures import canvas, legend, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"flip_rate": "#7a7f87", "correction_rate": "#1f5fb4", "corruption_rate": "#c2620a", "parse_rate": "#16181b"}
NAMES = {
    "flip_rate": "flips",
    "correction_rate": "corrects (of failing)",
    "corruption_rate": "corrupts (of passing)",
    "parse_rate": "parses",
}


def coefficient_svg(summary: Mapping[str, Any]) -> str | None:
    """What each coefficient of each latent did, with the picked ones marked; None where nothing was tried."""
    directions = _directions(summary)
    return svg(_coefficients(summary), name="coefficients", label="Rates by coefficient") if directions else None


def coefficient_png(summary: Mapping[str, Any]) -> bytes:
    """The same figure as a PNG of 160 dots per inch; the same summary gives the same bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    figure = _coefficients(summary)
    figure.set_dpi(160)
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})  # type: ignore[no-untyped-call]
    return buffer.getvalue()


def _directions(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Target -> {latent, coefficients}: of the study's summary or of summary.json."""
    found = summary.get("coefficients") or summary.get("directions") or {}
    return {target: entry for target, entry in found.items() if entry.get("coefficients")}


def _coefficients(summary: Mapping[str, Any]) -> Figure:
    from matplotlib.figure import Figure

    directions = _directions(summary)
    figure = Figure(figsize=(4.7, 0.6 + 2.5 * max(1, len(directions))), layout="constrained")
    for place, (target, entry) in enumerate(directions.items(), start=1):
        axes = figure.add_subplot(len(directions), 1, place)
        _panel(axes, entry["coefficients"], (summary.get("selected") or {}).get(target))
        axes.set_title(f"{target}-predicting latent {entry['latent']}, layer {entry['layer']}", fontsize=9)
        if place == 1:
            legend(figure, axes, columns=2)
    return figure


def _panel(axes: Axes, responses: list[Mapping[str, Any]], selected: Mapping[str, Any] | None) -> None:
    sizes = [one["coefficient"] for one in responses]
    for key, colour in COLOURS.items():
        points = [(one["coefficient"], one[key]["value"]) for one in responses if one[key]["value"] is not None]
        style = "s--" if key == "parse_rate" else "o-"
        axes.plot([x for x, _ in points], [y for _, y in points], style, color=colour, markersize=4, label=NAMES[key])
    if selected is not None:
        axes.axvline(selected["value"], color="#1a7f4b", linewidth=1.2, linestyle=":", label="taken")
    if min(sizes) > 0:
        axes.set_xscale("log")
    axes.set_ylim(-0.04, 1.04)
    axes.set_xlabel("coefficient", fontsize=9)
    axes.tick_params(labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def arms_svg(summary: Mapping[str, Any]) -> str | None:
    """Correction and corruption of every arm with their intervals."""
    arms = [arm for arm in ARM_NAMES if arm in (summary.get("arms") or {}) and arm != "unsteered"]
    if not arms:
        return None
    figure, axes = canvas(height=1.0 + 0.36 * len(arms))
    for row, arm in enumerate(arms):
        for key, colour, offset in (("correction", "#1f5fb4", -0.14), ("corruption", "#c2620a", 0.14)):
            estimate = summary["arms"][arm][key]
            if estimate["low"] is not None:
                axes.plot([estimate["low"], estimate["high"]], [row + offset] * 2, "-", color=colour, linewidth=1.5)
            if estimate["value"] is not None:
                label = {"correction": "corrects (of failing)", "corruption": "corrupts (of passing)"}[key]
                axes.plot([estimate["value"]], [row + offset], "o", color=colour, label=label if row == 0 else None)
    axes.set_yticks(range(len(arms)), [ARM_NAMES[arm].strip() for arm in arms])
    axes.set_ylim(len(arms) - 0.5, -0.6)
    axes.set_xlim(-0.02, 1.02)
    legend(figure, axes, columns=2)
    return svg(figure, name="arms", label="Correction and corruption of every arm, with intervals")


def attention_svg(summary: Mapping[str, Any]) -> str | None:
    """The change of attention to each part of the prompt, by layer; None where the model gives no weights."""
    measured = summary.get("attention") or {}
    if not measured.get("n"):
        return None
    figure, axes = canvas(height=2.8)
    for part in measured["parts"]:
        change = [
            after - before for before, after in zip(measured["unsteered"][part], measured["steered"][part], strict=True)
        ]
        axes.plot(measured["layers"], change, "o-", markersize=3.5, label=part)
    axes.axhline(0, color="#9aa0a6", linewidth=0.8, linestyle="--")
    axes.set_xlabel("layer")
    axes.set_ylabel("steered minus unsteered share")
    if math.isclose(*axes.get_ylim()):
        axes.set_ylim(-0.1, 0.1)
    legend(figure, axes, columns=3)
    return svg(figure, name="attention", label="Change of attention to the parts of the prompt, by layer")
