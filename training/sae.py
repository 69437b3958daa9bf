"""Makes the embedded autoencoders: texts like those the model was trained on; measured on held-out texts."""

from __future__ import annotations

import argparse
import json
import random
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from steerlab.embedded import MODEL_NAME
from steerlab.latents.loading import load_sae
from steerlab.latents.measures import AutoencoderMeasures, measure
from steerlab.latents.texts import TrainingTexts, divided, pieces
from steerlab.latents.training import Report, TrainingSettings, train
from steerlab.models import load_model
from steerlab.ordinary import MODULES, ordinary_code
from steerlab.statistics import Estimate
from steerlab.tasks.exercises import load_exercises
from steerlab.trials import digest
from training.corpus import python_texts
from training.families import FAMILIES
from training.items import Mixture, detection_texts, exercise_text, program_text

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "src/steerlab/embedded/sae"
LAYERS = (4, 2)
EXPANSION = 8
SEED = 20261126
EXERCISES, PAIRS, PIECES = 24_000, 4_000, 10_000  # drawn texts, and pieces of real code
COLUMNS = (
    "texts",
    "tokens",
    "explained variance",
    "L0",
    "silent",
    "loss",
    "with the reconstruction",
    "recovered (zero)",
    "recovered (mean)",
)
HELD_OUT = {"exercises": 100, "pairs": 50, "code": 60}


def drawn_texts(random_source: random.Random, *, exercises: int, pairs: int) -> list[str]:
    """Generated exercises with solutions, detection questions about generated programs, and such programs alone."""
    mixture = Mixture(families=[family for family in FAMILIES if not family.held_out], corpus=[])
    found = [exercise_text(random_source).text for _ in range(exercises)]
    for _ in range(pairs):
        family, sample = mixture.pair(random_source)
        found += [text.text for text in detection_texts(sample, family, random_source)]
        found.append(program_text(sample, random_source).text)
    return found


def training_texts() -> TrainingTexts:
    """What the autoencoders are trained on: drawn texts and real Python, the latter without the files held out."""
    measured = {f"python/{name}.py" for name in MODULES}
    code = {f"{source.origin}/{source.name}": text for source, text in python_texts()}
    real = divided({name: text for name, text in code.items() if name not in measured})
    drawn = drawn_texts(random.Random(SEED), exercises=EXERCISES, pairs=PAIRS)
    some = random.Random(SEED).sample(list(real.training), min(len(real.training), PIECES))
    return TrainingTexts(training=(*some, *drawn), held_out=real.held_out, sha256=digest([some, drawn]))


def held_out_texts(real: Sequence[str]) -> dict[str, list[str]]:
    """Texts by kind that were not trained on: exercises of held-out compositions, new programs, whole files of code."""
    own = random.Random(SEED + 1)
    exercises = [exercise.reference for exercise in load_exercises()]
    return {
        "exercises": own.sample(exercises, min(len(exercises), HELD_OUT["exercises"])),
        "pairs": own.sample(drawn_texts(own, exercises=0, pairs=HELD_OUT["pairs"]), HELD_OUT["pairs"]),
        "code": own.sample(list(real), min(len(real), HELD_OUT["code"])),
        "ordinary": [piece for stretch in ordinary_code() for piece in pieces(stretch.text)],
    }


def shown(estimate: Estimate) -> str:
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "-"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def table(scores: dict[str, AutoencoderMeasures]) -> str:
    """The figures of one layer as rows of a Markdown table."""
    rows = [
        f"| {' | '.join(COLUMNS)} |",
        f"| {' | '.join(['---'] * len(COLUMNS))} |",
    ]
    for kind, score in scores.items():
        numbers = (score.explained_variance, score.l0)
        losses = (score.loss, score.loss_reconstructed, score.recovered_zero, score.recovered_mean)
        cells = [kind, f"{score.n_tokens:,}", *map(shown, numbers), f"{score.silent:.3f}", *map(shown, losses)]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m training.sae", description=__doc__)
    made.add_argument("--layers", default=",".join(map(str, LAYERS)), help="layers, separated by commas")
    made.add_argument("--tokens", type=int, default=400_000, help="residuals shown per layer")
    made.add_argument("--k", type=int, default=32, help="active latents per token, on average")
    made.add_argument("--work", type=Path, default=HERE / "work/sae", help="where checkpoints and figures go")
    made.add_argument("--out", type=Path, default=TARGET, help="where the autoencoders go")
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser().parse_args(arguments)
    torch.set_num_threads(1)
    model = load_model(MODEL_NAME, device="cpu")
    texts = training_texts()
    print(f"{len(texts.training):,} texts, {sum(map(len, texts.training)):,} characters", flush=True)
    held_out = held_out_texts(texts.held_out)
    scores: dict[str, dict[str, object]] = {}
    for layer in map(int, options.layers.split(",")):
        folder = options.work / f"layer-{layer}"
        settings = TrainingSettings(
            layer=layer, n_latents=EXPANSION * model.d_model, k=options.k, tokens=options.tokens, seed=SEED
        )
        began = time.monotonic()

        def step(report: Report, began: float = began, layer: int = layer) -> None:
            rate = report.tokens / (time.monotonic() - began)
            print(
                f"layer {layer}: {report.tokens:,} of {report.total:,} tokens, {rate:,.0f}/s, explained variance "
                f"{report.explained_variance:.3f}, L0 {report.l0:.1f}, dead {report.dead:.3f}",
                flush=True,
            )

        train(model, texts, settings, folder=folder, resume=True, step=step)
        autoencoder = load_sae(folder)
        own = {kind: measure(model, autoencoder, some) for kind, some in held_out.items()}
        scores[str(layer)] = {kind: asdict(score) for kind, score in own.items()}
        print(f"layer {layer}, {time.monotonic() - began:.0f} s\n{table(own)}", flush=True)
        target = options.out / f"layer-{layer}"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(folder, target)
    (options.work / "scores.json").write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
