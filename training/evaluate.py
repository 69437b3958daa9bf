"""Scores of an exported model: verdicts per CWE on new and on held-out families, and exercises solved."""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steerlab.statistics import cluster_bootstrap, wilson
from training.exercises import Exercise, draw_exercise
from training.families import FAMILIES
from training.families.contract import Family
from training.items import TEMPLATE_FILE, draw_sample, question

LIMIT_TOKENS = 900


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One program both ways, as two whole prompts of the same template."""

    cwe: str
    family: str
    vulnerable: str
    patched: str


def interval(values: Sequence[float], groups: Sequence[str], seed: int) -> tuple[float, float]:
    """The 95 % interval of a mean when whole groups are drawn again."""
    found = cluster_bootstrap(values, groups, seed=seed)
    return float(found.low or 0.0), float(found.high or 0.0)


def share(successes: int, n: int) -> tuple[float, float]:
    """The 95 % Wilson interval of a proportion."""
    found = wilson(successes, n)
    return float(found.low or 0.0), float(found.high or 1.0)


def draw_pairs(families: Sequence[Family], per_cwe: int, seed: int) -> list[Pair]:
    """New programs, the same number per CWE and spread evenly over its families, in the product's three templates."""
    product = [template["text"] for template in json.loads(TEMPLATE_FILE.read_text(encoding="utf-8"))["templates"]]
    random_source = random.Random(seed)
    pairs = []
    for cwe in sorted({family.cwe for family in families}):
        own = [family for family in families if family.cwe == cwe]
        for number in range(per_cwe):
            family = own[number % len(own)]
            sample = draw_sample(family, random_source)
            before, after = question(product[(number // len(own)) % len(product)], cwe, family.language)
            sides = [before + code.rstrip("\n") + after for code in (sample.vulnerable, sample.patched)]
            pairs.append(Pair(cwe=cwe, family=family.name, vulnerable=sides[0], patched=sides[1]))
    return pairs


class Model:
    """An exported folder, loaded once."""

    def __init__(self, folder: Path) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.torch = torch
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
        self.embed = self.model.lm_head.weight.detach().float()
        self.yes = self.tokenizer.encode(" yes")[0]
        self.no = self.tokenizer.encode(" no")[0]

    def margins(self, prompts: Sequence[str], batch: int = 16) -> list[float]:
        """Log-likelihood of " yes" less that of " no" after each prompt; right padding, rows sorted by length.

        The two logits are computed in float32: bfloat16 logits near 20 come in steps of 0.125, and pairs tie.
        """
        rows = [self.tokenizer.encode(prompt)[-LIMIT_TOKENS:] for prompt in prompts]
        order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
        found = [0.0] * len(rows)
        for start in range(0, len(order), batch):
            part = order[start : start + batch]
            longest = max(len(rows[index]) for index in part)
            tokens = self.torch.tensor(
                [rows[index] + [self.tokenizer.pad_token_id] * (longest - len(rows[index])) for index in part]
            )
            mask = self.torch.tensor([[1] * len(rows[index]) + [0] * (longest - len(rows[index])) for index in part])
            with self.torch.no_grad():
                residual = self.model.model(input_ids=tokens, attention_mask=mask).last_hidden_state
                last = self.torch.stack([residual[row, len(rows[index]) - 1] for row, index in enumerate(part)])
                difference = (self.embed[self.yes] - self.embed[self.no]).float()
            for row, index in enumerate(part):
                found[index] = float(last[row].float() @ difference)
        return found

    def complete(self, prompts: Sequence[str], new_tokens: int = 110, batch: int = 32) -> list[str]:
        """Greedy continuations, end token and after cut off."""
        self.tokenizer.padding_side = "left"
        found = []
        for start in range(0, len(prompts), batch):
            rows = self.tokenizer(list(prompts[start : start + batch]), return_tensors="pt", padding=True)
            rows.pop("token_type_ids", None)
            with self.torch.no_grad():
                out = self.model.generate(**rows, max_new_tokens=new_tokens, do_sample=False)
            found += self.tokenizer.batch_decode(out[:, rows["input_ids"].shape[1] :], skip_special_tokens=True)
        return found


def verdict_scores(model: Model, pairs: Sequence[Pair], seed: int = 0) -> dict[str, dict[str, object]]:
    """Per CWE and in all: balanced accuracy and pair order, with intervals by drawing whole families again."""
    margins = model.margins([prompt for pair in pairs for prompt in (pair.vulnerable, pair.patched)])
    scores: dict[str, dict[str, object]] = {}
    for cwe in [*sorted({pair.cwe for pair in pairs}), "all"]:
        chosen = [index for index, pair in enumerate(pairs) if cwe in (pair.cwe, "all")]
        vulnerable = [margins[2 * index] for index in chosen]
        patched = [margins[2 * index + 1] for index in chosen]
        right = [((v > 0) + (p <= 0)) / 2 for v, p in zip(vulnerable, patched, strict=True)]
        order = [(v > p) + (v == p) / 2 for v, p in zip(vulnerable, patched, strict=True)]
        groups = [f"{pairs[index].cwe}/{pairs[index].family}" for index in chosen]
        scores[cwe] = {
            "pairs": len(chosen),
            "families": len(set(groups)),
            "balanced_accuracy": sum(right) / len(right),
            "balanced_accuracy_interval": interval(right, groups, seed),
            "pair_order": sum(order) / len(order),
            "pair_order_interval": share(int(sum(order)), len(order)),
            "said_yes": sum(margin > 0 for margin in vulnerable + patched) / (2 * len(chosen)),
        }
    return scores


def passes(exercise: Exercise, completion: str, seconds: float = 5.0) -> bool:
    """Whether the completed function passes its three asserts, in a process of its own.

    The programs are the answers of our own model to our own problems; this is no sandbox.
    """
    lines: list[str] = []
    for line in completion.split("\n"):
        if line.strip() and not line.startswith((" ", "\t")):
            break
        lines.append(line)
    program = exercise.prompt + "\n".join(lines) + "\n" + "\n".join(exercise.asserts) + "\n"
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", program], capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def exercise_scores(model: Model, which: str, n: int, seed: int) -> dict[str, object]:
    random_source = random.Random(seed)
    exercises = [draw_exercise(random_source, which) for _ in range(n)]
    completions = model.complete([exercise.prompt for exercise in exercises])
    passed = sum(passes(exercise, completion) for exercise, completion in zip(exercises, completions, strict=True))
    return {"n": n, "pass_at_1": passed / n, "interval": share(passed, n)}


def evaluate(folder: Path, per_cwe: int, exercises: int, seed: int = 20261) -> dict[str, Any]:
    """All scores. The seeds are apart from those of the training items."""
    model = Model(folder)
    training = [family for family in FAMILIES if not family.held_out]
    held_out = [family for family in FAMILIES if family.held_out]
    scores: dict[str, Any] = {
        "new_programs": verdict_scores(model, draw_pairs(training, per_cwe, seed)),
        "held_out_families": verdict_scores(model, draw_pairs(held_out, per_cwe, seed + 1)),
    }
    for number, which in enumerate(("training", "held-out")):
        scores[f"exercises_{which}"] = exercise_scores(model, which, exercises, seed + 2 + number)
    return scores


def table(scores: dict[str, Any]) -> str:
    """The scores as Markdown."""
    lines = []
    for part, title in (
        ("new_programs", "New programs of training families"),
        ("held_out_families", "Held-out families"),
    ):
        lines += [
            f"{title}:",
            "",
            "| CWE | pairs (families) | balanced accuracy | 95 % | pair order | 95 % |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        for cwe, row in scores[part].items():
            low, high = row["balanced_accuracy_interval"]
            order_low, order_high = row["pair_order_interval"]
            lines.append(
                f"| {cwe} | {row['pairs']} ({row['families']}) | {row['balanced_accuracy']:.2f} | {low:.2f}-{high:.2f} "
                f"| {row['pair_order']:.2f} | {order_low:.2f}-{order_high:.2f} |"
            )
        lines.append("")
    lines += ["| exercises | n | pass@1 | 95 % |", "| --- | --- | --- | --- |"]
    for which in ("training", "held-out"):
        row = scores[f"exercises_{which}"]
        low, high = row["interval"]
        lines.append(f"| {which} compositions | {row['n']} | {row['pass_at_1']:.2f} | {low:.2f}-{high:.2f} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--per-cwe", type=int, default=96)
    parser.add_argument("--exercises", type=int, default=200)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    scores = evaluate(options.model, options.per_cwe, options.exercises)
    if options.out:
        options.out.write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    print(table(scores))


if __name__ == "__main__":
    main()
