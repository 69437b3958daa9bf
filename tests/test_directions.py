"""Directions: a planted direction is recovered, swapped pairs flip the sign, controls are controls."""

from __future__ import annotations

import numpy as np
import pytest

from conftest import random_vector, tiny_model
from steerlab.capturing import capture
from steerlab.contrast import ContrastPair
from steerlab.directions import METHODS, agreement, build_vector, find_direction
from steerlab.errors import DataError, OptionError, PromptError, ZeroDirectionError
from steerlab.interventions import Intervention
from steerlab.steering import steer
from steerlab.vectors import Recipe

CONTROLS = ("random_control", "shuffled_labels")
TRUE_METHODS = [method for method in METHODS if method not in CONTROLS]
D_MODEL = 64


def planted(n_pairs: int = 60, noise: float = 0.3, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two sides that differ by a fixed direction of norm 2 and by noise; the direction."""
    drawn = np.random.default_rng(seed)
    direction = drawn.normal(size=D_MODEL)
    direction *= 2 / np.linalg.norm(direction)
    common = drawn.normal(size=(n_pairs, D_MODEL))
    sides = [common + sign * direction / 2 + noise * drawn.normal(size=common.shape) for sign in (1, -1)]
    return sides[0].astype(np.float32), sides[1].astype(np.float32), direction


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.parametrize("method", TRUE_METHODS)
def test_a_planted_direction_is_recovered_toward_the_positive_side(method):
    positive, negative, direction = planted()
    found = find_direction(method, positive, negative, seed=0)
    assert cosine(found, direction) > (0.95 if method in ("mean_difference", "pca") else 0.5)
    assert agreement(found, positive, negative) > 0.95


@pytest.mark.parametrize("method", TRUE_METHODS)
def test_swapped_pairs_flip_the_sign(method):
    positive, negative, _ = planted()
    found = find_direction(method, positive, negative, seed=0)
    swapped = find_direction(method, negative, positive, seed=0)
    assert np.allclose(swapped, -found, atol=1e-3)
    assert agreement(swapped, positive, negative) < 0.05


@pytest.mark.parametrize("method", METHODS)
def test_all_methods_share_the_norm_of_the_mean_difference(method):
    positive, negative, _ = planted()
    expected = np.linalg.norm((positive - negative).mean(axis=0))
    assert np.linalg.norm(find_direction(method, positive, negative, seed=3)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("n_pairs", [2, 3, 5, 60, 61])
@pytest.mark.parametrize("method", CONTROLS)
def test_controls_point_elsewhere_and_change_with_the_seed(method, n_pairs):
    positive, negative, direction = planted(n_pairs=n_pairs)
    found = [find_direction(method, positive, negative, seed=seed) for seed in range(12)]
    assert np.mean([abs(cosine(one, direction)) for one in found]) < 0.3
    assert any(not np.allclose(found[0], one) for one in found[1:])
    assert np.array_equal(found[0], find_direction(method, positive, negative, seed=0))


@pytest.mark.parametrize("n_pairs", [1, 3])
def test_shuffled_labels_of_pairs_that_all_agree_are_no_control(n_pairs):
    positive, negative, _ = planted(n_pairs=n_pairs, noise=0.0)
    common = np.broadcast_to(positive[:1] - negative[:1], positive.shape)
    with pytest.raises(ZeroDirectionError):
        find_direction("shuffled_labels", common.astype(np.float32), np.zeros_like(negative), seed=0)


@pytest.mark.parametrize("method", [*TRUE_METHODS, "random_control"])
def test_equal_sides_have_no_direction(method):
    positive, _, _ = planted()
    with pytest.raises(ZeroDirectionError, match="no difference between the sides of 60 pairs"):
        find_direction(method, positive, positive.copy(), seed=0)


def test_whitening_finds_the_axis_that_tells_the_sides_apart():
    """With one loud nuisance axis the best linear read-out is not along the mean difference: LDA's theorem."""
    drawn = np.random.default_rng(0)
    noise = drawn.normal(size=(2, 400, D_MODEL)) * np.where(np.arange(D_MODEL) == 0, 8.0, 0.5)
    shift = np.zeros(D_MODEL)
    shift[[0, 1]] = 1.0
    positive, negative = (noise[0] + shift).astype(np.float32), (noise[1] - shift).astype(np.float32)
    found = find_direction("whitened_mean_difference", positive, negative, seed=0)
    plain = find_direction("mean_difference", positive, negative, seed=0)
    assert abs(found[1]) > 5 * abs(found[0])
    assert agreement(found, positive, negative) > agreement(plain, positive, negative) + 0.1


def test_an_unknown_method_names_the_nearest_and_no_pair_is_an_error():
    positive, negative, _ = planted()
    with pytest.raises(OptionError, match="Did you mean mean_difference"):
        find_direction("mean_diference", positive, negative, seed=0)
    with pytest.raises(DataError, match="no contrast pair"):
        find_direction("pca", positive[:0], negative[:0], seed=0)


def pairs(n: int = 6) -> list[ContrastPair]:
    return [
        ContrastPair(
            id=str(i), group=str(i), prompt=f"def f{i}(x):", positive=" return safe(x)", negative=" exec(x)", labels={}
        )
        for i in range(n)
    ]


def recipe(**changes: object) -> Recipe:
    return Recipe(
        **{"method": "mean_difference", "layers": (1, 3), "positions": "last_prompt_token", "seed": 0, **changes}
    )


def test_build_vector_is_the_mean_difference_of_what_capture_reads():
    model = tiny_model("llama")
    built = build_vector(model, pairs(), recipe())
    positive = capture(model, [p.prompt + p.positive for p in pairs()], layers=[1, 3])
    negative = capture(model, [p.prompt + p.negative for p in pairs()], layers=[1, 3])
    assert built.layers == (1, 3)
    assert built.recipe.n_pairs == 6 and built.recipe.pairs_sha256 and built.model == model.fingerprint
    for layer in built.layers:
        assert np.allclose(built.directions[layer], (positive[layer] - negative[layer]).mean(dim=0), atol=1e-5)
        norms = [float(side[layer].norm(dim=1).mean()) for side in (positive, negative)]
        assert built.residual_norms[layer] == pytest.approx(sum(norms) / 2, rel=1e-5)
        assert built.agreement[layer] == 1.0


def test_a_built_vector_moves_the_residual_toward_the_positive_side():
    model = tiny_model("llama")
    built = build_vector(model, pairs(), recipe(layers=(1,)))
    texts = [p.prompt + p.negative for p in pairs()]
    plain = capture(model, texts, layers=[1])[1].numpy()
    with steer(model, Intervention(vector=built, coefficient=1.0)):
        steered = capture(model, texts, layers=[1])[1].numpy()
    assert ((steered - plain) @ built.unit().directions[1] > 0).all()


def test_positions_completion_read_only_the_side():
    model = tiny_model("llama")
    whole = build_vector(model, pairs(), recipe(positions="all"))
    side = build_vector(model, pairs(), recipe(positions="completion"))
    prompts = [p.prompt for p in pairs()]
    positive = capture(
        model, [p.prompt + p.positive for p in pairs()], layers=[1], positions="completion", prompts=prompts
    )
    negative = capture(
        model, [p.prompt + p.negative for p in pairs()], layers=[1], positions="completion", prompts=prompts
    )
    assert np.allclose(side.directions[1], (positive[1] - negative[1]).mean(dim=0), atol=1e-5)
    assert not np.allclose(side.directions[1], whole.directions[1], atol=1e-2)


def test_the_pairs_and_not_their_order_in_memory_make_the_hash():
    model = tiny_model("llama")
    one, again, fewer = (build_vector(model, p, recipe()) for p in (pairs(), pairs(), pairs(5)))
    assert one.recipe.pairs_sha256 == again.recipe.pairs_sha256 != fewer.recipe.pairs_sha256


def test_no_pairs_an_unknown_method_and_an_overlong_text_are_errors():
    model = tiny_model("llama")
    with pytest.raises(DataError, match="no contrast pairs"):
        build_vector(model, [], recipe())
    with pytest.raises(OptionError, match="Possible"):
        build_vector(model, pairs(), recipe(method="magic"))
    long = ContrastPair(id="l", group="l", prompt="x" * 600, positive="a", negative="b", labels={})
    with pytest.raises(PromptError, match="1 of 7 prompts exceed the context of 512 tokens"):
        build_vector(model, [*pairs(), long], recipe())


def test_a_vector_of_tests_has_the_norm_that_was_asked_for():
    assert random_vector(tiny_model("llama"), 2, norm=7.0).norm(2) == pytest.approx(7.0, rel=1e-5)
