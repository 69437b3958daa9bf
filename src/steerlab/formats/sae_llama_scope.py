"""Llama Scope directories: `hyperparams.json` and `checkpoints/final.safetensors`, linear layers transposed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from steerlab.autoencoders import SparseAutoencoder
from steerlab.errors import AutoencoderError
from steerlab.formats.sae_files import built, read_settings, read_tensors, setting

CONFIG, WEIGHTS = "hyperparams.json", "checkpoints/final.safetensors"
NAMES = {"encoder.weight": "w_enc", "encoder.bias": "b_enc", "decoder.weight": "w_dec", "decoder.bias": "b_dec"}


def read_llama_scope(folder: Path, *, layer: int | None = None) -> SparseAutoencoder:
    """Llama Scope: JumpReLU with one threshold for all latents; inputs are scaled by the data set's average norm.

    The scale s = sqrt(d_model) / average norm is folded into the weights, and the threshold is s times the file's: both
    as SAELens (6.54) reads these files. Raises: AutoencoderError for a damaged file or another site.
    """
    path, weights_path = folder / CONFIG, folder / WEIGHTS
    settings = read_settings(path)
    kind = setting(settings, "act_fn", str, path=path, default="jumprelu")
    threshold = setting(settings, "jump_relu_threshold", float, path=path)
    if kind != "jumprelu" or threshold is None:
        raise AutoencoderError(f"{path}: act_fn {kind!r} is not supported: only jumprelu with jump_relu_threshold is.")
    site = setting(settings, "hook_point_in", str, path=path, default="")
    if site and setting(settings, "hook_point_out", str, path=path, default=site) != site:
        raise AutoencoderError(f"{path}: hook_point_in and hook_point_out differ: it is a transcoder.")
    tensors = {NAMES[name]: tensor.float() for name, tensor in read_tensors(weights_path).items() if name in NAMES}
    missing = [name for name, ours in NAMES.items() if ours not in tensors]
    if missing or any(tensors[key].ndim != 2 for key in ("w_enc", "w_dec")):
        raise AutoencoderError(
            f"{weights_path} lacks {missing[0] if missing else 'a matrix'}: it is no Llama Scope file."
        )
    return built(
        weights=_scaled(tensors, settings, threshold=threshold, path=path),
        path=weights_path,
        activation="jumprelu",
        site=site or (f"layers.{layer}" if layer is not None else ""),
        producer="Llama Scope",
        name=folder.name,
        model="meta-llama/Llama-3.1-8B" if folder.name.startswith("Llama3_1-8B-Base") else "",
    )


def _scaled(tensors: dict[str, Tensor], settings: dict[str, Any], *, threshold: float, path: Path) -> dict[str, Tensor]:
    norms = setting(settings, "dataset_average_activation_norm", dict, path=path, default={})
    norm = setting(norms, "in", float, path=path)
    if norm is None or norm <= 0:
        raise AutoencoderError(f"{path}: dataset_average_activation_norm needs a positive number under 'in'.")
    scale = tensors["w_enc"].shape[1] ** 0.5 / norm
    return {
        "w_enc": tensors["w_enc"].mT * scale,
        "w_dec": tensors["w_dec"].mT / scale,
        "b_enc": tensors["b_enc"],
        "b_dec": tensors["b_dec"] / scale,
        "threshold": tensors["b_enc"].new_full(tensors["b_enc"].shape, threshold * scale),
    }
