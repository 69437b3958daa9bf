"""Interventions: what each operation means by its coefficient, and which settings are refused."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from conftest import random_vector, tiny_model
from steerlab.errors import InterventionError, ZeroDirectionError
from steerlab.interventions import OPERATIONS, Intervention, ablate, add, add_preserving_norm, clamp

COEFFICIENTS = st.floats(-8, 8).filter(lambda value: abs(value) > 1e-3)


def drawn(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, 5, 16, generator=generator), 2.5 * torch.randn(3, 1, 16, generator=generator)


def factor(coefficient: float) -> Tensor:
    return torch.full((3, 1, 1), coefficient)


def projection(residual: Tensor, direction: Tensor) -> Tensor:
    return (residual * direction).sum(dim=-1) / direction.norm(dim=-1)


@given(COEFFICIENTS, st.integers(0, 99))
def test_add_moves_every_token_by_the_coefficient_times_the_direction(coefficient, seed):
    residual, direction = drawn(seed)
    moved = add(residual, direction, factor(coefficient)) - residual
    assert torch.allclose(moved, (coefficient * direction).expand_as(moved), atol=1e-4)


@given(COEFFICIENTS, st.integers(0, 99))
def test_ablate_removes_that_fraction_of_the_projection_and_nothing_across(coefficient, seed):
    residual, direction = drawn(seed)
    found = ablate(residual, direction, factor(coefficient))
    before, after = projection(residual, direction), projection(found, direction)
    assert torch.allclose(after, (1 - coefficient) * before, atol=1e-3)
    assert torch.allclose(found - residual, (after - before)[..., None] * direction / direction.norm(dim=-1, keepdim=True), atol=1e-3)  # fmt: skip  # noqa: E501


@given(st.integers(0, 99))
def test_ablating_twice_is_ablating_once(seed):
    residual, direction = drawn(seed)
    once = ablate(residual, direction, factor(1.0))
    assert torch.allclose(ablate(once, direction, factor(1.0)), once, atol=1e-5)


@given(COEFFICIENTS, st.integers(0, 99))
def test_clamp_sets_the_projection_to_the_coefficient(coefficient, seed):
    residual, direction = drawn(seed)
    found = clamp(residual, direction, factor(coefficient))
    assert torch.allclose(projection(found, direction), torch.tensor(coefficient), atol=1e-4)
    assert torch.allclose(clamp(found, direction, factor(coefficient)), found, atol=1e-4)


@given(st.integers(0, 99))
def test_clamping_to_0_is_ablating_all(seed):
    residual, direction = drawn(seed)
    zero = clamp(residual, direction, factor(0.0))
    assert torch.allclose(zero, ablate(residual, direction, factor(1.0)), atol=1e-5)


@given(COEFFICIENTS, st.integers(0, 99))
def test_add_preserving_norm_keeps_the_norm_and_the_angle_of_add(coefficient, seed):
    residual, direction = drawn(seed)
    found = add_preserving_norm(residual, direction, factor(coefficient))
    plain = add(residual, direction, factor(coefficient))
    assert torch.allclose(found.norm(dim=-1), residual.norm(dim=-1), rtol=1e-4)
    assert (torch.cosine_similarity(found, plain, dim=-1) > 0.999).all()


@given(st.sampled_from(["ablate", "clamp"]), st.floats(0.01, 100), st.integers(0, 99))
def test_only_the_angle_matters_for_ablate_and_clamp(operation, scale, seed):
    residual, direction = drawn(seed)
    once = OPERATIONS[operation](residual, direction, factor(0.5))
    assert torch.allclose(OPERATIONS[operation](residual, scale * direction, factor(0.5)), once, atol=1e-4)


def intervention(**settings: object) -> Intervention:
    return Intervention(**{"vector": random_vector(tiny_model("llama"), 1), "coefficient": 1.0, **settings})


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"operation": "ad"}, "Did you mean add"),
        ({"coefficient": math.nan}, "not finite"),
        ({"coefficient": math.inf}, "not finite"),
        ({"operation": "ablate", "dose": "residual_norm"}, "go with add, not with ablate"),
    ],
)
def test_a_setting_that_is_not_possible_is_one_line_that_says_what_is(settings, expected):
    with pytest.raises(InterventionError, match=expected) as error:
        intervention(**settings)
    assert "\n" not in str(error.value)


def test_coefficient_0_is_inert_except_for_clamp():
    inert = {operation: intervention(operation=operation, coefficient=0.0).inert for operation in OPERATIONS}
    assert inert == {"add": True, "ablate": True, "clamp": False, "add_preserving_norm": True}
    assert not intervention(coefficient=1e-9).inert


def test_a_dose_of_1_residual_norm_adds_a_vector_as_long_as_the_residual():
    dosed = intervention(coefficient=1.0, dose="residual_norm")
    direction, scale = dosed.scaled_direction(1)
    assert scale * np.linalg.norm(direction) == pytest.approx(dosed.vector.residual_norms[1])


def test_a_dose_without_a_residual_norm_says_what_to_do():
    vector = replace(random_vector(tiny_model("llama"), 1), residual_norms={})
    with pytest.raises(InterventionError, match="use absolute doses"):
        intervention(vector=vector, dose="residual_norm").scaled_direction(1)


def test_a_direction_that_points_nowhere_is_refused_unless_it_is_inert():
    vector = 1e-9 * random_vector(tiny_model("llama"), 1)
    with pytest.raises(ZeroDirectionError, match="steer nothing"):
        intervention(vector=vector).scaled_direction(1)
    intervention(vector=vector, coefficient=0.0).scaled_direction(1)
