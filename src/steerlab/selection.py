"""Held-out choice: grouped folds, nested; the best cell on the training side, with the reason in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from steerlab.errors import OptionError
from steerlab.statistics import grouped_folds
from steerlab.sweep import SweepCell

DRAWS = 100


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One outer fold: names of the groups that choose and train, and of those that are only tested.

    `inner` splits the training groups again: (groups that a vector is built on, groups that it is tried on).
    """

    number: int
    train: frozenset[str]
    test: frozenset[str]
    inner: tuple[tuple[frozenset[str], frozenset[str]], ...]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The cell that a fold's training side chose, for the programs of `cwe` (empty: for all)."""

    cell: SweepCell
    score: float
    reason: str
    cwe: str = ""

    def describe(self) -> dict[str, Any]:
        """The choice as JSON-able values."""
        cell = self.cell
        return {
            "cwe": self.cwe,
            "method": cell.method,
            "layers": cell.layer_set,
            "coefficient": cell.coefficient,
            "operation": cell.operation,
            "positions": cell.positions,
            "score": self.score,
            "reason": self.reason,
        }


def nested_folds(
    groups: Sequence[str],
    strata: Sequence[str],
    *,
    n_folds: int,
    n_inner: int,
    seed: int,
    with_pairs: frozenset[str] | None = None,
) -> list[Fold]:
    """Outer folds by group, each with inner folds of its training side; a group is never split.

    `groups` and `strata` have one entry per program. Every side that a vector is built on holds a group of
    `with_pairs` (None: any group will do); where few groups have pairs, up to 100 draws look for such folds.
    Raises: OptionError when there are too few groups, or too few with pairs.
    """
    if n_inner < 2:
        raise OptionError(f"{n_inner} inner folds are too few: choose at least 2.")
    for draw in range(DRAWS):
        folds = _draw_folds(groups, strata, n_folds=n_folds, n_inner=n_inner, seed=seed + 7919 * draw)
        sides = [built_on for fold in folds for built_on, _ in fold.inner]
        if with_pairs is None or all(side & with_pairs for side in sides):
            return folds
    raise OptionError(
        f"only {len(with_pairs or ())} groups have a contrast pair: that is too few for {n_folds} folds with {n_inner} "
        "inner folds each. Choose fewer --folds, more pairs, or a model with a longer context."
    )


def _draw_folds(groups: Sequence[str], strata: Sequence[str], *, n_folds: int, n_inner: int, seed: int) -> list[Fold]:
    outer = grouped_folds(groups, strata, n_folds=n_folds, seed=seed)
    folds = []
    for number, rows in enumerate(outer):
        test = frozenset(groups[i] for i in rows)
        left = [i for i in range(len(groups)) if groups[i] not in test]
        parts = grouped_folds(
            [groups[i] for i in left], [strata[i] for i in left], n_folds=n_inner, seed=seed + 1 + number
        )
        train = frozenset(groups[i] for i in left)
        tried = [frozenset(groups[left[i]] for i in part) for part in parts]
        folds.append(Fold(number=number, train=train, test=test, inner=tuple((train - part, part) for part in tried)))
    return folds


def split_by(rows: pd.DataFrame, *columns: str) -> list[tuple[tuple[Any, ...], pd.DataFrame]]:
    """The rows of each combination of values in `columns`, in sorted order."""
    return [(tuple(key), part) for key, part in rows.groupby(list(columns))]


def balanced_accuracy(rows: pd.DataFrame) -> float:
    """Mean of the accuracies on vulnerable and on patched rows; unanswered rows count in neither."""
    scored = rows[rows["answer"].notna()]
    right = scored["answer"] == scored["label"]
    by_label = right.groupby(scored["label"]).mean()
    return float(by_label.mean()) if len(by_label) else float("nan")


def choose_template(rows: pd.DataFrame) -> str:
    """The template with the highest unsteered balanced accuracy on these (training) rows; the first on a tie."""
    order = {name: place for place, name in enumerate(rows["template"].drop_duplicates())}
    scores = {str(name): balanced_accuracy(part) for (name,), part in split_by(rows, "template")}
    return max(scores, key=lambda name: (_comparable(scores[name]), -order[name]))


CELL_COLUMNS = ("method", "layers", "operation", "positions", "coefficient")


def choose_cell(
    grid: pd.DataFrame,
    unsteered: pd.DataFrame,
    *,
    cells: Sequence[SweepCell],
    cwe: str = "",
    forbidden: Callable[[SweepCell], str] | None = None,
) -> Choice:
    """The cell with the highest balanced accuracy on inner held-out rows; the smaller dose on a tie.

    `grid` has the rows of all cells, `unsteered` those of the same programs without steering. `forbidden` says of a
    cell why its side effects are too large (empty: they are not); cells are asked in the order of their rank until one
    is allowed. Raises: OptionError when there is no cell, or none is allowed.
    """
    scores = {tuple(key): balanced_accuracy(part) for key, part in split_by(grid, *CELL_COLUMNS)}
    known = {_key(cell): cell for cell in cells if _key(cell) in scores}
    if not known:
        raise OptionError("the grid has no cell: give at least one layer and one coefficient.")
    ranked = sorted(
        known,
        key=lambda key: (-_comparable(scores[key]), abs(key[4]), len(known[key].layers), known[key].layers, key),
    )
    turned_down: list[str] = []
    for key in ranked:
        why = forbidden(known[key]) if forbidden else ""
        if not why:
            break
        turned_down.append(why)
    else:
        raise OptionError(
            f"none of the {len(ranked)} cells stays within the limits of side effects ({turned_down[-1]}): raise "
            "--max-kl or --max-perplexity, or try smaller coefficients."
        )
    best, base = scores[key], balanced_accuracy(unsteered)
    tied = sum(score == best for score in scores.values())
    reason = (
        f"best of {len(known)} cells on {grid['program'].nunique()} training programs by balanced accuracy: "
        f"{best:.3f} against {base:.3f} unsteered"
    )
    if turned_down:
        reason += f"; {len(turned_down)} better ones were turned down for their side effects ({turned_down[0]})"
    if tied > 1:
        reason += f"; {tied} cells tied, the smallest dose was taken"
    if not _comparable(best) > _comparable(base):
        reason += "; no cell beat the unsteered model there"
    return Choice(cell=known[key], score=best, reason=reason, cwe=cwe)


def _comparable(score: float) -> float:
    """A score that sorts: one that is undefined, where nothing was answered, is worse than any other."""
    return score if math.isfinite(score) else -1.0


def _key(cell: SweepCell) -> tuple[Any, ...]:
    return cell.method, cell.layer_set, cell.operation, cell.positions, cell.coefficient
