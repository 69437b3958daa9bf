"""Capture: the residual that a plain run shows, averaged over the positions, text by text."""

from __future__ import annotations

import gc

import pytest
import torch
from torch import Tensor

from conftest import random_vector, tiny_model
from steerlab import batches
from steerlab.capturing import capture
from steerlab.errors import InterventionError, LayerError, PromptError
from steerlab.interventions import Intervention
from steerlab.models import Model
from steerlab.positions import POSITIONS
from steerlab.steering import steer
from steerlab.tokens import encode, left_padded

PROMPTS = ["def f(x):", "y =", "import os # some more text"]
TEXTS = [f"{prompt}{side}" for prompt, side in zip(PROMPTS, [" return x", "1", "\nos.system(a)"], strict=True)]


def plain_residual(model: Model, text: str, layer: int) -> Tensor:
    with torch.inference_mode():
        batch = left_padded(model, encode(model, [text]))
        return model.network(**batch, output_hidden_states=True).hidden_states[layer + 1][0]


@pytest.mark.parametrize("positions", POSITIONS)
def test_capture_is_the_mean_of_hidden_states_over_the_positions(model, positions):
    found = capture(model, TEXTS, layers=[0, 2], positions=positions, prompts=PROMPTS)
    for layer in (0, 2):
        for at, (text, prompt) in enumerate(zip(TEXTS, PROMPTS, strict=True)):
            residual, n = plain_residual(model, text, layer), len(prompt)
            part = {
                "all": residual,
                "prompt": residual[:n],
                "completion": residual[n:],
                "last_prompt_token": residual[n - 1 : n],
                "from_last_prompt_token": residual[n - 1 :],
            }[positions]
            assert torch.allclose(found[layer][at], part.mean(dim=0), atol=1e-4)


def test_without_prompts_the_whole_text_is_prompt():
    model = tiny_model("llama")
    found = capture(model, TEXTS, layers=[1])[1]
    for at, text in enumerate(TEXTS):
        assert torch.allclose(found[at], plain_residual(model, text, 1)[-1], atol=1e-5)


def test_the_result_is_float32_on_the_cpu_with_a_row_per_text_in_order():
    model = tiny_model("llama")
    texts = [f"{'x' * (at % 7 + 1)}{at}" for at in range(150)]
    found = capture(model, texts, layers=[2, 0])
    assert list(found) == [0, 2]
    assert found[2].shape == (150, 32) and found[2].dtype == torch.float32 and found[2].device.type == "cpu"
    alone = torch.cat([capture(model, [text], layers=[2])[2] for text in texts[:20]])
    assert torch.allclose(found[2][:20], alone, atol=1e-5)
    assert not torch.allclose(found[2][0], found[2][1], atol=1e-2)


def largest_live_bytes(n_texts: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Most bytes of tensors alive at the end of a batch, beyond those before the capture."""
    model = tiny_model("llama")
    monkeypatch.setattr(batches, "MAXIMAL_ROWS", 4)
    capture(model, ["warm"], layers=[0])
    seen: list[int] = []

    def live() -> int:
        gc.collect()
        return sum(t.nbytes for t in gc.get_objects() if issubclass(type(t), Tensor))

    before = live()
    capture(model, ["some text " * 3] * n_texts, layers=[0, 3], progress=lambda _: seen.append(live() - before))
    return max(seen) - 2 * n_texts * model.d_model * 4


def test_memory_grows_by_the_result_only(monkeypatch):
    assert largest_live_bytes(40, monkeypatch) <= largest_live_bytes(8, monkeypatch) + 1024


def test_the_forward_ends_at_the_highest_layer_that_is_wanted():
    model = tiny_model("llama")
    capture(model, TEXTS, layers=[0])
    calls: list[int] = []
    handles = [
        layer.register_forward_hook(lambda *call, at=at: calls.append(at)) for at, layer in enumerate(model.layers)
    ]
    try:
        capture(model, TEXTS, layers=[0, 1])
    finally:
        for handle in handles:
            handle.remove()
    assert 0 in calls and max(calls) <= 1


def test_progress_counts_every_text_once():
    done: list[int] = []
    capture(tiny_model("llama"), TEXTS * 30, layers=[0], progress=done.append)
    assert sum(done) == len(TEXTS) * 30


def test_no_texts_give_no_rows():
    assert capture(tiny_model("llama"), [], layers=[1])[1].shape == (0, 32)


def test_captures_at_a_layer_below_the_steered_one_do_not_move():
    model = tiny_model("llama")
    plain = capture(model, TEXTS, layers=[0, 1, 2])
    with steer(model, Intervention(vector=random_vector(model, 1), coefficient=1.0)):
        steered = capture(model, TEXTS, layers=[0, 1, 2])
    assert torch.equal(plain[0], steered[0])
    assert not torch.allclose(plain[1], steered[1], atol=1e-2)
    assert not torch.allclose(plain[2], steered[2], atol=1e-2)


def test_capture_inside_steer_with_lengths_uses_its_own_lengths():
    model = tiny_model("llama")
    push = Intervention(vector=random_vector(model, 1), coefficient=1.0, positions="completion")
    with steer(model, push):
        expected = capture(model, TEXTS, layers=[2], positions="completion", prompts=PROMPTS)[2]
    with steer(model, push, lengths=[1, 1]):
        assert torch.equal(capture(model, TEXTS, layers=[2], positions="completion", prompts=PROMPTS)[2], expected)


def test_positions_that_select_nothing_are_an_error():
    with pytest.raises(InterventionError, match="is its completion empty"):
        capture(tiny_model("llama"), TEXTS, layers=[0], positions="completion")


def test_wrong_settings_are_one_line_before_anything_runs():
    model = tiny_model("llama")
    with pytest.raises(LayerError, match="layer 9 does not exist"):
        capture(model, TEXTS, layers=[9])
    with pytest.raises(InterventionError, match="Did you mean last_prompt_token"):
        capture(model, TEXTS, layers=[0], positions="last_token")
    with pytest.raises(PromptError, match="1 prompts were given for 3 texts"):
        capture(model, TEXTS, layers=[0], prompts=PROMPTS[:1])
