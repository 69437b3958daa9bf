"""Positions: which real tokens of a row an intervention or a capture means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from steerlab.errors import InterventionError, nearest

Positions = Literal["all", "prompt", "completion", "last_prompt_token", "from_last_prompt_token"]
POSITIONS: tuple[str, ...] = get_args(Positions)


def check_positions(positions: str) -> None:
    """Raise InterventionError unless `positions` is one of POSITIONS."""
    if positions not in POSITIONS:
        raise InterventionError(f"positions {positions!r} do not exist. {nearest(positions, POSITIONS)}")


def select(
    positions: str, index: Int[Tensor, "batch position"], prompt_lengths: Int[Tensor, " batch"]
) -> Bool[Tensor, "batch position"]:
    """True where a token belongs to `positions`.

    `index` is each token's place among the real tokens of its own row, -1 on padding;
    `prompt_lengths` counts the real tokens of each row's prompt. Padding is never selected.
    """
    last = prompt_lengths[:, None] - 1
    match positions:
        case "all":
            return index >= 0
        case "prompt":
            return (index >= 0) & (index <= last)
        case "completion":
            return (index >= 0) & (index > last)
        case "last_prompt_token":
            return (index >= 0) & (index == last)
        case "from_last_prompt_token":
            return (index >= 0) & (index >= last)
    check_positions(positions)
    raise AssertionError(positions)


class PositionTracker:
    """Where the tokens of the current forward stand; one per network while something is attached.

    It is told of every forward (mask, cache length, number of new tokens) and keeps, from one forward to
    the next, only the prompt lengths and the number of real tokens that each row has in the cache. A forward
    without a filled cache is a prefill: it starts afresh, and all of its real tokens are prompt unless
    `expect_prompt_lengths` was called for it. Several new tokens after a filled cache (a prefill in chunks, assisted
    decoding) do not say where the prompt ends: then only "all" can be selected until prompt lengths are expected.
    """

    def __init__(self) -> None:
        self.index: Int[Tensor, "batch position"] | None = None
        self.prompt_lengths: Int[Tensor, " batch"] | None = None
        self._doubt = ""
        self._seen: Int[Tensor, " batch"] | None = None
        self._expected: tuple[int, ...] | None = None

    def expect_prompt_lengths(self, lengths: Sequence[int] | None) -> None:
        """State the prompt lengths (real tokens) of every prefill to come; None returns to the default."""
        self._expected = None if lengths is None else tuple(lengths)

    @property
    def expected(self) -> tuple[int, ...] | None:
        """What `expect_prompt_lengths` was told last."""
        return self._expected

    def enter_forward(self, *, mask: Tensor | None, past: int, shape: tuple[int, int], device: torch.device) -> None:
        """Compute `index` for a forward of `shape` (batch, new tokens) after `past` cached columns."""
        batch, new = shape
        real = torch.ones(batch, new, dtype=torch.long, device=device)
        if mask is not None:
            real = (mask[:, -new:] != 0).long().to(device)
        if mask is not None and mask.shape[1] == past + new:
            before = (mask[:, :past] != 0).long().sum(dim=1).to(device)
        elif mask is not None and past > 0 and self._seen is not None and len(self._seen) == batch:
            before = self._seen
        else:  # no mask, no padding
            before = torch.full((batch,), past, dtype=torch.long, device=device)
        counted = before[:, None] + real.cumsum(dim=1)
        self.index = torch.where(real == 1, counted - 1, torch.full_like(counted, -1))
        self._seen = counted[:, -1]
        if past == 0:
            self.prompt_lengths, self._doubt = self._prefill_lengths(counted[:, -1]), ""
        elif self.prompt_lengths is None or len(self.prompt_lengths) != batch:
            self._doubt = f"{batch} rows go on from a cache whose prefill was not seen here"
        elif new > 1 and self._expected is None:
            self._doubt = f"{new} tokens are added to a filled cache"

    def _prefill_lengths(self, counted: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        if self._expected is None:
            return counted
        if len(self._expected) not in (1, len(counted)):
            raise InterventionError(
                f"{len(self._expected)} prompt lengths were given for {len(counted)} rows: give one per row."
            )
        return torch.tensor(self._expected, device=counted.device).expand(len(counted)).clone()

    def keep(self, rows: Int[Tensor, " kept"]) -> None:
        """Go on with these rows of the batch only, in this order."""
        if self.prompt_lengths is not None:
            self.prompt_lengths = self.prompt_lengths[rows]
        if self._seen is not None:
            self._seen = self._seen[rows]

    def select(self, positions: str) -> Bool[Tensor, "batch position"]:
        """The mask of `positions` in the current forward."""
        assert self.index is not None, "read outside a forward"
        if positions == "all":
            return self.index >= 0
        if self._doubt or self.prompt_lengths is None:
            raise InterventionError(
                f"{self._doubt}, so it is not known which tokens are {positions}: enter steer(..., lengths=[...]) "
                "before the prefill, or use positions 'all'."
            )
        return select(positions, self.index, self.prompt_lengths)
