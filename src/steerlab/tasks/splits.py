"""Problems to selection, tuning and analysis, and to draws of a few: stratified by complexity, seeded."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from steerlab.errors import DataError, OptionError
from steerlab.tasks.problems import Problem

Split = Literal["selection", "tuning", "analysis"]
SPLITS: tuple[Split, ...] = ("selection", "tuning", "analysis")

# How ten neighbours in complexity are dealt out: 5, 1 and 4, so that also a few of them are about in these shares.
_TURNS: tuple[Split, ...] = (
    "selection",
    "analysis",
    "selection",
    "analysis",
    "tuning",
    "selection",
    "analysis",
    "selection",
    "analysis",
    "selection",
)


def split_problems(problems: Sequence[Problem], *, seed: int) -> Mapping[str, Split]:
    """Each problem's id with its split: 50 % selection, 10 % tuning, 40 % analysis.

    Ordered by complexity, each ten neighbours are dealt out in these shares at random, so that the splits are alike in
    complexity. The same problems and seed give the same splits, in whatever order they come.
    Raises: DataError for fewer than 10 problems or two with one id.
    """
    _refuse_doubles(problems)
    if len(problems) < len(_TURNS):
        raise DataError(f"{len(problems)} problems are too few to split: {len(_TURNS)} at least.")
    rng = np.random.default_rng(seed)
    ordered = _by_complexity(problems, rng)
    found: dict[str, Split] = {}
    for start in range(0, len(ordered), len(_TURNS)):
        block = ordered[start : start + len(_TURNS)]
        dealt = rng.permutation(len(block))
        found |= {block[at].id: turn for at, turn in zip(dealt, _TURNS, strict=False)}
    return {problem.id: found[problem.id] for problem in problems}


def draw_problems(problems: Sequence[Problem], n: int, *, seed: int) -> tuple[Problem, ...]:
    """`n` of the problems (all where there are not more), evenly over their complexities, in the order given.

    Raises: OptionError for fewer than one.
    """
    if n < 1:
        raise OptionError(f"{n} problems cannot be drawn: choose at least 1.")
    if len(problems) <= n:
        return tuple(problems)
    rng = np.random.default_rng(seed)
    ordered = _by_complexity(problems, rng)
    edges = [len(ordered) * i // n for i in range(n + 1)]
    drawn = {ordered[int(rng.integers(low, high))].id for low, high in itertools.pairwise(edges)}
    return tuple(problem for problem in problems if problem.id in drawn)


def _by_complexity(problems: Sequence[Problem], rng: np.random.Generator) -> list[Problem]:
    """By complexity; equal ones in random order."""
    named = sorted(problems, key=lambda problem: problem.id)
    shuffled = [named[at] for at in rng.permutation(len(named))]
    return sorted(shuffled, key=lambda problem: problem.complexity)


def _refuse_doubles(problems: Sequence[Problem]) -> None:
    seen: set[str] = set()
    for problem in problems:
        if problem.id in seen:
            raise DataError(f"two problems have the id {problem.id}: give each its own.")
        seen.add(problem.id)
