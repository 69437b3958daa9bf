"""How good an autoencoder is on texts: explained variance, L0, silent latents, loss recovered; with intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from steerlab.autoencoders import SparseAutoencoder, decode, encode, reconstruct
from steerlab.batches import Progress
from steerlab.errors import DataError
from steerlab.hooks import attached
from steerlab.latents.loading import check_fits
from steerlab.latents.reading import SKIPPED, token_residuals
from steerlab.latents.texts import token_rows
from steerlab.models import Model
from steerlab.statistics import Estimate, cluster_bootstrap
from steerlab.tokens import left_padded

LONGEST_TEXT = 512  # tokens
TOKENS_AT_ONCE = 256  # whose log-probabilities are held at a time
SPLICED = ("original", "reconstruction", "zero", "mean")  # what stands at the layer


@dataclass(frozen=True, kw_only=True)
class AutoencoderMeasures:
    """Figures on texts, intervals from a bootstrap over texts; the first token of a text is never touched or counted.

    `explained_variance`: 1 - squared error / variance around the mean. `l0`: active latents per token. `silent`: share
    of latents active on none of the tokens. Losses are in nats per token with the reconstruction (or zeros, or the mean
    residual) in place of the residual; recovered: 1 is the original loss, 0 that of the ablation.
    """

    explained_variance: Estimate
    l0: Estimate
    silent: float
    loss: Estimate
    loss_reconstructed: Estimate
    loss_zero: Estimate
    loss_mean: Estimate
    recovered_zero: Estimate
    recovered_mean: Estimate
    n_tokens: int


def measure(
    model: Model,
    autoencoder: SparseAutoencoder,
    texts: Sequence[str],
    *,
    level: float = 0.95,
    seed: int = 0,
    progress: Progress | None = None,
) -> AutoencoderMeasures:
    """Measure on texts that the autoencoder was not trained on; each is cut at 512 tokens.

    Six passes per text over the layers up to the autoencoder's (two) or all (four). `progress` counts texts.
    Raises: AutoencoderError when it does not fit the model; DataError when no text has two tokens.
    """
    check_fits(model, autoencoder)
    rows = token_rows(model, texts, longest=min(LONGEST_TEXT, model.context or LONGEST_TEXT))
    if not rows:
        raise DataError("no text has two tokens: there is nothing to measure on.")
    mean = _mean(model, rows, layer=autoencoder.layer)
    sums, ever = _sums(model, autoencoder, rows, mean=mean)
    losses = []
    for row in rows:
        losses.append(_losses(model, autoencoder, row, mean=mean))
        if progress is not None:
            progress(1)
    table = np.concatenate([sums, np.asarray(losses)], axis=1)  # error, variance, active, tokens, and four losses

    def estimate(statistic: Callable[[NDArray[np.float64]], Any]) -> Estimate:
        def on_weights(values: NDArray[np.float64], weights: NDArray[np.int64]) -> NDArray[np.float64]:
            return np.asarray(statistic((weights @ values).T))

        return cluster_bootstrap(table, range(len(table)), on_weights, level=level, seed=seed, statistic_on="weights")

    return AutoencoderMeasures(
        explained_variance=estimate(lambda s: 1 - s[0] / s[1]),
        l0=estimate(lambda s: s[2] / s[3]),
        silent=float(1 - ever.float().mean()),
        loss=estimate(lambda s: s[4] / s[3]),
        loss_reconstructed=estimate(lambda s: s[5] / s[3]),
        loss_zero=estimate(lambda s: s[6] / s[3]),
        loss_mean=estimate(lambda s: s[7] / s[3]),
        recovered_zero=estimate(lambda s: (s[6] - s[5]) / (s[6] - s[4])),
        recovered_mean=estimate(lambda s: (s[7] - s[5]) / (s[7] - s[4])),
        n_tokens=int(table[:, 3].sum()),
    )


def _mean(model: Model, rows: Sequence[Sequence[int]], *, layer: int) -> Float[Tensor, " d_model"]:
    total, tokens = torch.zeros(model.d_model, dtype=torch.float64), 0
    for _, residual in token_residuals(model, rows, layer=layer):
        total += residual.double().sum(dim=0).cpu()
        tokens += len(residual)
    return (total / tokens).float()


def _sums(
    model: Model, autoencoder: SparseAutoencoder, rows: Sequence[Sequence[int]], *, mean: Float[Tensor, " d_model"]
) -> tuple[NDArray[np.float64], Tensor]:
    """Per text: squared error, squared distance from the mean, active latents, tokens; and which latents ever were."""
    found = np.zeros((len(rows), 4))
    ever = torch.zeros(autoencoder.n_latents, dtype=torch.bool)
    for batch, residual in token_residuals(model, rows, layer=autoencoder.layer):
        for i, own in zip(batch, torch.split(residual, [len(rows[i]) - SKIPPED for i in batch]), strict=True):
            activations = encode(autoencoder, own)
            rebuilt = _rebuilt(autoencoder, own, activations)
            error = (own.to(rebuilt.device) - rebuilt).square().sum()
            found[i] = float(error), float((own.cpu() - mean).square().sum()), float((activations > 0).sum()), len(own)
            ever |= (activations > 0).any(dim=0).cpu()
    return found, ever


def _rebuilt(autoencoder: SparseAutoencoder, residual: Tensor, activations: Tensor) -> Tensor:
    if autoencoder.normalisation == "none":
        return decode(autoencoder, activations)
    return reconstruct(autoencoder, residual)


def _losses(
    model: Model, autoencoder: SparseAutoencoder, row: Sequence[int], *, mean: Float[Tensor, " d_model"]
) -> list[float]:
    """The loss of the row's predictions, summed, with each of SPLICED at the layer (but at the first token)."""

    def edited(what: str) -> Callable[[Tensor], Tensor]:
        def edit(residual: Tensor) -> Tensor:
            own = residual[0, SKIPPED:]
            match what:
                case "original":
                    return residual
                case "reconstruction":
                    put = reconstruct(autoencoder, own)
                case "zero":
                    put = torch.zeros_like(own)
                case _:
                    put = mean.expand_as(own)
            return torch.cat([residual[:, :SKIPPED], put[None].to(residual.device, residual.dtype)], dim=1)

        return edit

    found = []
    targets = torch.tensor(row[1:], device=model.device)
    for what in SPLICED:
        with attached(model.network, edits={model.layers[autoencoder.layer]: edited(what)}), torch.inference_mode():
            logits = model.network(**left_padded(model, [row]), use_cache=False).logits[0, :-1]
        loss = 0.0
        for start in range(0, len(targets), TOKENS_AT_ONCE):
            part = logits[start : start + TOKENS_AT_ONCE].float()
            loss += float(torch.nn.functional.cross_entropy(part, targets[start : start + len(part)], reduction="sum"))
        found.append(loss)
    return found
