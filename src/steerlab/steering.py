"""Steer a model while a block runs: one set of interventions for all rows, or one per row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from steerlab.errors import InterventionError
from steerlab.gates import Gate, GateDecisions
from steerlab.hooks import Stream, attached, prompt_lengths, stream_of
from steerlab.interventions import OPERATIONS, Intervention
from steerlab.models import Model, check_layers
from steerlab.vectors import check_same_model

Rows = Sequence[Sequence[Intervention]]


@dataclass
class Step:
    """One application at one layer: the same operation and positions for some of the rows.

    `rows` are indices into the batch (None: all rows, one direction); `directions` [row, d_model] and
    `coefficients` [row] line up with them, float32 on the layer's device. `gate` says which rows are steered at all:
    who applies the step takes the others out of `selected`.
    """

    operation: str
    positions: str
    rows: Tensor | None
    directions: Tensor
    coefficients: Tensor
    gate: Gate | None = None

    def apply(self, residual: Tensor, selected: Tensor) -> Tensor:
        """The steered residual [batch, position, d_model]; `selected` [batch, position] says where."""
        rows = None if self.rows is None or len(self.rows) == len(residual) else self.rows  # ascending: all of them
        part = residual if rows is None else residual[rows]
        where = (selected if rows is None else selected[rows]).to(part.device)
        moved = OPERATIONS[self.operation](
            part.float(), self.directions[:, None, :], self.coefficients[:, None, None]
        ).to(residual.dtype)
        moved = torch.where(where[..., None], moved, part)
        return moved if rows is None else residual.index_copy(0, rows, moved)

    def kept(self, kept: Tensor) -> Step | None:
        """The step for a batch that goes on with the rows `kept`; None when none of its rows is left."""
        if self.rows is None:
            return self
        kept = kept.to(self.rows.device)
        match = kept[:, None] == self.rows[None, :]
        new_rows, sources = torch.nonzero(match, as_tuple=True)
        if len(new_rows) == 0:
            return None
        directions, coefficients = self.directions[sources], self.coefficients[sources]
        return Step(self.operation, self.positions, new_rows, directions, coefficients, self.gate)


@contextmanager
def steer(model: Model, *interventions: Intervention, lengths: Sequence[int] | None = None) -> Iterator[None]:
    """Apply `interventions`, in written order, to every row of every forward inside the block.

    Works for plain forwards, for `steerlab.generate` and inside transformers' own `generate`. `lengths` says how many
    real tokens of each row are prompt in forwards without a cache; by default all tokens of a prefill are.
    Raises: VectorError, LayerError, InterventionError before anything is attached.
    """
    check(model, interventions, gates="possible")
    plan = {layer: _uniform_steps(model, interventions, layer) for layer in _layers(interventions)}
    with _steering(model, plan, n_rows=None, lengths=lengths):
        yield


@contextmanager
def steer_rows(model: Model, rows: Rows, *, lengths: Sequence[int] | None = None) -> Iterator[None]:
    """Apply to row i of the batch its own interventions, `rows[i]`, in written order.

    The forwards inside the block must have len(rows) rows (fewer once rows have left through the stream's `keep`).
    """
    for own in rows:
        check(model, own, gates="possible")
    layers = sorted({layer for own in rows for layer in _layers(own)})
    plan = {layer: row_steps(model, rows, layer) for layer in layers}
    with _steering(model, plan, n_rows=len(rows), lengths=lengths):
        yield


def check(
    model: Model, interventions: Sequence[Intervention], *, gates: Literal["possible", "refused"] = "refused"
) -> None:
    """Raise with one line unless every intervention fits the model.

    `gates`: whether the caller applies them; those that don't refuse a gated intervention rather than steer every row.
    """
    for intervention in interventions:
        check_same_model(intervention.vector.model, model.fingerprint)
        if intervention.gate is not None:
            if gates == "refused":
                raise InterventionError(
                    "a gated intervention was given where gates are not read: use steer, steer_rows, "
                    "answer_log_likelihoods or generate(..., rows=rows)."
                )
            check_same_model(intervention.gate.condition.model, model.fingerprint)
            check_layers(model, [intervention.gate.layer])
        check_layers(model, intervention.vector.layers)
        for layer in intervention.vector.layers:
            intervention.scaled_direction(layer)


def _layers(interventions: Sequence[Intervention]) -> list[int]:
    return sorted({layer for i in interventions if not i.inert for layer in i.vector.layers})


def _tensors(model: Model, layer: int, doses: Sequence[tuple[object, float]]) -> tuple[Tensor, Tensor]:
    import numpy as np

    device = next(model.layers[layer].parameters()).device
    device = model.device if device.type == "meta" else device
    directions = torch.from_numpy(np.stack([np.asarray(direction, dtype=np.float32) for direction, _ in doses]))
    coefficients = torch.tensor([factor for _, factor in doses], dtype=torch.float32)
    return directions.to(device), coefficients.to(device)


def _uniform_steps(model: Model, interventions: Sequence[Intervention], layer: int) -> list[Step]:
    steps = []
    for intervention in interventions:
        if layer in intervention.vector.directions and not intervention.inert:
            directions, coefficients = _tensors(model, layer, [intervention.scaled_direction(layer)])
            kind = intervention.operation, intervention.positions
            steps.append(Step(*kind, None, directions, coefficients, intervention.gate))
    return steps


def row_steps(model: Model, rows: Rows, layer: int) -> list[Step]:
    """What `steer_rows` does at one layer, in order: rows with the same operation, positions and gate share a step."""
    own = [[i for i in row if layer in i.vector.directions and not i.inert] for row in rows]
    steps = []
    for place in range(max(map(len, own), default=0)):
        kinds: dict[tuple[str, str, Gate | None], list[int]] = {}
        for index, row in enumerate(own):
            if len(row) > place:
                kinds.setdefault((row[place].operation, row[place].positions, row[place].gate), []).append(index)
        for (operation, positions, gate), members in kinds.items():
            doses = [own[index][place].scaled_direction(layer) for index in members]
            directions, coefficients = _tensors(model, layer, doses)
            at = torch.tensor(members, device=directions.device)
            steps.append(Step(operation, positions, at, directions, coefficients, gate))
    return steps


@contextmanager
def _steering(
    model: Model, plan: dict[int, list[Step]], *, n_rows: int | None, lengths: Sequence[int] | None
) -> Iterator[None]:
    stream: Stream
    left = n_rows
    gates = dict.fromkeys(step.gate for steps in plan.values() for step in steps if step.gate is not None)
    decisions = {gate: GateDecisions(gate) for gate in gates}

    def edit_at(layer: int) -> object:
        def edit(residual: Tensor) -> Tensor:
            if left is not None and residual.shape[0] != left:
                raise InterventionError(
                    f"a forward of {residual.shape[0]} rows inside steer_rows for {left}: give one set per row, "
                    "or hand the rows to generate(..., rows=...)."
                )
            for gate, decision in decisions.items():
                if gate.layer == layer:
                    decision.read(residual, stream.positions)
            for step in plan.get(layer, ()):
                selected = stream.positions.select(step.positions)
                if step.gate is not None:
                    selected = decisions[step.gate].restrict(selected)
                residual = step.apply(residual, selected)
            return residual

        return edit

    def keep(rows: Tensor) -> None:
        nonlocal left
        for decision in decisions.values():
            decision.keep(rows)
        if left is None:
            return
        left = len(rows)
        for layer, steps in plan.items():
            plan[layer] = [kept for step in steps if (kept := step.kept(rows)) is not None]

    edits: dict[nn.Module, object] = {
        model.layers[layer]: edit_at(layer) for layer in sorted({*plan, *(gate.layer for gate in decisions)})
    }
    with attached(model.network, edits=edits, keeper=keep) as stream:  # type: ignore[arg-type]
        if n_rows is not None:
            stream.fixed_rows.append(n_rows)
        try:
            if lengths is None:
                yield
            else:
                with prompt_lengths(model.network, list(lengths)):
                    yield
        finally:
            if n_rows is not None:
                stream.fixed_rows.remove(n_rows)


def check_row_count(rows: Rows | None, n_prompts: int) -> None:
    """Raise unless `rows` is None or has one set of interventions per prompt."""
    if rows is not None and len(rows) != n_prompts:
        raise InterventionError(
            f"{len(rows)} sets of interventions were given for {n_prompts} prompts: give one per prompt."
        )


def refuse_fixed_rows(model: Model, what: str) -> None:
    """Raise when `what`, which batches rows as it sees fit, is called inside `steer_rows`."""
    stream = stream_of(model.network)
    if stream is not None and stream.fixed_rows:
        raise InterventionError(
            f"{what} batches its prompts itself, so it cannot run inside steer_rows: use {what}(..., rows=rows)."
        )
