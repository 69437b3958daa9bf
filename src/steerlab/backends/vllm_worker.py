"""What vLLM's workers are given: directions by layer, and hooks that add them while requests run.

vLLM mixes `SteeringExtension` into its worker class (`worker_extension_cls`) and calls its methods by name with plain
numbers, so nothing is pickled and it works in processes of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from steerlab.hooks import attached_to_sums
from steerlab.interventions import OPERATIONS
from steerlab.models import find_layers

Step = Sequence[Any]  # layer, operation, coefficient, direction as a list of numbers


class SteeringExtension:
    """Steering of the network that this worker holds; one set of steps at a time, at every position of every row."""

    def steerlab_steer(self, n_layers: int, steps: Sequence[Step]) -> int:
        """Apply `steps` in order from now on, in place of those before; gives how many layers are steered here."""
        self.steerlab_release()
        network: nn.Module = self.get_model()  # type: ignore[attr-defined]
        _, layers = find_layers(network, n_layers=n_layers, model_type="", name="vLLM's network")
        planned: dict[int, list[tuple[str, float, Tensor]]] = {}
        for layer, operation, coefficient, direction in steps:
            row = torch.tensor(direction, dtype=torch.float32)
            planned.setdefault(int(layer), []).append((str(operation), float(coefficient), row))
        held = ExitStack()
        held.enter_context(attached_to_sums(edits={layers[at]: _edit(own) for at, own in planned.items()}))
        self.steerlab_held = held
        return len(planned)

    def steerlab_release(self) -> None:
        """Remove the hooks."""
        held: ExitStack | None = self.__dict__.pop("steerlab_held", None)
        if held is not None:
            held.close()


def _edit(steps: list[tuple[str, float, Tensor]]) -> Any:
    def edit(residual: Tensor) -> Tensor:
        moved = residual.float()
        for operation, coefficient, direction in steps:
            factor = torch.full((1, 1), coefficient, device=moved.device)
            moved = OPERATIONS[operation](moved, direction.to(moved.device)[None], factor)
        return moved

    return edit
