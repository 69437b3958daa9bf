"""Models held in 8 and 4 bits: steering, capture, cache and batches as in float32; what can't be done says so."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from conftest import random_vector
from steerlab.bake import fold
from steerlab.capturing import capture
from steerlab.errors import InterventionError, MissingExtraError, OptionError
from steerlab.generation import Decoding, generate
from steerlab.hooks import hook_count
from steerlab.interventions import Intervention
from steerlab.models import Model, load_model
from steerlab.readout import answer_log_likelihoods
from steerlab.steering import steer
from steerlab.studies.writing import writing
from steerlab.wave import Cell, wave_log_likelihoods

pytestmark = pytest.mark.filterwarnings("ignore")  # bitsandbytes warns of casts at each matrix product
PROMPTS = ("def read_file(path):\n    return", "x =", "for i in range(10):\n    print(")
ANSWERS = [[" yes", " no"]] * len(PROMPTS)
# 8 bits round each token's activations to 127 steps, so a difference in the last bit of an input can become one step.
SAME = {"4bit": 5e-5, "8bit": 0.1}


@pytest.fixture(scope="module", params=["4bit", "8bit"])
def model(request: pytest.FixtureRequest) -> Model:
    return load_model("embedded", dtype=request.param)


def push(model: Model, layer: int = 2) -> Intervention:
    norm = float(capture(model, ["def f(x):"], layers=[layer], positions="all")[layer].norm())
    return Intervention(vector=random_vector(model, layer), coefficient=norm)


def test_the_weights_are_quantized_and_the_model_says_so(model: Model) -> None:
    kind = {"4bit": "Linear4bit", "8bit": "Linear8bitLt"}[model.dtype_name]
    assert type(model.layers[0].mlp.down_proj).__name__ == kind
    assert model.dtype == torch.float32
    assert set(model.checks.values()) == {"ok"}


def test_steering_adds_the_vector_and_leaves_nothing_behind(model: Model) -> None:
    push_at = push(model)
    before = hook_count(model.network)
    plain = capture(model, PROMPTS, layers=[2, 3], positions="all")
    with steer(model, push_at):
        steered = capture(model, PROMPTS, layers=[2, 3], positions="all")
    again = capture(model, PROMPTS, layers=[2, 3], positions="all")
    added = torch.from_numpy(push_at.vector.directions[2]) * push_at.coefficient
    assert float((steered[2] - plain[2] - added).abs().max()) < 1e-4
    assert float((steered[3] - plain[3] - added).abs().max()) > 0.1  # the twin: the layer above answers to it
    assert torch.equal(again[3], plain[3]) and hook_count(model.network) == before


def test_batches_padding_and_the_cache_change_nothing(model: Model) -> None:
    with steer(model, push(model)):
        together = answer_log_likelihoods(model, PROMPTS, ANSWERS)
        alone = torch.cat([answer_log_likelihoods(model, [p], [a]) for p, a in zip(PROMPTS, ANSWERS, strict=True)])
        written = generate(model, PROMPTS, decoding=Decoding(max_new_tokens=6))
        token_by_token = [generate(model, [p], decoding=Decoding(max_new_tokens=6))[0] for p in PROMPTS]
    assert float((together - alone).abs().max()) < SAME[model.dtype_name]
    if model.dtype_name == "4bit":
        assert written == token_by_token


def test_the_wave_equals_one_run_per_cell(model: Model) -> None:
    cells = [Cell(interventions=(push(model, layer),)) for layer in (0, 3, 5)]
    found = wave_log_likelihoods(model, PROMPTS, ANSWERS, cells=cells).log_likelihoods
    for cell, values in zip(cells, found, strict=True):
        with steer(model, *cell.interventions):
            assert (
                float((answer_log_likelihoods(model, PROMPTS, ANSWERS) - values).abs().max()) < SAME[model.dtype_name]
            )


def test_what_needs_exact_weights_is_refused(model: Model, tmp_path: Path) -> None:
    with pytest.raises(InterventionError, match="held in [48]bit"):
        fold(model, push(model), tmp_path / "folded")
    assert not (tmp_path / "folded").exists()
    with pytest.raises(OptionError, match="vLLM serves the checkpoint as it is"), writing("vllm", model):
        pass


def test_without_bitsandbytes_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "bitsandbytes", None)
    with pytest.raises(MissingExtraError, match=r"steerlab\[quantized\]"):
        load_model("embedded", dtype="4bit")
