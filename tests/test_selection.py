"""Held-out choice: folds never split a group, and the choice sees the training side only."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steerlab.errors import OptionError
from steerlab.selection import balanced_accuracy, choose_cell, choose_template, nested_folds
from steerlab.sweep import SweepCell

GROUPS = [f"g{i // 3}" for i in range(60)]
STRATA = [f"CWE-{(i // 3) % 4}" for i in range(60)]


def rows(answers: list[str | None], labels: list[str], **names: object) -> pd.DataFrame:
    frame = pd.DataFrame({"answer": answers, "label": labels, "program": [f"p{i}" for i in range(len(labels))]})
    return frame.assign(**names)


LABELS = ["vulnerable", "patched"] * 3


def test_no_group_is_in_train_and_test_at_either_level() -> None:
    folds = nested_folds(GROUPS, STRATA, n_folds=4, n_inner=3, seed=0)
    assert frozenset().union(*(fold.test for fold in folds)) == frozenset(GROUPS)
    for fold in folds:
        assert not fold.train & fold.test
        assert frozenset().union(*(tried for _, tried in fold.inner)) == fold.train
        for built_on, tried_on in fold.inner:
            assert not built_on & tried_on
            assert not (built_on | tried_on) & fold.test


def test_folds_are_the_same_for_the_same_seed_and_others_for_another() -> None:
    one = nested_folds(GROUPS, STRATA, n_folds=4, n_inner=2, seed=0)
    assert one == nested_folds(GROUPS, STRATA, n_folds=4, n_inner=2, seed=0)
    assert one != nested_folds(GROUPS, STRATA, n_folds=4, n_inner=2, seed=1)


def test_too_few_groups_is_one_clear_line() -> None:
    with pytest.raises(OptionError, match="groups"):
        nested_folds(["a", "a", "b"], ["x"] * 3, n_folds=3, n_inner=2, seed=0)


def test_balanced_accuracy_leaves_unanswered_rows_out() -> None:
    assert balanced_accuracy(rows(["vulnerable", "patched", None, None, "patched", None], LABELS)) == 0.75


def test_always_saying_vulnerable_scores_a_half() -> None:
    assert balanced_accuracy(rows(["vulnerable"] * 6, LABELS)) == 0.5


CELLS = [
    SweepCell(method="pca", layers=(2,), coefficient=1.0),
    SweepCell(method="pca", layers=(4, 6), coefficient=-4.0),
    SweepCell(method="pca", layers=(4, 6), coefficient=2.0),
]


def cell_rows(answers: list[str | None], cell: SweepCell) -> pd.DataFrame:
    """Rows of one cell."""
    return rows(
        answers,
        LABELS,
        method=cell.method,
        layers=cell.layer_set,
        operation=cell.operation,
        positions=cell.positions,
        coefficient=cell.coefficient,
    )


def grid_rows() -> pd.DataFrame:
    """The first cell says vulnerable always, the two others are right always."""
    answers = [["vulnerable"] * 6, list(LABELS), list(LABELS)]
    return pd.concat([cell_rows(found, cell) for found, cell in zip(answers, CELLS, strict=True)])


def test_the_best_cell_is_taken_and_the_reason_says_what_it_beat() -> None:
    choice = choose_cell(grid_rows(), rows(["patched"] * 6, LABELS), cells=CELLS)
    assert (choice.cell.layers, choice.cell.coefficient, choice.score) == ((4, 6), 2.0, 1.0)
    assert "1.000 against 0.500 unsteered" in choice.reason
    assert "2 cells tied" in choice.reason


def test_a_cell_with_too_large_side_effects_is_turned_down_and_the_reason_says_so() -> None:
    asked: list[SweepCell] = []

    def forbidden(cell: SweepCell) -> str:
        asked.append(cell)
        return "KL 3 nats" if cell.coefficient == 2.0 else ""

    choice = choose_cell(grid_rows(), rows(["patched"] * 6, LABELS), cells=CELLS, forbidden=forbidden)
    assert (choice.cell.coefficient, len(asked)) == (-4.0, 2)
    assert "1 better ones were turned down for their side effects (KL 3 nats)" in choice.reason
    with pytest.raises(OptionError, match=r"none of the 3 cells.*--max-kl"):
        choose_cell(grid_rows(), rows(["patched"] * 6, LABELS), cells=CELLS, forbidden=lambda cell: "KL 9 nats")


def test_a_choice_that_beats_nothing_says_so() -> None:
    grid = cell_rows(["patched"] * 6, CELLS[0])
    assert "no cell beat the unsteered model" in choose_cell(grid, rows(list(LABELS), LABELS), cells=CELLS).reason


def test_the_first_template_wins_a_tie() -> None:
    frame = pd.concat([rows(["patched"] * 6, LABELS, template="b"), rows(["vulnerable"] * 6, LABELS, template="a")])
    assert choose_template(frame) == "b"


@settings(max_examples=40)
@given(
    sizes=st.lists(st.integers(1, 4), min_size=6, max_size=14),
    n_folds=st.integers(2, 3),
    n_inner=st.integers(2, 3),
    seed=st.integers(0, 50),
)
def test_folds_of_any_groups_are_a_partition_at_both_levels(
    sizes: list[int], n_folds: int, n_inner: int, seed: int
) -> None:
    groups = [f"g{number}" for number, size in enumerate(sizes) for _ in range(size)]
    strata = [f"CWE-{len(group) + int(group[1:]) % 3}" for group in groups]
    folds = nested_folds(groups, strata, n_folds=n_folds, n_inner=n_inner, seed=seed)
    assert sorted(group for fold in folds for group in fold.test) == sorted(set(groups))
    for fold in folds:
        assert fold.train | fold.test == set(groups) and not fold.train & fold.test
        assert sorted(group for _, tried in fold.inner for group in tried) == sorted(fold.train)
        assert all(
            built_on and built_on | tried == fold.train and not built_on & tried for built_on, tried in fold.inner
        )


@settings(max_examples=40)
@given(data=st.data())
def test_the_choice_is_the_best_cell_and_does_not_depend_on_the_order_of_rows(data: st.DataObject) -> None:
    said = st.lists(st.sampled_from(["vulnerable", "patched", None]), min_size=6, max_size=6)
    tables = [cell_rows(data.draw(said), cell) for cell in CELLS]
    grid, plain = pd.concat(tables), rows(["patched"] * 6, LABELS)
    choice = choose_cell(grid, plain, cells=CELLS)
    scores = [balanced_accuracy(table) for table in tables]
    if np.isfinite(scores).any():
        assert choice.score == np.nanmax(scores)
    order = data.draw(st.permutations(range(len(grid))))
    again = choose_cell(grid.iloc[list(order)], plain, cells=CELLS)
    assert (again.cell, again.reason) == (choice.cell, choice.reason)


def test_a_cell_without_any_answer_is_never_taken_for_the_best() -> None:
    """NaN sorts anywhere: the cell of the smallest dose must not win by having no score."""
    tables = [cell_rows([None] * 6, CELLS[0]), cell_rows(list(LABELS), CELLS[1]), cell_rows(["patched"] * 6, CELLS[2])]
    choice = choose_cell(pd.concat(tables), rows(["patched"] * 6, LABELS), cells=CELLS)
    assert (choice.cell, choice.score) == (CELLS[1], 1.0)
    frame = pd.concat([rows([None] * 6, LABELS, template="a"), rows(["patched"] * 6, LABELS, template="b")])
    assert choose_template(frame) == "b"
