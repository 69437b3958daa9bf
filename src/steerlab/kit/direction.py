"""The kit's direction bar: a mean difference of fresh pairs moves the answer margin of pairs it was not built on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steerlab.building import rendered_pair
from steerlab.capturing import capture
from steerlab.contrast import ContrastPair
from steerlab.directions import vector_from_residuals
from steerlab.errors import DataError
from steerlab.interventions import Intervention
from steerlab.kit.rows import Row, Verdict
from steerlab.models import Model
from steerlab.statistics import Estimate, cluster_bootstrap
from steerlab.tasks.templates import Template, load_templates
from steerlab.vectors import Recipe, SteeringVector
from steerlab.wave import Cell, wave_log_likelihoods

FEWEST_COEFFICIENTS = 5
BAR = "monotone over >= 5 coefficients, interval > 0, above every random direction"


@dataclass(frozen=True, kw_only=True)
class Split:
    """Fresh pairs in two halves by family, and the building half in two again to choose the layer on."""

    built_on: tuple[ContrastPair, ...]
    tried_on: tuple[ContrastPair, ...]
    held_out: tuple[ContrastPair, ...]

    @property
    def building(self) -> tuple[ContrastPair, ...]:
        """The whole building half."""
        return self.built_on + self.tried_on


@dataclass(frozen=True, kw_only=True)
class Response:
    """How the answer margin toward "patched" answers a dose, in nats, on held-out programs.

    `margins` [coefficient] are means over programs for the mean difference, `randoms` [draw, coefficient] for random
    directions of the same norm. `shift` is the mean of (margin at the last coefficient - at the first) over programs,
    with an interval over families. Coefficients are in units of the mean residual norm at `layer`.
    """

    layer: int
    n_layers: int
    coefficients: tuple[float, ...]
    margins: tuple[float, ...]
    randoms: tuple[tuple[float, ...], ...]
    shift: Estimate
    n_pairs: int
    n_built_on: int
    way: str

    @property
    def random_shifts(self) -> list[float]:
        """The same shift for each random direction."""
        return [draw[-1] - draw[0] for draw in self.randoms]

    @property
    def monotone(self) -> bool:
        """Whether the mean margin rises from each coefficient to the next."""
        return all(after > before for before, after in zip(self.margins, self.margins[1:], strict=False))

    @property
    def met(self) -> bool:
        """The bar."""
        low, value = self.shift.low, self.shift.value
        largest = max(map(abs, self.random_shifts))
        enough = self.monotone and len(self.coefficients) >= FEWEST_COEFFICIENTS
        return enough and low is not None and value is not None and low > 0 and value > largest


def split(pairs: Sequence[ContrastPair]) -> Split:
    """Every other family of each CWE builds, the others are held out; of a CWE with one family every other pair.

    Raises: DataError when a part stays empty.
    """
    by_cwe: dict[str, dict[str, list[ContrastPair]]] = {}
    for pair in pairs:
        by_cwe.setdefault(pair.labels["cwe"], {}).setdefault(pair.labels["family"], []).append(pair)
    building: list[ContrastPair] = []
    held_out: list[ContrastPair] = []
    for families in by_cwe.values():
        parts = [families[name] for name in sorted(families)]
        if len(parts) == 1:
            parts = [[pair] for pair in parts[0]]
        building += [pair for part in parts[0::2] for pair in part]
        held_out += [pair for part in parts[1::2] for pair in part]
    if len(building) < 2 or not held_out:
        raise DataError(f"{len(pairs)} pairs are too few for a direction and a held-out half: at least 4 are needed.")
    return Split(built_on=tuple(building[0::2]), tried_on=tuple(building[1::2]), held_out=tuple(held_out))


def measure(
    model: Model, parts: Split, *, coefficients: Sequence[float], draws: int, template: Template | None = None
) -> Response:
    """Choose the layer on the building half, build there, and steer the held-out half by the wave.

    Every question is steered from its last token on. Random directions have seeds 0, 1, ...
    """
    asked = template or load_templates()[0]
    positive, negative = _residuals(model, asked, parts.building)
    half = slice(0, len(parts.built_on))
    every = tuple(range(model.n_layers))
    tried = _vector(model, {at: positive[at][half] for at in every}, {at: negative[at][half] for at in every}, every)
    ends = (min(coefficients), max(coefficients))
    cells = [_cell(tried.at([layer]), end) for layer in every for end in ends]
    found, _ = _margins(model, asked, parts.tried_on, cells)
    shifts = (found[1::2] - found[0::2]).mean(axis=1)
    layer = int(np.argmax(shifts))
    vectors = [
        _vector(model, positive, negative, (layer,), method=method, seed=seed)
        for method, seed in [("mean_difference", 0), *(("random_control", seed) for seed in range(draws))]
    ]
    cells = [_cell(vector, coefficient) for vector in vectors for coefficient in coefficients]
    values, way = _margins(model, asked, parts.held_out, cells)
    moved = values.reshape(len(vectors), len(coefficients), -1)
    families = [pair.labels["family"] for pair in parts.held_out for _ in range(2)]
    means = moved.mean(axis=2)
    return Response(
        layer=layer,
        n_layers=model.n_layers,
        coefficients=tuple(coefficients),
        margins=tuple(means[0].tolist()),
        randoms=tuple(tuple(draw) for draw in means[1:].tolist()),
        shift=cluster_bootstrap(moved[0, -1] - moved[0, 0], families),
        n_pairs=len(parts.held_out),
        n_built_on=len(parts.building),
        way=way,
    )


Sides = dict[int, NDArray[Any]]


def _residuals(model: Model, template: Template, pairs: Sequence[ContrastPair]) -> tuple[Sides, Sides]:
    prompts = [rendered_pair(template, pair) for pair in pairs]
    every = range(model.n_layers)
    seen = capture(model, [side for both in prompts for side in both], layers=every)
    arrays = {layer: residual.numpy() for layer, residual in seen.items()}
    return {at: found[0::2] for at, found in arrays.items()}, {at: found[1::2] for at, found in arrays.items()}


def _vector(
    model: Model,
    positive: Sides,
    negative: Sides,
    layers: tuple[int, ...],
    *,
    method: str = "mean_difference",
    seed: int = 0,
) -> SteeringVector:
    recipe = Recipe(method=method, layers=layers, positions="last_prompt_token", seed=seed, source="fresh")
    return vector_from_residuals(model, positive, negative, recipe=recipe)


def _cell(vector: SteeringVector, coefficient: float) -> Cell:
    dose = Intervention(
        vector=vector, coefficient=coefficient, positions="from_last_prompt_token", dose="residual_norm"
    )
    return Cell(interventions=(dose,))


def _margins(
    model: Model, template: Template, pairs: Sequence[ContrastPair], cells: Sequence[Cell]
) -> tuple[NDArray[Any], str]:
    """Log P(patched answer) - log P(vulnerable answer), float64 [cell, program], and the way it was computed."""
    prompts = [side for pair in pairs for side in rendered_pair(template, pair)]
    answers = [(template.patched, template.vulnerable)] * len(prompts)
    found = wave_log_likelihoods(model, prompts, answers, cells=cells, relative=True)
    values = found.log_likelihoods.double().numpy()
    return values[..., 0] - values[..., 1], found.way


def response_rows(found: Response) -> list[Row]:
    """The direction bar and the numbers beside it."""
    verdict: Verdict = "met" if found.met else "not met"
    first, last = found.coefficients[0], found.coefficients[-1]
    shifts = found.random_shifts
    steps = [after > before for before, after in zip(found.margins, found.margins[1:], strict=False)]
    note = f"layer {found.layer} of {found.n_layers}, chosen on the {found.n_built_on} building pairs; over families"
    return [
        Row(
            name=f"direction: margin toward patched, dose {first:g} to {last:g}",
            value=found.shift.value,
            low=found.shift.low,
            high=found.shift.high,
            n=found.shift.n,
            n_unscored=found.shift.n_unscored,
            unit="nats",
            bar=BAR,
            verdict=verdict,
            note=note,
        ),
        Row(
            name="direction: steps of the dose that raise the margin",
            value=sum(steps) / len(steps),
            n=len(steps),
            note=f"mean margins {', '.join(f'{margin:+.2f}' for margin in found.margins)}",
        ),
        Row(
            name="direction: largest shift of a random direction",
            value=max(map(abs, shifts)),
            n=len(shifts),
            unit="nats",
            note=f"equal norm; mean of the sizes {float(np.mean(np.abs(shifts))):.2f}",
        ),
    ]
