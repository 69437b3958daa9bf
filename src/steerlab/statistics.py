"""Estimates with intervals: Wilson, cluster bootstrap, paired differences, McNemar, Holm."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its interval.

    `value`, `low`, `high` are None where nothing could be scored. `n` counts what was scored,
    `n_unscored` what was not; `method` says how the interval was made ("wilson", "cluster bootstrap").
    """

    value: float | None
    low: float | None
    high: float | None
    level: float
    n: int
    n_unscored: int
    method: str
