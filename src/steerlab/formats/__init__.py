"""Files that hold vectors, ours and those of other tools; FORMATS is the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from steerlab.errors import OptionError, nearest
from steerlab.formats.foreign import Foreign, check_ours
from steerlab.formats.gguf_file import read_gguf, write_gguf
from steerlab.formats.pt_file import read_lm_eval, read_pt
from steerlab.formats.safetensors_file import load_vector, save_vector
from steerlab.formats.svec_file import read_svec, write_svec
from steerlab.vectors import SteeringVector


def _read_safetensors(path: Path, foreign: Foreign) -> SteeringVector:
    check_ours(path, foreign)
    return load_vector(path)


@dataclass(frozen=True, kw_only=True)
class Format:
    """One kind of file: how it is read and, unless None, written; its names end in `suffix`."""

    read: Callable[[Path, Foreign], SteeringVector]
    write: Callable[[SteeringVector, Path], None] | None
    suffix: str


FORMATS: Mapping[str, Format] = {
    "safetensors": Format(read=_read_safetensors, write=save_vector, suffix=".safetensors"),
    "gguf": Format(read=read_gguf, write=write_gguf, suffix=".gguf"),
    "svec": Format(read=read_svec, write=write_svec, suffix=".svec"),
    "pt": Format(read=read_pt, write=None, suffix=".pt"),
    "lm-eval": Format(read=read_lm_eval, write=None, suffix=".pt"),
}


def export_vector(vector: SteeringVector, path: Path, *, name: str = "") -> str:
    """Write `vector` in the format `name`, by default that of the path's ending; gives the format's name.

    Raises: OptionError for a format that does not exist or can't be written; VectorError when the format can't hold it.
    """
    chosen = format_of(path, name)
    write = FORMATS[chosen].write
    if write is None:
        possible = ", ".join(key for key, entry in FORMATS.items() if entry.write)
        raise OptionError(f"{chosen} can be read only (it is a pickle). Possible: {possible}.")
    write(vector, path)
    return chosen


def import_vector(path: Path, *, name: str = "", producer: str = "", layers: tuple[int, ...] = ()) -> SteeringVector:
    """Read the vector at `path`; `producer` and `layers` say what a file of another tool does not.

    Raises: OptionError, VectorError.
    """
    return FORMATS[format_of(path, name)].read(path, Foreign(producer=producer, layers=layers))


def format_of(path: Path, name: str) -> str:
    """The format `name`, or the first with the path's ending. Raises: OptionError."""
    if name:
        if name not in FORMATS:
            raise OptionError(f"format {name!r} does not exist. {nearest(name, FORMATS)}")
        return name
    found = next((key for key, entry in FORMATS.items() if entry.suffix == path.suffix.lower()), None)
    if found is None:
        raise OptionError(f"{path} does not say its format: give --format ({', '.join(FORMATS)}).")
    return found
