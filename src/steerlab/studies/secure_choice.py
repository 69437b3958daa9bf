"""The choice of a cell on the training side: by completions that are secure and correct, else by the margin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

import pandas as pd

from steerlab.errors import OptionError
from steerlab.selection import CELL_COLUMNS, Choice, split_by
from steerlab.sweep import SweepCell

KEYS = ("contrast", *CELL_COLUMNS)
PARSE_FLOOR = 0.1  # a cell chosen by the margin may lose so much of the share that parses

Key = tuple[str, str, str, str, str, float]


def cell_key(cell: SweepCell) -> Key:
    """The names of a cell in the order of KEYS."""
    return cell.contrast, cell.method, cell.layer_set, cell.operation, cell.positions, cell.coefficient


def by_cell(rows: pd.DataFrame, column: str) -> dict[Key, float]:
    """The mean of a column per cell, over the rows where it is known; cells without such a row are left out."""
    known = rows[rows[column].notna()] if column in rows else rows.iloc[:0]
    return {key: float(part[column].mean()) for key, part in split_by(known, *KEYS)}


def margin_changes(grid: pd.DataFrame, unsteered: pd.DataFrame) -> dict[Key, float]:
    """The mean change of the margin against unsteered on the same pairs, per cell, in nats."""
    base = unsteered.drop_duplicates("program").set_index("program")["margin"]
    return by_cell(grid.assign(change=grid["margin"] - grid["program"].map(base)), "change")


def shortlisted(changes: Mapping[Key, float], cells: Sequence[SweepCell], *, n: int) -> list[SweepCell]:
    """The cells of the `n` set-ups (all but the coefficient) whose best coefficient raises the margin most; 0: all."""
    ordered = sorted(cells, key=cell_key)
    setups = {key: list(own) for key, own in groupby(ordered, key=lambda cell: cell_key(cell)[:-1])}

    def rank(setup: tuple[object, ...]) -> tuple[float, int, tuple[str, ...]]:
        own = setups[setup]  # type: ignore[index]
        best = max(changes.get(cell_key(cell), float("-inf")) for cell in own)
        return -best, len(own[0].layers), tuple(map(str, setup))

    taken = sorted(setups, key=rank)[: n or len(setups)]
    return [cell for setup in taken for cell in setups[setup]]


def choose(
    written: pd.DataFrame,
    unsteered: pd.DataFrame,
    *,
    cells: Sequence[SweepCell],
    changes: Mapping[Key, float],
    kl: Mapping[Key, float],
    joint: str,
) -> Choice:
    """The cell with the highest share of joint completions (`joint` in words) on inner held-out tasks.

    `written` has the completions of the cells, `unsteered` those of the same tasks. Ties go to the smaller side effect
    (`kl`, nats per token of ordinary code), then to the smaller dose. Where no cell has any, the margin decides
    (`changes`), among the cells whose share that parses is at most 0.1 below unsteered; the reason says so.
    Raises: OptionError when there is no cell.
    """
    if not cells:
        raise OptionError("the grid has no cell: give at least one layer and one coefficient.")
    rates, base = by_cell(written, "joint"), _mean(unsteered, "joint")
    n_tasks = written["program"].nunique()

    def effort(cell: SweepCell) -> tuple[float, float, Key]:
        return kl.get(cell_key(cell), float("inf")), abs(cell.coefficient), cell_key(cell)

    best = max((rates.get(cell_key(cell), 0.0) for cell in cells), default=0.0)
    if best > 0:
        ranked = sorted(cells, key=lambda cell: (-rates.get(cell_key(cell), 0.0), *effort(cell)))
        tied = sum(rates.get(cell_key(cell), 0.0) == best for cell in cells)
        reason = (
            f"best of {len(cells)} cells on {n_tasks} training tasks by the share {joint}: "
            f"{best:.3f} against {base:.3f} unsteered"
        )
        if tied > 1:
            reason += f"; {tied} cells tied, the one with the smallest side effect on ordinary code was taken"
        if best <= base:
            reason += "; no cell beat the unsteered model there"
        return Choice(cell=ranked[0], score=best, reason=reason)
    return _by_margin(written, unsteered, cells=cells, changes=changes, effort=effort, joint=joint)


def _by_margin(
    written: pd.DataFrame,
    unsteered: pd.DataFrame,
    *,
    cells: Sequence[SweepCell],
    changes: Mapping[Key, float],
    effort: object,
    joint: str,
) -> Choice:
    parses, floor = by_cell(written, "parses"), _mean(unsteered, "parses") - PARSE_FLOOR
    allowed = [cell for cell in cells if not parses.get(cell_key(cell), floor) < floor] or list(cells)
    ranked = sorted(allowed, key=lambda cell: (-changes.get(cell_key(cell), float("-inf")), *effort(cell)))  # type: ignore[operator]
    cell = ranked[0]
    change = changes.get(cell_key(cell), float("nan"))
    reason = (
        f"no completion of any of {len(cells)} cells on {written['program'].nunique()} training tasks was {joint}, so "
        f"the margin decided: the patched body gains {change:+.3f} nats on the vulnerable one over unsteered"
    )
    turned_down = len(cells) - len(allowed)
    if turned_down:
        reason += f"; {turned_down} cells were turned down because fewer of their completions parse"
    if change <= 0:
        reason += "; no cell raised the margin there"
    return Choice(cell=cell, score=change, reason=reason)


def _mean(rows: pd.DataFrame, column: str) -> float:
    known = rows[column].dropna()
    return float(known.mean()) if len(known) else 0.0
