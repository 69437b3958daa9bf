"""Screening: the first-order effect of any number of directions at every layer, from one backward pass."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from steerlab.batches import MEMORY_SHARE, Progress, bytes_per_token, free_bytes, run_batched
from steerlab.errors import OptionError, PromptError, nearest
from steerlab.hooks import attached, last_logits_only, prompt_lengths
from steerlab.interventions import Dose, Intervention
from steerlab.models import Model, check_layers
from steerlab.positions import Positions
from steerlab.readout import answer_tokens, check_answers
from steerlab.statistics import Estimate, cluster_bootstrap
from steerlab.steering import check, refuse_fixed_rows
from steerlab.tokens import encode, left_padded
from steerlab.vectors import SteeringVector

BACKWARD_FACTOR = 3  # bytes kept for a backward pass, per byte that the modules of a layer give


@dataclass(frozen=True, kw_only=True)
class Screening:
    """First-order effects on the answer margin, and the margins themselves.

    `effects[i, l, d]` is the change of prompt i's margin per unit coefficient of direction d added at `layers[l]`
    (natural-log units; NaN where a vector has no direction at that layer); `margins` are without this steering.
    A vector that steers several layers at once has, to first order, the sum of its layers' effects.
    """

    effects: Float[Tensor, "prompt layer direction"]
    margins: Float[Tensor, " prompt"]
    layers: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A layer and direction (index into the screened vectors) with its mean effect per unit coefficient."""

    layer: int
    direction: int
    effect: float


def screen(
    model: Model,
    prompts: Sequence[str],
    answers: Sequence[tuple[str, str]],
    vectors: Sequence[SteeringVector],
    *,
    layers: Sequence[int] | None = None,
    positions: Positions = "from_last_prompt_token",
    dose: Dose = "absolute",
    progress: Progress | None = None,
) -> Screening:
    """The derivative, at coefficient 0, of each prompt's answer margin by the coefficient of each vector at each layer.

    `answers[i]` are prompt i's answers (A, B); the margin is log-likelihood of A minus that of B, each a whole answer
    string. One forward and one backward pass per prompt (two where an answer has several tokens), whatever the number
    of vectors and layers (`layers`: those in which a vector has a direction). Inside a `steer` block the effects are
    those of steering on top of it. Exact to first order only: confirm what you choose (`rank_agreement`).
    Parameters get no gradients, and their requires_grad is as before at the end, also on error.
    Raises: PromptError, VectorError, LayerError; InterventionError, also for a dose that a vector cannot have.
    """
    if not vectors:
        raise OptionError("no vectors were given: there is nothing to screen.")
    doses = [Intervention(vector=vector, coefficient=1.0, positions=positions, dose=dose) for vector in vectors]
    check(model, doses)
    chosen = sorted({layer for vector in vectors for layer in vector.layers} if layers is None else set(layers))
    check_layers(model, chosen)
    refuse_fixed_rows(model, "screen")
    units = _units(model, prompts, answers)
    kind = torch.promote_types(model.dtype, torch.float32)
    table = _directions(model, doses, chosen).to(kind)
    effects = torch.zeros(len(prompts), len(chosen), len(vectors), dtype=kind)
    margins = torch.zeros(len(prompts), dtype=kind)

    def run(batch: list[int]) -> list[tuple[Tensor, Tensor]]:
        size = _rows_at_once(model, max(len(units[k].row) for k in batch), n_layers=model.n_layers - chosen[0])
        found: list[tuple[Tensor, Tensor]] = []
        for at in range(0, len(batch), size):
            gradients, values = _backward(model, [units[k] for k in batch[at : at + size]], chosen, positions)
            found += zip(torch.einsum("rlm,ldm->rld", gradients, table), values, strict=True)
        return found

    results = run_batched(model, [len(unit.row) for unit in units], run, progress=progress)
    for unit, (effect, margin) in zip(units, results, strict=True):
        effects[unit.prompt] += effect
        margins[unit.prompt] += margin
    return Screening(effects=effects, margins=margins, layers=tuple(chosen))


