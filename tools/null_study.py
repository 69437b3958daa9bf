"""The whole verdict where nothing can be learned: a detection study on shuffled labels, many times.

    python tools/null_study.py [--pairs starter] [--repetitions 200] [--exact] [--out FILE] [--write]

Each repetition tosses a coin for every pair: heads, its two programs swap their labels, everywhere. So no answer,
vector, template, layer or coefficient can be better than any other, and every gain that the study announces is false.
It is the study of the product from `prepare` to the verdict: folds, vectors, nested choice, controls, intervals. What
the labels do not touch is computed once with the embedded model: residuals, answers without steering, and the gradient
of each answer's margin by the residual of each layer, by which the margin of a steered cell is computed to first order.
With --exact every steered cell is a forward instead (behind prompts that are read once), which takes ten times as long.
Generated answers and numbers that play no part in the verdict are left out.

One line of JSON per repetition goes to --out; lines that are there are not computed again. --write draws
docs/images/null-study.png and renders the table of docs/explanation/null-study.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from steerlab.contrast import ProgramSet
from steerlab.generation import Completion
from steerlab.models import Model, load_model
from steerlab.report import tables
from steerlab.screening import screen
from steerlab.sources import load_source
from steerlab.statistics import wilson
from steerlab.studies import detection_material, detection_summary, detection_trials, vulnerability_detection
from steerlab.studies.detection_material import DetectionSettings
from steerlab.tasks import detection
from steerlab.vectors import Recipe, SteeringVector
from steerlab.wave import Cell, WaveResult, behind

ROOT = Path(__file__).resolve().parents[1]
FIGURE = ROOT / "docs" / "images" / "null-study.png"
PAGE = ROOT / "docs" / "explanation" / "null-study.md"
PER_SEED = 40  # repetitions that share their folds, so that the caches of their prompts can be kept
GAIN, SHARED = "a gain above every control", "a gain, but a control does as well"
BEGIN, END = "<!-- null: begin -->", "<!-- null: end -->"
OTHER = {"vulnerable": "patched", "patched": "vulnerable"}


def shuffled(source: ProgramSet, number: int) -> ProgramSet:
    """`source` with the labels of about half its pairs swapped, drawn with the seed `number`."""
    rng = np.random.default_rng([number, 20261126])
    groups = sorted({program.group for program in source.programs})
    swapped = {group for group, heads in zip(groups, rng.random(len(groups)) < 0.5, strict=True) if heads}
    return replace(
        source,
        programs=[replace(p, label=OTHER[p.label]) if p.group in swapped else p for p in source.programs],
        pairs=[replace(p, positive=p.negative, negative=p.positive) if p.group in swapped else p for p in source.pairs],
        sha256=f"{source.sha256} shuffled {number}",
    )


class FirstOrder:
    """The wave to first order: unsteered log-likelihoods, and the margin's gradient at each layer, once per prompt."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Any, Mapping[int, Any]]] = {}

    def __call__(
        self, model: Model, prompts: Sequence[str], answers: Sequence[Any], *, cells: Sequence[Cell], **_: Any
    ) -> WaveResult:
        """As `wave_log_likelihoods`; half of a cell's effect on the margin is given to each answer."""
        import torch

        self._learn(model, prompts, answers)
        plain = torch.stack([self._known[prompt][0] for prompt in prompts])
        found = plain.repeat(len(cells), 1, 1)
        for number, cell in enumerate(cells):
            for intervention in cell.interventions:
                for at, direction in intervention.vector.directions.items():
                    slopes = torch.stack([self._known[prompt][1][at] for prompt in prompts])
                    moved = intervention.coefficient * slopes @ torch.from_numpy(direction)
                    found[number, :, 0] += moved / 2
                    found[number, :, 1] -= moved / 2
        return WaveResult(log_likelihoods=found, way="first order", reason="")

    def _learn(self, model: Model, prompts: Sequence[str], answers: Sequence[Any]) -> None:
        new = [i for i, prompt in enumerate(prompts) if prompt not in self._known]
        if not new:
            return
        texts, asked = [prompts[i] for i in new], [answers[i] for i in new]
        layers = range(model.n_layers)  # a later call may ask for others than this one
        basis = np.eye(model.d_model, dtype=np.float32)
        recipe = Recipe(method="axis", layers=tuple(layers), positions="all", seed=0)
        axes = [
            SteeringVector(directions=dict.fromkeys(layers, axis), model=model.fingerprint, recipe=recipe)
            for axis in basis
        ]
        plain = detection_trials.answer_log_likelihoods(model, texts, asked)
        effects = screen(model, texts, asked, axes, layers=layers).effects
        for i, own, slopes in zip(new, plain, effects, strict=True):
            self._known[prompts[i]] = own, dict(zip(layers, slopes.float(), strict=True))


