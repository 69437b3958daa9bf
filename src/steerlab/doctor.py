"""What was found in a model, as facts to print."""

from __future__ import annotations

from typing import Any

from steerlab.batches import free_bytes, plan, row_bytes
from steerlab.models import Model

EXAMPLE_TOKENS = 512


def examine(model: Model) -> dict[str, Any]:
    """Architecture, layers, sizes, memory and the outcome of each check, JSON-able; bytes, tokens."""
    tokens = min(EXAMPLE_TOKENS, model.context or EXAMPLE_TOKENS)
    config = model.network.config
    return {
        "name": model.name,
        "architecture": type(model.network).__name__,
        "model_type": model.fingerprint.model_type,
        "layers_path": model.layers_path,
        "layer_class": type(model.layers[0]).__name__,
        "n_layers": model.n_layers,
        "d_model": model.d_model,
        "d_vocab": model.d_vocab,
        "context": model.context,
        "parameters": sum(p.numel() for p in model.network.parameters()),
        "dtype": model.dtype_name,
        "device": str(model.device),
        "attention": getattr(config, "_attn_implementation", None),
        "bytes_per_row": row_bytes(model, tokens),
        "bytes_per_row_tokens": tokens,
        "free_bytes": free_bytes(model),
        "rows_per_batch": len(plan(model, [tokens] * 256)[0]),
        "fingerprint": model.fingerprint.sha256,
        "checks": dict(model.checks),
    }
