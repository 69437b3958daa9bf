"""The residual of every token of texts at one layer, a batch at a time; how often each latent is active on them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from steerlab.autoencoders import SparseAutoencoder, encode
from steerlab.batches import Progress, plan
from steerlab.errors import DataError
from steerlab.hooks import StopForwardError, attached
from steerlab.latents.loading import check_fits
from steerlab.models import Model, check_layers
from steerlab.steering import refuse_fixed_rows
from steerlab.tokens import encode as encode_texts
from steerlab.tokens import left_padded

SKIPPED = 1  # tokens at the start of a text: their residual is an attention sink many times as long as the others


def token_residuals(
    model: Model, rows: Sequence[Sequence[int]], *, layer: int
) -> Iterator[tuple[list[int], Float[Tensor, "token d_model"]]]:
    """The residual at `layer` of every token but the first of each token row, batch by batch.

    Gives (which rows, their residuals one row after the other): float32 on the model's device, no padding among them.
    The forward ends at the layer.
    """
    check_layers(model, [layer])
    refuse_fixed_rows(model, "token_residuals")
    for batch in plan(model, [len(row) for row in rows]):
        seen: list[Tensor] = []

        def read(residual: Tensor, seen: list[Tensor] = seen) -> None:
            seen.append(residual)
            raise StopForwardError

        inputs = left_padded(model, [rows[i] for i in batch])
        with (
            attached(model.network, readers={model.layers[layer]: read}),
            torch.inference_mode(),
            contextlib.suppress(StopForwardError),
        ):
            model.network(**inputs, use_cache=False)
        parts = [seen[0][at, len(seen[0][at]) - len(rows[i]) + SKIPPED :] for at, i in enumerate(batch)]
        yield batch, torch.cat(parts).float()


def latent_frequency(
    model: Model, autoencoder: SparseAutoencoder, texts: Sequence[str], *, progress: Progress | None = None
) -> Float[np.ndarray, " latent"]:
    """The share of tokens of `texts` (all but the first of each) on which each latent is active.

    On ordinary text it tells general language latents from others. Streaming: nothing grows with the number of texts.
    Raises: PromptError for texts that do not fit; DataError when no token is left; AutoencoderError.
    """
    check_fits(model, autoencoder)
    counts = torch.zeros(autoencoder.n_latents, dtype=torch.float64)
    tokens = 0
    for batch, residual in token_residuals(model, encode_texts(model, texts), layer=autoencoder.layer):
        for part in torch.split(residual, 4096):
            counts += (encode(autoencoder, part) > 0).sum(dim=0).cpu()
        tokens += len(residual)
        if progress is not None:
            progress(len(batch))
    if tokens == 0:
        raise DataError("the texts have no token after their first: latents cannot be counted on them.")
    return (counts / tokens).numpy()
