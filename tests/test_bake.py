"""Promise P13: folded weights give the logits of hooks, or folding is refused with the reason and leaves nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor

from conftest import ARCHITECTURES, byte_tokenizer, half_model, loaded_model, random_network, random_vector, tiny_model
from steerlab.bake import everywhere, fold
from steerlab.bake.checking import SAME
from steerlab.bake.writers import last_adders
from steerlab.errors import InterventionError, RunError, VectorError
from steerlab.gates import Gate
from steerlab.generation import Decoding, generate
from steerlab.hooks import hook_count
from steerlab.interventions import Intervention
from steerlab.models import Model, inspect_model, load_model
from steerlab.steering import steer

REFUSED = {
    "add": {"gemma2": "A norm stands between", "mistral": "sliding window of 8", "qwen2_moe": "a router"},
    "ablate": {"gemma2": "A norm stands between", "qwen2_moe": "a router"},
}
REWRITTEN = {"qwen2", "llama", "embedded", "stories260K"}
PROMPTS = ("def f(x):\n    return", "x = [1, 2", "char *p = malloc(")


def push(model: Model, *layers: int, coefficient: float = 1.5, dose: str = "absolute") -> Intervention:
    return Intervention(
        vector=random_vector(model, *layers),
        coefficient=coefficient,
        dose=dose,  # type: ignore[arg-type]
    )


def removal(model: Model) -> Intervention:
    return Intervention(vector=everywhere(random_vector(model, 1), model), coefficient=1.0, operation="ablate")


def logits(model: Model, seed: int = 5) -> Tensor:
    tokens = torch.randint(model.d_vocab, (3, 70), generator=torch.Generator().manual_seed(seed))
    with torch.inference_mode():
        return model.network(input_ids=tokens, attention_mask=torch.ones_like(tokens), use_cache=False).logits.float()


def relative(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.std())


@pytest.mark.parametrize("name", [*ARCHITECTURES, "stories260K", "embedded"])
def test_p13_a_folded_vector_gives_the_logits_of_hooks_or_is_refused(name, tmp_path):
    model = loaded_model(name)
    intervention = push(model, 1, model.n_layers - 1, dose="residual_norm")
    if name in REFUSED["add"]:
        with pytest.raises(InterventionError, match=REFUSED["add"][name]) as error:
            fold(model, intervention, tmp_path / "out")
        assert "\n" not in str(error.value) and not list(tmp_path.iterdir())
        return
    plain, hooks = logits(model), hook_count(model.network)
    folded = fold(model, intervention, tmp_path / "out")
    loaded = load_model(str(tmp_path / "out"), device="cpu")
    with steer(model, intervention):
        wanted = logits(model)
        (expected,) = generate(model, PROMPTS[:1], decoding=Decoding(max_new_tokens=8))
    assert relative(logits(loaded), wanted) < SAME and folded.relative < SAME
    assert relative(wanted, plain) > 0.05 and folded.moved > 0.05  # the twin: steering moves the logits
    assert torch.equal(logits(model), plain) and hook_count(model.network) == hooks
    assert generate(loaded, PROMPTS[:1], decoding=Decoding(max_new_tokens=8))[0].tokens == expected.tokens
    kind = json.loads((tmp_path / "out" / "config.json").read_text())["model_type"]
    assert kind == ("llama" if name in REWRITTEN else model.network.config.model_type)


QUICK = ("gpt2", "llama", "gpt_neox", "gemma2", "qwen2_moe")  # one of each kind; the others with the slow tests


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ARCHITECTURES]
)
def test_p13_a_folded_ablation_gives_the_logits_of_hooks_at_every_write(name, tmp_path):
    model = loaded_model(name)
    if name in REFUSED["ablate"]:
        with pytest.raises(InterventionError, match=REFUSED["ablate"][name]):
            fold(model, removal(model), tmp_path / "out")
        assert not list(tmp_path.iterdir())
        return
    folded = fold(model, removal(model), tmp_path / "out")
    assert folded.relative < SAME and folded.moved > 0.05
    assert folded.from_layer_hooks is not None and folded.from_layer_hooks > SAME  # it is another, stronger ablation
    loaded = load_model(str(tmp_path / "out"), device="cpu")
    direction = torch.from_numpy(random_vector(model, 1).directions[1])
    assert float((loaded.embedding.weight.detach().double() @ direction.double()).abs().max()) < 1e-4


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_p13_coefficient_0_folds_to_the_same_logits_bit_for_bit(name, tmp_path):
    model = tiny_model(name)
    folded = fold(model, push(model, 1, coefficient=0.0), tmp_path / "out")
    assert folded.difference == 0.0 and folded.changed == () and folded.moved == 0.0
    assert torch.equal(logits(load_model(str(tmp_path / "out"), device="cpu")), logits(model))


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_in_bfloat16_the_rounding_is_said(name, tmp_path):
    model = half_model(name)
    folded = fold(model, push(model, 1, 3), tmp_path / "out")
    assert folded.dtype == "bfloat16" and folded.difference > 0
    assert f"differ from those of hooks at the outputs of the layers by at most {folded.difference:.3g}" in (
        tmp_path / "out" / "README.md"
    ).read_text("utf-8")
    assert {tensor.dtype for tensor in load_file(tmp_path / "out" / "model.safetensors").values()} == {torch.bfloat16}


def test_only_the_last_writer_of_a_sequential_block_is_last_and_both_of_a_parallel_one_are():
    assert last_adders(tiny_model("gpt2"), 1) == [tiny_model("gpt2").layers[1].mlp.c_proj]
    assert len(last_adders(tiny_model("gpt_neox"), 1)) == 2


@pytest.mark.parametrize("window", [None, 512, 4096])
def test_a_mistral_without_a_window_that_cuts_is_folded(window, tmp_path):
    model = tiny_model("mistral", sliding_window=window)
    assert fold(model, push(model, 1), tmp_path / "out").relative < SAME


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("qwen2", {"tie_word_embeddings": True}),
        ("qwen2", {"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "rope_theta": 1e5,
                                       "original_max_position_embeddings": 128}}),
        ("llama", {"tie_word_embeddings": True, "rms_norm_eps": 1e-3}),
        ("llama", {"attention_bias": True}),
        ("llama", {"attention_bias": True, "mlp_bias": True}),
        ("llama", {"hidden_act": "gelu", "head_dim": 16}),
        ("mistral", {"sliding_window": None, "head_dim": 16, "rms_norm_eps": 1e-3}),
    ],
)  # fmt: skip
def test_every_setting_of_the_llama_family_is_taken_over(name, changes, tmp_path):
    network = random_network(name, **changes)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter.normal_(mean=0.5, std=0.3)  # norms and biases that would show when lost
    model = inspect_model(network, byte_tokenizer(), name="varied")
    assert fold(model, push(model, 0, 3), tmp_path / "out").relative < SAME


def test_a_network_that_only_looks_like_a_llama_is_refused_by_its_behaviour(tmp_path):
    config = transformers.GraniteConfig(
        vocab_size=260, hidden_size=32, intermediate_size=48, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, residual_multiplier=0.7, logits_scaling=2.0,
    )  # fmt: skip
    torch.manual_seed(0)
    model = inspect_model(transformers.GraniteForCausalLM(config).eval(), byte_tokenizer(), name="granite")
    with pytest.raises(InterventionError, match="can't be folded"):
        fold(model, push(model, 1), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_weights_that_do_not_do_what_hooks_do_leave_nothing_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("steerlab.bake.checking.SAME", 1e-12)
    model = tiny_model("gpt2")
    with pytest.raises(InterventionError, match="give other logits than hooks") as error:
        fold(model, push(model, 1), tmp_path / "deep" / "out")
    assert "\n" not in str(error.value) and not list((tmp_path / "deep").iterdir())


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"positions": "last_prompt_token"}, "weights steer every position alike"),
        ({"positions": "completion"}, "weights steer every position alike"),
        ({"operation": "clamp"}, "depends on the residual"),
        ({"operation": "add_preserving_norm"}, "depends on the residual"),
        ({"operation": "ablate", "coefficient": 0.5}, "coefficient 1 and the same direction at all layers"),
        ({"operation": "ablate", "coefficient": 1.0}, "coefficient 1 and the same direction at all layers"),
    ],
)
def test_what_no_weights_can_do_is_refused_with_the_reason(changes, expected, tmp_path):
    model = tiny_model("gpt2")
    with pytest.raises(InterventionError, match=expected):
        fold(model, replace(push(model, 1), **changes), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_gate_can_not_be_folded(tmp_path):
    model = tiny_model("gpt2")
    gate = Gate(condition=random_vector(model, 1), layer=1, threshold=0.0)
    with pytest.raises(InterventionError, match="gated"):
        fold(model, replace(push(model, 1), gate=gate), tmp_path / "out")


def test_a_vector_of_another_model_and_an_existing_directory_are_refused(tmp_path):
    with pytest.raises(VectorError):
        fold(tiny_model("gpt2"), push(tiny_model("llama"), 1), tmp_path / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(RunError, match="exists already"):
        fold(tiny_model("gpt2"), push(tiny_model("gpt2"), 1), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_ablation_needs_to_know_which_direction():
    with pytest.raises(InterventionError, match="--layers"):
        everywhere(random_vector(tiny_model("gpt2"), 1, 2), tiny_model("gpt2"))


def test_the_card_says_what_was_folded(tmp_path):
    model = tiny_model("qwen2")
    fold(model, push(model, 1, coefficient=2.0), tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "coefficient 2" in card and "layer 1: a constant of L2 norm 6" in card and model.fingerprint.sha256 in card
    assert "rewritten as a Llama with mlp_bias" in card


def test_only_the_tensors_that_are_named_differ(tmp_path):
    model = tiny_model("starcoder2")
    folded = fold(model, push(model, 1, 2), tmp_path / "out")
    before, after = model.network.state_dict(), load_file(tmp_path / "out" / "model.safetensors")
    assert {name for name, tensor in after.items() if not torch.equal(tensor, before[name])} == set(folded.changed)
    assert np.isclose(float((after[folded.changed[0]] - before[folded.changed[0]]).norm()), 4.5, atol=1e-5)


def test_the_folded_checkpoint_is_a_plain_directory(tmp_path):
    model = tiny_model("llama")
    fold(model, push(model, 1), tmp_path / "out")
    names = {path.name for path in Path(tmp_path / "out").iterdir()}
    assert names >= {"config.json", "model.safetensors", "tokenizer.json", "README.md"}
    assert oct((tmp_path / "out").stat().st_mode & 0o777) == "0o755"
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in (tmp_path / "out").iterdir())
    loaded = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert type(loaded).__name__ == "LlamaForCausalLM" and loaded.config.mlp_bias
