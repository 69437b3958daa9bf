"""SAELens directories: `cfg.json` (of version 6 or older) and `sae_weights.safetensors`; ours are written so, too."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from steerlab.autoencoders import Normalisation, SparseAutoencoder
from steerlab.errors import AutoencoderError
from steerlab.files import write_atomically
from steerlab.formats.sae_files import built, file_sha256, read_settings, read_tensors, setting

CONFIG, WEIGHTS = "cfg.json", "sae_weights.safetensors"
FORMAT_VERSION = "6.0.0"  # of SAELens: what it reads without its conversion of old files
ACTIVATIONS = {"standard": "relu", "jumprelu": "jumprelu", "topk": "topk", "batchtopk": "batchtopk"}
NORMALISATIONS: dict[str, Normalisation] = {
    "none": "none",
    "expected_average_only_in": "none",  # folded into the weights when the file was written, as SAELens assumes
    "constant_norm_rescale": "constant_norm",
    "layer_norm": "layer_norm",
}


def read_saelens(folder: Path, *, layer: int | None = None) -> SparseAutoencoder:
    """An autoencoder in SAELens' form, of version 6 (place and model under `metadata`) or before (flat keys).

    `layer` is used where the file names no place. Decoder norms that count for topk's choice are folded in.
    Raises: AutoencoderError for a damaged file, an architecture, normalisation or place that is not supported.
    """
    path, weights_path = folder / CONFIG, folder / WEIGHTS
    settings = _flattened(read_settings(path), path=path)
    architecture = settings["architecture"]
    tensors = {name.lower(): tensor for name, tensor in read_tensors(weights_path).items()}
    if "scaling_factor" in tensors and not bool((tensors["scaling_factor"] == 1).all()):
        raise AutoencoderError(f"{weights_path} has a finetuning scaling factor, which is not supported.")
    normalisation = setting(settings, "normalize_activations", str, path=path, default="none")
    if normalisation not in NORMALISATIONS:
        raise AutoencoderError(f"{path}: normalize_activations {normalisation!r} is not supported.")
    found = built(
        weights=tensors,
        path=weights_path,
        activation=ACTIVATIONS.get(architecture, architecture),
        site=_site(settings, layer=layer, path=path),
        producer=setting(settings, "producer", str, path=path, default="SAELens"),
        name=setting(settings, "sae_name", str, path=path, default=""),
        model=setting(settings, "model_name", str, path=path, default=""),
        k=setting(settings, "k", int, path=path),
        subtract_b_dec=setting(settings, "apply_b_dec_to_input", bool, path=path, default=True),
        normalisation=NORMALISATIONS[normalisation],
    )
    if architecture == "topk" and setting(settings, "rescale_acts_by_decoder_norm", bool, path=path, default=False):
        return _with_unit_decoder(found)
    return found


def _flattened(settings: dict[str, Any], *, path: Path) -> dict[str, Any]:
    """Settings of any version under version 6's names, with those of `metadata` beside them."""
    metadata = setting(settings, "metadata", dict, path=path, default={})
    flat = {**metadata, **{key: value for key, value in settings.items() if key != "metadata"}}
    for old, new in (("hook_point", "hook_name"), ("activation_fn_str", "activation_fn")):
        if old in flat:
            flat.setdefault(new, flat[old])
    options = setting(flat, "activation_fn_kwargs", dict, path=path, default={})
    if setting(flat, "activation_fn", str, path=path, default="relu") == "topk" and "k" in options:
        flat.update(architecture="topk", k=options["k"])
    if isinstance(flat.get("normalize_activations"), bool):
        flat["normalize_activations"] = "expected_average_only_in" if flat["normalize_activations"] else "none"
    flat["architecture"] = setting(flat, "architecture", str, path=path, default="standard")
    return flat


def _site(settings: dict[str, Any], *, layer: int | None, path: Path) -> str:
    if settings.get("hook_head_index") is not None:
        return f"a single head of {settings.get('hook_name')}"
    said = setting(settings, "hook_name", str, path=path, default="")
    if said:
        return str(said)
    if layer is None:
        raise AutoencoderError(f"{path} does not say which place it reads (no hook_name): give the layer.")
    return f"blocks.{layer}.hook_resid_post"


def _with_unit_decoder(autoencoder: SparseAutoencoder) -> SparseAutoencoder:
    """The same autoencoder with decoder rows of norm 1 and activations as much larger: topk chooses among these."""
    norms = autoencoder.w_dec.float().norm(dim=1)
    if bool((norms == 0).any()):
        raise AutoencoderError(f"{autoencoder.name}: a latent has a decoder row of norm 0, which can't be rescaled.")
    return replace(
        autoencoder,
        w_enc=autoencoder.w_enc.float() * norms,
        b_enc=autoencoder.b_enc.float() * norms,
        w_dec=autoencoder.w_dec.float() / norms[:, None],
    )


def write_saelens(autoencoder: SparseAutoencoder, folder: Path, *, facts: dict[str, Any]) -> SparseAutoencoder:
    """Write `autoencoder` in SAELens' form (version 6), atomically; gives it back with the digest of its file.

    `facts` go into the metadata as they are (what it was trained on, its figures). Batchtopk is written as jumprelu,
    as SAELens does. Raises: RunError when the place can't be written.
    """
    from safetensors.torch import save

    activation = "jumprelu" if autoencoder.activation == "batchtopk" else autoencoder.activation
    tensors: dict[str, Tensor] = {
        "W_enc": autoencoder.w_enc,
        "W_dec": autoencoder.w_dec,
        "b_enc": autoencoder.b_enc,
        "b_dec": autoencoder.b_dec,
    }
    if activation == "jumprelu":
        assert autoencoder.threshold is not None
        tensors["threshold"] = autoencoder.threshold
    settings = {
        "architecture": {value: key for key, value in ACTIVATIONS.items()}[activation],
        "d_in": autoencoder.d_model,
        "d_sae": autoencoder.n_latents,
        "dtype": str(autoencoder.w_dec.dtype).removeprefix("torch."),
        "device": "cpu",
        "apply_b_dec_to_input": autoencoder.subtract_b_dec,
        "normalize_activations": {
            value: key for key, value in NORMALISATIONS.items() if key != "expected_average_only_in"
        }[autoencoder.normalisation],
        "reshape_activations": "none",
        **({"k": autoencoder.k, "rescale_acts_by_decoder_norm": False} if activation == "topk" else {}),
        "metadata": {
            "sae_lens_version": FORMAT_VERSION,
            "model_name": autoencoder.model,
            "hook_name": f"blocks.{autoencoder.layer}.hook_resid_post",
            "sae_name": autoencoder.name,
            "producer": autoencoder.producer,
            **facts,
        },
    }
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(folder / WEIGHTS, save(content))
    write_atomically(folder / CONFIG, (json.dumps(settings, indent=1) + "\n").encode())
    return replace(autoencoder, sha256=file_sha256(folder / WEIGHTS))
