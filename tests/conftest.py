"""Tiny random models of every promised architecture, a byte tokenizer for them, and the command in this process."""

from __future__ import annotations

import os
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from jaxtyping import install_import_hook

with install_import_hook("steerlab", "beartype.beartype"):
    import steerlab

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from hypothesis import settings
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from steerlab.cli import main
from steerlab.embedded import MODEL_NAME, model_directory
from steerlab.models import Model, inspect_model, load_model
from steerlab.vectors import Recipe, SteeringVector

torch.set_num_threads(1)
settings.register_profile(
    "steerlab", deadline=None, derandomize=True, database=None
)  # the first example measures memory
settings.load_profile("steerlab")
SHARED = Path(__file__).parents[2] / "shared"

_SMALL = {"vocab_size": 260, "bos_token_id": 257, "eos_token_id": 258, "pad_token_id": 259}
_ROTARY = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
    **_SMALL,
}
_GROUPED = {**_ROTARY, "num_key_value_heads": 2}
_GPT2 = {"n_embd": 32, "n_layer": 4, "n_head": 4, "n_positions": 512, **_SMALL}

ARCHITECTURES = {
    "gpt_bigcode": (transformers.GPTBigCodeConfig, _GPT2),
    "starcoder2": (transformers.Starcoder2Config, {**_GROUPED, "sliding_window": None}),
    "qwen2": (transformers.Qwen2Config, _GROUPED),
    "llama": (transformers.LlamaConfig, _GROUPED),
    "gpt2": (transformers.GPT2Config, _GPT2),
    "gpt_neox": (transformers.GPTNeoXConfig, _ROTARY),
    "gemma2": (
        transformers.Gemma2Config,
        {**_GROUPED, "head_dim": 8, "sliding_window": 8, "query_pre_attn_scalar": 8},
    ),
    "mistral": (transformers.MistralConfig, {**_GROUPED, "sliding_window": 8}),
    "phi": (transformers.PhiConfig, _ROTARY),
    "qwen2_moe": (
        transformers.Qwen2MoeConfig,
        {**_GROUPED, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16,
         "shared_expert_intermediate_size": 16},
    ),
}  # fmt: skip


def byte_tokenizer() -> transformers.PreTrainedTokenizerFast:
    """One token per byte; 256 unk, 257 bos, 258 eos, 259 pad."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*alphabet, "<unk>", "<bos>", "<eos>", "<pad>"]
    core = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=[], unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="<unk>", bos_token="<bos>", eos_token="<eos>", pad_token="<pad>"
    )


def random_network(architecture: str, **changes: object) -> torch.nn.Module:
    """A random network with weights large enough that steering and padding would show."""
    kind, options = ARCHITECTURES[architecture]
    config = kind(**{**options, **changes})
    torch.manual_seed(0)
    network = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.15)
    return network.eval()


@cache
def tiny_model(architecture: str, **changes: object) -> Model:
    return inspect_model(random_network(architecture, **changes), byte_tokenizer(), name=f"tiny-{architecture}")


@cache
def half_model(architecture: str) -> Model:
    """The same random model in bfloat16."""
    network = random_network(architecture).to(torch.bfloat16)
    return inspect_model(network, byte_tokenizer(), name=f"tiny-{architecture}-bfloat16")


@cache
def loaded_model(name: str) -> Model:
    """A model of ../shared, or the embedded one, or a tiny one; skips the test when it is absent."""
    if name in ARCHITECTURES:
        return tiny_model(name)
    if name == MODEL_NAME:
        if not (model_directory() / "config.json").exists():
            pytest.skip("the embedded model is not here")
        return load_model(MODEL_NAME, device="cpu")
    return load_model(str(shared("models", name, "hf")), device="cpu")


@pytest.fixture(params=list(ARCHITECTURES))
def model(request: pytest.FixtureRequest) -> Model:
    return tiny_model(request.param)


def random_vector(model: Model, *layers: int, seed: int = 0, norm: float = 3.0) -> SteeringVector:
    """A random steering vector of a given L2 norm at each layer."""
    generator = np.random.default_rng(seed)
    directions = {}
    for layer in layers:
        drawn = generator.normal(size=model.d_model)
        directions[layer] = (drawn * norm / np.linalg.norm(drawn)).astype(np.float32)
    recipe = Recipe(method="random_control", layers=tuple(layers), positions="all", seed=seed)
    return SteeringVector(
        directions=directions, model=model.fingerprint, recipe=recipe, residual_norms=dict.fromkeys(layers, 5.0)
    )


def save_tiny(architecture: str, directory: Path) -> Path:
    """A Hugging Face directory with a tiny random model and its tokenizer."""
    random_network(architecture).save_pretrained(directory)
    byte_tokenizer().save_pretrained(directory)
    return directory


def shared(*parts: str) -> Path:
    """A path below ../shared; skips the test with a reason when it is absent."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"../shared/{'/'.join(parts)} is not here")
    return path


@pytest.fixture
def steerlab(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run a command in this process: (exit code, stdout, stderr)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["steerlab", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        found = capsys.readouterr()
        return int(end.value.code or 0), found.out, found.err

    return run
