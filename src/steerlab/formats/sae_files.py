"""What all files of sparse autoencoders share: settings and tensors read with one-line errors, shapes checked."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from steerlab.autoencoders import Activation, Normalisation, SparseAutoencoder
from steerlab.errors import AutoencoderError
from steerlab.formats.sae_sites import layer_of_site

Tensors = Mapping[str, Tensor]


def read_settings(path: Path) -> dict[str, Any]:
    """The JSON object in a file of settings. Raises: AutoencoderError when it is missing, no JSON, or no object."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise AutoencoderError(f"{path} is no readable JSON file: {_first_line(error)}") from None
    if not isinstance(found, dict):
        raise AutoencoderError(f"{path} holds no JSON object.")
    return found


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file. Raises: AutoencoderError when it is missing or damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError, ValueError, TypeError, RuntimeError) as error:
        raise AutoencoderError(f"{path} is not a readable safetensors file: {_first_line(error)}") from None


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal. Raises: AutoencoderError when it can't be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise AutoencoderError(f"{path} cannot be read: {error.strerror or error}.") from None


def setting(settings: Mapping[str, Any], key: str, kind: type, *, path: Path, default: Any = None) -> Any:
    """The value of `key`, or `default` where it is missing or null.

    Raises: AutoencoderError when its type is not `kind` (a whole number is a float, too), or when it is not finite.
    """
    value: Any = settings.get(key)
    if value is None:
        return default
    if kind is float and type(value) is int and abs(value) < 2**53:
        value = float(value)
    if type(value) is not kind or (isinstance(value, float) and not math.isfinite(value)):
        raise AutoencoderError(f"{path}: {key} must be of type {kind.__name__}; it is {str(value)[:60]!r}.")
    return value


def built(
    *,
    weights: Tensors,
    path: Path,
    activation: str,
    site: str,
    producer: str,
    name: str = "",
    model: str = "",
    k: int | None = None,
    subtract_b_dec: bool = False,
    normalisation: Normalisation = "none",
) -> SparseAutoencoder:
    """An autoencoder from tensors under the names w_enc, w_dec, b_enc, b_dec and, where there is one, threshold.

    `path` is the file of weights: errors name it and its digest is kept. The name is that of its folder by default.
    Raises: AutoencoderError for a missing tensor, wrong shape or type, a value that is not finite, a wrong site.
    """
    needed = ["w_enc", "w_dec", "b_enc", "b_dec", *(["threshold"] if activation in ("jumprelu", "batchtopk") else [])]
    missing = [key for key in needed if key not in weights]
    if missing:
        raise AutoencoderError(f"{path} lacks {missing[0]} (it has {', '.join(sorted(weights)[:8]) or 'nothing'}).")
    w_enc = weights["w_enc"]
    if w_enc.ndim != 2 or 0 in w_enc.shape:
        raise AutoencoderError(f"{path}: the encoder has shape {list(w_enc.shape)}: it must be [d_model, latent].")
    d_model, n_latents = w_enc.shape
    shapes = {"w_dec": [n_latents, d_model], "b_enc": [n_latents], "b_dec": [d_model], "threshold": [n_latents]}
    for key in needed:
        _check_tensor(weights[key], shape=shapes.get(key), what=f"{path}: {key}")
    return SparseAutoencoder(
        **{key: weights[key].contiguous() for key in needed},
        activation=_known(activation, path=path),
        k=k,
        subtract_b_dec=subtract_b_dec,
        normalisation=normalisation,
        layer=layer_of_site(site, name=str(path.parent)),
        site=site,
        name=name or path.parent.name,
        model=model,
        producer=producer,
        sha256=file_sha256(path),
    )


def _known(activation: str, *, path: Path) -> Activation:
    match activation:
        case "relu" | "jumprelu" | "topk" | "batchtopk":
            return activation
    raise AutoencoderError(
        f"{path}: activation or architecture {activation!r} is not supported. Possible: relu (standard), jumprelu, "
        "topk, batchtopk with a threshold."
    )


def _check_tensor(tensor: Tensor, *, shape: list[int] | None, what: str) -> None:
    if shape is not None and list(tensor.shape) != shape:
        raise AutoencoderError(f"{what} has shape {list(tensor.shape)}; with this encoder it must have {shape}.")
    if tensor.dtype not in (torch.float32, torch.float16, torch.bfloat16, torch.float64):
        raise AutoencoderError(f"{what} is of type {tensor.dtype}: it must be floating.")
    if not bool(torch.isfinite(tensor).all()):
        raise AutoencoderError(f"{what} holds NaN or infinity: the file is damaged.")


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:200]
