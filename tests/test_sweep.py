"""Layer sets, grids and random searches."""

from __future__ import annotations

import pytest

from steerlab.errors import LayerError, OptionError
from steerlab.sweep import SweepCell, grid, layer_sets, search


def test_layers_sets_and_all_are_read_and_negative_ones_count_from_the_end() -> None:
    assert layer_sets([4, "4+12", -1, "-2+-1"], n_layers=20) == ((4,), (4, 12), (19,), (18, 19))
    assert layer_sets(["all"], n_layers=3) == ((0,), (1,), (2,))
    assert layer_sets([], n_layers=24) == ((6,), (12,), (18,), (22,))


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (["x"], OptionError, "'x' is not a layer"),
        (["2+"], OptionError, "is not a layer"),
        ([24], LayerError, "layer 24 does not exist"),
        ([-25], LayerError, "layer -25 does not exist"),
        (["3+3"], OptionError, "names a layer twice"),
        ([3, "3"], OptionError, "twice"),
    ],
)
def test_what_is_no_layer_set_is_one_clear_line(given: list[int | str], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        layer_sets(given, n_layers=24)


def cells() -> list[SweepCell]:
    return grid(
        methods=("pca", "logistic"), layers=((1,), (1, 2)), coefficients=(-1.0, 1.0), operations=("add", "ablate")
    )


def test_the_grid_is_every_combination_once() -> None:
    found = cells()
    assert len(found) == len(set(found)) == 16
    assert {cell.layer_set for cell in found} == {"1", "1+2"}


def test_a_random_search_draws_from_the_grid_and_its_seed_repeats_it() -> None:
    first, again, other = (search(cells(), "random:6", seed=seed) for seed in (0, 0, 1))
    assert first == again != other
    assert len(set(first)) == 6 and set(first) <= set(cells())
    assert search(cells(), "random:99", seed=0) == search(cells(), "grid", seed=0) == cells()


@pytest.mark.parametrize("how", ["greedy", "random", "random:0", "random:x", "grid:3"])
def test_another_search_does_not_exist(how: str) -> None:
    with pytest.raises(OptionError, match="does not exist"):
        search(cells(), how, seed=0)
