"""A set of trial ids in eight bytes each, for runs of millions of trials."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

MERGE_AT = 65536  # new ids that are kept apart before they are sorted in among the others


class TrialIds:
    """The ids of trials as 64-bit hashes: 8 bytes each in a sorted array, and a small set of recent ones.

    Two ids out of 10 million have the same hash with a probability below 3e-6. It can be added to and asked, not
    iterated; it equals a set of strings that holds the same ids.
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, trials: Iterable[str] = ()) -> None:
        self._sorted = np.empty(0, dtype=np.uint64)
        self._recent: set[int] = set()
        self.update(trials)

    def update(self, trials: Iterable[str]) -> None:
        """Add `trials`."""
        self._recent.update(number for number in map(_number, trials) if not self._old(number))
        if len(self._recent) > max(MERGE_AT, len(self._sorted) // 16):
            new = np.fromiter(self._recent, dtype=np.uint64, count=len(self._recent))
            self._sorted = np.sort(np.concatenate([self._sorted, new]))
            self._recent = set()

    def __contains__(self, trial: object) -> bool:
        number = _number(str(trial))
        return number in self._recent or self._old(number)

    def __len__(self) -> int:
        return len(self._sorted) + len(self._recent)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (set, frozenset)):
            return NotImplemented
        return len(self) == len(other) and all(trial in self for trial in other)

    def __repr__(self) -> str:
        return f"<{len(self)} trial ids>"

    def _old(self, number: int) -> bool:
        place = int(self._sorted.searchsorted(np.uint64(number)))
        return place < len(self._sorted) and int(self._sorted[place]) == number


def _number(trial: str) -> int:
    return int.from_bytes(hashlib.blake2b(trial.encode(), digest_size=8).digest(), "little")
