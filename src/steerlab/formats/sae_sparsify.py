"""sparsify directories (EleutherAI): `cfg.json` and `sae.safetensors`; TopK, the folder names the place."""

from __future__ import annotations

import re
from pathlib import Path

from steerlab.autoencoders import SparseAutoencoder
from steerlab.errors import AutoencoderError
from steerlab.formats.sae_files import built, read_settings, read_tensors, setting

CONFIG, WEIGHTS = "cfg.json", "sae.safetensors"
NAMES = {"encoder.weight": "w_enc", "encoder.bias": "b_enc", "W_dec": "w_dec", "b_dec": "b_dec"}


def read_sparsify(folder: Path, *, layer: int | None = None) -> SparseAutoencoder:
    """A TopK autoencoder of sparsify; its encoder lies transposed, [latent, d_model], and b_dec is subtracted first.

    Raises: AutoencoderError for a damaged file, a transcoder, another activation, or a folder that names no block.
    """
    path, weights_path = folder / CONFIG, folder / WEIGHTS
    settings = read_settings(path)
    for key in ("transcode", "skip_connection", "signed"):
        if setting(settings, key, bool, path=path, default=False):
            raise AutoencoderError(f"{path}: {key} is set, which is not supported: it is no plain autoencoder.")
    activation = setting(settings, "activation", str, path=path, default="topk")
    if activation != "topk":
        raise AutoencoderError(f"{path}: activation {activation!r} is not supported: only topk is.")
    tensors = {NAMES[name]: tensor for name, tensor in read_tensors(weights_path).items() if name in NAMES}
    if "w_enc" in tensors:
        tensors["w_enc"] = tensors["w_enc"].mT if tensors["w_enc"].ndim == 2 else tensors["w_enc"]
    return built(
        weights=tensors,
        path=weights_path,
        activation="topk",
        site=folder.name if layer is None or re.search(r"layers|embed|mlp|attn", folder.name) else f"layers.{layer}",
        producer="sparsify",
        k=setting(settings, "k", int, path=path),
        subtract_b_dec=True,
    )
