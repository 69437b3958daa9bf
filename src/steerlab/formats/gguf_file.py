"""Steering vectors as GGUF control vectors, for llama.cpp and repeng: tensors `direction.<layer>`, float32.

`direction.k` is added to the output of decoder layer k (0-based) at every position, so the layers of both sides agree.
The reader is our own: that of the package gguf 0.19 believes every declared length (a file of 49 bytes keeps it busy
for hours). `tests/test_formats.py` compares the two on valid files.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from steerlab.errors import VectorError
from steerlab.files import write_atomically
from steerlab.formats.foreign import Foreign, check_ours, layer_number, producer_of, read_file, unbound_vector
from steerlab.formats.manifest import facts_of, vector_from
from steerlab.vectors import SteeringVector

PRODUCERS = {
    "llama.cpp": "cvector-generator, which stores what it read at layer k as direction.k+1: read back to k",
    "repeng": "the same layers as here",
    "dialz": "the same layers as here",
    "easysteer": "the same layers as here",
    "steerlab": "a file of ours",
}
ARCHITECTURES = ("controlvector", "steeringvector")  # dialz writes the second
FLOAT32 = 0
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
ALIGNMENT = 32


def write_gguf(vector: SteeringVector, path: Path) -> None:
    """Write `vector` as llama.cpp and repeng read it; the facts of the vector go along, so that it comes back whole.

    Raises: VectorError for a direction at layer 0, which llama.cpp can't apply; RunError when the place can't be
    written.
    """
    from gguf import GGUFWriter

    if 0 in vector.directions:
        kept = [layer for layer in vector.layers if layer]
        raise VectorError(
            "GGUF can't hold the direction at layer 0: llama.cpp steers from the output of layer 1 on. "
            + (f"Leave it out with --layers {','.join(map(str, kept))}." if kept else "Build the vector at another.")
        )
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "draft.gguf"
        writer = GGUFWriter(draft, "controlvector")
        writer.add_string("controlvector.model_hint", vector.model.model_type)
        writer.add_uint32("controlvector.layer_count", len(vector.layers))
        writer.add_string("controlvector.model_sha", vector.model.sha256)
        for name, value in facts_of(vector).items():
            writer.add_string(f"controlvector.{name}", value)
        for layer in vector.layers:
            writer.add_tensor(f"direction.{layer}", np.ascontiguousarray(vector.directions[layer], dtype=np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        content = draft.read_bytes()
    write_atomically(path, content)


def read_gguf(path: Path, foreign: Foreign) -> SteeringVector:
    """Read a control vector of ours, of llama.cpp's cvector-generator, repeng, dialz or EasySteer.

    A file of ours comes back as it was; of another tool's only the directions and the model type are known.
    Raises: VectorError when the file is no control vector; OptionError when its producer must be named.
    """
    content = read_file(path)
    try:
        parsed = _parse(content)
        architecture = parsed.facts.get("general.architecture")
        if architecture not in ARCHITECTURES:
            raise VectorError(f"its architecture is {str(architecture)[:80]!r}, not {' or '.join(ARCHITECTURES)}.")
        directions = {layer_number(name): row for name, row in parsed.tensors.items()}
        facts = {
            name.removeprefix("controlvector."): value
            for name, value in parsed.facts.items()
            if name.startswith("controlvector.") and isinstance(value, str)
        }
        if facts.get("producer", "").startswith("steerlab "):
            check_ours(path, foreign)
            return vector_from(facts, directions)
    except VectorError as error:
        raise VectorError(f"{path} is not a readable GGUF control vector: {error}") from None
    producer = producer_of(path, foreign, PRODUCERS)
    if producer == "steerlab":
        raise VectorError(f"{path} was not written by steerlab: it does not say so. Name another --producer.")
    hint = str(parsed.facts.get(f"{architecture}.model_hint", ""))
    if producer == "llama.cpp":
        if 0 in directions:
            raise VectorError(f"{path} has direction.0, which llama.cpp never writes: name another --producer.")
        directions = {layer - 1: row for layer, row in directions.items()}
        hint = ""  # llama.cpp's names of architectures are not those of transformers
    return unbound_vector(directions, path=path, producer=producer, model_type=hint)


@dataclass
class _Parsed:
    facts: dict[str, object] = field(default_factory=dict)
    tensors: dict[str, np.ndarray] = field(default_factory=dict)


class _Cursor:
    """A place in the file's bytes that never passes their end."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def take(self, n_bytes: int) -> bytes:
        if n_bytes > len(self.content) - self.at:
            raise VectorError(f"it ends after {len(self.content)} bytes, in the middle of something.")
        self.at += n_bytes
        return self.content[self.at - n_bytes : self.at]

    def number(self, code: str) -> int:
        return struct.unpack(f"<{code}", self.take(struct.calcsize(code)))[0]  # type: ignore[no-any-return]

    def text(self) -> str:
        try:
            return self.take(self.number("Q")).decode()
        except UnicodeDecodeError:
            raise VectorError("a text in it is not UTF-8.") from None


