"""Models larger than a device: layers on disk or elsewhere, and compiled layers, are steered and captured the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers

from conftest import byte_tokenizer, random_network, random_vector, save_tiny, tiny_model
from steerlab.bake import fold
from steerlab.capturing import capture
from steerlab.errors import ModelError
from steerlab.generation import Decoding, generate
from steerlab.interventions import Intervention
from steerlab.models import Model, inspect_model
from steerlab.readout import answer_log_likelihoods
from steerlab.steering import steer

PROMPTS = ("def f(x):\n    return", "char *p;", "import os\nos.system(arg")


@pytest.fixture(scope="module")
def offloaded(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The tiny Qwen2 with two of its layers, norm and head on disk, loaded by accelerate when they run."""
    folder = tmp_path_factory.mktemp("offloaded")
    save_tiny("qwen2", folder / "model")
    places = {"model.embed_tokens": "cpu", "model.rotary_emb": "cpu", "model.norm": "disk", "lm_head": "disk"}
    places |= {f"model.layers.{layer}": "disk" if layer % 2 else "cpu" for layer in range(4)}
    network = transformers.AutoModelForCausalLM.from_pretrained(
        folder / "model", device_map=places, offload_folder=folder / "offload", dtype=torch.float32
    )
    assert any(parameter.device.type == "meta" for parameter in network.parameters())
    return inspect_model(network.eval(), byte_tokenizer(), name="tiny-qwen2-offloaded")


def push(model: Model) -> Intervention:
    return Intervention(vector=random_vector(model, 1, 2), coefficient=2.0)


@pytest.mark.filterwarnings("ignore")
def test_layers_on_disk_are_steered_and_captured_as_in_memory(offloaded: Model) -> None:
    whole, layers, how = tiny_model("qwen2"), range(4), Decoding(max_new_tokens=6)
    theirs, ours = capture(whole, PROMPTS, layers=layers), capture(offloaded, PROMPTS, layers=layers)
    assert all(torch.allclose(ours[layer], theirs[layer], atol=1e-5) for layer in layers)
    plain = generate(whole, PROMPTS, decoding=how)
    wanted = generate(whole, PROMPTS, decoding=how, rows=[(push(whole),)] * 3)
    assert wanted != plain
    assert generate(offloaded, PROMPTS, decoding=how) == plain
    assert generate(offloaded, PROMPTS, decoding=how, rows=[(push(offloaded),)] * 3) == wanted
    answers = [("y", "n")] * 3
    with steer(whole, push(whole)), steer(offloaded, push(offloaded)):
        assert torch.allclose(
            answer_log_likelihoods(offloaded, PROMPTS, answers),
            answer_log_likelihoods(whole, PROMPTS, answers),
            atol=1e-4,
        )


def test_weights_that_are_on_disk_are_not_folded(offloaded: Model, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="load it on one device"):
        fold(offloaded, push(offloaded), tmp_path / "out")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_network_with_compiled_layers_is_steered_the_same() -> None:
    network = random_network("llama")
    plain = inspect_model(network, byte_tokenizer(), name="tiny-llama")
    wanted = generate(plain, PROMPTS, decoding=Decoding(max_new_tokens=4), rows=[(push(plain),)] * 3)
    other = random_network("llama")
    for layer in other.model.layers:
        layer.compile(backend="eager")  # the compiler's graph capture, without a C++ build
    compiled = inspect_model(other, byte_tokenizer(), name="tiny-llama")
    found = generate(compiled, PROMPTS, decoding=Decoding(max_new_tokens=4), rows=[(push(compiled),)] * 3)
    assert found == wanted != generate(plain, PROMPTS, decoding=Decoding(max_new_tokens=4))
    torch._dynamo.reset()
