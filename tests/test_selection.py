"""Held-out choice: folds never split a group, and the choice sees the training side only."""

from __future__ import annotations

import pandas as pd
import pytest

from steerlab.errors import OptionError
from steerlab.selection import balanced_accuracy, choose_cell, choose_template, nested_folds

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


def test_the_best_cell_is_taken_and_the_reason_says_what_it_beat() -> None:
    right: list[str | None] = list(LABELS)
    grid = pd.concat(
        [
            rows(["vulnerable"] * 6, LABELS, method="pca", layer=2, coefficient=1.0),
            rows(right, LABELS, method="pca", layer=4, coefficient=-4.0),
            rows(right, LABELS, method="pca", layer=4, coefficient=2.0),
        ]
    )
    choice = choose_cell(grid, rows(["patched"] * 6, LABELS))
    assert (choice.layer, choice.coefficient, choice.score) == (4, 2.0, 1.0)
    assert "1.000 against 0.500 unsteered" in choice.reason
    assert "2 cells tied" in choice.reason


def test_a_choice_that_beats_nothing_says_so() -> None:
    grid = rows(["patched"] * 6, LABELS, method="pca", layer=2, coefficient=1.0)
    assert "no cell beat the unsteered model" in choose_cell(grid, rows(list(LABELS), LABELS)).reason


def test_the_first_template_wins_a_tie() -> None:
    frame = pd.concat([rows(["patched"] * 6, LABELS, template="b"), rows(["vulnerable"] * 6, LABELS, template="a")])
    assert choose_template(frame) == "b"
