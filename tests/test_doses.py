"""Doses and side effects: KL and perplexity by hand, residual-norm units there and back, iso-KL on its budget."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from conftest import half_model, loaded_model, random_vector, tiny_model
from steerlab.capturing import capture
from steerlab.doses import in_residual_norms, iso_kl, raw_coefficient, with_residual_norms
from steerlab.embedded import MODEL_NAME
from steerlab.errors import InterventionError, OptionError, PromptError
from steerlab.gates import Gate
from steerlab.hooks import hook_count
from steerlab.interventions import Intervention
from steerlab.models import Model
from steerlab.side_effects import side_effects, text_sums
from steerlab.steering import steer, steer_rows
from steerlab.tokens import encode
from steerlab.vectors import SteeringVector

# Longer and shorter than the sliding window of 8.
TEXTS = ("def f(x):\n    return x + 1\n", "import os\nprint(os.path)", "x = 1", "for i in range(10):\n    print(i)")


def add(vector: SteeringVector, coefficient: float, positions: str = "all") -> Intervention:
    return Intervention(vector=vector, coefficient=coefficient, positions=positions)


def by_hand(model: Model, text: str, push: Intervention, *, prompt_tokens: int) -> tuple[float, float, float]:
    """KL(unsteered || steered), steered and unsteered loss, summed over the predictions, without batch or padding."""
    (row,) = encode(model, [text])
    tokens = torch.tensor([row])
    with torch.inference_mode():
        p = model.network(input_ids=tokens).logits[0].double().log_softmax(dim=-1)
        with steer(model, push, lengths=[prompt_tokens]):
            q = model.network(input_ids=tokens).logits[0].double().log_softmax(dim=-1)
    kl = loss = unsteered = 0.0
    for at in range(prompt_tokens - 1, len(row) - 1):
        kl += sum(math.exp(a) * (a - b) for a, b in zip(p[at].tolist(), q[at].tolist(), strict=True))
        loss, unsteered = loss - float(q[at, row[at + 1]]), unsteered - float(p[at, row[at + 1]])
    return kl, loss, unsteered


@pytest.mark.parametrize(("positions", "prompt_tokens"), [("all", 1), ("completion", 3), ("from_last_prompt_token", 3)])
def test_kl_and_losses_are_those_by_hand_over_real_tokens_only(model, positions, prompt_tokens):
    push = add(random_vector(model, 1, 2), 1.0, positions)
    found = text_sums(model, TEXTS, [[push]], prompt_tokens=prompt_tokens)
    for at, text in enumerate(TEXTS):
        kl, loss, unsteered = by_hand(model, text, push, prompt_tokens=prompt_tokens)
        assert found.kl[0, at] == pytest.approx(kl, rel=1e-3)
        assert found.loss[0, at] == pytest.approx(loss, rel=1e-4)
        assert found.unsteered_loss[at] == pytest.approx(unsteered, rel=1e-4)
        assert found.n_tokens[at] == len(encode(model, [text])[0]) - prompt_tokens


def test_coefficient_0_costs_nothing_and_larger_doses_cost_more(model):
    vector = random_vector(model, 1)
    cells = [[add(vector, coefficient)] for coefficient in (0.0, 0.03, 0.1, 0.3)]
    found = side_effects(model, TEXTS, cells)
    kls = [one.kl.value for one in found]
    assert kls[0] == 0.0 and found[0].perplexity_ratio.value == 1.0
    assert kls == sorted(kls) and kls[1] > 0
    assert kls[2] / kls[1] == pytest.approx((0.1 / 0.03) ** 2, rel=0.25)  # small doses: the square


def test_side_effects_are_ratios_over_all_tokens_with_intervals_over_texts():
    model = tiny_model("llama")
    push = add(random_vector(model, 1), 1.0)
    (found,) = side_effects(model, TEXTS, [[push]])
    sums = text_sums(model, TEXTS, [[push]])
    n = sums.n_tokens.sum()
    assert found.n_tokens == n
    assert found.kl.value == pytest.approx(sums.kl.sum() / n)
    assert found.perplexity_steered.value == pytest.approx(math.exp(sums.loss.sum() / n))
    assert found.perplexity_unsteered.value == pytest.approx(math.exp(sums.unsteered_loss.sum() / n))
    assert found.perplexity_ratio.value == pytest.approx(math.exp((sums.loss - sums.unsteered_loss).sum() / n))
    for estimate in (found.kl, found.perplexity_ratio, found.perplexity_steered):
        assert estimate.low is not None and estimate.high is not None
        assert estimate.low < estimate.value < estimate.high and estimate.n == len(TEXTS)


def test_company_padding_and_small_batches_change_nothing(model, monkeypatch):
    push = add(random_vector(model, 1, 3), 1.0)
    together = text_sums(model, TEXTS, [[push], []])
    assert (together.kl[1] == 0).all() and np.array_equal(together.loss[1], together.unsteered_loss)
    for at, text in enumerate(TEXTS):
        alone = text_sums(model, [text], [[push]])
        assert alone.kl[0, 0] == pytest.approx(together.kl[0, at], rel=1e-3)
    monkeypatch.setattr("steerlab.side_effects.free_bytes", lambda _: 0)
    monkeypatch.setattr("steerlab.side_effects.TOKENS_AT_ONCE", 4)
    assert np.allclose(text_sums(model, TEXTS, [[push]]).kl[0], together.kl[0], rtol=1e-3)
    assert not np.allclose(together.kl[0, :-1], together.kl[0, 1:], rtol=0.05)


def test_a_bfloat16_model_has_its_softmax_in_float32_and_is_near():
    half, full = half_model("llama"), tiny_model("llama")
    found = text_sums(half, TEXTS, [[add(random_vector(half, 1), 1.0)]])
    exact = text_sums(full, TEXTS, [[add(random_vector(full, 1), 1.0)]])
    assert found.kl.sum() == pytest.approx(exact.kl.sum(), rel=0.1)
    assert text_sums(half, TEXTS, [[add(random_vector(half, 1), 0.0)]]).kl.tolist() == [[0.0] * len(TEXTS)]


def test_gated_side_effects_are_those_of_the_texts_that_fire():
    model = tiny_model("llama")
    condition = random_vector(model, 1, seed=7)
    heads = [text[:4] for text in TEXTS]
    draft = Gate(condition=condition, layer=1, threshold=0.0)
    values = draft.projection(capture(model, heads, layers=[1])[1])
    gate = replace(draft, threshold=float(values.sort().values[1:3].mean()))
    push = add(random_vector(model, 2), 1.0)
    plain, gated = (text_sums(model, TEXTS, [[replace(push, gate=one)]], prompt_tokens=4).kl[0] for one in (None, gate))
    assert np.array_equal(gated, np.where(gate.fires(values).numpy(), plain, 0.0)) and 0 < (gated > 0).sum() < 4


def test_texts_that_cannot_be_read_are_one_line():
    model = tiny_model("llama")
    push = [add(random_vector(model, 1), 1.0)]
    with pytest.raises(PromptError, match="no texts"):
        side_effects(model, [], [push])
    with pytest.raises(PromptError, match="1 of 2 texts have no more than 5 tokens, the first is number 1"):
        side_effects(model, ["abcdefgh", "abc"], [push], prompt_tokens=5)
    with pytest.raises(OptionError, match="not positive"):
        side_effects(model, TEXTS, [push], prompt_tokens=0)
    with steer_rows(model, [()]), pytest.raises(InterventionError, match="side_effects batches"):
        side_effects(model, TEXTS, [push])


@given(st.floats(0.01, 50), st.floats(0.1, 20), st.sampled_from([1, -1]))
def test_residual_norm_units_are_the_length_that_is_added_and_convert_back(units, norm, sign):
    vector = random_vector(tiny_model("llama"), 1, norm=norm)  # residual norm 5
    raw = raw_coefficient(vector, 1, residual_norms=sign * units)
    assert raw * np.linalg.norm(vector.directions[1]) == pytest.approx(sign * units * 5.0, rel=1e-5)
    assert in_residual_norms(vector, 1, coefficient=raw) == pytest.approx(sign * units, rel=1e-9)


def test_residual_norms_are_measured_as_capture_sees_them():
    model = tiny_model("llama")
    vector = replace(random_vector(model, 0, 2), residual_norms={})
    with pytest.raises(InterventionError, match="no residual norm for layer 2"):
        raw_coefficient(vector, 2, residual_norms=1.0)
    with pytest.raises(InterventionError, match="no direction at layer 1"):
        raw_coefficient(vector, 1, residual_norms=1.0)
    found = with_residual_norms(model, vector, TEXTS)
    expected = capture(model, TEXTS, layers=[2])[2].norm(dim=1).mean()
    assert found.residual_norms[2] == pytest.approx(float(expected), rel=1e-5)
    assert raw_coefficient(found, 2, residual_norms=1.0) == pytest.approx(float(expected) / vector.norm(2), rel=1e-5)


@pytest.mark.parametrize("budget", [0.001, 0.05, 0.2])
@pytest.mark.parametrize("sign", [1, -1])
def test_iso_kl_hits_its_budget(model, budget, sign):
    vector = random_vector(model, 1)
    found = iso_kl(model, vector, TEXTS, budget, sign=sign)
    print(f"{model.name} {budget}: coefficient {found.coefficient:.4g}, {found.n_evaluations} readings")
    assert found.reason == "" and found.coefficient is not None and math.copysign(1, found.coefficient) == sign
    (again,) = side_effects(model, TEXTS, [[add(vector, found.coefficient)]])
    assert again.kl.value == pytest.approx(budget, rel=0.02) and again.kl == found.effects.kl
    assert found.last_tried == found.coefficient and found.n_evaluations <= 10


def test_iso_kl_of_the_flipped_or_scaled_vector_is_the_same_dose():
    model = tiny_model("llama")
    vector = random_vector(model, 1, 2)
    there = iso_kl(model, vector, TEXTS, 0.1, tolerance=0.001).coefficient
    assert iso_kl(model, -vector, TEXTS, 0.1, sign=-1, tolerance=0.001).coefficient == pytest.approx(-there, rel=1e-3)
    assert iso_kl(model, 10 * vector, TEXTS, 0.1, tolerance=0.001).coefficient == pytest.approx(there / 10, rel=1e-2)
    other = iso_kl(model, vector, TEXTS, 0.1, sign=-1, tolerance=0.001).coefficient
    assert abs(other + there) > 1e-3 * there  # the two signs are not mirror images


def test_iso_kl_takes_positions_operations_gates_and_vectors_without_residual_norms():
    model = tiny_model("gpt2")
    vector = replace(random_vector(model, 1), residual_norms={})
    gate = Gate(condition=random_vector(model, 1, seed=5), layer=1, threshold=-1e6)
    for settings in (
        {"positions": "completion", "prompt_tokens": 2},
        {"operation": "add_preserving_norm"},
        {"gate": gate},
    ):
        found = iso_kl(model, vector, TEXTS, 0.05, **settings)
        assert found.effects.kl.value == pytest.approx(0.05, rel=0.02)
    assert found.coefficient == iso_kl(model, vector, TEXTS, 0.05).coefficient  # that gate fires on every text


def test_a_budget_out_of_reach_says_so_and_gives_no_coefficient():
    model = tiny_model("llama")
    vector, hooks = random_vector(model, 1), hook_count(model.network)
    far = iso_kl(model, vector, TEXTS, 1e4)
    assert far.coefficient is None and "at the largest size" in far.reason and "below the budget" in far.reason
    assert far.last_tried == pytest.approx(32 * raw_coefficient(vector, 1, residual_norms=1.0))
    near = iso_kl(model, vector, TEXTS, 1e-3, bracket=(1.0, 2.0))
    assert near.coefficient is None and "above the budget" in near.reason and near.last_tried == 1.0
    none = iso_kl(model, vector, TEXTS, 0.1, gate=Gate(condition=vector, layer=1, threshold=1e6))
    assert none.coefficient is None and none.effects.kl.value == 0.0
    few = iso_kl(model, vector, TEXTS, 0.3, max_evaluations=1)
    assert few.coefficient is None and "after 1 readings" in few.reason
    assert hook_count(model.network) == hooks


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"budget": 0.0}, "positive nats"),
        ({"budget": 0.1, "sign": 2}, "1 or -1"),
        ({"budget": 0.1, "bracket": (2.0, 1.0)}, "0 < first < second"),
        ({"budget": 0.1, "operation": "clamp"}, "no dose that grows"),
    ],
)
def test_a_search_that_is_not_possible_is_one_line(settings, expected):
    budget, sign = settings.pop("budget"), settings.pop("sign", 1)
    with pytest.raises((OptionError, TypeError) if sign == 2 else OptionError, match=expected):
        iso_kl(tiny_model("llama"), random_vector(tiny_model("llama"), 1), TEXTS, budget, sign=sign, **settings)


def test_the_how_to_page_runs_as_it_is_printed(capsys):
    loaded_model(MODEL_NAME)  # skips where the embedded model is absent
    page = Path(__file__).parents[1].joinpath("docs", "how-to", "doses-and-gates.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "doses-and-gates.md", "exec"), names)
    said = capsys.readouterr().out
    print(said)
    assert len(blocks) == 5 and said.count("per mean residual norm") == 3 and "perplexity x" in said
    dose, completions = names["dose"], names["completions"]
    assert dose.effects.kl.value == pytest.approx(0.05, rel=0.02)  # type: ignore[attr-defined]
    assert len(completions) == 12  # type: ignore[arg-type]