def _parse(content: bytes) -> _Parsed:
    """The facts and the one-dimensional float32 tensors of a GGUF file of version 2 or 3, little-endian."""
    cursor, found = _Cursor(content), _Parsed()
    if cursor.take(4) != b"GGUF":
        raise VectorError("it does not begin with GGUF.")
    version = cursor.number("I")
    if version not in (2, 3):
        raise VectorError(f"its version is {version}, not 2 or 3 (little-endian).")
    n_tensors, n_facts = cursor.number("Q"), cursor.number("Q")
    for _ in range(n_facts):
        name = cursor.text()
        if name in found.facts:
            raise VectorError(f"{name[:80]!r} is in it twice.")
        found.facts[name] = _value(cursor, cursor.number("I"))
    places: dict[str, tuple[int, int]] = {}
    for _ in range(n_tensors):
        name, place = _place(cursor)
        if name in places:
            raise VectorError(f"{name[:80]!r} is in it twice.")
        places[name] = place
    alignment = found.facts.get("general.alignment", ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 8 or alignment & (alignment - 1):
        raise VectorError(f"its alignment is {str(alignment)[:80]}: a power of two from 8 on is possible.")
    start = -(-cursor.at // alignment) * alignment
    _read_tensors(content, start, places, found.tensors)
    return found


def _read_tensors(
    content: bytes, start: int, places: Mapping[str, tuple[int, int]], tensors: dict[str, np.ndarray]
) -> None:
    if 4 * sum(length for length, _ in places.values()) > len(content):
        raise VectorError("its tensors are larger than the file.")
    for name, (length, offset) in places.items():
        if offset % 4 or start + offset + 4 * length > len(content):
            raise VectorError(f"tensor {name[:80]!r} does not lie within the file.")
        tensors[name] = np.frombuffer(content, dtype="<f4", count=length, offset=start + offset).astype(np.float32)


def _place(cursor: _Cursor) -> tuple[str, tuple[int, int]]:
    """The name of the next tensor, its length and the offset of its data."""
    name, rank = cursor.text(), cursor.number("I")
    if rank != 1:
        raise VectorError(f"tensor {name[:80]!r} has {rank} dimensions, not 1.")
    length, kind, offset = cursor.number("Q"), cursor.number("I"), cursor.number("Q")
    if kind != FLOAT32:
        raise VectorError(f"tensor {name[:80]!r} is of GGML type {kind}, not float32.")
    return name, (length, offset)


def _value(cursor: _Cursor, kind: int) -> object:
    """The next value; arrays, of which a control vector needs none, are passed over and give None."""
    if kind == STRING:
        return cursor.text()
    if kind in SCALARS:
        return cursor.number(SCALARS[kind])
    if kind != ARRAY:
        raise VectorError(f"it holds a value of type {kind}, which does not exist.")
    inner, length = cursor.number("I"), cursor.number("Q")
    if inner in SCALARS:
        cursor.take(length * struct.calcsize(SCALARS[inner]))
    elif inner == STRING:
        for _ in range(length):
            cursor.take(cursor.number("Q"))
    else:
        raise VectorError(f"it holds an array of type {inner}, which a control vector does not have.")
    return None
