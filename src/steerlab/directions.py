"""Contrast pairs to a steering vector; METHODS is the table of direction methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from steerlab.batches import Progress
from steerlab.capturing import capture
from steerlab.contrast import ContrastPair
from steerlab.errors import DataError, OptionError, ZeroDirectionError, nearest
from steerlab.models import Model
from steerlab.trials import digest
from steerlab.vectors import MINIMAL_NORM, Direction, Recipe, SteeringVector

Side = Float[np.ndarray, "pair d_model"]
Positive = Float[np.ndarray, "positive d_model"]  # as many as there are: no pairs are needed
Negative = Float[np.ndarray, "negative d_model"]


def mean_difference(positive: Positive, negative: Negative, *, seed: int) -> Direction:
    """Mean of the positive side minus mean of the negative side. Source: CAA, arXiv:2312.06681."""
    return positive.mean(axis=0) - negative.mean(axis=0)  # type: ignore[no-any-return]


def pca(positive: Side, negative: Side, *, seed: int) -> Direction:
    """First principal axis of the pair differences around zero, turned toward the mean difference.

    Source: representation engineering, arXiv:2310.01405.
    """
    differences = positive - negative
    _, _, axes = np.linalg.svd(differences, full_matrices=False)
    return _oriented(axes[0], positive, negative)


def logistic(positive: Positive, negative: Negative, *, seed: int) -> Direction:
    """Weights of an L2-regularised logistic regression on standardised residuals, in residual units."""
    from sklearn.linear_model import LogisticRegression

    both = np.concatenate([positive, negative])
    scale = both.std(axis=0) + 1e-8
    labels = np.repeat([1, 0], [len(positive), len(negative)])
    fitted = LogisticRegression(C=0.1, max_iter=1000).fit((both - both.mean(axis=0)) / scale, labels)
    return _oriented(fitted.coef_[0] / scale, positive, negative)


def whitened_mean_difference(positive: Positive, negative: Negative, *, seed: int) -> Direction:
    """Mean difference through the inverse within-class covariance with Ledoit-Wolf shrinkage (LDA)."""
    from sklearn.covariance import ledoit_wolf

    within = np.concatenate([positive - positive.mean(axis=0), negative - negative.mean(axis=0)])
    covariance, _ = ledoit_wolf(within, assume_centered=True)
    covariance += 1e-6 * max(float(np.trace(covariance)) / len(covariance), 1e-12) * np.eye(len(covariance))
    return _oriented(np.linalg.solve(covariance, mean_difference(positive, negative, seed=seed)), positive, negative)


def random_control(positive: Side, negative: Side, *, seed: int) -> Direction:
    """A control: a Gaussian direction with the norm of the mean difference."""
    drawn = np.random.default_rng(seed).normal(size=(positive.shape[1],))
    return _with_norm(drawn, _norm(mean_difference(positive, negative, seed=seed)))


def shuffled_labels(positive: Side, negative: Side, *, seed: int) -> Direction:
    """A control: half of the pairs are turned round at random; the norm is that of the true mean difference.

    Of an odd number of pairs one is left out at random, so that what all pairs share cancels exactly.
    """
    signs = np.resize([1.0, -1.0], len(positive))
    signs[2 * (len(positive) // 2) :] = 0.0
    np.random.default_rng(seed).shuffle(signs)
    mixed = ((positive - negative) * signs[:, None]).mean(axis=0)
    return _with_norm(mixed, _norm(mean_difference(positive, negative, seed=seed)))


METHODS: Mapping[str, Callable[..., Direction]] = {
    "mean_difference": mean_difference,
    "pca": pca,
    "logistic": logistic,
    "whitened_mean_difference": whitened_mean_difference,
    "random_control": random_control,
    "shuffled_labels": shuffled_labels,
}


def check_method(method: str) -> None:
    """Raise OptionError unless `method` is one of METHODS."""
    if method not in METHODS:
        raise OptionError(f"method {method!r} does not exist. {nearest(method, METHODS)}")


def _norm(direction: Direction) -> float:
    return float(np.linalg.norm(np.asarray(direction)))


def _with_norm(direction: Direction, norm: float) -> Direction:
    own = _norm(direction)
    return direction * (norm / own) if own > MINIMAL_NORM * 1e-3 else direction * 0.0


def _oriented(direction: Direction, positive: Positive, negative: Negative) -> Direction:
    """`direction` with the sign and the norm of the mean difference, so that all methods share a coefficient."""
    reference = mean_difference(positive, negative, seed=0)
    sign = 1.0 if float(direction @ reference) >= 0 else -1.0
    return _with_norm(direction * sign, _norm(reference))


def find_direction(method: str, positive: Positive, negative: Negative, *, seed: int) -> Direction:
    """Apply a method of METHODS in float64 and give its direction in float32.

    The two sides are pairs, row by row, for the methods that say so (Side); the others take any number of each.

    Raises: OptionError for an unknown method; ZeroDirectionError when both sides have the same mean.
    """
    check_method(method)
    if not len(positive) or not len(negative):
        raise DataError("no contrast pair is left to build a direction from.")
    direction = METHODS[method](positive.astype(np.float64), negative.astype(np.float64), seed=seed)
    if not np.isfinite(direction).all() or np.linalg.norm(direction) < MINIMAL_NORM:
        raise ZeroDirectionError(
            f"{method} found no difference between the sides of {len(positive)} pairs: "
            "are they the same texts, or is the layer wrong?"
        )
    return direction.astype(np.float32)


def agreement(direction: Direction, positive: Side, negative: Side) -> float:
    """Share of pairs whose positive side projects higher on `direction` (0.5 for a tie)."""
    moved = (positive - negative) @ direction
    return float(np.mean((moved > 0) + 0.5 * (moved == 0)))


def vector_from_residuals(
    model: Model,
    positive: Mapping[int, Side],
    negative: Mapping[int, Side],
    *,
    recipe: Recipe,
) -> SteeringVector:
    """A steering vector from captured residuals by layer, with its sign check and residual norms."""
    layers = recipe.layers
    directions = {at: find_direction(recipe.method, positive[at], negative[at], seed=recipe.seed) for at in layers}
    both = {at: np.concatenate([positive[at], negative[at]]) for at in layers}
    return SteeringVector(
        directions=directions,
        model=model.fingerprint,
        recipe=replace(recipe, n_pairs=len(positive[layers[0]])),
        residual_norms={at: float(np.linalg.norm(both[at], axis=1).mean()) for at in layers},
        agreement={at: agreement(directions[at], positive[at], negative[at]) for at in layers},
    )


def build_vector(
    model: Model, pairs: Sequence[ContrastPair], recipe: Recipe, *, progress: Progress | None = None
) -> SteeringVector:
    """Capture both sides of `pairs` and make a vector by `recipe` (layers, positions, method, seed).

    Texts are prompt + side; with positions `completion` only the side is read.
    """
    if not pairs:
        raise DataError("there are no contrast pairs to build a vector from.")
    check_method(recipe.method)
    heads = [pair.prompt for pair in pairs] if recipe.positions == "completion" else None
    sides = []
    for texts in ([p.prompt + p.positive for p in pairs], [p.prompt + p.negative for p in pairs]):
        seen = capture(model, texts, layers=recipe.layers, positions=recipe.positions, prompts=heads, progress=progress)
        sides.append({layer: residual.numpy() for layer, residual in seen.items()})
    sha = digest([[p.id, p.prompt, p.positive, p.negative] for p in pairs])
    return vector_from_residuals(model, sides[0], sides[1], recipe=replace(recipe, pairs_sha256=sha))
