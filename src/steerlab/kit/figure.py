"""The figure of the direction bar: answer margin by dose, the mean difference among random directions."""

from __future__ import annotations

import io
from pathlib import Path

from steerlab.files import write_atomically
from steerlab.kit.direction import Response

WIDTH, HEIGHT = 4.7, 3.2  # inches, as the report's figures
STEERED, RANDOM, RULE = "#1f5fb4", "#7a7f87", "#9aa0a6"  # the report's colours of steered and unsteered


def write_figure(found: Response, path: Path) -> None:
    """Draw `found` as an SVG file; the same response gives the same file."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    axes = figure.add_subplot()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=9)
    doses = list(found.coefficients)
    for number, draw in enumerate(found.randoms):
        label = f"{len(found.randoms)} random directions" if number == 0 else None
        axes.plot(doses, draw, "-", color=RANDOM, linewidth=0.9, alpha=0.7, label=label)
    axes.plot(doses, found.margins, "o-", color=STEERED, markersize=4, label="mean difference")
    axes.axvline(0, color=RULE, linewidth=0.8)
    axes.set_xlabel(f"coefficient at layer {found.layer} (mean residual norms; 0 is unsteered)")
    axes.set_ylabel('margin toward "patched" (nats)')
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False, fontsize=9)
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "direction", "svg.fonttype": "none", "font.family": "sans-serif"}):
        FigureCanvasSVG(figure).print_svg(  # type: ignore[no-untyped-call]
            buffer, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    write_atomically(path, buffer.getvalue().encode())
