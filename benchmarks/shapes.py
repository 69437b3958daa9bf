"""Random models of given shapes for benchmarks, and a byte tokenizer for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from steerlab.interventions import Intervention
from steerlab.models import Model, inspect_model
from steerlab.vectors import Recipe, SteeringVector

HALF_BILLION = {
    "num_hidden_layers": 24,
    "hidden_size": 896,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "intermediate_size": 4864,
    "vocab_size": 151936,
}
SMALL = {
    "num_hidden_layers": 6,
    "hidden_size": 256,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 1024,
    "vocab_size": 4096,
}


def byte_tokenizer() -> transformers.PreTrainedTokenizerFast:
    """One token per byte; 256 unk, 257 bos, 258 eos, 259 pad."""
    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "<unk>", "<bos>", "<eos>", "<pad>"]
    core = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=[], unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="<unk>", bos_token="<bos>", eos_token="<eos>", pad_token="<pad>"
    )


def random_qwen2(shape: dict[str, int], *, dtype: torch.dtype, seed: int = 0) -> Model:
    """A Qwen2-shaped network with random weights."""
    options: dict[str, Any] = {
        **shape,
        "max_position_embeddings": 4096,
        "bos_token_id": 257,
        "eos_token_id": 258,
        "pad_token_id": 259,
        "tie_word_embeddings": True,
    }
    torch.manual_seed(seed)
    network = transformers.AutoModelForCausalLM.from_config(transformers.Qwen2Config(**options), dtype=dtype)
    return inspect_model(network.eval(), byte_tokenizer(), name="random Qwen2")


def random_intervention(model: Model, layer: int, coefficient: float, *, positions: str) -> Intervention:
    """A random unit direction at one layer, times a coefficient."""
    drawn = np.random.default_rng(layer).normal(size=model.d_model)
    recipe = Recipe(method="random_control", layers=(layer,), positions=positions, seed=layer)
    direction = (drawn / np.linalg.norm(drawn)).astype(np.float32)
    vector = SteeringVector(directions={layer: direction}, model=model.fingerprint, recipe=recipe)
    return Intervention(vector=vector, coefficient=coefficient, positions=positions)  # type: ignore[arg-type]


def random_prompts(n_prompts: int, n_tokens: int, *, seed: int = 0) -> list[str]:
    """Texts of about `n_tokens` bytes (from seven eighths to all of them), different from each other."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(n_tokens * 7 // 8, n_tokens + 1, size=n_prompts)
    return ["".join(map(chr, rng.integers(97, 123, size=length))) for length in lengths]
