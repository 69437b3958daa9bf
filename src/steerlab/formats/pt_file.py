"""Steering vectors in .pt files of others: read with torch's weights_only loader, never written.

persona_vectors: a tensor [n_layers+1, d_model], row i is hidden_states[i] of transformers. Others: one row per chosen
layer, or a dict from layer to tensor; their layers are taken as outputs of 0-based decoder layers. lm-eval: a dict from
module name to a steering entry.
"""

from __future__ import annotations

import io
import logging
import math
import re
import struct
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from steerlab.errors import OptionError, VectorError
from steerlab.formats.foreign import MAX_BYTES, Foreign, read_file, unbound_vector
from steerlab.vectors import Direction, SteeringVector

LOGGER = logging.getLogger("steerlab")
LAYER_KEY = re.compile(r"(?:layers?[._ ]?)?(\d{1,5})")
HOOKPOINT = re.compile(r"[A-Za-z_.]*\.(\d{1,5})")
PRODUCERS = ("", "persona_vectors", "rows")


def read_pt(path: Path, foreign: Foreign) -> SteeringVector:
    """Read a .pt file with one direction per layer (see the module's text for the three shapes).

    Raises: VectorError when it holds something else or needs pickled code; OptionError when it does not say which
    layers its rows are, or the wrong ones were given.
    """
    if foreign.producer not in PRODUCERS:
        raise OptionError(f"producer {foreign.producer!r} does not go with {path}. Possible: persona_vectors, rows.")
    found, layers = _load(path), foreign.layers
    if isinstance(found, Mapping) and "layers" in found:
        layers, found = _beside(path, found, layers)
    if isinstance(found, Mapping):
        if layers or foreign.producer:
            raise OptionError(f"{path} names its layers itself: leave --layers and --producer out.")
        _check_total(path, found.values())
        directions = {_key(path, key): _direction(path, value) for key, value in found.items()}
        if len(directions) != len(found):
            raise VectorError(f"{path} has a layer twice.")
        return unbound_vector(directions, path=path, producer="a .pt file")
    rows = _array(path, found)
    if foreign.producer == "persona_vectors":
        return _persona_vectors(path, rows, layers)
    rows = rows[None] if rows.ndim == 1 else rows
    if not layers:
        raise OptionError(
            f"{path} holds {rows.shape[0]} rows and does not say their layers: give --layers (one per row), or "
            "--producer persona_vectors when row i is hidden_states[i]."
        )
    if len(layers) != len(set(layers)) or rows.shape[0] != len(layers):
        raise OptionError(f"{path} holds {rows.shape[0]} rows: give as many different --layers, not {list(layers)}.")
    return unbound_vector(dict(zip(layers, rows, strict=True)), path=path, producer="a .pt file")


def read_lm_eval(path: Path, foreign: Foreign) -> SteeringVector:
    """Read the .pt of lm-eval's steered model: entries `add` at whole decoder layers; the coefficient is multiplied in.

    Raises: VectorError for entries that clamp (an operation, not a vector) or hook something else than a layer.
    """
    if foreign.producer or foreign.layers:
        raise OptionError(f"{path} names its layers itself: leave --layers and --producer out.")
    found = _load(path)
    if isinstance(found, list) and all(isinstance(entry, Mapping) for entry in found):
        found = {entry.get("hookpoint"): entry for entry in found} if found else {}
    if not isinstance(found, Mapping) or not found or not all(isinstance(entry, Mapping) for entry in found.values()):
        raise VectorError(f"{path} holds no steering entries of lm-eval (a dict from module name to entry).")
    _check_total(path, [entry.get("steering_vector") for entry in found.values()])
    directions: dict[int, Direction] = {}
    for hookpoint, entry in found.items():
        at = HOOKPOINT.fullmatch(hookpoint) if isinstance(hookpoint, str) else None
        if at is None:
            raise VectorError(
                f"{path} steers {str(hookpoint)[:80]!r}: only whole decoder layers (layers.12) can be read."
            )
        if entry.get("action") != "add":
            raise VectorError(
                f"{path} has the action {str(entry.get('action'))[:80]!r} at {hookpoint}: only add is a vector. For "
                "clamp, store its steering_vector with --format pt and use operation clamp."
            )
        factor = entry.get("steering_coefficient", 1.0)
        if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not math.isfinite(factor):
            raise VectorError(f"{path} has a steering_coefficient at {hookpoint} that is no finite number.")
        layer = int(at[1])
        if layer in directions:
            raise VectorError(f"{path} steers layer {layer} twice.")
        directions[layer] = _direction(path, entry.get("steering_vector")) * np.float32(factor)
    return unbound_vector(directions, path=path, producer="lm-eval")


