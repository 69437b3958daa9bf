"""Screening: one backward pass gives what finite differences give, at every layer, for every direction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from conftest import byte_tokenizer, half_model, random_network, random_vector, tiny_model
from steerlab.errors import InterventionError, LayerError, OptionError, PromptError, VectorError
from steerlab.hooks import hook_count
from steerlab.interventions import Intervention
from steerlab.models import Model, inspect_model
from steerlab.readout import answer_log_likelihoods
from steerlab.screening import Candidate, Screening, most_promising, rank_agreement, screen
from steerlab.steering import steer, steer_rows
from steerlab.tokens import encode
from steerlab.wave import Cell, wave_log_likelihoods

# Longer and shorter than the sliding window of 8.
PROMPTS = ("def f(x):\n    return x + 1  # one", "x =", "import os\nos.system(arg")
SINGLE, SPELLED = ("Y", "N"), ("yes", "not safe")
FAMILIES = ["llama", "gpt2", "gemma2", "mistral", "starcoder2"]
POSITIONS = ["all", "prompt", "last_prompt_token", "from_last_prompt_token", "completion"]


@pytest.fixture(params=FAMILIES)
def double(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Model:
    """The same random model in float64, also where transformers computes in float32 by name (norms, eager softmax)."""
    network = random_network(request.param).double()
    monkeypatch.setattr(torch, "float32", torch.float64)
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    return inspect_model(network, byte_tokenizer(), name=f"double-{request.param}")


@contextmanager
def pushed(model: Model, layer: int, push: Tensor, first: int, last: int) -> Iterator[None]:
    """`push` added to tokens first..last of the layer's output by a plain torch hook, in the network's data type."""

    def hook(_: object, __: object, output: Tensor) -> Tensor:
        moved = output.clone()
        moved[:, first : last + 1] += push
        return moved

    handle = model.layers[layer].register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def margin(model: Model, prompt: str, answers: Sequence[str]) -> float:
    """Log-likelihood of answer A minus that of B, one unpadded forward each, in the network's data type."""
    (head,), values = encode(model, [prompt]), []
    for answer in answers:
        tail = list(answer.encode())
        row = torch.tensor([[*head, *model.tokenizer(answer, add_special_tokens=False)["input_ids"]]])
        with torch.no_grad():
            chances = model.network(input_ids=row).logits[0].log_softmax(dim=-1)
        values.append(sum(float(chances[len(head) - 1 + at, row[0, len(head) + at]]) for at in range(len(tail))))
    return values[0] - values[1]


def steered_span(positions: str, n_prompt: int) -> tuple[int, int]:
    return {
        "all": (0, 10**6),
        "prompt": (0, n_prompt - 1),
        "last_prompt_token": (n_prompt - 1, n_prompt - 1),
        "from_last_prompt_token": (n_prompt - 1, 10**6),
        "completion": (n_prompt, 10**6),
    }[positions]


@pytest.mark.parametrize("answers", [SINGLE, SPELLED])
@pytest.mark.parametrize("positions", ["all", "from_last_prompt_token"])
def test_effects_are_the_finite_differences_of_the_margin_in_float64(double, positions, answers):
    vectors = [random_vector(double, *range(double.n_layers), seed=seed, norm=1.0) for seed in (1, 2)]
    found = screen(double, PROMPTS, [answers] * 3, vectors, positions=positions)
    assert found.effects.shape == (3, double.n_layers, 2) and found.effects.dtype == torch.float64
    step, largest = 1e-5, 0.0
    for i, prompt in enumerate(PROMPTS):
        first, last = steered_span(positions, len(encode(double, [prompt])[0]))
        assert float(found.margins[i]) == pytest.approx(margin(double, prompt, answers), abs=1e-9)
        for layer in range(double.n_layers):
            for number, vector in enumerate(vectors):
                push = step * torch.from_numpy(vector.directions[layer].astype(np.float64))
                sides = []
                for sign in (1, -1):
                    with pushed(double, layer, sign * push, first, last):
                        sides.append(margin(double, prompt, answers))
                expected = (sides[0] - sides[1]) / (2 * step)
                largest = max(largest, abs(float(found.effects[i, layer, number]) - expected))
    print(f"{double.name} {positions}: largest difference {largest:.1e}, effects up to {found.effects.abs().max():.2f}")
    assert largest < 1e-7
    assert found.effects.abs().min() > 1e-6


