"""Gemma Scope: `params.npz` (the first one) and `params.safetensors` with lower-case names (the second)."""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from steerlab.autoencoders import SparseAutoencoder
from steerlab.errors import AutoencoderError
from steerlab.formats.sae_files import built, read_settings, read_tensors, setting

NAMES = ("W_enc", "W_dec", "b_enc", "b_dec", "threshold")
OTHER_SITES = ("att", "attn", "mlp", "transcoder", "transcoders", "embedding", "crosscoder", "clt")


def read_gemma_scope(folder: Path, *, layer: int | None = None) -> SparseAutoencoder:
    """Gemma Scope's `params.npz`: JumpReLU on the output of a block, b_dec not subtracted from the input.

    The file does not name its place; the layer is that of a folder `layer_L` above it, or `layer`.
    Raises: AutoencoderError for a damaged file, a folder of attention or MLP autoencoders, an unknown layer.
    """
    path = folder / "params.npz"
    return built(
        weights=_read_npz(path),
        path=path,
        activation="jumprelu",
        site=_site(folder, layer=layer),
        producer="Gemma Scope",
        name=_name(folder),
        model="",
    )


def read_gemma_scope_2(folder: Path, *, layer: int | None = None) -> SparseAutoencoder:
    """Gemma Scope 2's `params.safetensors`; place and model are those of its `config.json` where there is one."""
    path, settings = folder / "params.safetensors", {}
    if (folder / "config.json").is_file():
        settings = read_settings(folder / "config.json")
    if setting(settings, "architecture", str, path=folder / "config.json", default="jump_relu") != "jump_relu":
        raise AutoencoderError(f"{folder / 'config.json'}: architecture {settings['architecture']!r} is not jump_relu.")
    said = setting(settings, "hf_hook_point_in", str, path=folder / "config.json", default="")
    return built(
        weights=read_tensors(path),
        path=path,
        activation="jumprelu",
        site=said or _site(folder, layer=layer),
        producer="Gemma Scope 2",
        name=_name(folder),
        model=setting(settings, "model_name", str, path=folder / "config.json", default=""),
    )


def _read_npz(path: Path) -> dict[str, Tensor]:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:  # numpy 2 leaves damaged ones open
            missing = [name for name in NAMES if name not in file]
            if missing:
                raise AutoencoderError(
                    f"{path} lacks {missing[0]} (it has {', '.join(sorted(file)[:8]) or 'nothing'})."
                )
            return {name.lower(): torch.from_numpy(np.ascontiguousarray(file[name])) for name in NAMES}
    except AutoencoderError:
        raise
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
    ) as e:
        raise AutoencoderError(f"{path} is not a readable npz file without pickles: {str(e)[:200]}") from None
    except (SyntaxError, AttributeError, RuntimeError, MemoryError, OverflowError) as error:  # damaged numpy headers
        raise AutoencoderError(f"{path} holds a damaged array: {str(error)[:200]}") from None


def _site(folder: Path, *, layer: int | None) -> str:
    parts = [part for name in folder.resolve().parts for part in re.split(r"[-_]", name)]
    wrong = next((part for part in parts if part in OTHER_SITES), None)
    if wrong is not None and not any(part in ("res", "resid") for part in parts):
        return f"a place called {wrong!r}"
    found = [match[1] for name in folder.resolve().parts if (match := re.match(r"layer_(\d{1,4})(?!\d)", name))]
    if not found and layer is None:
        raise AutoencoderError(
            f"{folder} does not say which layer it reads (no folder layer_L above it): give the layer, for example "
            "--layer 12."
        )
    return f"blocks.{found[-1] if found else layer}.hook_resid_post"


def _name(folder: Path) -> str:
    return "/".join(folder.resolve().parts[-3:]).lstrip("/")