def _load(path: Path) -> Any:
    """What the file holds, read without running anything that it brings along."""
    import torch

    content = read_file(path)
    _check_archive(path, content)
    try:
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except MemoryError:
        raise VectorError(f"{path} declares more than fits the memory: it is not the file of a vector.") from None
    except Exception as error:  # noqa: BLE001 - the unpickler of a malformed file raises whatever the bytes lead to
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise VectorError(
            f"{path} cannot be read without running code that it brings along, or is damaged ({first[:160]}): let its "
            "producer store plain tensors."
        ) from None


def _check_archive(path: Path, content: bytes) -> None:
    """Refuse what is no zip archive of torch, and archives that unpack to more than they are."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, NotImplementedError, struct.error) as error:
        raise VectorError(f"{path} is not a .pt file of torch 1.6 or later: {str(error)[:160]}.") from None
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise VectorError(f"{path} is a compressed archive: torch stores its tensors uncompressed.")
    if sum(member.file_size for member in members) > min(MAX_BYTES, len(content)):
        raise VectorError(f"{path} declares more bytes than it has.")


def _check_total(path: Path, values: Iterable[Any]) -> None:
    """Refuse many tensors over the same few bytes."""
    import torch

    if 4 * sum(value.numel() for value in values if isinstance(value, torch.Tensor)) > MAX_BYTES:
        raise VectorError(f"{path} declares more than {MAX_BYTES >> 20} MiB: it is not the file of a vector.")


def _array(path: Path, value: Any) -> np.ndarray:
    """A tensor as float32 array; never larger than what the file can hold."""
    import torch

    if not isinstance(value, torch.Tensor):
        raise VectorError(f"{path} holds {type(value).__name__[:40]} where a tensor is expected.")
    if value.layout != torch.strided or value.device.type != "cpu" or not value.dtype.is_floating_point:
        raise VectorError(
            f"{path} holds a tensor of {value.dtype} on {value.device}: plain floating point is possible."
        )
    if value.numel() == 0 or value.numel() > value.untyped_storage().nbytes():
        raise VectorError(f"{path} holds a tensor of {value.numel()} values, which are not all in the file.")
    return value.detach().to(torch.float32).numpy()


def _direction(path: Path, value: Any) -> Direction:
    row = _array(path, value)
    row = row[0] if row.ndim == 2 and row.shape[0] == 1 else row
    if row.ndim != 1:
        raise VectorError(f"{path} holds a tensor of shape {list(row.shape)} where one direction is expected.")
    return row


def _key(path: Path, key: Any) -> int:
    found = LAYER_KEY.fullmatch(key) if isinstance(key, str) else None
    if found is not None:
        return int(found[1])
    if type(key) is not int:
        raise VectorError(f"{path} has the key {str(key)[:80]!r}: layers (12, '12' or 'layer_12') are possible.")
    return key


def _beside(path: Path, found: Mapping[Any, Any], given: tuple[int, ...]) -> tuple[tuple[int, ...], Any]:
    """The layers that stand beside a tensor in a dict, and the tensor."""
    listed = found["layers"]
    listed = listed.tolist() if hasattr(listed, "tolist") else listed
    rest = [value for key, value in found.items() if key != "layers" and hasattr(value, "layout")]
    if not isinstance(listed, (list, tuple)) or not all(type(at) is int for at in listed) or len(rest) != 1:
        raise VectorError(f"{path} names layers, but not as a list of numbers beside one tensor.")
    if given and tuple(listed) != given:
        raise OptionError(f"{path} says that its layers are {list(listed)}: leave --layers out.")
    return tuple(listed), rest[0]


def _persona_vectors(path: Path, rows: np.ndarray, layers: tuple[int, ...]) -> SteeringVector:
    if rows.ndim != 2 or rows.shape[0] < 3 or layers:
        raise OptionError(
            f"{path} has shape {list(rows.shape)}: persona_vectors writes [n_layers+1, d_model], without --layers."
        )
    n_layers = rows.shape[0] - 1
    LOGGER.warning("the first and the last row are left out: the embedding, and what is read after the final norm")
    directions = {layer: rows[layer + 1] for layer in range(n_layers - 1)}
    return unbound_vector(directions, path=path, producer="persona_vectors", n_layers=n_layers)
