"""Cells of a sweep: settings of an intervention, and where in the network they begin to matter."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from steerlab.batches import is_out_of_memory, release
from steerlab.interventions import Intervention
from steerlab.models import Model
from steerlab.steering import Step

LOGGER = logging.getLogger("steerlab")

Live = Sequence[tuple[Intervention, ...]]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One setting of a sweep: what is done to the residual stream (nothing: the baseline)."""

    interventions: tuple[Intervention, ...] = ()

    @property
    def live(self) -> tuple[Intervention, ...]:
        """The interventions that change something."""
        return tuple(i for i in self.interventions if not i.inert)

    @property
    def gated(self) -> bool:
        """True when a gate decides by the row whether something is changed."""
        return any(i.gate is not None for i in self.live)


def first_layer(model: Model, cell: tuple[Intervention, ...]) -> int:
    """The lowest layer at which the cell reads or changes the residual; the top one when it does neither."""
    changed = [layer for i in cell for layer in i.vector.layers]
    return min(changed + [i.gate.layer for i in cell if i.gate is not None], default=model.n_layers - 1)


def chunks(order: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """Parts of `order`, each of at most `size`."""
    for start in range(0, len(order), size):
        yield order[start : start + size]


def in_chunks(order: Sequence[int], size: int, run: Callable[[Sequence[int]], None]) -> None:
    """Call `run` on the `chunks` of `order`; where memory runs out, go on with half as many at a time, with a warning.

    A single one that does not fit raises.
    """
    left = list(order)
    while left:
        some, fits = left[:size], True
        try:
            run(some)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or len(some) == 1:
                raise
            fits = False
        if fits:
            left = left[size:]
        else:  # outside of the except block, where the error's traceback holds the tensors no more
            size = len(some) // 2
            LOGGER.warning("out of memory with %d cells: going on with %d at a time", len(some), size)
            release()


def apply_to_cells(
    steps: Sequence[Step], residual: Float[Tensor, "cell prompt d_model"]
) -> Float[Tensor, "cell prompt d_model"]:
    """Apply the steps, whose rows are cells, at every prompt."""
    everywhere = torch.ones(residual.shape[:2], dtype=torch.bool, device=residual.device)
    for step in steps:
        residual = step.apply(residual, everywhere)
    return residual
