"""Paired timings of the spine: steering overhead, generation against transformers, capture against nnsight.

    python benchmarks/spine.py [--json] [--repeats 5]

A 12-layer, d_model-512 Qwen2-shaped random model in float32. Each figure is the median of `repeats` rounds in which
both sides run one after the other, so that a noisy machine slows both.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
import transformers

from steerlab.capturing import capture
from steerlab.embedded import model_directory
from steerlab.generation import Decoding, generate
from steerlab.interventions import Intervention
from steerlab.models import Model, inspect_model
from steerlab.steering import steer
from steerlab.tokens import encode, left_padded
from steerlab.vectors import Recipe, SteeringVector

NEW_TOKENS = 32
PROMPT = "def read_records(path, limit):\n    records = []\n    with open(path) as file:\n        for line in file:\n"


def shaped_model() -> Model:
    """The random model with the embedded model's tokenizer (no end-of-text: every row runs to its full length)."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_directory())
    config = transformers.Qwen2Config(
        hidden_size=512,
        intermediate_size=1408,
        num_hidden_layers=12,
        num_attention_heads=8,
        num_key_value_heads=2,
        vocab_size=len(tokenizer),
        eos_token_id=None,
        bos_token_id=None,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    network = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    tokenizer.eos_token_id = None
    return inspect_model(network, tokenizer, name="qwen2-12x512")


def ratio(ours: Callable[[], object], theirs: Callable[[], object], repeats: int) -> dict[str, float]:
    """Median over rounds of theirs / ours, and both medians in seconds."""
    rounds = []
    ours(), theirs()
    for _ in range(repeats):
        marks = [time.perf_counter()]
        for side in (ours, theirs):
            side()
            marks.append(time.perf_counter())
        rounds.append((marks[1] - marks[0], marks[2] - marks[1]))
    return {
        "ours_seconds": statistics.median(a for a, _ in rounds),
        "theirs_seconds": statistics.median(b for _, b in rounds),
        "ratio": statistics.median(b / a for a, b in rounds),
    }


def measure(repeats: int) -> dict[str, object]:
    model = shaped_model()
    drawn = np.random.default_rng(0).normal(size=model.d_model).astype(np.float32)
    vector = SteeringVector(
        directions={6: drawn},
        model=model.fingerprint,
        recipe=Recipe(method="random_control", layers=(6,), positions="all", seed=0),
    )
    prompts = [PROMPT + "            value = line.strip()\n" * (i % 4) for i in range(8)]
    decoding = Decoding(max_new_tokens=NEW_TOKENS)
    batch = left_padded(model, encode(model, prompts))

    def steered() -> None:
        with steer(model, Intervention(vector=vector, coefficient=1.0)):
            generate(model, prompts, decoding=decoding)

    def theirs() -> None:
        model.network.generate(**batch, max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS, do_sample=False)

    texts = [PROMPT * (1 + i % 3) for i in range(24)]
    layers = range(model.n_layers)

    def traced() -> None:
        from steerlab.backends import nnsight

        for text in texts:
            nnsight.capture(model, [text], layers=layers)

    def body_only() -> None:
        with torch.inference_mode():
            for start in range(0, len(texts), 8):
                model.network.model(**left_padded(model, encode(model, texts[start : start + 8])), use_cache=False)

    overhead = ratio(lambda: generate(model, prompts, decoding=decoding), steered, repeats)
    return {
        "steering_overhead_percent": 100 * (overhead["ratio"] - 1),
        "generate_against_transformers": ratio(lambda: generate(model, prompts, decoding=decoding), theirs, repeats),
        "capture_against_nnsight_one_by_one": ratio(lambda: capture(model, texts, layers=layers), traced, repeats),
        "capture_against_plain_forward": ratio(lambda: capture(model, texts, layers=layers), body_only, repeats),
        "shape": "12 layers, d_model 512, Qwen2, float32; 8 prompts x 32 tokens; 24 texts, all layers",
        "threads": torch.get_num_threads(),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    found = measure(options.repeats)
    if options.json:
        print(json.dumps(found, indent=1))
        return
    for name, value in found.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
