"""Extraction: residuals of all layers, steerlab's capture against one nnsight trace per text and the plain forward.

    .venv/bin/python benchmarks/extraction.py --json [--texts 64] [--repeats 5]

A 12-layer, d_model-512 Qwen2-shaped random model in float32 with StarCoder's vocabulary of 49,152 (`--vocabulary`: a
trace computes the logits of every position, capture ends at the highest layer); texts of 130 to 300 byte tokens; the
last token and the mean over all tokens, both. The sides take turns; ratios are medians over rounds. The floor is the
plain forward of the body (no LM head, nothing read) over the same batches. `peak_mib` is the highest resident memory
of a process of its own that captures `--texts` texts, `peak_mib_fourfold` that of one that captures four times as
many.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import shapes
import torch
import transformers

from steerlab.batches import run_batched
from steerlab.capturing import capture
from steerlab.models import Model
from steerlab.tokens import encode, left_padded

SHAPE = {
    "num_hidden_layers": 12,
    "hidden_size": 512,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "intermediate_size": 1408,
}
KINDS = ("last_prompt_token", "all")


def texts(n: int) -> list[str]:
    """Random texts of 131 to 300 tokens."""
    return [text for size in (150, 200, 250, 300) for text in shapes.random_prompts(n // 4, size, seed=size)]


def ours(model: Model, some: list[str]) -> None:
    for kind in KINDS:
        capture(model, some, layers=range(model.n_layers), positions=kind)


def traced(model: Model, some: list[str]) -> None:
    """As a user writes it: one trace per text, all layers saved."""
    import nnsight

    wrapped = nnsight.LanguageModel(model.network, tokenizer=model.tokenizer)
    for text in some:
        for _ in KINDS:
            with torch.inference_mode(), wrapped.trace(text):
                saved = nnsight.save([])
                for layer in wrapped.model.layers:
                    output = layer.output[0] if isinstance(layer.output, tuple) else layer.output
                    saved.append(output.reshape(-1, model.d_model).mean(dim=0))
            assert len(saved) == model.n_layers


def floor(model: Model, some: list[str]) -> None:
    """The body's forward over the batches that capture makes."""
    rows = encode(model, some)

    def run(batch: list[int]) -> list[None]:
        with torch.inference_mode():
            model.network.model(**left_padded(model, [rows[i] for i in batch]), use_cache=False)
        return [None] * len(batch)

    for _ in KINDS:
        run_batched(model, [len(row) for row in rows], run)


def medians(works: dict[str, Callable[[], None]], repeats: int) -> tuple[dict[str, float], dict[str, float]]:
    """Median seconds of each side, and the median over rounds of its time by that of the first side."""
    rounds: list[dict[str, float]] = []
    for work in works.values():
        work()
    for _ in range(repeats):
        seconds = {}
        for name, work in works.items():
            began = time.perf_counter()
            work()
            seconds[name] = time.perf_counter() - began
        rounds.append(seconds)
    first = next(iter(works))
    return (
        {name: statistics.median(each[name] for each in rounds) for name in works},
        {name: statistics.median(each[name] / each[first] for each in rounds) for name in works},
    )


def peak_mib(n: int, vocabulary: int) -> float:
    """Highest resident memory of a process that captures n texts."""
    command = [sys.executable, __file__, "--only-capture", "--texts", str(n), "--vocabulary", str(vocabulary)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--texts", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--vocabulary", type=int, default=49_152)
    parser.add_argument("--only-capture", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    shape = SHAPE | {"vocab_size": options.vocabulary}
    model = shapes.random_qwen2(shape, dtype=torch.float32)
    some = texts(options.texts)
    if options.only_capture:
        ours(model, some)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    works = {
        "capture": lambda: ours(model, some),
        "nnsight": lambda: traced(model, some),
        "floor": lambda: floor(model, some),
    }
    seconds, ratios = medians(works, options.repeats)
    found = {
        "ratio_nnsight": ratios["nnsight"],
        "ratio_floor": 1 / ratios["floor"],
        "peak_mib": peak_mib(options.texts, options.vocabulary),
        "peak_mib_fourfold": peak_mib(4 * options.texts, options.vocabulary),
        "seconds": seconds,
        "n_texts": len(some),
        "shape": shape,
        "dtype": "float32",
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__}
        | {"transformers": transformers.__version__},
    }
    if options.json:
        print(json.dumps(found, indent=1))
    else:
        for name, value in found.items():
            print(f"{name}: {value}")


if __name__ == "__main__":
    main()