@pytest.mark.parametrize("positions", POSITIONS)
def test_effects_are_those_of_steer_and_readout_for_every_kind_of_positions(positions):
    model, step = tiny_model("llama"), 0.01
    vector = random_vector(model, 1, norm=1.0)
    found = screen(model, PROMPTS, [SPELLED] * 3, [vector], positions=positions)
    sides = []
    for sign in (step, -step):
        with steer(model, Intervention(vector=vector, coefficient=sign, positions=positions)):
            read = answer_log_likelihoods(model, PROMPTS, [SPELLED] * 3)
        sides.append(read[:, 0] - read[:, 1])
    expected = (sides[0] - sides[1]) / (2 * step)
    assert torch.allclose(found.effects[:, 0, 0], expected, atol=5e-3, rtol=5e-3)
    assert expected.abs().max() > 0.05


def test_neither_company_nor_padding_changes_an_effect(double):
    vectors = [random_vector(double, 0, 2, seed=3)]
    together = screen(double, PROMPTS, [SPELLED] * 3, vectors, positions="all")
    for i, prompt in enumerate(PROMPTS):
        alone = screen(double, [prompt], [SPELLED], vectors, positions="all")
        assert torch.allclose(alone.effects[0], together.effects[i], atol=1e-10)
        assert torch.allclose(alone.margins[0], together.margins[i], atol=1e-10)
    assert not torch.allclose(together.effects[0], together.effects[1], atol=1e-3)


def test_every_architecture_can_be_screened_and_small_steps_come_out_as_predicted(model):
    vectors = [random_vector(model, *range(model.n_layers), seed=5, norm=1.0)]
    found = screen(model, PROMPTS, [SINGLE] * 3, vectors)
    size = 0.005
    cells = [
        Cell(interventions=(Intervention(vector=vectors[0].at([layer]), coefficient=sign * size, positions="from_last_prompt_token"),))  # noqa: E501
        for layer in range(model.n_layers)
        for sign in (1, -1)
    ]  # fmt: skip
    exact = wave_log_likelihoods(model, PROMPTS, [SINGLE] * 3, cells=cells).log_likelihoods
    margins = exact[..., 0] - exact[..., 1]
    slopes = ((margins[::2] - margins[1::2]) / (2 * size)).T
    assert torch.allclose(found.effects[..., 0], slopes, atol=0.02)
    assert slopes.abs().max() > 0.1


def test_prompts_and_answers_may_mix_in_one_call_and_keep_their_order():
    model = tiny_model("gpt2")
    vectors = [random_vector(model, 1)]
    prompts = ["x" * (at % 9 + 1) + str(at) for at in range(40)]
    answers = [(SINGLE, SPELLED)[at % 2] for at in range(40)]
    found = screen(model, prompts, answers, vectors)
    backwards = screen(model, prompts[::-1], answers[::-1], vectors)
    assert torch.allclose(found.effects, backwards.effects.flip(0), atol=1e-3, rtol=1e-3)
    assert not torch.allclose(found.effects, backwards.effects, atol=0.1)


def test_effects_are_linear_in_the_direction_and_a_swapped_margin_flips_them():
    model = tiny_model("llama")
    one, two = (random_vector(model, 0, 3, seed=seed) for seed in (1, 2))
    found = screen(model, PROMPTS, [SINGLE] * 3, [one, two, 2 * one + (-1) * two])
    assert torch.allclose(found.effects[..., 2], 2 * found.effects[..., 0] - found.effects[..., 1], atol=1e-4)
    swapped = screen(model, PROMPTS, [SINGLE[::-1]] * 3, [one, two])
    assert torch.allclose(swapped.effects, -found.effects[..., :2], atol=1e-4)


