"""Figures of what was asked beside the choice: transfer over CWEs, number of pairs, screening."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from steerlab.report.figures import COLOURS, canvas, legend, svg
from steerlab.report.tables import MAIN, number

KIND_STYLES: Mapping[str, tuple[str, str, str]] = {
    "real": ("real pairs", COLOURS["steered"], "o-"),
    "random": ("random direction", "#8a6d1f", "s--"),
    "shuffled_labels": ("shuffled labels", "#7b4aa0", "^:"),
}


def transfer(summary: Mapping[str, Any]) -> str | None:
    """Rows: the CWE whose pairs made the vector; columns: the CWE of the programs; colour and number: the gain."""
    import numpy as np
    from matplotlib import colormaps

    entries = [entry for entry in summary.get("transfer") or [] if entry.get("gain") is not None]
    if not entries:
        return None
    vectors = list(dict.fromkeys(entry["vector"] for entry in entries))
    cwes = list(dict.fromkeys(entry["cwe"] for entry in entries))
    gains = np.full((len(vectors), len(cwes)), np.nan)
    for entry in entries:
        gains[vectors.index(entry["vector"]), cwes.index(entry["cwe"])] = entry["gain"]
    reach = max(0.1, float(np.nanmax(np.abs(gains))))
    figure, axes = canvas(height=1.6 + 0.33 * len(vectors))
    axes.pcolormesh(
        gains, cmap=colormaps["RdBu"].resampled(31), vmin=-reach, vmax=reach, edgecolors="white", linewidth=0.4
    )
    axes.set_xticks([place + 0.5 for place in range(len(cwes))], [cwe.removeprefix("CWE-") for cwe in cwes])
    axes.set_yticks([place + 0.5 for place in range(len(vectors))], [cwe.removeprefix("CWE-") for cwe in vectors])
    axes.invert_yaxis()
    axes.set_xlabel("programs of CWE")
    axes.set_ylabel("vector of CWE")
    for (row, column), value in np.ndenumerate(gains):
        if math.isfinite(value):
            colour = "white" if abs(value) > 0.65 * reach else "#1a1d21"
            text = number(value, signed=True)
            axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=7, color=colour)
    return svg(figure, name="transfer", label="Gain over unsteered by the CWE of the vector and of the programs")


def samples(summary: Mapping[str, Any]) -> str | None:
    """Balanced accuracy by number of training pairs, for real, random and shuffled vectors, with intervals."""
    entries = [entry | {"value": entry.get(MAIN)} for entry in summary.get("samples") or []]
    return by_pairs(entries, name="balanced accuracy", limits=(-0.02, 1.02))


def by_pairs(entries: Sequence[Mapping[str, Any]], *, name: str, limits: tuple[float, float] | None) -> str | None:
    """The estimate `value` of entries by `n_pairs` and `kind`, on an axis called `name`."""
    valued = [entry for entry in entries if (entry.get("value") or {}).get("value") is not None]
    drawn = [entry for entry in valued if entry["kind"] in KIND_STYLES]
    if not drawn:
        return None
    figure, axes = canvas(height=3.1)
    for kind, (label, colour, style) in KIND_STYLES.items():
        own = sorted((entry for entry in drawn if entry["kind"] == kind), key=lambda entry: entry["n_pairs"])
        where = [entry["n_pairs"] for entry in own]
        axes.plot(where, [e["value"]["value"] for e in own], style, color=colour, markersize=4, label=label)
        bounds = [(e["value"].get("low"), e["value"].get("high")) for e in own]
        low, high = ([math.nan if pair[side] is None else pair[side] for pair in bounds] for side in (0, 1))
        axes.fill_between(where, low, high, color=colour, alpha=0.13, linewidth=0)
    plain = next((entry["value"]["value"] for entry in valued if entry["kind"] == "unsteered"), None)
    if plain is not None:
        axes.axhline(plain, color=COLOURS["unsteered"], linewidth=1.0, linestyle="--", label="unsteered")
    axes.set_xscale("log")
    sizes = sorted({entry["n_pairs"] for entry in drawn})
    apart = [size for size, after in zip(sizes, [*sizes[1:], None], strict=True) if after is None or after > 1.2 * size]
    axes.set_xticks(apart, [str(size) for size in apart])
    axes.minorticks_off()
    axes.set_xlabel("training pairs")
    axes.set_ylabel(name)
    if limits:
        axes.set_ylim(*limits)
    legend(figure, axes, columns=2)
    return svg(figure, name="samples", label=f"{name} by number of training pairs")


def screening(summary: Mapping[str, Any]) -> str | None:
    """Predicted against exact mean change of the margin, one point per cell, with the rank correlation."""
    found = summary.get("screening") or {}
    cells = found.get("cells") or []
    if not cells:
        return None
    figure, axes = canvas(height=3.1)
    predicted, exact = [cell["predicted"] for cell in cells], [cell["change"] for cell in cells]
    reach = 1.05 * max(map(abs, [*predicted, *exact]))
    axes.plot([-reach, reach], [-reach, reach], color="#9aa0a6", linewidth=0.8, linestyle="--")
    axes.plot(predicted, exact, "o", color=COLOURS["steered"], markersize=3.5, alpha=0.8)
    estimate = found.get("rank_correlation") or {}
    if estimate.get("value") is not None:
        text = f"rank correlation {number(estimate['value'])}"
        if estimate.get("low") is not None:
            text += f" [{number(estimate['low'])}, {number(estimate['high'])}]"
        axes.set_title(text, fontsize=9, loc="left")
    axes.set_xlabel("first-order prediction")
    axes.set_ylabel("exact change of the margin")
    return svg(figure, name="screening", label="First-order prediction and exact change of the margin by cell")
