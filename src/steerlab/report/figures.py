"""Summary to figures: inline SVG, drawn without any global state of matplotlib."""

from __future__ import annotations

import io
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from steerlab.report.tables import MAIN, arm_name, estimate_of, in_order, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 4.7  # inches; narrow, so that the text is still legible when the page is 360 px wide
COLOURS: Mapping[str, str] = {"unsteered": "#7a7f87", "steered": "#1f5fb4", "recalibrated": "#c2620a"}
_OTHER = "#4d535b"


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A number on an axis: its key, its name, where neither colour lies, and the smallest reach from there."""

    key: str
    name: str
    centre: float
    reach: float


ACCURACY = Scale(key=MAIN, name="balanced accuracy", centre=0.5, reach=0.1)


def heat_maps(summary: Mapping[str, Any], scale: Scale = ACCURACY) -> list[tuple[str, str]]:
    """(title, SVG) per method, operation, positions and contrast: `scale` by layer set and coefficient, choices marked.

    Averaged over templates by number of answers; a cell that folds chose shows how many did.
    """
    cells = [cell for cell in summary.get("grid") or [] if finite(cell.get(scale.key))]
    kinds = list(dict.fromkeys(_kind(cell) for cell in cells))
    maps = []
    for kind in kinds:
        chosen = Counter(
            (entry.get("layers"), entry.get("coefficient"))
            for entry in summary.get("selection") or []
            if _kind(entry) == kind and not entry.get("cwe")
        )
        title = ", ".join(["Layer and coefficient", *(part.replace("_", " ") for part in _telling(kind, kinds))])
        maps.append(
            (title, _heat_map([c for c in cells if _kind(c) == kind], chosen, name="-".join(kind), scale=scale))
        )
    return maps


def _kind(cell: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return (
        str(cell.get("method")),
        str(cell.get("operation")),
        str(cell.get("positions")),
        str(cell.get("contrast") or ""),
    )


def _telling(kind: tuple[str, ...], kinds: Sequence[tuple[str, ...]]) -> list[str]:
    """The method, and of the rest what differs between maps."""
    return [part for place, part in enumerate(kind) if place == 0 or len({other[place] for other in kinds}) > 1]


def layer_order(layer_set: str) -> tuple[int, list[int]]:
    """A key that sorts single layers first, then sets by their layers."""
    layers = [int(part) for part in layer_set.split("+")]
    return len(layers) > 1, layers


def _heat_map(
    cells: Sequence[Mapping[str, Any]], chosen: Mapping[tuple[Any, Any], int], *, name: str, scale: Scale
) -> str:
    import numpy as np
    from matplotlib import colormaps

    layers = sorted({str(cell["layers"]) for cell in cells}, key=layer_order)
    doses = sorted({cell["coefficient"] for cell in cells})
    total, weight = np.zeros((len(layers), len(doses))), np.zeros((len(layers), len(doses)))
    for cell in cells:
        place = layers.index(str(cell["layers"])), doses.index(cell["coefficient"])
        total[place] += cell[scale.key] * (cell.get("n") or 1)
        weight[place] += cell.get("n") or 1
    values = np.divide(total, weight, out=np.full(total.shape, np.nan), where=weight > 0)
    reach = max(scale.reach, float(np.nanmax(np.abs(values - scale.centre))))
    low, high = scale.centre - reach, scale.centre + reach
    figure, axes = canvas(height=1.3 + max(0.24, 0.34 - 0.004 * len(layers)) * len(layers))
    colours = colormaps["RdBu"].resampled(31)  # few enough that the colour bar is drawn as vectors, not as an image
    image = axes.pcolormesh(values, cmap=colours, vmin=low, vmax=high, edgecolors="white", linewidth=0.4)
    axes.set_xticks([place + 0.5 for place in range(len(doses))], [f"{dose:g}" for dose in doses])
    axes.set_yticks([place + 0.5 for place in range(len(layers))], layers)
    axes.set_xlabel("coefficient")
    axes.set_ylabel("layer")
    for (row, column), value in np.ndenumerate(values):
        folds = chosen.get((layers[row], doses[column]), 0)
        colour = "white" if abs(value - scale.centre) > 0.65 * reach else "#1a1d21"
        if folds:
            axes.add_patch(_box(column, row))
        if math.isfinite(value) and len(doses) <= 10:
            text = f"{value:.2f}" + (f" ×{folds}" if folds else "")
            axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=7, color=colour)
    figure.colorbar(image, ax=axes, label=scale.name, fraction=0.06, pad=0.03)
    return svg(figure, name=f"heat-{name}", label=f"Heat map of {scale.name} by layer and coefficient")


def _box(column: int, row: int) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((column + 0.04, row + 0.06), 0.92, 0.88, fill=False, edgecolor="#111", linewidth=2.2)


def by_cwe(summary: Mapping[str, Any]) -> str | None:
    """Balanced accuracy per CWE: unsteered, steered, recalibrated, with intervals."""
    table = summary.get("by_cwe") or {}
    arms = [arm for arm in ("unsteered", "steered", "recalibrated") if any(arm in (t or {}) for t in table.values())]
    if not table or not arms:
        return None
    figure, axes = canvas(height=1.1 + 0.62 * len(table))
    names = list(table)
    step = 0.8 / len(arms)
    for place, arm in enumerate(arms):
        estimates = [((table[name] or {}).get(arm) or {}).get(MAIN) or {} for name in names]
        heights = [row + (place - (len(arms) - 1) / 2) * step for row in range(len(names))]
        axes.barh(
            heights,
            [estimate["value"] if finite(estimate.get("value")) else math.nan for estimate in estimates],
            height=step * 0.86,
            color=COLOURS[arm],
            label=arm_name(arm),
        )
        for height, estimate in zip(heights, estimates, strict=True):
            whisker(axes, height, estimate, colour="#16181b", marker="")
    axes.set_yticks(range(len(names)), [_tick(name) for name in names])
    axes.set_ylim(len(names) - 0.45, -0.55)
    _share_axis(axes)
    legend(figure, axes, columns=len(arms))
    return svg(figure, name="cwe", label="Balanced accuracy per CWE with intervals")


def controls(summary: Mapping[str, Any], scale: Scale = ACCURACY) -> str | None:
    """Every arm with its interval in one forest plot; shares on an axis from 0 to 1."""
    arms = [arm for arm in in_order(summary.get("arms") or {}) if finite(_value(summary, arm, scale))]
    if not arms:
        return None
    figure, axes = canvas(height=1.0 + 0.34 * len(arms))
    for row, arm in enumerate(arms):
        estimate = estimate_of(summary, arm, scale.key)
        whisker(axes, row, estimate, colour=COLOURS.get(arm, _OTHER), marker="s" if arm == "steered" else "o")
        axes.annotate(
            number(estimate["value"]),
            (estimate["value"], row),
            (0, 5),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    if "steered" in arms:
        axes.axvline(_value(summary, "steered", scale), color=COLOURS["steered"], linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(arms)), [_tick(arm_name(arm)) for arm in arms])
    axes.set_ylim(len(arms) - 0.5, -0.7)
    if scale is ACCURACY:
        _share_axis(axes)
    else:
        axes.axvline(scale.centre, color="#9aa0a6", linewidth=0.8, linestyle="--", zorder=0)
        axes.set_xlabel(scale.name)
    return svg(figure, name=f"controls-{scale.key}", label=f"Steered beside every control: {scale.name}")


def _value(summary: Mapping[str, Any], arm: str, scale: Scale) -> Any:
    return estimate_of(summary, arm, scale.key).get("value")


def layers(summary: Mapping[str, Any]) -> str | None:
    """AUROC of the held-out projection by layer (reading) against that of the answer margin (saying)."""
    from matplotlib.ticker import MaxNLocator

    entries = [
        entry for entry in summary.get("layers") or [] if finite((entry.get("reading_auroc") or {}).get("value"))
    ]
    if not entries:
        return None
    entries = sorted(entries, key=lambda entry: entry["layer"])
    figure, axes = canvas(height=3.0)
    where = [entry["layer"] for entry in entries]
    found = [entry["reading_auroc"] for entry in entries]
    axes.plot(where, [e["value"] for e in found], "o-", color=COLOURS["steered"], markersize=4, label="reading")
    bounded = [finite(e.get("low")) and finite(e.get("high")) for e in found]
    axes.fill_between(
        where,
        [e["low"] if ok else math.nan for e, ok in zip(found, bounded, strict=True)],
        [e["high"] if ok else math.nan for e, ok in zip(found, bounded, strict=True)],
        color=COLOURS["steered"],
        alpha=0.18,
        linewidth=0,
    )
    wrong = [entry for entry in entries if entry.get("sign_ok") is False]
    if wrong:
        x, y = [entry["layer"] for entry in wrong], [entry["reading_auroc"]["value"] for entry in wrong]
        axes.plot(x, y, "x", color="#b3261e", markersize=9, label="sign check failed")
    saying = estimate_of(summary, "unsteered", "auroc")
    if finite(saying.get("value")):
        axes.axhline(saying["value"], color=COLOURS["recalibrated"], label="saying (unsteered)")
        if finite(saying.get("low")) and finite(saying.get("high")):
            axes.axhspan(saying["low"], saying["high"], color=COLOURS["recalibrated"], alpha=0.13, linewidth=0)
    axes.axhline(0.5, color="#9aa0a6", linewidth=0.8, linestyle="--")
    axes.set_xlabel("layer")
    axes.set_ylabel("AUROC")
    axes.set_ylim(-0.02, 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(figure, axes, columns=3)
    return svg(figure, name="layers", label="AUROC of reading by layer, and of saying")


def dose(summary: Mapping[str, Any]) -> str | None:
    """Balanced accuracy, yes-rate and the side effect on ordinary code as functions of the coefficient."""
    entries = sorted(
        (entry for entry in summary.get("dose") or [] if finite(entry.get("coefficient"))),
        key=lambda entry: entry["coefficient"],
    )
    lines = (
        (MAIN, "balanced accuracy", COLOURS["steered"], "o-"),
        ("yes_rate", "says vulnerable", COLOURS["recalibrated"], "s--"),
        ("kl", "side effect (KL, nats per token)", _OTHER, "^:"),
    )
    entries = [entry | {"kl": (entry.get("kl") or {}).get("value")} for entry in entries]
    drawn = [line for line in lines if any(finite(entry.get(line[0])) for entry in entries)]
    if not drawn:
        return None
    figure, axes = canvas(height=3.0)
    for key, label, colour, style in drawn:
        points = [(entry["coefficient"], entry[key]) for entry in entries if finite(entry.get(key))]
        axes.plot([x for x, _ in points], [y for _, y in points], style, color=colour, markersize=4, label=label)
    axes.axhline(0.5, color="#9aa0a6", linewidth=0.8, linestyle="--")
    axes.axvline(0, color="#9aa0a6", linewidth=0.8)
    axes.set_xlabel("coefficient (0 is unsteered)")
    axes.set_ylim(-0.02, 1.02)  # a KL above 1 nat leaves the picture: such a dose breaks the model
    legend(figure, axes, columns=2)
    return svg(figure, name="dose", label="Dose and response")


def finite(value: object) -> bool:
    """Whether a value is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _tick(name: str) -> str:
    """A name beside an axis: short enough for the axis to have room, and no mathematics."""
    short = name if len(name) <= 24 else f"{name[:23]}…"
    return short.replace("$", r"\$")