@contextmanager
def kept(*, exact: bool) -> Iterator[Callable[[], None]]:
    """What labels do not touch is computed once inside the block; the function forgets the caches of the prompts."""
    prefixes: dict[Any, Any] = {}
    residuals: dict[str, dict[int, Any]] = {}
    answered: dict[Any, Any] = {}
    prefill, capture, answer = behind.prefill, detection_material.capture, detection_trials.answer_log_likelihoods

    def prefill_once(model: Model, heads: Sequence[list[int]]) -> Any:
        key = tuple(map(tuple, heads))
        if key not in prefixes:
            prefixes[key] = prefill(model, heads)
        return prefixes[key]

    def capture_once(model: Model, texts: Sequence[str], *, layers: Sequence[int], **rest: Any) -> dict[int, Any]:
        import torch

        new = [text for text in texts if text not in residuals]
        if new:
            found = capture(model, new, layers=layers, **rest)
            residuals.update({text: {at: found[at][i] for at in layers} for i, text in enumerate(new)})
        return {at: torch.stack([residuals[text][at] for text in texts]) for at in layers}

    def answer_once(model: Model, texts: Sequence[str], answers: Sequence[Any], **rest: Any) -> Any:
        import torch

        new = [i for i, text in enumerate(texts) if text not in answered]
        if new:
            found = answer(model, [texts[i] for i in new], [answers[i] for i in new], **rest)
            answered.update({texts[i]: row for i, row in zip(new, found, strict=True)})
        return torch.stack([answered[text] for text in texts])

    def write_nothing(model: Model, prompts: Sequence[str], **_: Any) -> list[Completion]:
        return [Completion(text="", tokens=(), ended="length", prompt_tokens=1) for _ in prompts]

    with ExitStack() as stack:
        for module, name, stand_in in (
            (behind, "prefill", prefill_once),
            (detection_material, "capture", capture_once),
            (detection_trials, "answer_log_likelihoods", answer_once),
            (detection_trials, "generate", write_nothing),
            (vulnerability_detection, "write_report", lambda *_: None),
            (detection_summary, "_by_cwe", lambda *_: {}),
            (detection, "ESTIMATED", ("balanced_accuracy", "auroc")),
        ):
            stack.enter_context(patch.object(module, name, stand_in))
        if not exact:
            stack.enter_context(patch.object(detection_trials, "wave_log_likelihoods", FirstOrder()))
        yield prefixes.clear