def test_a_dose_in_residual_norms_scales_the_effect_and_missing_layers_are_nan():
    model = tiny_model("llama")
    one, two = random_vector(model, 1, norm=2.0), random_vector(model, 3, seed=1)
    raw = screen(model, PROMPTS, [SINGLE] * 3, [one, two])
    dosed = screen(model, PROMPTS, [SINGLE] * 3, [one, two], dose="residual_norm")
    assert raw.layers == (1, 3)
    assert torch.allclose(dosed.effects[:, 0, 0], raw.effects[:, 0, 0] * 5.0 / 2.0, rtol=1e-4)
    assert raw.effects[:, 0, 1].isnan().all() and raw.effects[:, 1, 0].isnan().all()
    assert not raw.effects[:, 1, 1].isnan().any()


def test_inside_steer_the_effect_is_that_of_more_steering():
    model, step = tiny_model("llama"), 0.01
    below, vector = random_vector(model, 0, seed=4), random_vector(model, 2, norm=1.0)
    outer = Intervention(vector=below, coefficient=1.0)
    plain = screen(model, PROMPTS, [SINGLE] * 3, [vector], positions="all")
    sides = []
    with steer(model, outer):
        found = screen(model, PROMPTS, [SINGLE] * 3, [vector], positions="all")
        for sign in (step, -step):
            with steer(model, Intervention(vector=vector, coefficient=sign)):
                read = answer_log_likelihoods(model, PROMPTS, [SINGLE] * 3)
            sides.append(read[:, 0] - read[:, 1])
    assert torch.allclose(found.effects[:, 0, 0], (sides[0] - sides[1]) / (2 * step), atol=5e-3, rtol=5e-3)
    assert not torch.allclose(found.effects, plain.effects, atol=0.01)


def test_no_gradients_are_left_and_requires_grad_is_as_before_also_after_an_error(monkeypatch):
    model = inspect_model(random_network("llama"), byte_tokenizer(), name="own")
    for number, parameter in enumerate(model.network.parameters()):
        parameter.requires_grad_(number % 2 == 0)
    before = [parameter.requires_grad for parameter in model.network.parameters()]
    hooks = hook_count(model.network)

    def check() -> None:
        assert [parameter.requires_grad for parameter in model.network.parameters()] == before
        assert all(parameter.grad is None for parameter in model.network.parameters())
        assert hook_count(model.network) == hooks

    with torch.inference_mode():  # a caller may well be inside one
        found = screen(model, PROMPTS, [SINGLE] * 3, [random_vector(model, 1)])
    assert found.effects.abs().max() > 0 and not found.effects.requires_grad and not found.margins.requires_grad
    check()

    def broken(*_: object, **__: object) -> Tensor:
        raise RuntimeError("broken layer")

    monkeypatch.setitem(vars(model.layers[3]), "forward", broken)
    with pytest.raises(RuntimeError, match="broken layer"):
        screen(model, PROMPTS, [SINGLE] * 3, [random_vector(model, 1)])
    check()


def test_small_batches_give_the_same_effects_as_large_ones(monkeypatch):
    model = tiny_model("llama")
    vectors = [random_vector(model, 1, 2)]
    together = screen(model, PROMPTS, [SPELLED] * 3, vectors)
    monkeypatch.setattr("steerlab.screening.free_bytes", lambda _: 0)
    one_by_one = screen(model, PROMPTS, [SPELLED] * 3, vectors)
    assert torch.allclose(together.effects, one_by_one.effects, atol=1e-4)


def test_a_bfloat16_model_gives_float32_effects_near_those_of_float32():
    half, full = half_model("llama"), tiny_model("llama")
    found = screen(half, PROMPTS, [SINGLE] * 3, [random_vector(half, 1, 2)])
    exact = screen(full, PROMPTS, [SINGLE] * 3, [random_vector(full, 1, 2)])
    assert found.effects.dtype == torch.float32
    assert np.corrcoef(found.effects.flatten(), exact.effects.flatten())[0, 1] > 0.95


def test_most_promising_ranks_by_mean_effect_and_leaves_out_what_is_not_there():
    effects = torch.tensor([[[1.0, -4.0], [torch.nan, 0.5]], [[3.0, -2.0], [torch.nan, 0.5]]])
    screening = Screening(effects=effects, margins=torch.zeros(2), layers=(3, 7))
    best = [Candidate(layer=3, direction=1, effect=-3.0), Candidate(layer=3, direction=0, effect=2.0)]
    assert most_promising(screening, 2) == best
    assert len(most_promising(screening, 9)) == 3
    assert most_promising(screening, 9, sign="positive") == [best[1], Candidate(layer=7, direction=1, effect=0.5)]
    assert most_promising(screening, 9, sign="negative") == [best[0]]
    with pytest.raises(OptionError, match="at least 1"):
        most_promising(screening, 0)


