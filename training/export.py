"""A checkpoint as a transformers folder: Qwen2, bfloat16 safetensors, tokenizer, generation settings."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import torch

from training.model import Shape, qwen2_weights
from training.tokenizer import EOS, PAD, load_tokenizer, save_tokenizer


def export(checkpoint: Path, tokenizer_folder: Path, target: Path) -> dict[str, float]:
    """Write `target` by renames, so that a reader never meets half a file; return the checkpoint's progress."""
    from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM

    saved = torch.load(checkpoint, weights_only=False, map_location="cpu")
    shape = Shape(**saved["shape"])
    tokenizer = load_tokenizer(tokenizer_folder)
    eos, pad = tokenizer.token_to_id(EOS), tokenizer.token_to_id(PAD)
    config = Qwen2Config(
        vocab_size=shape.d_vocab,
        hidden_size=shape.d_model,
        intermediate_size=shape.d_ff,
        num_hidden_layers=shape.n_layers,
        num_attention_heads=shape.n_heads,
        num_key_value_heads=shape.n_heads,
        max_position_embeddings=shape.context,
        rms_norm_eps=shape.eps,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        tie_word_embeddings=True,
        use_sliding_window=False,
        bos_token_id=None,
        eos_token_id=eos,
        pad_token_id=pad,
        dtype="bfloat16",
    )
    model = Qwen2ForCausalLM(config).to(torch.bfloat16)
    missing, unexpected = model.load_state_dict(qwen2_weights(saved["named"], shape), strict=False)
    if unexpected or set(missing) - {"lm_head.weight"}:
        raise ValueError(f"weights do not fit Qwen2: missing {missing}, unexpected {unexpected}.")
    model.tie_weights()
    model.generation_config = GenerationConfig(eos_token_id=eos, pad_token_id=pad, do_sample=False, max_new_tokens=128)
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-") as folder:
        made = Path(folder)
        model.save_pretrained(made)
        save_tokenizer(tokenizer, made)
        for path in sorted(made.iterdir()):
            path.chmod(0o644)
            shutil.move(path, target / (path.name + ".part"))
            (target / (path.name + ".part")).rename(target / path.name)
    size = (target / "model.safetensors").stat().st_size
    if size > 25 * 2**20:
        raise ValueError(f"model.safetensors has {size} bytes: at most {25 * 2**20} are allowed.")
    return dict(saved["progress"])