def repetition(model: Model, source: ProgramSet, number: int, *, name: str) -> dict[str, Any]:
    """One study on shuffled labels: what its verdict said, and the numbers behind it."""
    began = time.monotonic()
    settings = DetectionSettings(
        model="embedded", pairs=name, analyses=("gate",), max_new_tokens=1, seed=number // PER_SEED
    )
    with tempfile.TemporaryDirectory() as folder:
        found = vulnerability_detection.run(settings, model, shuffled(source, number), Path(folder) / "run")
    balanced = {arm: entry["balanced_accuracy"] for arm, entry in found["arms"].items()}
    return {
        "number": number,
        "seconds": round(time.monotonic() - began, 2),
        "verdict": found["verdict"],
        "n": found["n_programs"],
        "n_groups": found["n_groups"],
        "arms": {arm: [entry[key] for key in ("value", "low", "high")] for arm, entry in balanced.items()},
        "differences": {
            arm: [*(entry["balanced_accuracy"][key] for key in ("value", "low", "high")), entry["mcnemar_p"]]
            for arm, entry in found["differences"].items()
        },
        "holm": min(found["holm_by_cwe"].values()),
        "coefficients": [entry["coefficient"] for entry in found["selection"]],
    }


def summary_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the verdict is made of, so that rows of an older rule are judged by today's."""
    keys = ("value", "low", "high")
    return {
        "arms": {arm: {"balanced_accuracy": dict(zip(keys, own, strict=True))} for arm, own in row["arms"].items()},
        "differences": {
            arm: {"balanced_accuracy": dict(zip(keys, own, strict=False)), "mcnemar_p": own[3]}
            for arm, own in row["differences"].items()
        },
    }


def said(row: Mapping[str, Any]) -> str:
    """What a reader takes from the verdict: no gain, a gain (above every control or not), or harm."""
    verdict = tables.verdict(summary_of(row))
    for head in ("no gain", "steering hurts", "No verdict"):
        if verdict.startswith(head):
            return head
    return GAIN if GAIN.removeprefix("a gain ") in verdict else SHARED


