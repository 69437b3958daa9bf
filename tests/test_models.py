"""Models: the layers are found and checked; what can't be steered is refused with one line."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from conftest import ARCHITECTURES, byte_tokenizer, half_model, random_network, random_vector, save_tiny, tiny_model
from steerlab.capturing import capture
from steerlab.errors import LayerError, ModelError
from steerlab.generation import Decoding, generate
from steerlab.interventions import Intervention
from steerlab.model_checks import check_behaviour
from steerlab.models import Model, check_layers, find_layers, inspect_model, load_model
from steerlab.steering import steer

PROMPTS = ["def f(x):", "x", "import os; os"]
PATHS = {"gpt_bigcode": "transformer.h", "gpt2": "transformer.h", "gpt_neox": "gpt_neox.layers"}


def refused(call) -> str:
    with pytest.raises(ModelError) as error:
        call()
    message = str(error.value)
    assert "\n" not in message and len(message) < 450
    return message


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_layers_are_found_and_every_check_passes(architecture):
    model = tiny_model(architecture)
    assert model.layers_path == PATHS.get(architecture, "model.layers")
    assert (model.n_layers, model.d_model, model.d_vocab, model.context) == (4, 32, 260, 512)
    assert model.head is model.network.get_output_embeddings()
    assert model.checks == dict.fromkeys(
        ("layer_called_once", "output_shape", "matches_hidden_states", "edit_moves_logits", "causal", "padding"), "ok"
    )


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_saved_model_loads_as_itself_tied_or_not(architecture, tmp_path):
    loaded = load_model(str(save_tiny(architecture, tmp_path)), device="cpu")
    assert loaded.fingerprint.sha256 == tiny_model(architecture).fingerprint.sha256
    assert generate(loaded, PROMPTS) == generate(tiny_model(architecture), PROMPTS)
    for tied in (True, False):
        network = random_network(architecture, tie_word_embeddings=tied)
        network.save_pretrained(tmp_path / str(tied))
        byte_tokenizer().save_pretrained(tmp_path / str(tied))
        assert load_model(str(tmp_path / str(tied)), device="cpu").n_layers == 4


def test_the_fingerprint_is_of_the_weights_not_of_the_dtype():
    assert tiny_model("llama").fingerprint.sha256 == half_model("llama").fingerprint.sha256
    other = random_network("llama")
    with torch.no_grad():
        other.get_input_embeddings().weight[0, 0] += 1.0
    assert inspect_model(other, byte_tokenizer(), name="x").fingerprint.sha256 != tiny_model("llama").fingerprint.sha256


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "auto"])
def test_the_dtype_is_what_was_asked_for(dtype, tmp_path):
    loaded = load_model(str(save_tiny("llama", tmp_path)), dtype=dtype, device="cpu")
    assert loaded.dtype == (torch.bfloat16 if dtype == "bfloat16" else torch.float32)


class Wrapper(nn.Module):
    """As some repositories wrap a model: keywords are handed on, nothing else is offered."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, **given: object) -> object:
        return self.model(**given)


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_a_wrapped_model_is_steered_as_the_model_inside(architecture):
    network, plain = random_network(architecture), tiny_model(architecture)
    wrapped = inspect_model(Wrapper(network).eval(), byte_tokenizer(), name="wrapped")
    assert wrapped.layers_path == f"model.{plain.layers_path}"
    assert wrapped.accepts_position_ids and wrapped.fingerprint.sha256 == plain.fingerprint.sha256
    push = Intervention(vector=random_vector(plain, 1), coefficient=1.0)
    how = Decoding(max_new_tokens=4)
    with steer(plain, push), steer(wrapped, push):
        assert generate(wrapped, PROMPTS, decoding=how) == generate(plain, PROMPTS, decoding=how)


class TupleLayer(nn.Module):
    """A decoder layer as transformers 4 had it: its output is a tuple."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *args: object, **given: object) -> tuple[Tensor, str]:
        return (self.inner(*args, **given), "kept")


class Untuple(nn.Module):
    """Hands on the first part of a tuple, and checks that the rest has come through."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *args: object, **given: object) -> Tensor:
        residual, rest = self.inner(*args, **given)
        assert rest == "kept"
        return residual