def most_promising(
    screening: Screening, k: int, *, sign: Literal["either", "positive", "negative"] = "either"
) -> list[Candidate]:
    """The k layers and directions with the largest mean effect over the prompts, best first: what is left of a sweep.

    either: by size, the coefficient's sign must then follow the effect's; positive or negative: by effects of that
    sign only, so the list may be shorter. With A the right answer of each prompt, positive is toward right answers.
    """
    if k < 1:
        raise OptionError(f"k is {k}: choose at least 1.")
    means = screening.effects.double().mean(dim=0)
    found = [
        Candidate(layer=layer, direction=number, effect=float(effect))
        for layer, row in zip(screening.layers, means, strict=True)
        for number, effect in enumerate(row)
        if bool(effect.isfinite())
    ]
    wanted = {
        "either": found,
        "positive": [candidate for candidate in found if candidate.effect > 0],
        "negative": [candidate for candidate in found if candidate.effect < 0],
    }
    if sign not in wanted:
        raise OptionError(f"sign {sign!r} does not exist. {nearest(sign, wanted)}")
    return sorted(wanted[sign], key=lambda candidate: -abs(candidate.effect))[:k]


def rank_agreement(
    screened: Float[np.ndarray, "prompt cell"],
    exact: Float[np.ndarray, "prompt cell"],
    *,
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Spearman's rank correlation, over cells, of the mean effects that were screened and those that were measured.

    The interval is a bootstrap over prompts (over `clusters` of prompts, where given), both sides drawn alike. Cells
    with a NaN on either side are left out of both and counted in `n_unscored`; `n` counts prompts. The value is None
    where one side has the same effect in every cell.
    Raises: OptionError when the shapes differ or fewer than 3 cells are left.
    """
    both = np.stack([np.asarray(side, dtype=np.float64) for side in _same_shape(screened, exact)], axis=1)
    scored = np.isfinite(both).all(axis=(0, 1))
    if scored.sum() < 3:
        raise OptionError(f"{int(scored.sum())} cells have a screened and an exact effect: ranks need at least 3.")
    found = cluster_bootstrap(
        both[:, :, scored],
        list(range(len(both))) if clusters is None else clusters,
        _spearman,
        level=level,
        seed=seed,
        n_unscored=int((~scored).sum()),
        statistic_on="weights",
    )
    return replace(found, method="Spearman, cluster bootstrap")


def _same_shape(screened: NDArray[Any], exact: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    if np.shape(screened) != np.shape(exact):
        raise OptionError(
            f"screened effects have shape {np.shape(screened)}, exact ones {np.shape(exact)}: give the same cells."
        )
    return screened, exact


def _spearman(values: NDArray[np.float64], weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """[prompt side cell] and weights [draw prompt] to one correlation per draw; NaN where a side is constant."""
    from scipy.stats import rankdata

    means = np.einsum("dp,psc->dsc", weights, values) / weights.sum(axis=1)[:, None, None]
    ranks = rankdata(means, axis=-1)
    ranks -= ranks.mean(axis=-1, keepdims=True)
    products = (ranks[:, 0] * ranks[:, 1]).sum(axis=-1)
    with np.errstate(invalid="ignore"):
        return np.asarray(products / np.sqrt((ranks**2).sum(axis=-1).prod(axis=-1)))


@dataclass(frozen=True, kw_only=True)
class _Unit:
    """One row of a forward: a prompt with the part of an answer that is fed, and how its predictions count."""

    prompt: int
    row: list[int]
    n_prompt: int
    targets: tuple[tuple[int, int, int], ...]  # (place counted from the end, token, +1 or -1)

    @property
    def n_read(self) -> int:
        return max(place for place, _, _ in self.targets)


def _units(model: Model, prompts: Sequence[str], answers: Sequence[tuple[str, str]]) -> list[_Unit]:
    if not prompts:
        raise PromptError("no prompts were given: there is nothing to screen.")
    check_answers(prompts, answers)
    if len(answers[0]) != 2:
        raise PromptError(f"{len(answers[0])} answers per prompt: the margin is between two, (A, B).")
    heads = encode(model, prompts)
    units = []
    for number, (head, tails) in enumerate(zip(heads, answer_tokens(model, prompts, heads, answers), strict=True)):
        if all(len(tail) == 1 for tail in tails):
            targets = tuple((1, tail[0], sign) for tail, sign in zip(tails, (1, -1), strict=True))
            units.append(_Unit(prompt=number, row=head, n_prompt=len(head), targets=targets))
            continue
        for tail, sign in zip(tails, (1, -1), strict=True):  # the last token of an answer predicts nothing that counts
            targets = tuple((len(tail) - at, token, sign) for at, token in enumerate(tail))
            units.append(_Unit(prompt=number, row=head + tail[:-1], n_prompt=len(head), targets=targets))
    longest = max(units, key=lambda unit: len(unit.row))
    if model.context is not None and len(longest.row) > model.context:
        raise PromptError(
            f"prompt number {longest.prompt} with its answer has {len(longest.row)} tokens: {model.name} has a context "
            f"of {model.context}."
        )
    return units


def _directions(model: Model, doses: Sequence[Intervention], layers: Sequence[int]) -> Tensor:
    """Coefficient 1 of each vector at each layer [layer direction d_model], NaN where there is none."""
    table = torch.full((len(layers), len(doses), model.d_model), torch.nan, dtype=torch.float64)
    for number, dose in enumerate(doses):
        for at, layer in enumerate(layers):
            if layer in dose.vector.directions:
                direction, factor = dose.scaled_direction(layer)
                table[at, number] = factor * torch.from_numpy(np.asarray(direction, dtype=np.float64))
    return table


def _rows_at_once(model: Model, longest: int, *, n_layers: int) -> int:
    """Rows whose activations in `n_layers` layers fit the memory budget: a backward pass needs them all."""
    kept = longest * n_layers * bytes_per_token(model)[1] * BACKWARD_FACTOR
    return int(max(1, free_bytes(model) * MEMORY_SHARE // kept))


def _backward(
    model: Model, units: Sequence[_Unit], layers: Sequence[int], positions: str
) -> tuple[Float[Tensor, "row layer d_model"], Float[Tensor, " row"]]:
    """The gradient of each row's margin summed over its steered positions, and the margins; on the CPU."""
    gradients: dict[int, Tensor] = {}
    lowest: list[Tensor] = []
    with prompt_lengths(model.network, [unit.n_prompt for unit in units]) as stream:

        def begin(residual: Tensor) -> Tensor:
            lowest.append(residual.detach().requires_grad_())
            return lowest[0].clone()  # a layer may work in place, which a leaf does not allow

        def reader_at(layer: int) -> Callable[[Tensor], None]:
            def read(residual: Tensor) -> None:
                selected = stream.positions.select(positions).to(residual.device)[..., None]

                def take(gradient: Tensor) -> None:
                    part = torch.where(selected, gradient, torch.zeros_like(gradient))
                    gradients[layer] = part.to(torch.promote_types(part.dtype, torch.float32)).sum(dim=1).cpu()

                residual.register_hook(take)  # type: ignore[no-untyped-call]

            return read

        with (
            frozen(model.network),
            torch.inference_mode(False),
            torch.enable_grad(),
            attached(
                model.network,
                edits={model.layers[layers[0]]: begin},
                readers={model.layers[layer]: reader_at(layer) for layer in layers},
            ),
            last_logits_only(model.network, model.head, n_positions=max(unit.n_read for unit in units)),
        ):
            batch = left_padded(model, [unit.row for unit in units])
            logits = model.network(**batch, use_cache=False).logits
            margins = _margins(logits, units)
            torch.autograd.grad(margins.sum(), lowest)
    stacked = torch.stack([gradients[layer] for layer in layers], dim=1)
    return stacked, margins.detach().cpu()


def _margins(logits: Tensor, units: Sequence[_Unit]) -> Tensor:
    """Signed log-likelihood of each row's targets."""
    kind = torch.promote_types(logits.dtype, torch.float32)
    margins = []
    for own, unit in zip(logits, units, strict=True):
        chances = own[-unit.n_read :].to(kind).log_softmax(dim=-1)
        margins.append(torch.stack([sign * chances[-place, token] for place, token, sign in unit.targets]).sum())
    return torch.stack(margins)


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """No parameter of `network` asks for a gradient inside the block; afterwards each does as before."""
    asked = [parameter for parameter in network.parameters() if parameter.requires_grad]
    try:
        for parameter in asked:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in asked:
            parameter.requires_grad_(True)
