"""A folded checkpoint, loaded from disk, against the hooks whose work it must do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from steerlab.bake.plans import Plan, unit_direction
from steerlab.errors import InterventionError, SteerlabError
from steerlab.hooks import attached, attached_untracked
from steerlab.interventions import Intervention, ablate
from steerlab.models import Model, load_model
from steerlab.steering import steer

SAME = 1e-4  # largest difference of float32 logits, in their standard deviations
SAME_HALF = 0.05  # mean difference in 16 bits: a bias there is rounded to 8 or 11 bits, and so is a steered residual
N_ROWS, N_POSITIONS = 8, 48


@dataclass(frozen=True, kw_only=True)
class Folded:
    """A checkpoint with steering in its weights, and how exactly it does what the hooks of `reference` do.

    `difference` is the largest between the two's logits, `relative` the same in standard deviations of the logits,
    `moved` how far steering itself moves them, in that unit, all on `n_tokens` random tokens. `from_layer_hooks`: for
    ablation, the distance to ablating at the outputs of the layers only, in the same unit.
    """

    directory: Path
    how: str
    changed: tuple[str, ...]
    dtype: str
    reference: str
    difference: float
    relative: float
    moved: float
    n_tokens: int
    from_layer_hooks: float | None = None


def verified(model: Model, intervention: Intervention, plan: Plan, folder: Path) -> Folded:
    """The folded checkpoint against hooks, as loaded from disk. Raises: InterventionError when they differ."""
    length = min(N_POSITIONS, model.context or N_POSITIONS)
    tokens = torch.randint(model.d_vocab, (N_ROWS, length), generator=torch.Generator().manual_seed(0))
    plain, hooked = _logits(model, tokens), None
    with steer(model, intervention):
        wanted = _logits(model, tokens)
    reference, unit = "hooks at the outputs of the layers", None
    if plan.sites:
        hooked, unit = wanted, unit_direction(intervention).float()
        one = torch.ones(1)
        edits = {
            site: lambda output: ablate(output.float(), unit.to(output.device), one.to(output.device)).to(output.dtype)
            for site in plan.sites
        }
        with attached_untracked(edits=edits):
            wanted = _logits(model, tokens)
        reference = "hooks that ablate everything that is written to the residual"
    try:
        loaded = load_model(str(folder), dtype=str(model.dtype).removeprefix("torch."), device=str(model.device))
    except SteerlabError as error:
        raise InterventionError(f"{model.name} can't be folded: what was written does not load ({error})") from None
    found, scale = _logits(loaded, tokens), float(wanted.std())
    gap = (found - wanted).abs()
    exact = model.dtype == torch.float32
    miss, bound = (float(gap.max()), SAME) if exact else (float(gap.mean()), SAME_HALF)
    left = _left_over(loaded, tokens, unit) if unit is not None else 0.0
    if not (miss / scale <= bound and left <= (1e-3 if exact else 0.05)):
        raise InterventionError(
            f"{model.name} can't be folded: the folded weights give other logits than hooks (by {miss / scale:.2g} of "
            f"their standard deviations; {bound:g} is allowed). Nothing was written; steer it with hooks."
        )
    return Folded(
        directory=folder,
        how=plan.how,
        changed=plan.changed,
        dtype=str(model.dtype).removeprefix("torch."),
        reference=reference,
        difference=float(gap.max()),
        relative=float(gap.max()) / scale,
        moved=float((wanted - plain).abs().max()) / scale,
        n_tokens=tokens.numel(),
        from_layer_hooks=None if hooked is None else float((found - hooked).abs().max()) / scale,
    )


def _logits(model: Model, tokens: Tensor) -> Tensor:
    ids = tokens.to(model.device)
    with torch.inference_mode():
        output: Tensor = model.network(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits
    return output.float().cpu()


def _left_over(model: Model, tokens: Tensor, unit: Tensor) -> float:
    """The largest share of the residual, over layers and positions, that still lies along the direction."""
    shares: list[float] = []

    def read(residual: Tensor) -> None:
        along = (residual.float() @ unit.to(residual.device)).abs()
        shares.append(float((along / residual.float().norm(dim=-1).clamp_min(1e-12)).max()))

    readers: Mapping[nn.Module, Any] = dict.fromkeys(model.layers, read)
    with attached(model.network, readers=readers):
        _logits(model, tokens)
    return max(shares)