def test_layers_that_give_tuples_are_steered_and_read_as_those_that_give_tensors():
    plain = tiny_model("llama")
    network = random_network("llama")
    layers = [TupleLayer(layer) for layer in network.model.layers]
    network.model.layers = nn.ModuleList(Untuple(layer) for layer in layers)
    found = inspect_model(network, byte_tokenizer(), name="tuples")
    tuples = Model(**{**vars(found), "layers": tuple(layers)})
    push = Intervention(vector=random_vector(found, 1), coefficient=1.0)
    ours = Intervention(vector=random_vector(plain, 1), coefficient=1.0)
    with steer(tuples, push), steer(plain, ours):
        seen, expected = (capture(model, PROMPTS, layers=[0, 2]) for model in (tuples, plain))
    assert all(torch.equal(seen[layer], expected[layer]) for layer in (0, 2))
    assert not torch.equal(seen[2], capture(plain, PROMPTS, layers=[2])[2])


def test_of_several_module_lists_the_decoder_layers_are_chosen():
    network = random_network("llama")
    network.probes = nn.ModuleList(nn.Linear(2, 2) for _ in range(4))
    for layer in network.model.layers:
        layer.parts = nn.ModuleList(nn.Linear(64, 64) for _ in range(4))
    assert inspect_model(network, byte_tokenizer(), name="x").layers_path == "model.layers"


def test_an_unknown_layout_says_what_was_looked_for():
    network = random_network("llama")
    network.model.layers = nn.ModuleList(network.model.layers[:3])
    message = refused(lambda: inspect_model(network, byte_tokenizer(), name="odd"))
    assert "no list of 4 decoder layers" in message and "model.layers (3)" in message and "LAYER_PATHS" in message
    bare = nn.Linear(2, 2)
    assert "no module lists at all" in refused(lambda: find_layers(bare, n_layers=4, model_type="x", name="odd"))
    assert "transformers" in refused(lambda: inspect_model(bare, byte_tokenizer(), name="odd"))


def checks_of(network: nn.Module, layers: object, **changes: object) -> dict[str, str]:
    settings = {"d_model": 32, "d_vocab": 260, "accepts_position_ids": True, "device": torch.device("cpu"), **changes}
    return check_behaviour(network, tuple(layers), **settings)


def test_layers_in_another_order_fail_the_check():
    network = random_network("llama")
    assert "ran as" in checks_of(network, reversed(network.model.layers))["layer_called_once"]


def test_modules_that_are_no_decoder_layers_fail_the_check():
    network = random_network("llama")
    norms = checks_of(network, [layer.input_layernorm for layer in network.model.layers])
    assert "differs from hidden_states" in norms["matches_hidden_states"]
    assert "gives [1, 6, 48]" in checks_of(network, [x.mlp.up_proj for x in network.model.layers])["output_shape"]


def test_positions_that_ignore_padding_fail_the_check():
    network = random_network("gpt2")
    assert "padding on the left changes" in checks_of(network, network.transformer.h, accepts_position_ids=False)["padding"]  # fmt: skip  # noqa: E501


def test_a_network_that_sees_later_tokens_fails_the_check():
    network = random_network("llama")
    for layer in network.model.layers:
        attention = layer.self_attn
        forward = attention.forward

        def seeing(*args: object, forward=forward, **given: object) -> object:
            given["attention_mask"] = torch.zeros(1, 1, 1, 1)
            return forward(*args, **given)

        attention.forward = seeing
    assert "not a causal LM" in checks_of(network, network.model.layers)["causal"]


def test_a_network_that_fails_gives_its_reason():
    network = random_network("llama")
    network.model.norm.register_forward_hook(lambda *call: torch.ones(3))
    assert "forward over six tokens failed" in checks_of(network, network.model.layers)["forward"]


def test_a_layer_that_is_not_there_is_named_with_those_that_are():
    for layer in (4, -1):
        with pytest.raises(LayerError, match=rf"layer {layer} does not exist: tiny-llama has layers 0\.\.3"):
            check_layers(tiny_model("llama"), [0, layer])