def canvas(*, height: float) -> tuple[Figure, Axes]:
    """A narrow figure with one set of axes; height in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=9)
    return figure, axes


def _share_axis(axes: Axes) -> None:
    axes.set_xlim(0, 1.0)
    axes.axvline(0.5, color="#9aa0a6", linewidth=0.8, linestyle="--", zorder=0)
    axes.set_xlabel("balanced accuracy (0.5 is chance)")


def legend(figure: Figure, axes: Axes, *, columns: int) -> None:
    """The legend above the axes."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=columns, frameon=False, fontsize=9)


def whisker(axes: Axes, height: float, estimate: Mapping[str, Any], *, colour: str, marker: str) -> None:
    """An interval at a height, and a marker at the value unless `marker` is empty."""
    if finite(estimate.get("low")) and finite(estimate.get("high")):
        axes.plot([estimate["low"], estimate["high"]], [height, height], "-", color=colour, linewidth=1.5)
    if marker and finite(estimate.get("value")):
        axes.plot([estimate["value"]], [height], marker, color=colour, markersize=6)


def svg(figure: Figure, *, name: str, label: str) -> str:
    """The figure as one <svg> element with ids of its own; the same figure gives the same text."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none", "font.family": "sans-serif"}):
        FigureCanvasSVG(figure).print_svg(  # type: ignore[no-untyped-call]
            buffer, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    prefix = re.sub(r"\W+", "-", name)
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'(url\(#|href="#)', rf"\1{prefix}-", text)
    text = re.sub(r'<svg ([^>]*?)width="[^"]*"', r"<svg \1", text, count=1)
    text = re.sub(r'(<svg [^>]*?)height="[^"]*"', r"\1", text, count=1)
    return text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
