"""Released sparse autoencoders by name, through sae-lens (an optional extra, imported when a name is given)."""

from __future__ import annotations

import re
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from steerlab.autoencoders import SparseAutoencoder
from steerlab.errors import AutoencoderError, MissingExtraError, nearest
from steerlab.formats.sae_saelens import read_saelens

SHOWN = 6


def load_released(name: str, *, layer: int | None) -> SparseAutoencoder:
    """The autoencoder "RELEASE" (then the one of `layer`) or "RELEASE:ID" of SAELens' table, downloaded by sae-lens.

    Raises: MissingExtraError when sae-lens is not installed; AutoencoderError for an unknown name, when several of the
    release read the layer, or when it can't be downloaded.
    """
    library = _sae_lens()
    release, _, wanted = name.partition(":")
    table = library.loading.pretrained_saes_directory.get_pretrained_saes_directory()
    if release not in table:
        raise AutoencoderError(
            f"{name} is neither a directory nor a release that sae-lens knows. {_near(release, table)} Give a "
            "directory, or RELEASE:ID of https://decoderesearch.github.io/SAELens/."
        )
    ids = sorted(table[release].saes_map)
    chosen = _chosen(release, ids, wanted=wanted, layer=layer)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded: Any = library.SAE.from_pretrained(release=release, sae_id=chosen, device="cpu")
        loaded = loaded[0] if isinstance(loaded, tuple) else loaded
        with tempfile.TemporaryDirectory() as folder:
            loaded.save_model(folder)
            found = read_saelens(Path(folder), layer=layer)
    except AutoencoderError as error:
        raise AutoencoderError(f"{release}:{chosen}: {error}") from None
    except Exception as error:  # noqa: BLE001 - hub, network and sae-lens raise classes of their own
        raise AutoencoderError(f"{release}:{chosen} could not be loaded by sae-lens: {str(error)[:200]}") from None
    return replace(found, name=f"{release}:{chosen}", producer=f"{found.producer} {library.__version__}")


def _sae_lens() -> ModuleType:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import sae_lens
            import sae_lens.loading.pretrained_saes_directory
    except ImportError:
        raise MissingExtraError(
            "autoencoders by name need sae-lens: pip install 'steerlab[sae]'. A directory needs nothing."
        ) from None
    return sae_lens  # type: ignore[no-any-return]


def _near(release: str, table: dict[str, Any]) -> str:
    words = nearest(release, table)
    return words.partition("Possible:")[0].strip()  # hundreds of names


def _chosen(release: str, ids: list[str], *, wanted: str, layer: int | None) -> str:
    if wanted:
        if wanted not in ids:
            raise AutoencoderError(f"{release} has no {wanted!r}. {nearest(wanted, ids)[:300]}")
        return wanted
    own = [name for name in ids if layer is None or _layer_in(name) == layer]
    if len(own) == 1:
        return own[0]
    which = f" of layer {layer}" if layer is not None else ""
    if not own:
        raise AutoencoderError(f"{release} has no autoencoder{which}: it has layers {_layers(ids)}.")
    more = f" and {len(own) - SHOWN} more" if len(own) > SHOWN else ""
    raise AutoencoderError(
        f"{release} has {len(own)} autoencoders{which}: give one as {release}:ID, with ID among "
        f"{', '.join(own[:SHOWN])}{more}{'' if layer is not None else '; or give the layer'}."
    )


def _layer_in(name: str) -> int | None:
    found = re.search(r"(?:layer_|blocks\.|layers\.|^l)(\d+)", name)
    return int(found[1]) if found else None


def _layers(ids: list[str]) -> str:
    layers = sorted({layer for name in ids if (layer := _layer_in(name)) is not None})
    return ", ".join(map(str, layers)) or "that their ids do not name"
