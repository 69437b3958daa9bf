"""Leaving with the result, as a user types it: vector export and import, bake, equivalence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import peer_files
from conftest import random_vector, save_tiny
from steerlab.formats.safetensors_file import load_vector, save_vector
from steerlab.models import load_model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("qwen2", tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def vector(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vector") / "v.safetensors"
    save_vector(random_vector(load_model(str(tiny), device="cpu"), 1, 2), path)
    return path


def test_a_vector_goes_out_as_gguf_and_comes_back(steerlab, vector, tmp_path):
    code, out, err = steerlab("vector", "export", vector, "--format", "gguf", "--out", tmp_path / "v.gguf", "--json")
    assert code == 0 and json.loads(out)["format"] == "gguf", err
    code, out, err = steerlab("vector", "import", tmp_path / "v.gguf", "--out", tmp_path / "w.safetensors", "--json")
    assert code == 0, err
    assert load_vector(tmp_path / "w.safetensors").describe() == load_vector(vector).describe()
    ours, theirs = (load_vector(path).directions for path in (vector, tmp_path / "w.safetensors"))
    assert {at: row.tobytes() for at, row in ours.items()} == {at: row.tobytes() for at, row in theirs.items()}


def test_a_vector_of_another_tool_is_bound_to_a_model_and_then_steers(steerlab, tiny, tmp_path):
    rows = {layer: np.ones(32, dtype=np.float32) for layer in (1, 2)}
    (tmp_path / "v.gguf").write_bytes(peer_files.llama_cpp_gguf(rows))
    given = ("vector", "import", tmp_path / "v.gguf", "--out", tmp_path / "w.safetensors")
    code, _, err = steerlab(*given)
    assert code == 1 and "--producer" in err and err.count("\n") == 1
    assert steerlab(*given, "--producer", "llama.cpp")[0] == 0
    generate = ("generate", "--model", tiny, "--vector", tmp_path / "w.safetensors", "--max-new-tokens", 2, "int f(")
    code, _, err = steerlab(*generate)
    assert code == 1 and "vector import" in err
    assert steerlab(*given, "--producer", "llama.cpp", "--model", tiny)[0] == 0
    assert steerlab(*generate)[0] == 0
    assert load_vector(tmp_path / "w.safetensors").layers == (1, 2)


def test_bake_writes_a_directory_that_steers_by_itself(steerlab, tiny, vector, tmp_path):
    given = ("bake", "--model", tiny, "--vector", vector, "--coefficient", 4)
    code, out, err = steerlab(*given, "--out", tmp_path / "folded", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["relative"] < 1e-4 and found["moved"] > 0.1
    assert found["directory"] == str(tmp_path / "folded")
    assert load_model(str(tmp_path / "folded"), device="cpu").fingerprint.model_type == "llama"
    code, out, _ = steerlab(*given, "--layers", 2, "--operation", "ablate", "--coefficient", 1, "--out", tmp_path / "a")
    assert code == 0 and "they ablate less than this" in out
    code, _, err = steerlab(*given, "--out", tmp_path / "folded")
    assert code == 1 and "exists already" in err and err.count("\n") == 1


def test_equivalence_prints_one_table(steerlab, tiny, vector):
    given = ("equivalence", "--model", tiny, "--vector", vector, "--coefficient", 2, "--engines", "hooks,folded")
    code, out, err = steerlab(*given)
    assert code == 0 and "20 of 20" in out and "reference" in out and "Steering itself changes" in out, err
    code, out, _ = steerlab(*given, "--json")
    found = {result["engine"]: result for result in json.loads(out)["results"]}
    assert code == 0 and found["folded"]["status"] == "equal" and found["folded"]["largest_difference"] < 1e-3


def test_wrong_options_are_one_line(steerlab, tiny, vector, tmp_path):
    for arguments, said in (
        (("vector", "export", vector, "--out", tmp_path / "v.bin"), "--format"),
        (("vector", "export", vector, "--out", tmp_path / "v.pt"), "read only"),
        (("vector", "import", vector, "--out", tmp_path / "w.safetensors", "--layers", "all"), "--layers"),
        (("equivalence", "--model", tiny, "--vector", vector, "--engines", "hooks,vlm"), "Did you mean vllm"),
        (("bake", "--model", tiny, "--vector", vector, "--operation", "clamp", "--out", tmp_path / "o"), "depends on"),
    ):
        code, out, err = steerlab(*arguments)
        assert code == 1 and said in err and err.count("\n") == 1 and out == ""
