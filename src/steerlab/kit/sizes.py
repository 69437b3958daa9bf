"""How much the check of the kit reads: all of the shipped sets, or a quick part of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

SizeName = Literal["full", "quick"]
Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Size:
    """Counts at most: exercises, starter tasks, timings (`repeats`), and pairs.

    `pairs_per_cwe` of the fresh and of the held-out pairs, `answers` of the starter and of the fresh pairs.
    `templates`: in how many of the product's templates each starter and SecLLMHolmes program is asked. `draws`: random
    directions. `coefficients` are in units of the mean residual norm at the steered layer.
    """

    exercises: int
    pairs_per_cwe: int
    starter_per_cwe: int
    templates: int
    answers: int
    svens: int
    direction_per_cwe: int
    draws: int
    coefficients: tuple[float, ...]
    tasks: int
    repeats: int


SIZES: Mapping[SizeName, Size] = {
    "full": Size(
        exercises=200,
        pairs_per_cwe=24,
        starter_per_cwe=6,
        templates=3,
        answers=96,
        svens=100,
        direction_per_cwe=24,
        draws=8,
        coefficients=(-0.4, -0.2, -0.1, 0.0, 0.1, 0.2, 0.4),
        tasks=48,
        repeats=3,
    ),
    "quick": Size(
        exercises=40,
        pairs_per_cwe=6,
        starter_per_cwe=6,
        templates=1,
        answers=16,
        svens=16,
        direction_per_cwe=8,
        draws=4,
        coefficients=(-0.4, -0.2, 0.0, 0.2, 0.4),
        tasks=8,
        repeats=3,
    ),
}


def spread(items: Sequence[Item], n: int) -> list[Item]:
    """At most `n` of `items`, evenly spaced over them and in their order."""
    if len(items) <= n:
        return list(items)
    return [items[index * len(items) // n] for index in range(n)]