def write_figure(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Every repetition's difference with its interval, in order, and what the verdicts said."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    ordered = sorted(rows, key=lambda row: row["differences"]["unsteered"][0])
    for place, row in enumerate(ordered):
        value, low, high, _ = row["differences"]["unsteered"]
        outside = low > 0 or high < 0
        left.plot([place, place], [low, high], color="#b3261e" if outside else "#b8bec6", linewidth=0.9)
        left.plot(place, value, ".", color="#1f5fb4", markersize=2.5)
    left.axhline(0, color="#1a1d21", linewidth=0.8)
    left.set_xlabel(f"{len(rows)} studies on shuffled labels, by what they found")
    left.set_ylabel("steered minus unsteered\n(balanced accuracy)")
    right.hist([row["differences"]["unsteered"][3] for row in rows], bins=20, range=(0, 1), color="#1f5fb4")
    right.axhline(len(rows) / 20, color="#1a1d21", linewidth=0.8, linestyle="--")
    right.set_xlabel("McNemar's p against unsteered")
    right.set_ylabel("studies")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def _rate(hits: int, n: int) -> str:
    found = wilson(hits, n)
    return f"{hits} of {n}: {found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def markdown(rows: Sequence[Mapping[str, Any]], exact: Sequence[Mapping[str, Any]]) -> str:
    """The table of the page."""
    n, words = len(rows), [said(row) for row in rows]
    effects = np.asarray([row["differences"]["unsteered"][0] for row in rows])
    above = [row["differences"]["unsteered"][1] > 0 for row in rows]
    below = [row["differences"]["unsteered"][2] < 0 for row in rows]
    half = {
        arm: _rate(sum(row["arms"][arm][1] <= 0.5 <= row["arms"][arm][2] for row in rows), n)
        for arm in ("steered", "unsteered", "recalibrated", "ngrams")
    }
    lines = [
        "| what a study on shuffled labels can get wrong | how often, with 95 % interval |",
        "| --- | --- |",
        f"| the verdict says a gain above every control | {_rate(words.count(GAIN), n)} |",
        f"| the verdict says a gain, but names a control that does as well | {_rate(words.count(SHARED), n)} |",
        f"| the verdict says that steering hurts | {_rate(words.count('steering hurts'), n)} |",
        f"| the interval of steered minus unsteered lies above 0 | {_rate(sum(above), n)} |",
        f"| it lies above or below 0 | {_rate(sum(above) + sum(below), n)} |",
        f"| it does, and McNemar's p is at most 0.05: what the verdict asks | {_rate(_both(rows), n)} |",
        f"| McNemar's p of steered against unsteered is at most 0.05 | {_rate(_small(rows), n)} |",
        f"| the smallest of the p by CWE, adjusted by Holm, is at most 0.05 | "
        f"{_rate(sum(row['holm'] <= 0.05 for row in rows), n)} |",
        *(f"| the interval of {arm} holds 0.5 (should: 0.95) | {rate} |" for arm, rate in half.items()),
        "",
        f"Steered minus unsteered, over the {n} studies: mean {effects.mean():+.4f} (standard error "
        f"{effects.std(ddof=1) / np.sqrt(n):.4f}), standard deviation {effects.std(ddof=1):.3f}, from "
        f"{effects.min():+.3f} to {effects.max():+.3f}.",
    ]
    both = {row["number"]: row for row in exact}
    pairs = [(row, both[row["number"]]) for row in rows if row["number"] in both]
    if (m := len(pairs)) > 2:
        ours, real = (np.asarray([pair[side]["differences"]["unsteered"][0] for pair in pairs]) for side in (0, 1))
        same = sum(said(a) == said(b) for a, b in pairs)
        lines += [
            "",
            f"With each steered cell a forward ({m} of the same studies): the same kind of verdict in {same} of "
            f"{m}, the differences correlate with {np.corrcoef(ours, real)[0, 1]:.2f}; by forwards, a gain above every "
            f"control in {_rate(sum(said(b) == GAIN for _, b in pairs), m)}, an interval above 0 in "
            f"{_rate(sum(b['differences']['unsteered'][1] > 0 for _, b in pairs), m)}.",
        ]
    return "\n".join(lines)


def _both(rows: Sequence[Mapping[str, Any]]) -> int:
    found = [row["differences"]["unsteered"] for row in rows]
    return sum((low > 0 or high < 0) and p <= 0.05 for _, low, high, p in found)


def _small(rows: Sequence[Mapping[str, Any]]) -> int:
    return sum(row["differences"]["unsteered"][3] <= 0.05 for row in rows)


def read(path: Path) -> list[dict[str, Any]]:
    """The repetitions of a file, none where it is not there."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.is_file() else []


def main() -> None:
    """Do what is left to do, and with --write draw and tell it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", default="starter", help="starter or fresh")
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--out", type=Path, help="default: runs/null-study-PAIRS[-exact].jsonl")
    parser.add_argument("--exact", action="store_true", help="every steered cell by a forward")
    parser.add_argument("--write", action="store_true", help="draw the figure and render the page's table")
    given = parser.parse_args()
    out = given.out or ROOT / "runs" / f"null-study-{given.pairs}{'-exact' if given.exact else ''}.jsonl"
    out.parent.mkdir(parents=True, exist_ok=True)
    there = {row["number"] for row in read(out)}
    left = [number for number in range(given.repetitions) if number not in there]
    if left:
        model, source = load_model("embedded", device="cpu"), load_source(given.pairs)
        with kept(exact=given.exact) as forget, out.open("a", encoding="utf-8") as file:
            for place, number in enumerate(left):
                if place == 0 or number % PER_SEED == 0:
                    forget()
                row = repetition(model, source, number, name=given.pairs)
                file.write(json.dumps(row) + "\n")
                file.flush()
                print(f"{number + 1}/{given.repetitions} {row['seconds']} s: {row['verdict']}", file=sys.stderr)
    if given.write:
        rows = read(out)
        write_figure(rows, FIGURE)
        table = markdown(rows, read(out.with_name(f"{out.stem}-exact.jsonl")))
        page = PAGE.read_text("utf-8")
        PAGE.write_text(f"{page.partition(BEGIN)[0]}{BEGIN}\n{table}\n{END}{page.partition(END)[2]}", "utf-8")
        print(table)


if __name__ == "__main__":
    main()
