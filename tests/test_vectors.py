"""Steering vectors: algebra, checks, and files that can't be mistaken for good ones."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from conftest import random_vector, tiny_model
from steerlab.errors import VectorError, ZeroDirectionError
from steerlab.formats.safetensors_file import load_vector, save_vector
from steerlab.vectors import SteeringVector, check_same_model

SEEDS = st.integers(0, 99)
FACTORS = st.floats(-4, 4)


def vector(*layers: int, seed: int = 0) -> SteeringVector:
    return random_vector(tiny_model("llama"), *(layers or (1, 2)), seed=seed)


def close(one: SteeringVector, other: SteeringVector) -> bool:
    return one.layers == other.layers and all(
        np.allclose(one.directions[layer], other.directions[layer], atol=1e-5) for layer in one.layers
    )


@given(SEEDS, SEEDS, FACTORS)
def test_vectors_are_a_vector_space(one, other, factor):
    v, w = vector(seed=one), vector(seed=other)
    assert close(v + w, w + v)
    assert close(factor * (v + w), factor * v + factor * w)
    assert close(v - w, v + (-w))
    assert close(v + v, 2 * v)
    assert close(factor * v, v * factor)


def test_the_sum_has_the_layers_of_both():
    total = vector(0, 1) + vector(1, 3, seed=1)
    assert total.layers == (0, 1, 3)
    assert np.array_equal(total.directions[3], vector(1, 3, seed=1).directions[3])


@given(SEEDS)
def test_unit_has_norm_1_and_the_same_angle(seed):
    unit = vector(seed=seed).unit()
    assert all(unit.norm(layer) == pytest.approx(1.0, abs=1e-6) for layer in unit.layers)
    assert close(3.0 * unit, vector(seed=seed))


def test_at_keeps_only_the_chosen_layers_and_names_a_missing_one():
    assert vector(0, 2).at([2]).layers == (2,)
    with pytest.raises(VectorError, match=r"no direction at layer 1: it has \[0, 2\]"):
        vector(0, 2).at([1])


def test_a_zero_direction_has_no_unit():
    with pytest.raises(ZeroDirectionError, match="points nowhere"):
        (vector() - vector()).unit()


def test_vectors_of_two_models_do_not_add_up():
    with pytest.raises(VectorError, match="tiny-gpt2.*not for tiny-llama|tiny-llama.*tiny-gpt2"):
        vector() + random_vector(tiny_model("gpt2"), 1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_direction_with_nan_or_infinity_is_refused(value):
    broken = vector().directions[1].copy()
    broken[3] = value
    with pytest.raises(VectorError, match="layer 1 holds NaN or infinity"):
        replace(vector(), directions={1: broken})


def test_a_vector_without_layers_or_of_another_width_is_refused():
    with pytest.raises(VectorError, match="at least one layer"):
        replace(vector(), directions={})
    with pytest.raises(VectorError, match=r"shape \[5\].*d_model 32"):
        replace(vector(), directions={1: np.zeros(5, dtype=np.float32)})


def test_the_same_checkpoint_under_another_name_is_the_same_model():
    own = tiny_model("llama").fingerprint
    check_same_model(replace(own, name="elsewhere"), own)
    with pytest.raises(VectorError):
        check_same_model(replace(own, sha256="0" * 64), own)


def test_describe_is_json():
    assert json.loads(json.dumps(vector().describe()))["layers"] == [1, 2]


def test_a_vector_error_survives_pickling():
    error = pickle.loads(pickle.dumps(VectorError("one line")))
    assert isinstance(error, VectorError) and str(error) == "one line"


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "vector.safetensors"
    save_vector(vector(), path)
    return path


def facts_of(path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        return json.loads(file.read(size))["__metadata__"]


def test_a_path_may_be_a_text(saved):
    other = str(saved.with_name("other.safetensors"))
    save_vector(load_vector(str(saved)), other)
    assert close(load_vector(other), vector())


def test_saving_over_a_file_replaces_it(saved):
    save_vector(vector(seed=7), saved)
    assert close(load_vector(saved), vector(seed=7))
    assert [path.name for path in saved.parent.iterdir()] == ["vector.safetensors"]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_one_line(saved, share):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(VectorError, match="not a readable safetensors file") as error:
        load_vector(saved)
    assert "\n" not in str(error.value)


def test_a_file_of_something_else_is_one_line(tmp_path):
    (tmp_path / "x.safetensors").write_text("hello, this is not a vector file at all")
    with pytest.raises(VectorError, match="not a readable"):
        load_vector(tmp_path / "x.safetensors")
    save_file({"weight": np.zeros(3, dtype=np.float32)}, tmp_path / "y.safetensors")
    with pytest.raises(VectorError, match="not a steerlab vector"):
        load_vector(tmp_path / "y.safetensors")


def test_a_missing_file_says_how_to_make_one(tmp_path):
    with pytest.raises(VectorError, match="steerlab vector build"):
        load_vector(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model", "{}"),
        ("recipe", "[1, 2]"),
        ("recipe", '{"method": "pca"}'),
        ("residual_norms", "not json"),
        ("agreement", '{"one": 1}'),
        ("agreement", "null"),
    ],
)
def test_a_damaged_header_is_one_line(saved, key, value):
    save_file(load_file(saved), saved, metadata={**facts_of(saved), key: value})
    with pytest.raises(VectorError, match="damaged header") as error:
        load_vector(saved)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("tensors", "expected"),
    [
        ({"direction.1": np.full(32, np.nan, dtype=np.float32)}, "NaN"),
        ({"direction.9": np.ones(32, dtype=np.float32)}, "layer 9 does not exist"),
        ({"direction.1": np.ones((2, 32), dtype=np.float32)}, "shape"),
        ({"weights.1": np.ones(32, dtype=np.float32)}, "unknown tensor"),
        ({"direction.x": np.ones(32, dtype=np.float32)}, "unknown tensor"),
        ({}, "at least one layer"),
    ],
)
def test_a_file_that_no_vector_can_be_is_refused_and_named(saved, tensors, expected):
    save_file(tensors, saved, metadata=facts_of(saved))
    with pytest.raises(VectorError, match=expected) as error:
        load_vector(saved)
    assert str(error.value).startswith(str(saved))
