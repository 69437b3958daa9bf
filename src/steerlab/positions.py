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
    `expect_prompt_lengths` was called for it.
    """

    def __init__(self) -> None:
        self.index: Int[Tensor, "batch position"] | None = None
        self.prompt_lengths: Int[Tensor, " batch"] | None = None
        self._seen: Int[Tensor, " batch"] | None = None
        self._expected: tuple[int, ...] | None = None

    def expect_prompt_lengths(self, lengths: Sequence[int] | None) -> None:
        """State the prompt lengths (real tokens) of every prefill to come; None returns to the default."""
        self._expected = None if lengths is None else tuple(lengths)

    @property
    def expected(self) -> tuple[int, ...] | None:
        """What `expect_prompt_lengths` was told last."""
        return self._expected

    def enter_forward(self, *, mask: Tensor | None, past: int, shape: tuple[int, int], device: object) -> None:
        """Compute `index` for a forward of `shape` (batch, new tokens) after `past` cached columns."""

        batch, new = shape
        if mask is not None and mask.ndim != 2:  # a 4-D mask does not say which tokens are padding
            raise InterventionError(
                f"the attention mask has {mask.ndim} dimensions: steering needs the 2-D padding mask [batch, position]."
            )
        real = torch.ones(batch, new, dtype=torch.long, device=device)  # type: ignore[arg-type]
        if mask is not None:
            real = (mask[:, -new:] != 0).long().to(device)  # type: ignore[arg-type]
        if past == 0:
            before = torch.zeros(batch, dtype=torch.long, device=real.device)
        elif mask is not None and mask.shape[1] == past + new:
            before = (mask[:, :past] != 0).long().sum(dim=1).to(real.device)
        elif self._seen is not None and len(self._seen) == batch:
            before = self._seen
        else:
            before = torch.full((batch,), past, dtype=torch.long, device=real.device)
        counted = before[:, None] + real.cumsum(dim=1)
        self.index = torch.where(real == 1, counted - 1, torch.full_like(counted, -1))
        self._seen = counted[:, -1]
        if past == 0:
            self.prompt_lengths = self._prefill_lengths(counted[:, -1])
        elif self.prompt_lengths is None or len(self.prompt_lengths) != batch:
            raise InterventionError(
                f"{batch} rows go on decoding from a cache whose prefill was not seen here: "
                "enter steer(...) before the prefill, or give prompt_lengths."
            )

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
        assert self.index is not None and self.prompt_lengths is not None, "read outside a forward"
        return select(positions, self.index, self.prompt_lengths)
