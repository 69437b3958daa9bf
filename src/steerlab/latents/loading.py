"""Load a sparse autoencoder: from a directory in any known format, from the package, or by a released name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from steerlab.autoencoders import SparseAutoencoder
from steerlab.embedded import MODEL_NAME, autoencoder_directories
from steerlab.errors import AutoencoderError
from steerlab.formats.sae_gemma_scope import read_gemma_scope, read_gemma_scope_2
from steerlab.formats.sae_llama_scope import read_llama_scope
from steerlab.formats.sae_saelens import read_saelens
from steerlab.formats.sae_sparsify import read_sparsify
from steerlab.latents.released import load_released
from steerlab.models import Model, check_layers

Reader = Callable[..., SparseAutoencoder]

# The files that tell a format, and who reads it; the first whose files are all there.
FORMATS: tuple[tuple[tuple[str, ...], Reader], ...] = (
    (("cfg.json", "sae_weights.safetensors"), read_saelens),
    (("params.npz",), read_gemma_scope),
    (("params.safetensors",), read_gemma_scope_2),
    (("cfg.json", "sae.safetensors"), read_sparsify),
    (("hyperparams.json", "checkpoints/final.safetensors"), read_llama_scope),
)


def load_sae(path_or_name: str | Path, *, layer: int | None = None) -> SparseAutoencoder:
    """The autoencoder in a directory (its format found by its files), "embedded", or a released name (sae-lens).

    `layer` chooses among several: of the package, of a release, or of the folders of a directory; it names the layer of
    a file that does not say it, and is checked against one that does.
    Raises: AutoencoderError; MissingExtraError when a name is given and sae-lens is not installed.
    """
    if str(path_or_name) == MODEL_NAME:
        return _of_layer(autoencoder_directories(), layer=layer, where="the package")
    path = Path(path_or_name).expanduser()
    if path.is_file():
        path = path.parent.parent if path.parent.name == "checkpoints" else path.parent
    if path.is_dir():
        return _from_directory(path, layer=layer)
    if str(path_or_name).startswith((".", "/", "~")):
        raise AutoencoderError(f"{path_or_name} does not exist: give a directory, {MODEL_NAME!r}, or a released name.")
    return _checked(load_released(str(path_or_name), layer=layer), layer=layer)


def load_saes(path_or_name: str | Path, *, layers: Sequence[int] = ()) -> tuple[SparseAutoencoder, ...]:
    """Several autoencoders of one place: those of `layers`, by default every one that the package or directory has.

    Raises: as `load_sae`.
    """
    if layers:
        return tuple(load_sae(path_or_name, layer=layer) for layer in dict.fromkeys(layers))
    if str(path_or_name) == MODEL_NAME:
        found = autoencoder_directories()
    else:
        path = Path(path_or_name).expanduser()
        found = _layer_folders(path) if path.is_dir() and _reader_of(path) is None else {}
    if not found:
        return (load_sae(path_or_name),)
    return tuple(load_sae(path_or_name, layer=layer) for layer in sorted(found))


def check_fits(model: Model, autoencoder: SparseAutoencoder) -> None:
    """Raise with one line unless the autoencoder reads a layer of `model`.

    Raises: AutoencoderError when the widths differ; LayerError when the layer does not exist.
    """
    if autoencoder.d_model != model.d_model:
        made_for = f" (it is for {autoencoder.model})" if autoencoder.model else ""
        raise AutoencoderError(
            f"the autoencoder {autoencoder.name} has d_model {autoencoder.d_model}{made_for}, {model.name} has "
            f"{model.d_model}: choose one that was trained on this model."
        )
    check_layers(model, [autoencoder.layer])


def _reader_of(folder: Path) -> Reader | None:
    return next((read for files, read in FORMATS if all((folder / file).is_file() for file in files)), None)


def _from_directory(folder: Path, *, layer: int | None) -> SparseAutoencoder:
    reader = _reader_of(folder)
    if reader is not None:
        return _checked(reader(folder, layer=layer), layer=layer)
    if inside := _layer_folders(folder):
        return _of_layer(inside, layer=layer, where=str(folder))
    known = "; ".join(" and ".join(files) for files, _ in FORMATS)
    raise AutoencoderError(f"{folder} holds no autoencoder of a known format, which are told by their files: {known}.")


def _layer_folders(folder: Path) -> dict[int, Path]:
    """The folders layer-N in `folder`, by layer."""
    return {int(own.name[6:]): own for own in folder.glob("layer-*") if own.name[6:].isdigit()}


def _of_layer(folders: dict[int, Path], *, layer: int | None, where: str) -> SparseAutoencoder:
    possible = ", ".join(map(str, sorted(folders))) or "none"
    if layer is None and len(folders) == 1:
        (layer,) = folders
    if layer not in folders:
        given = "no layer was given" if layer is None else f"there is none of layer {layer}"
        raise AutoencoderError(f"{where} has autoencoders of layers {possible}, and {given}: choose one of them.")
    return _checked(read_saelens(folders[layer], layer=layer), layer=layer)


def _checked(autoencoder: SparseAutoencoder, *, layer: int | None) -> SparseAutoencoder:
    if layer is not None and autoencoder.layer != layer:
        raise AutoencoderError(
            f"{autoencoder.name} reads the output of layer {autoencoder.layer}, not of layer {layer}: leave out the "
            "layer or choose another autoencoder."
        )
    return autoencoder
