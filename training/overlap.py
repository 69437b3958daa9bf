"""How much of a held-out text occurs word for word in the training text."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable
from pathlib import Path

WORD = re.compile(r"[A-Za-z_]+|[0-9]+|[^\sA-Za-z_0-9]")


def ngrams(text: str, n: int) -> set[tuple[str, ...]]:
    """All runs of `n` lexical tokens (words, numbers, single signs) of the text."""
    tokens = WORD.findall(text)
    return {tuple(tokens[start : start + n]) for start in range(len(tokens) - n + 1)}


def overlap(training: Iterable[str], held_out: Iterable[str], n: int) -> float:
    """The share of the held-out texts' distinct n-grams that occur in the training texts; 0 when there are none."""
    wanted: set[tuple[str, ...]] = set()
    for text in held_out:
        wanted |= ngrams(text, n)
    found: set[tuple[str, ...]] = set()
    for text in training:
        found |= ngrams(text, n) & wanted
    return len(found) / len(wanted) if wanted else 0.0


def held_out_texts(folder: Path) -> dict[str, list[str]]:
    """The texts that must not be trained on, by set, from a folder of benchmark data; read only to be avoided.

    Of CyberSecEval the code fields are compared; some of them come from the standard library itself.
    """
    sets: dict[str, list[str]] = {}
    rows = map(json.loads, (folder / "mbpp/mbpp.jsonl").read_text(encoding="utf-8").strip("\n").split("\n"))
    sets["mbpp"] = [row["text"] + "\n" + row["code"] for row in rows]
    with gzip.open(folder / "humaneval/data/HumanEval.jsonl.gz", "rt", encoding="utf-8") as lines:
        sets["humaneval"] = [row["prompt"] + row["canonical_solution"] for row in map(json.loads, lines)]
    sets["sven-val"] = [
        row["func_src_before"] + "\n" + row["func_src_after"]
        for path in sorted((folder / "sven/data_train_val/val").glob("*.jsonl"))
        for row in map(json.loads, path.read_text(encoding="utf-8").strip("\n").split("\n"))
    ]
    holmes = sorted((folder / "secllmholmes/datasets").rglob("*"))
    sets["secllmholmes"] = [
        path.read_text(encoding="utf-8", errors="replace") for path in holmes if path.suffix in (".c", ".py")
    ]
    datasets = folder / "cyberseceval/CybersecurityBenchmarks/datasets"
    snippets = json.loads((datasets / "autocomplete/autocomplete.json").read_text(encoding="utf-8"))
    snippets += json.loads((datasets / "instruct/instruct.json").read_text(encoding="utf-8"))
    sets["cyberseceval"] = sorted({row.get("origin_code") or "" for row in snippets})
    return sets


def all_ngrams(texts: Iterable[str], n: int) -> set[tuple[str, ...]]:
    found: set[tuple[str, ...]] = set()
    for text in texts:
        found |= ngrams(text, n)
    return found
