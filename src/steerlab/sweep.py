"""What a sweep tries: cells of method, layer set, operation, positions and coefficient, all or drawn at random."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from steerlab.directions import check_method
from steerlab.errors import LayerError, OptionError
from steerlab.interventions import check_names
from steerlab.positions import Positions


@dataclass(frozen=True, kw_only=True)
class SweepCell:
    """One way to steer, by names only: `layers` are steered at once, each with its own direction.

    `coefficient` has the unit of the operation and the dose. `contrast` says at which tokens of completions the pairs
    were contrasted; empty where a question is put around whole programs.
    """

    method: str
    layers: tuple[int, ...]
    coefficient: float
    operation: str = "add"
    positions: Positions = "from_last_prompt_token"
    contrast: str = ""

    @property
    def layer_set(self) -> str:
        """The layers as a name: "4" or "4+12+20"."""
        return layer_set_name(self.layers)


def layer_set_name(layers: Sequence[int]) -> str:
    """ "4" for one layer, "4+12+20" for several that are steered at once."""
    return "+".join(map(str, layers))


def layer_sets(given: Sequence[int | str], *, n_layers: int) -> tuple[tuple[int, ...], ...]:
    """Layer sets from numbers and names such as "4" and "4+12+20"; "all" stands for every layer by itself.

    Negative layers count from the last one (-1). Empty gives four layers spread over the depth.
    Raises: LayerError for a layer that the model lacks, OptionError for what is no layer set.
    """
    if not given:
        n = n_layers
        return tuple((layer,) for layer in sorted({n // 4, n // 2, (3 * n) // 4, max(0, n - 2)}))
    found: list[tuple[int, ...]] = []
    for entry in given:
        if str(entry).strip() == "all":
            found += [(layer,) for layer in range(n_layers)]
        else:
            found.append(tuple(_layer(part, n_layers) for part in str(entry).split("+")))
    for layers in found:
        if len(set(layers)) != len(layers):
            raise OptionError(f"layer set {layer_set_name(layers)} names a layer twice.")
    if len(set(found)) != len(found):
        raise OptionError(f"layers name something twice: {', '.join(map(layer_set_name, found))}.")
    return tuple(found)


def _layer(text: str, n_layers: int) -> int:
    try:
        layer = int(text)
    except ValueError:
        raise OptionError(
            f'--layers: {text.strip()!r} is not a layer. Write "all", 2,4 or, for several at once, 2+4.'
        ) from None
    if not -n_layers <= layer < n_layers:
        raise LayerError(f"layer {layer} does not exist: choose --layers of the model's layers 0..{n_layers - 1}.")
    return layer % n_layers


def grid(
    *,
    methods: Sequence[str],
    layers: Sequence[tuple[int, ...]],
    coefficients: Sequence[float],
    operations: Sequence[str] = ("add",),
    positions: Sequence[Positions] = ("from_last_prompt_token",),
    contrasts: Sequence[str] = ("",),
    dose: str = "absolute",
) -> list[SweepCell]:
    """Every combination, in a fixed order.

    Raises: OptionError or InterventionError for a name that does not exist: before anything is computed, not after.
    """
    for method in methods:
        check_method(method)
    for operation, where in itertools.product(operations, positions):
        check_names(operation, where, dose)
    return [
        SweepCell(
            method=method,
            layers=layer_set,
            coefficient=coefficient,
            operation=operation,
            positions=where,
            contrast=contrast,
        )
        for contrast, method, layer_set, operation, where, coefficient in itertools.product(
            contrasts, methods, layers, operations, positions, coefficients
        )
    ]


def search(cells: Sequence[SweepCell], how: str, *, seed: int) -> list[SweepCell]:
    """The cells to try: all of them for "grid", N drawn without replacement for "random:N", in their order.

    Raises: OptionError for another search.
    """
    if how == "grid":
        return list(cells)
    kind, _, number = how.partition(":")
    if kind != "random" or not number.isdigit() or int(number) < 1:
        raise OptionError(f"search {how!r} does not exist. Write grid, or for example random:40.")
    if int(number) >= len(cells):
        return list(cells)
    drawn = np.random.default_rng(seed).choice(len(cells), size=int(number), replace=False)
    return [cells[place] for place in sorted(drawn.tolist())]
