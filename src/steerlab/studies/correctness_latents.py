"""The stage `latents`: which latents predict the outcome at the last prompt token; their directions and gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import Tensor

from steerlab.capturing import capture
from steerlab.errors import OptionError, RunError
from steerlab.gates import choose_threshold
from steerlab.latents import LatentRanking, LatentRow, SparseAutoencoder, encode, latent_frequency, rank_latents
from steerlab.latents.directions import probe_direction
from steerlab.latents.scoring import choose_f1_threshold, score_prediction
from steerlab.models import Model
from steerlab.ordinary import ordinary_code
from steerlab.studies.correctness_material import Bench
from steerlab.studies.correctness_writing import stage_rows, write_rows
from steerlab.studies.latents_found import write_latents
from steerlab.studies.selected_coefficients import TARGETS

TABLE = "latents.parquet"
POOL = 8  # latents of like frequency that a random one is drawn from, per draw
EXACT = ("relu", "jumprelu", "batchtopk")  # activations that are a threshold on a linear function of the residual

Best = tuple[int, LatentRow]
"""A layer and the row of a latent there."""


@dataclass(frozen=True, kw_only=True)
class _Layer:
    """One autoencoder: residuals and activations at the last prompt tokens, and frequency in ordinary code."""

    autoencoder: SparseAutoencoder
    residuals: Float[np.ndarray, "problem d_model"]
    activations: Float[Tensor, "problem latent"]
    general: Float[np.ndarray, " latent"]


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """All layers on all problems that have a baseline, and which of these are for selection and for tuning."""

    layers: Mapping[int, _Layer]
    problems: tuple[str, ...]
    passed: tuple[bool | None, ...]
    selection: tuple[int, ...]
    tuning: tuple[int, ...]

    def outcomes(self, at: Sequence[int]) -> list[bool | None]:
        """Whether the problems at these places passed."""
        return [self.passed[i] for i in at]


def latents_stage(bench: Bench, autoencoders: Sequence[SparseAutoencoder]) -> dict[str, Any]:
    """Rank the latents on the selection split, score the best of each direction on the tuning split, write the files.

    Raises: DataError when no problem passed or none failed; OptionError when no latent is left; RunError when there is
    no baseline.
    """
    bench.step("reading the last prompt token", 0, len(autoencoders) + 1)
    seen = _see(bench, autoencoders)
    settings = bench.material.settings
    ranked = {
        at: rank_latents(
            layer.activations[list(seen.selection)],
            seen.outcomes(seen.selection),
            general_frequency=layer.general,
            general_limit=settings.general_limit,
        )
        for at, layer in seen.layers.items()
    }
    best = {target: _best(seen, ranked, target, by_hand=getattr(settings, target)) for target in TARGETS}
    gates = {"correct": _gate_latent(ranked, best), "incorrect": best["incorrect"]}
    gate_facts, directions = {}, {}
    for target, (at, row) in best.items():
        directions[target] = _decoder_row(seen.layers[at], row.latent)
    for target, (at, row) in gates.items():
        gate_facts[target], directions[f"gate.{target}"] = _gate(seen, at, row)
    random = {
        target: _like(seen, at, row.latent, ranked[at], n=settings.draws, seed=settings.seed)
        for target, (at, row) in best.items()
    }
    for target, latents in random.items():
        layer = seen.layers[best[target][0]]
        directions |= {f"random_latent.{target}.{latent}": _decoder_row(layer, latent) for latent in latents}
    at = best["correct"][0]
    directions["mean_difference"] = _probe(bench, seen, at)
    facts = {
        "run": bench.opened.manifest["run"],
        "sae": [layer.autoencoder.describe() for layer in seen.layers.values()],
        "counts": {str(at): _counts(ranking) for at, ranking in ranked.items()},
        "chosen": {target: _facts(bench, seen, best[target], target) for target in TARGETS},
        "gates": gate_facts,
        "fires": {target: _fires(seen, gate_facts[target], directions[f"gate.{target}"]) for target in TARGETS},
        "random_latents": random,
        "mean_difference": _probe_facts(bench, seen, at, directions["mean_difference"]),
    }
    _table(bench, ranked)
    write_latents(bench.opened.path, facts, directions)
    bench.step("reading the last prompt token", len(autoencoders) + 1, len(autoencoders) + 1)
    return facts


def _see(bench: Bench, autoencoders: Sequence[SparseAutoencoder]) -> _Seen:
    """Read every problem that has a baseline once, all layers in one go."""
    material, rows = bench.material, stage_rows(bench, "baseline")
    outcome = dict(zip(rows["program"], rows["passed"], strict=True))
    problems = [problem for problem in material.problems if problem.id in outcome]
    if not problems:
        raise RunError("no problem has a baseline: run the stage baseline first.")
    at_layers = [autoencoder.layer for autoencoder in autoencoders]
    residuals = capture(material.model, [problem.prompt for problem in problems], layers=at_layers)
    texts = _ordinary_texts(material.model)
    layers = {}
    for number, autoencoder in enumerate(autoencoders, start=1):
        layers[autoencoder.layer] = _Layer(
            autoencoder=autoencoder,
            residuals=residuals[autoencoder.layer].numpy(),
            activations=encode(autoencoder, residuals[autoencoder.layer]).cpu(),
            general=latent_frequency(material.model, autoencoder, texts),
        )
        bench.step("reading the last prompt token", number, len(autoencoders) + 1)
    places: dict[str, tuple[int, ...]] = {
        split: tuple(i for i, problem in enumerate(problems) if material.splits[problem.id] == split)
        for split in ("selection", "tuning")
    }
    return _Seen(
        layers=layers,
        problems=tuple(problem.id for problem in problems),
        passed=tuple(outcome[problem.id] for problem in problems),
        **places,
    )


def _ordinary_texts(model: Model) -> list[str]:
    """Ordinary code in stretches that fit the model's context: whole, halves, quarters, ..."""
    texts = [text.text for text in ordinary_code()]
    while model.context is not None and max(len(row) for row in model.tokenizer(texts)["input_ids"]) > model.context:
        texts = [half for text in texts for half in (text[: len(text) // 2], text[len(text) // 2 :])]
    return texts


def _best(seen: _Seen, ranked: Mapping[int, LatentRanking], target: str, *, by_hand: str) -> Best:
    """The best latent of a direction over all layers, by separation and then Welch's t, or the one that was named."""
    if by_hand:
        return _named(seen, target, by_hand)
    rows = [(at, row) for at, ranking in ranked.items() for row in getattr(ranking, target)]
    if not rows:
        raise OptionError(
            f"no latent is more often active on problems that are {target}: every one is silent there or general "
            "language. Raise --general-limit, choose other --layers, or name one with "
            f"--{target} LAYER:LATENT."
        )
    return max(rows, key=lambda one: (abs(one[1].separation), abs(one[1].t), -one[0], -one[1].latent))


def _named(seen: _Seen, target: str, name: str) -> Best:
    layer, _, latent = name.partition(":")
    if not (layer.isdigit() and latent.isdigit()) or int(layer) not in seen.layers:
        known = ", ".join(map(str, sorted(seen.layers)))
        raise OptionError(f"--{target} {name}: write LAYER:LATENT with a layer of the autoencoders: {known}.")
    at, number = int(layer), int(latent)
    activations = seen.layers[at].activations
    if number >= activations.shape[1]:
        raise OptionError(f"--{target} {name}: layer {at} has latents 0..{activations.shape[1] - 1}.")
    own = activations[list(seen.selection)][:, [number]]
    ranking = rank_latents(own, seen.outcomes(seen.selection))
    rows = ranking.correct + ranking.incorrect
    if not rows:
        raise OptionError(f"--{target} {name}: that latent tells no passing from failing problems: name another.")
    return at, replace(rows[0], latent=number)


def _gate_latent(ranked: Mapping[int, LatentRanking], best: Mapping[str, Best]) -> Best:
    """The incorrect-predicting latent that decides where to add the correct-predicting one: at or before its layer."""
    limit = best["correct"][0]
    if best["incorrect"][0] <= limit:
        return best["incorrect"]
    rows = [(at, row) for at, ranking in ranked.items() if at <= limit for row in ranking.incorrect]
    if not rows:
        raise OptionError(
            f"no incorrect-predicting latent lies at or before layer {limit}, where the correct-predicting one is: a "
            "gate must read before it steers. Choose other --layers."
        )
    return max(rows, key=lambda one: (abs(one[1].separation), abs(one[1].t), -one[0], -one[1].latent))


def _decoder_row(layer: _Layer, latent: int) -> Float[np.ndarray, " d_model"]:
    return layer.autoencoder.w_dec[latent].detach().float().cpu().numpy()


def _gate(seen: _Seen, at: int, row: LatentRow) -> tuple[dict[str, Any], Float[np.ndarray, " d_model"]]:
    """The latent's encoder as a condition on the residual, and where it fires.

    Exact for a latent that is active beyond a threshold of a linear function of the residual. Otherwise (topk, or a
    normalised residual) the threshold is chosen on the selection split, failing against passing.
    """
    layer = seen.layers[at]
    own = layer.autoencoder
    encoder = own.w_enc[:, row.latent].detach().float().cpu().numpy()
    norm = float(np.linalg.norm(encoder))
    facts: dict[str, Any] = {"layer": at, "latent": row.latent, "comparison": "above"}
    if own.activation in EXACT and own.normalisation == "none":
        limit = 0.0 if own.threshold is None else max(0.0, float(own.threshold[row.latent]))
        shift = float(own.b_dec.float().cpu().numpy() @ encoder) if own.subtract_b_dec else 0.0
        threshold = (limit - float(own.b_enc[row.latent]) + shift) / norm
        return {**facts, "threshold": threshold, "exact": True}, encoder
    projected = layer.residuals @ (encoder / norm)
    sides = {outcome: [projected[i] for i in seen.selection if seen.passed[i] is outcome] for outcome in (True, False)}
    choice = choose_threshold(sides[False], sides[True])
    return {**facts, "threshold": choice.threshold, "comparison": choice.comparison, "exact": False}, encoder


def _fires(seen: _Seen, facts: Mapping[str, Any], encoder: Float[np.ndarray, " d_model"]) -> dict[str, bool]:
    """Problem -> whether the gate fires at its last prompt token."""
    projected = seen.layers[facts["layer"]].residuals @ (encoder / np.linalg.norm(encoder))
    beyond = projected > facts["threshold"] if facts["comparison"] == "above" else projected < facts["threshold"]
    return {problem: bool(fires) for problem, fires in zip(seen.problems, beyond, strict=True)}


def _like(seen: _Seen, at: int, latent: int, ranking: LatentRanking, *, n: int, seed: int) -> list[int]:
    """Up to `n` latents at random among those active about as often on the selection split; none of the best ones."""
    active = (seen.layers[at].activations[list(seen.selection)] > 0).float().mean(dim=0).numpy()
    without = {latent, *(row.latent for row in (*ranking.correct[:1], *ranking.incorrect[:1]))}
    possible = [int(i) for i in np.flatnonzero(active > 0) if int(i) not in without]
    nearest = sorted(possible, key=lambda i: (abs(active[i] - active[latent]), i))[: POOL * n]
    drawn = np.random.default_rng(seed).permutation(len(nearest))[:n]
    return sorted(nearest[i] for i in drawn)


def _probe(bench: Bench, seen: _Seen, at: int) -> Float[np.ndarray, " d_model"]:
    """The mean difference of passing and failing problems of the selection split at a layer."""
    vector = probe_direction(
        bench.material.model,
        seen.layers[at].residuals[list(seen.selection)],
        seen.outcomes(seen.selection),
        layer=at,
        method="mean_difference",
    )
    return vector.directions[at]


def _probe_facts(bench: Bench, seen: _Seen, at: int, direction: Float[np.ndarray, " d_model"]) -> dict[str, Any]:
    projected = seen.layers[at].residuals @ (direction / np.linalg.norm(direction))
    return {"layer": at, "tuning": _scores(bench, seen, projected, "correct")}


def _facts(bench: Bench, seen: _Seen, best: Best, target: str) -> dict[str, Any]:
    """A chosen latent: its ranks on the selection split and how well it predicts on the tuning split."""
    at, row = best
    values = seen.layers[at].activations[:, row.latent].numpy()
    return {"layer": at, **asdict(row), "tuning": _scores(bench, seen, values, target)}


def _scores(bench: Bench, seen: _Seen, values: Float[np.ndarray, " problem"], target: str) -> dict[str, Any] | None:
    """AUROC and F1 on the tuning split, the threshold from the selection split; None where a class is missing."""
    outcomes = seen.outcomes(seen.tuning)
    if not ({True, False} <= set(outcomes)):
        return None
    predicts: Any = target
    threshold = choose_f1_threshold(values[list(seen.selection)], seen.outcomes(seen.selection), predicts=predicts)
    settings = bench.material.settings
    return asdict(
        score_prediction(
            values[list(seen.tuning)],
            outcomes,
            threshold=threshold,
            predicts=predicts,
            level=settings.level,
            seed=settings.seed,
        )
    )


def _counts(ranking: LatentRanking) -> dict[str, int]:
    names = ("n_passing", "n_failing", "n_unscored", "n_tested", "n_general", "n_silent")
    return {name: int(getattr(ranking, name)) for name in names}


def _table(bench: Bench, ranked: Mapping[int, LatentRanking]) -> None:
    rows = [
        {"target": target, "layer": at, "rank": rank, **asdict(row)}
        for target in TARGETS
        for at, ranking in ranked.items()
        for rank, row in enumerate(getattr(ranking, target), start=1)
    ]
    write_rows(bench.opened.path / TABLE, pd.DataFrame(rows))
