"""What vLLM's workers are given: directions by layer, and hooks that add them while requests run.

vLLM mixes `SteeringExtension` into its worker class (`worker_extension_cls`) and calls its methods by name with plain
numbers, so nothing is pickled and it works in processes of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from steerlab.hooks import attached_to_sums
from steerlab.interventions import OPERATIONS
from steerlab.models import find_layers
from steerlab.positions import select

Step = Sequence[Any]  # layer, operation, coefficient, positions, direction as a list of numbers
Places = Callable[[str, Tensor], Tensor]


class SteeringExtension:
    """Steering of the network that this worker holds; one set of steps at a time, in every row."""

    def steerlab_steer(self, n_layers: int, steps: Sequence[Step]) -> int:
        """Apply `steps` in order from now on, in place of those before; gives how many layers are steered here."""
        self.steerlab_release()
        network: nn.Module = self.get_model()  # type: ignore[attr-defined]
        _, layers = find_layers(network, n_layers=n_layers, model_type="", name="vLLM's network")
        planned: dict[int, list[tuple[str, float, str, Tensor]]] = {}
        for layer, operation, coefficient, positions, direction in steps:
            row = torch.tensor(direction, dtype=torch.float32)
            planned.setdefault(int(layer), []).append((str(operation), float(coefficient), str(positions), row))
        held = ExitStack()
        edits = {layers[at]: _edit(own, self.steerlab_selected) for at, own in planned.items()}
        held.enter_context(attached_to_sums(edits=edits))
        self.steerlab_held = held
        return len(planned)

    def steerlab_release(self) -> None:
        """Remove the hooks."""
        held: ExitStack | None = self.__dict__.pop("steerlab_held", None)
        if held is not None:
            held.close()

    def steerlab_selected(self, positions: str, residual: Tensor) -> Tensor:
        """[token, 1], True where a token of the running step belongs to `positions` of its own row.

        vLLM lays the new tokens of all rows behind one another; its runner says where each row begins, how long its
        prompt is, and where its tokens stand. What lies behind the last row is padding and never selected.
        """
        runner: Any = self.model_runner  # type: ignore[attr-defined]
        rows = runner.input_batch.num_reqs
        begins = torch.from_numpy(runner.query_start_loc.np[: rows + 1].copy()).long()
        prompts = torch.from_numpy(runner.input_batch.num_prompt_tokens[:rows].copy()).long()
        lengths = prompts.repeat_interleave(begins.diff())
        index = torch.full((len(residual), 1), -1)
        index[: len(lengths), 0] = runner.positions[: len(lengths)].cpu().long()
        lengths = torch.nn.functional.pad(lengths, (0, len(residual) - len(lengths)))
        return select(positions, index, lengths).to(residual.device)


def _edit(steps: list[tuple[str, float, str, Tensor]], selected: Places) -> Any:
    def edit(residual: Tensor) -> Tensor:
        moved = residual.float()
        for operation, coefficient, positions, direction in steps:
            factor = torch.full((1, 1), coefficient, device=moved.device)
            steered = OPERATIONS[operation](moved, direction.to(moved.device)[None], factor)
            moved = steered if positions == "all" else torch.where(selected(positions, moved), steered, moved)
        return moved

    return edit
