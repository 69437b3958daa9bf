"""Sparse autoencoders as values: weights, activation and site; encode and decode in float32, a part at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from steerlab.errors import AutoencoderError, nearest

Activation = Literal["relu", "jumprelu", "topk", "batchtopk"]
Normalisation = Literal["none", "constant_norm", "layer_norm"]

BYTES_AT_ONCE = 128 << 20  # of pre-activations, and of weights that are turned into float32
LAYER_NORM_EPSILON = 1e-5  # that of SAELens, whose standard deviation has n - 1 below


@dataclass(frozen=True, kw_only=True, eq=False)
class SparseAutoencoder:
    """A sparse autoencoder of the residual stream at `layer` (the output of that decoder block, 0-based).

    Weights may be of any floating type; everything is computed in float32:
        x = normalised residual (minus `b_dec` where `subtract_b_dec`);  pre = x @ w_enc + b_enc
        relu: max(pre, 0).  jumprelu, batchtopk: pre above `threshold` and 0.  topk: the `k` largest, if above 0.
        reconstruction = activations @ w_dec + b_dec, and the normalisation undone
    `site` is what the file calls the place that is read, `model` the model that it says it is for, `producer` who
    wrote the file and `sha256` is over the file of weights (or over the tensors where there was none).
    Raises: AutoencoderError for shapes or settings that no autoencoder can have.
    """

    w_enc: Float[Tensor, "d_model latent"]
    w_dec: Float[Tensor, "latent d_model"]
    b_enc: Float[Tensor, " latent"]
    b_dec: Float[Tensor, " d_model"]
    activation: Activation
    threshold: Float[Tensor, " latent"] | None = None
    k: int | None = None
    subtract_b_dec: bool = False
    normalisation: Normalisation = "none"
    layer: int
    site: str
    name: str
    model: str
    producer: str
    sha256: str

    def __post_init__(self) -> None:
        for given, table in ((self.activation, Activation), (self.normalisation, Normalisation)):
            if given not in get_args(table):
                raise AutoencoderError(f"{self.name}: {given!r} is not known. {nearest(given, get_args(table))}")
        if self.layer < 0:
            raise AutoencoderError(f"{self.name}: layer {self.layer} does not exist: layers are counted from 0.")
        if self.activation in ("jumprelu", "batchtopk") and self.threshold is None:
            raise AutoencoderError(f"{self.name}: {self.activation} needs a threshold per latent, and there is none.")
        if self.activation == "topk" and (self.k is None or not 1 <= self.k <= self.n_latents):
            raise AutoencoderError(f"{self.name}: topk needs a k within 1..{self.n_latents}; it is {self.k}.")

    @property
    def d_model(self) -> int:
        """Width of the residual stream that is encoded."""
        return int(self.w_enc.shape[0])

    @property
    def n_latents(self) -> int:
        """Number of latents."""
        return int(self.w_enc.shape[1])

    def describe(self) -> dict[str, object]:
        """The facts as JSON-able values; norms are L2."""
        return {
            "name": self.name,
            "producer": self.producer,
            "model": self.model,
            "layer": self.layer,
            "site": self.site,
            "d_model": self.d_model,
            "n_latents": self.n_latents,
            "activation": self.activation,
            "k": self.k,
            "subtract_b_dec": self.subtract_b_dec,
            "normalisation": self.normalisation,
            "dtype": str(self.w_dec.dtype).removeprefix("torch."),
            "sha256": self.sha256,
            "norms": {
                "encoder_mean": _mean_norm(self.w_enc, dim=0),
                "decoder_mean": _mean_norm(self.w_dec, dim=1),
                "b_dec": float(self.b_dec.float().norm()),
            },
            "threshold_mean": None if self.threshold is None else float(self.threshold.float().mean()),
        }


def encode(autoencoder: SparseAutoencoder, residual: Float[Tensor, "row d_model"]) -> Float[Tensor, "row latent"]:
    """The activation of every latent on each row, float32 on the weights' device.

    The result is dense: 4 bytes per row and latent. What is needed beyond it does not grow with the number of rows.
    Raises: AutoencoderError when the residual has another width.
    """
    found = torch.zeros(len(residual), autoencoder.n_latents, device=autoencoder.w_enc.device)
    step = max(1, BYTES_AT_ONCE // (4 * autoencoder.n_latents))
    for start in range(0, len(residual), step):
        scaled, _, _ = _normalised(autoencoder, residual[start : start + step])
        if autoencoder.subtract_b_dec:
            scaled = scaled - autoencoder.b_dec.float()
        part = found[start : start + step]
        for at in _latent_parts(autoencoder):
            part[:, at] = scaled @ autoencoder.w_enc[:, at].float() + autoencoder.b_enc[at].float()
        part.copy_(_activated(autoencoder, part))
    return found


def decode(autoencoder: SparseAutoencoder, activations: Float[Tensor, "row latent"]) -> Float[Tensor, "row d_model"]:
    """The residual that the activations stand for, float32; in normalised units where the autoencoder normalises."""
    found = autoencoder.b_dec.float().repeat(len(activations), 1)
    for at in _latent_parts(autoencoder):
        found += activations[:, at].to(found.device).float() @ autoencoder.w_dec[at].float()
    return found


def reconstruct(autoencoder: SparseAutoencoder, residual: Float[Tensor, "row d_model"]) -> Float[Tensor, "row d_model"]:
    """What encoding and decoding leaves of the residual, float32, in its own units; a part of the rows at a time."""
    parts = []
    step = max(1, BYTES_AT_ONCE // (4 * autoencoder.n_latents))
    for start in range(0, len(residual), step):
        rows = residual[start : start + step]
        _, scale, shift = _normalised(autoencoder, rows)
        parts.append(decode(autoencoder, encode(autoencoder, rows)) * scale + shift)
    return torch.cat(parts) if parts else residual.float()


def _latent_parts(autoencoder: SparseAutoencoder) -> Iterator[slice]:
    """Ranges of latents whose weights in float32 fit BYTES_AT_ONCE; all at once where they are float32 already."""
    step = autoencoder.n_latents
    if autoencoder.w_enc.dtype != torch.float32:
        step = max(1, BYTES_AT_ONCE // (4 * autoencoder.d_model))
    for start in range(0, autoencoder.n_latents, step):
        yield slice(start, min(start + step, autoencoder.n_latents))


def _normalised(
    autoencoder: SparseAutoencoder, residual: Float[Tensor, "row d_model"]
) -> tuple[Tensor, Tensor, Tensor]:
    """The rows as the encoder wants them, and what turns them back: rows = normalised * scale + shift."""
    if residual.shape[1] != autoencoder.d_model:
        raise AutoencoderError(
            f"{autoencoder.name} encodes residuals of d_model {autoencoder.d_model}; these have {residual.shape[1]}: "
            f"it is for {autoencoder.model or 'another model'}."
        )
    rows = residual.to(autoencoder.w_enc.device).float()
    one, zero = torch.ones(1, 1, device=rows.device), torch.zeros(1, 1, device=rows.device)
    match autoencoder.normalisation:
        case "none":
            return rows, one, zero
        case "constant_norm":
            scale = rows.norm(dim=1, keepdim=True).clamp_min(1e-12) / autoencoder.d_model**0.5
            return rows / scale, scale, zero
        case "layer_norm":
            shift = rows.mean(dim=1, keepdim=True)
            scale = (rows - shift).std(dim=1, keepdim=True)
            return (rows - shift) / (scale + LAYER_NORM_EPSILON), scale, shift


def _activated(autoencoder: SparseAutoencoder, pre: Float[Tensor, "row latent"]) -> Float[Tensor, "row latent"]:
    match autoencoder.activation:
        case "relu":
            return pre.relu()
        case "jumprelu" | "batchtopk":
            assert autoencoder.threshold is not None
            return pre.relu() * (pre > autoencoder.threshold.float())
        case "topk":
            assert autoencoder.k is not None
            values, places = pre.topk(autoencoder.k, dim=1, sorted=False)
            return torch.zeros_like(pre).scatter_(1, places, values.relu())


def _mean_norm(weights: Tensor, *, dim: int) -> float:
    return float(weights.float().norm(dim=dim).mean())
