"""Contrast pairs as completions: residuals where the patched and the vulnerable continuation of one prompt differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import takewhile
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from steerlab.batches import Progress
from steerlab.capturing import capture_at_tokens
from steerlab.contrast import ContrastPair
from steerlab.directions import vector_from_residuals
from steerlab.errors import DataError, OptionError, nearest
from steerlab.models import Model
from steerlab.tokens import encode, shared_prefix
from steerlab.trials import digest
from steerlab.vectors import Recipe, SteeringVector

Contrast = Literal["differing", "whole"]
CONTRASTS: tuple[str, ...] = get_args(Contrast)


@dataclass(frozen=True, kw_only=True)
class CompletionResiduals:
    """Mean residuals of both sides of pairs by layer, float32 [pair d_model], in the order of the pairs."""

    positive: Mapping[int, Float[np.ndarray, "pair d_model"]]
    negative: Mapping[int, Float[np.ndarray, "pair d_model"]]

    def of(self, places: Sequence[int]) -> CompletionResiduals:
        """The residuals of some of the pairs."""
        rows = list(places)
        return CompletionResiduals(
            positive={layer: side[rows] for layer, side in self.positive.items()},
            negative={layer: side[rows] for layer, side in self.negative.items()},
        )


def as_completion(pair: ContrastPair) -> ContrastPair:
    """The pair with the whole lines that both sides begin with moved into its prompt.

    The sides are then two continuations of one prompt. A pair whose sides differ in their first line stays as it is.
    """
    lines = zip(pair.positive.splitlines(keepends=True), pair.negative.splitlines(keepends=True), strict=False)
    head = "".join(ours for ours, _ in takewhile(lambda both: both[0] == both[1], lines))
    if not head or head in (pair.positive, pair.negative):
        return pair
    cut = len(head)
    return replace(pair, prompt=pair.prompt + head, positive=pair.positive[cut:], negative=pair.negative[cut:])


def differing_tokens(positive: Sequence[int], negative: Sequence[int]) -> tuple[list[int], list[int]]:
    """Indices of the tokens of each side that the other lacks, by a longest-match diff of the token ids.

    A side that only lacks tokens is represented by the token at which the other side goes its own way (its last one
    where the gap is at the end). Both are empty where the sides are equal.
    """
    here: list[int] = []
    there: list[int] = []
    gaps: tuple[list[int], list[int]] = ([], [])
    for kind, a, b, c, d in SequenceMatcher(None, positive, negative, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        here += range(a, b)
        there += range(c, d)
        gaps[0].append(min(a, len(positive) - 1))
        gaps[1].append(min(c, len(negative) - 1))
    return here or list(dict.fromkeys(gaps[0])), there or list(dict.fromkeys(gaps[1]))


def completion_residuals(
    model: Model,
    pairs: Sequence[ContrastPair],
    *,
    layers: Sequence[int],
    contrast: str = "differing",
    progress: Progress | None = None,
) -> CompletionResiduals:
    """The mean residual of each side of each pair at `layers`.

    `differing`: over the tokens in which the two continuations differ. `whole`: over all tokens of the continuation.
    `progress` counts texts, two per pair.
    Raises: OptionError for another contrast; PromptError when a side exceeds the context; DataError when the tokens of
    a pair's sides are the same.
    """
    check_contrast(contrast)
    texts = [pair.prompt + side for pair in pairs for side in (pair.positive, pair.negative)]
    rows = encode(model, texts)
    chosen: list[list[int]] = []
    for place, pair in enumerate(pairs):
        here, there = rows[2 * place], rows[2 * place + 1]
        if here == there:
            raise DataError(f"pair {pair.id}: both sides have the same tokens, there is nothing to contrast.")
        if contrast == "differing":
            chosen += differing_tokens(here, there)
        else:
            chosen += [_own_tokens(model, pair.prompt, row) for row in (here, there)]
    seen = capture_at_tokens(model, rows, chosen, layers=layers, progress=progress)
    return CompletionResiduals(
        positive={layer: residual[0::2].numpy() for layer, residual in seen.items()},
        negative={layer: residual[1::2].numpy() for layer, residual in seen.items()},
    )


def _own_tokens(model: Model, prompt: str, row: Sequence[int]) -> list[int]:
    """The tokens of a row behind its prompt; the last token where the continuation has none of its own."""
    head = shared_prefix(model, prompt, row) if prompt else 0
    return list(range(min(head, len(row) - 1), len(row)))


def completion_vector(
    model: Model, pairs: Sequence[ContrastPair], residuals: CompletionResiduals, *, recipe: Recipe
) -> SteeringVector:
    """The steering vector of `pairs` by `recipe`, from their residuals at the recipe's layers.

    Raises: DataError when there is no pair; OptionError, ZeroDirectionError as `find_direction`.
    """
    if not pairs:
        raise DataError("there are no contrast pairs to build a vector from.")
    sha = digest([[pair.id, pair.prompt, pair.positive, pair.negative] for pair in pairs])
    own = replace(recipe, pairs_sha256=sha)
    return vector_from_residuals(model, residuals.positive, residuals.negative, recipe=own)


def build_completion_vector(
    model: Model, pairs: Sequence[ContrastPair], recipe: Recipe, *, progress: Progress | None = None
) -> SteeringVector:
    """Capture both continuations of `pairs` and make a vector; the recipe's positions name the contrast.

    Pairs of whole programs are first split behind the lines that both sides begin with (`as_completion`).
    """
    split = [as_completion(pair) for pair in pairs]
    found = completion_residuals(model, split, layers=recipe.layers, contrast=recipe.positions, progress=progress)
    return completion_vector(model, split, found, recipe=recipe)


def check_contrast(contrast: str) -> None:
    """Raise OptionError unless `contrast` is one of CONTRASTS."""
    if contrast not in CONTRASTS:
        raise OptionError(f"contrast {contrast!r} does not exist. {nearest(contrast, CONTRASTS)}")