def test_a_model_lives_no_longer_than_its_last_reference():
    model = inspect_model(random_network("llama"), byte_tokenizer(), name="short")
    generate(model, PROMPTS, decoding=Decoding(max_new_tokens=1))
    network = weakref.ref(model.network)
    del model
    gc.collect()
    assert network() is None


# Loading what is not there, not whole, or not ours


def test_a_missing_directory_and_one_without_a_config_are_one_line(tmp_path):
    assert "does not exist" in refused(lambda: load_model(str(tmp_path / "none")))
    assert "does not exist" in refused(lambda: load_model("./none"))
    assert "no config.json" in refused(lambda: load_model(str(tmp_path)))


def test_an_unreadable_config_is_one_line(tmp_path):
    save_tiny("llama", tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "lla')
    assert "could not be loaded" in refused(lambda: load_model(str(tmp_path)))
    (tmp_path / "config.json").write_text('{"model_type": "never-heard-of"}')
    assert "never-heard-of" in refused(lambda: load_model(str(tmp_path)))


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_truncated_weights_are_one_line(share, tmp_path):
    weights = save_tiny("llama", tmp_path) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: int(weights.stat().st_size * share)])
    assert "could not be loaded" in refused(lambda: load_model(str(tmp_path)))


def test_missing_weights_are_counted_and_named(tmp_path):
    weights = save_tiny("llama", tmp_path) / "model.safetensors"
    kept = {name: tensor for name, tensor in load_file(weights).items() if "layers.2" not in name}
    save_file(kept, weights, metadata={"format": "pt"})
    message = refused(lambda: load_model(str(tmp_path)))
    assert "half written: 9 weights are missing, the first is model.layers.2." in message


def test_a_missing_shard_is_one_line(tmp_path):
    random_network("llama").save_pretrained(tmp_path, max_shard_size="40KB")
    byte_tokenizer().save_pretrained(tmp_path)
    shards = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(shards) > 1
    shards[-1].unlink()
    assert "could not be loaded" in refused(lambda: load_model(str(tmp_path)))


def test_a_missing_tokenizer_is_one_line(tmp_path):
    random_network("llama").save_pretrained(tmp_path)
    assert "could not be loaded" in refused(lambda: load_model(str(tmp_path)))


SMALL = {
    "vocab_size": 260,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}


def test_an_encoder_is_refused_by_name(tmp_path):
    transformers.BertModel(transformers.BertConfig(**SMALL)).save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    assert "not a causal LM (BertModel)" in refused(lambda: load_model(str(tmp_path)))
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "architectures": ["BertLMHeadModel"]}))
    assert refused(lambda: load_model(str(tmp_path)))


def test_an_encoder_decoder_is_refused_by_name(tmp_path):
    config = transformers.T5Config(vocab_size=260, d_model=32, d_ff=32, d_kv=8, num_layers=2, num_heads=2)
    transformers.T5ForConditionalGeneration(config).save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    assert "not a causal LM (T5ForConditionalGeneration)" in refused(lambda: load_model(str(tmp_path)))


def test_an_unknown_dtype_or_device_is_one_line(tmp_path):
    assert "Did you mean bfloat16" in refused(lambda: load_model("x", dtype="bfloat"))
    save_tiny("llama", tmp_path)
    assert "cannot be used" in refused(lambda: load_model(str(tmp_path), device="warp"))


@pytest.mark.parametrize("surroundings", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}])
def test_a_hub_name_without_a_network_is_one_line_without_long_waiting(surroundings, tmp_path):
    program = (
        "import time; from steerlab.models import load_model\n"
        "from steerlab.errors import ModelError\n"
        "from transformers import AutoModelForCausalLM\n"
        "begun = time.monotonic()\n"
        "try: load_model('nobody/nothing-here')\n"
        "except ModelError as error: print(error)\n"
        "assert time.monotonic() - begun < 15, time.monotonic() - begun\n"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**kept, "HF_HOME": str(tmp_path), **surroundings},
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (
        done.stdout.count("\n") == 1 and "nobody/nothing-here" in done.stdout and "hub does not answer" in done.stdout
    )