def test_rank_agreement_is_spearmans_of_the_means_with_an_interval_that_narrows():
    generator = np.random.default_rng(0)
    truth = generator.normal(size=20)
    widths = []
    for n in (8, 200):
        exact = truth + generator.normal(size=(n, 20))
        screened = truth + 2 * generator.normal(size=(n, 20))
        found = rank_agreement(screened, exact)
        expected = stats.spearmanr(screened.mean(axis=0), exact.mean(axis=0)).statistic
        assert found.value == pytest.approx(expected) and found.n == n
        assert found.low is not None and found.high is not None and found.low <= found.high
        widths.append(found.high - found.low)
    assert widths[1] < widths[0] / 2
    flipped = rank_agreement(-truth[None].repeat(3, axis=0), truth[None].repeat(3, axis=0))
    assert flipped.value == pytest.approx(-1.0)


def test_rank_agreement_leaves_out_cells_that_one_side_lacks_and_refuses_too_few():
    exact = np.random.default_rng(0).normal(size=(5, 6))
    screened = exact.copy()
    screened[:, 4] = np.nan
    found = rank_agreement(screened, exact)
    assert (found.value, found.n_unscored) == (pytest.approx(1.0), 1)
    constant = rank_agreement(np.ones((5, 6)), exact)
    assert (constant.value, constant.low) == (None, None)
    with pytest.raises(OptionError, match="at least 3"):
        rank_agreement(screened[:, 2:5], exact[:, 2:5])
    with pytest.raises(OptionError, match="same cells"):
        rank_agreement(screened[:, 2:], exact)


def test_on_small_doses_screening_ranks_cells_as_the_exact_map_does():
    model = tiny_model("llama")
    vectors = [random_vector(model, *range(model.n_layers), seed=seed, norm=1.0) for seed in range(6)]
    found = screen(model, PROMPTS, [SINGLE] * 3, vectors)
    cells = [
        Cell(interventions=(Intervention(vector=vector.at([layer]), coefficient=0.05, positions="from_last_prompt_token"),))  # noqa: E501
        for layer in range(model.n_layers)
        for vector in vectors
    ]  # fmt: skip
    exact = wave_log_likelihoods(model, PROMPTS, [SINGLE] * 3, cells=[Cell(), *cells]).log_likelihoods
    margins = exact[..., 0] - exact[..., 1]
    moved = (margins[1:] - margins[0]).T.numpy()
    agreement = rank_agreement(found.effects.flatten(1).numpy(), moved)
    print(f"rank agreement {agreement.value:.3f} [{agreement.low:.3f}, {agreement.high:.3f}]")
    assert agreement.value is not None and agreement.value > 0.98
    best = most_promising(found, 1)[0]
    strongest = int(np.abs(moved.mean(axis=0)).argmax())
    assert (best.layer, best.direction) == divmod(strongest, len(vectors))


def test_what_cannot_be_screened_is_one_line():
    model = tiny_model("llama")
    vector = random_vector(model, 1)
    with pytest.raises(OptionError, match="no vectors"):
        screen(model, PROMPTS, [SINGLE] * 3, [])
    with pytest.raises(PromptError, match="no prompts"):
        screen(model, [], [], [vector])
    with pytest.raises(PromptError, match="between two"):
        screen(model, PROMPTS, [("a", "b", "c")] * 3, [vector])  # type: ignore[list-item]
    with pytest.raises(LayerError, match="layer 9"):
        screen(model, PROMPTS, [SINGLE] * 3, [vector], layers=[1, 9])
    with pytest.raises(VectorError, match="built for"):
        screen(tiny_model("qwen2"), PROMPTS, [SINGLE] * 3, [vector])
    with pytest.raises(PromptError, match="context of 512"):
        screen(model, ["x" * 512], [SPELLED], [vector])
    with steer_rows(model, [()]), pytest.raises(InterventionError, match="screen batches"):
        screen(model, PROMPTS, [SINGLE] * 3, [vector])
