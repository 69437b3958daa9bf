"""Gates: a row is steered only where its own last prompt token fires; the rest is left as it is, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score
from torch import Tensor

from conftest import random_vector, tiny_model
from steerlab.capturing import capture
from steerlab.errors import DataError, InterventionError, VectorError, ZeroDirectionError
from steerlab.gates import Gate, choose_threshold
from steerlab.generation import Decoding, generate
from steerlab.hooks import hook_count
from steerlab.interventions import Intervention
from steerlab.models import Model
from steerlab.readout import answer_log_likelihoods
from steerlab.steering import check, steer, steer_rows
from steerlab.tokens import encode, left_padded
from steerlab.wave import Cell, wave_log_likelihoods

# Lengths in tokens from 3 to 35: padded, shorter and longer than the sliding window of 8.
PROMPTS = (
    "def f(x):\n    return x + 1  # one",
    "x =",
    "import os\nos.system(arg",
    "for i in range(10): print",
    "char *p;",
)
AT = 1  # the gate's layer
N_NEW = 8
SAME = 5e-5
EVERY_POSITION = pytest.mark.parametrize("positions", ["all", "from_last_prompt_token"])


def projections(model: Model, gate: Gate, prompts: Sequence[str] = PROMPTS) -> Tensor:
    return gate.projection(capture(model, prompts, layers=[gate.layer])[gate.layer])


def halving_gate(model: Model, *, comparison: str = "above", layer: int = AT, seed: int = 7) -> Gate:
    """A gate that fires on some of the prompts, in the middle of the widest gap between their projections."""
    gate = Gate(condition=random_vector(model, layer, seed=seed), layer=layer, threshold=0.0, comparison=comparison)
    values = projections(model, gate).sort().values
    gaps = values.diff()[1:-1]  # at least two on either side
    at = int(gaps.argmax()) + 1
    return replace(gate, threshold=float(values[at : at + 2].mean()))


def gated(model: Model, gate: Gate | None, *, positions: str = "all", seed: int = 0, layers: Sequence[int] = (2, 3)) -> Intervention:  # fmt: skip  # noqa: E501
    vector = random_vector(model, *layers, seed=seed, norm=6.0)
    return Intervention(vector=vector, coefficient=1.0, positions=positions, gate=gate)


def logits(model: Model, prompts: Sequence[str] = PROMPTS) -> Tensor:
    with torch.inference_mode():
        return model.network(**left_padded(model, encode(model, prompts)), use_cache=False).logits


def endless(model: Model) -> Model:
    return replace(model, eos_token_ids=())


@EVERY_POSITION
@pytest.mark.parametrize("comparison", ["above", "below"])
def test_rows_that_fire_are_steered_and_the_others_are_bit_equal_to_unsteered(model, positions, comparison):
    gate = halving_gate(model, comparison=comparison)
    fires = gate.fires(projections(model, gate))
    assert 2 <= int(fires.sum()) <= 3
    plain = logits(model)
    with steer(model, gated(model, gate, positions=positions)):
        found = logits(model)
    with steer(model, gated(model, None, positions=positions)):
        steered = logits(model)
    real = left_padded(model, encode(model, PROMPTS))["attention_mask"] == 1
    for row, fired in enumerate(fires.tolist()):
        expected, other = (steered, plain) if fired else (plain, steered)
        if model.fingerprint.model_type == "qwen2_moe":  # experts batch the tokens of all rows: company rounds
            assert torch.allclose(found[row][real[row]], expected[row][real[row]], atol=SAME)
        else:
            assert torch.equal(found[row][real[row]], expected[row][real[row]])
        assert not torch.allclose(found[row, -1], other[row, -1], atol=1e-2)


@EVERY_POSITION
def test_company_padding_and_cache_change_nothing_of_a_gated_generation(model, positions):
    model = endless(model)
    gate = halving_gate(model)
    push, how = gated(model, gate, positions=positions), Decoding(max_new_tokens=N_NEW)
    together = generate(model, PROMPTS, decoding=how, rows=[(push,)] * len(PROMPTS))
    with steer(model, push):
        assert [c.tokens for c in generate(model, PROMPTS, decoding=how)] == [c.tokens for c in together]
    plain = generate(model, PROMPTS, decoding=how)
    steered = generate(model, PROMPTS, decoding=how, rows=[(replace(push, gate=None),)] * len(PROMPTS))
    fires = gate.fires(projections(model, gate)).tolist()
    for at, prompt in enumerate(PROMPTS):
        assert generate(model, [prompt], decoding=how, rows=[(push,)])[0].tokens == together[at].tokens
        assert together[at].tokens == (steered if fires[at] else plain)[at].tokens
        assert uncached(model, prompt, push) == list(together[at].tokens)
    assert [c.tokens for c in plain] != [c.tokens for c in steered]


def uncached(model: Model, prompt: str, push: Intervention) -> list[int]:
    """Greedy decoding of the growing text with a full forward per token."""
    (row,) = encode(model, [prompt])
    head = len(row)
    with steer(model, push, lengths=[head]), torch.inference_mode():
        for _ in range(N_NEW):
            chosen = model.network(**left_padded(model, [row]), use_cache=False).logits[0, -1].argmax()
            row = [*row, int(chosen)]
    return row[head:]


def test_the_decision_is_the_prompts_whatever_is_written_later():
    model = endless(tiny_model("llama"))
    gate = halving_gate(model)
    push, how = gated(model, gate, positions="completion"), Decoding(max_new_tokens=N_NEW)
    written = generate(model, PROMPTS, decoding=how, rows=[(push,)] * len(PROMPTS))
    texts = [prompt + completion.text for prompt, completion in zip(PROMPTS, written, strict=True)]
    later = gate.fires(projections(model, gate, texts))
    assert not torch.equal(later, gate.fires(projections(model, gate)))  # a gate that went on reading would differ
    steered = generate(model, PROMPTS, decoding=how, rows=[(replace(push, gate=None),)] * len(PROMPTS))
    plain = generate(model, PROMPTS, decoding=how)
    expected = [(s if f else p).tokens for s, p, f in zip(steered, plain, gate.fires(projections(model, gate)), strict=True)]  # fmt: skip  # noqa: E501
    assert [completion.tokens for completion in written] == expected


@pytest.mark.parametrize("way", ["steer", "rows"])
def test_decisions_follow_their_rows_when_others_leave_early(way):
    model = endless(tiny_model("llama"))
    gate = halving_gate(model)
    push = gated(model, gate)
    free = generate(model, PROMPTS, decoding=Decoding(max_new_tokens=N_NEW), rows=[(push,)] * len(PROMPTS))
    first = encode(model, PROMPTS)  # rows of a batch stand longest first: end one of the first and one in the middle
    order = sorted(range(len(PROMPTS)), key=lambda i: -len(first[i]))
    ends = {free[order[0]].tokens[1], free[order[2]].tokens[2]}
    ending = replace(model, eos_token_ids=tuple(sorted(ends)))
    how = Decoding(max_new_tokens=N_NEW)
    if way == "rows":
        found = generate(ending, PROMPTS, decoding=how, rows=[(push,)] * len(PROMPTS))
    else:
        with steer(ending, push):
            found = generate(ending, PROMPTS, decoding=how)
    lengths = {len(completion.tokens) for completion in found}
    assert len(lengths) > 1
    for completion, whole in zip(found, free, strict=True):
        assert completion.tokens == whole.tokens[: len(completion.tokens)]


def test_the_gate_agrees_with_capture_where_it_reads_the_layer_that_is_steered():
    model = tiny_model("llama")
    gate = halving_gate(model, layer=2)
    plain = logits(model)
    with steer(model, gated(model, gate, layers=(2, 3))):
        found = logits(model)
    moved = [not torch.equal(found[row, -1], plain[row, -1]) for row in range(len(PROMPTS))]
    assert moved == gate.fires(projections(model, gate)).tolist()


def test_the_gate_sees_what_is_steered_below_it():
    model = tiny_model("llama")
    gate = halving_gate(model, layer=2)
    along = replace(random_vector(model, 1), directions={1: 100 * gate.condition.directions[2]})
    lift = Intervention(vector=along, coefficient=1.0)
    with steer(model, lift):
        fires, base = gate.fires(projections(model, gate)), logits(model)
    assert bool(fires.all())
    for nested in (False, True):
        if nested:
            with steer(model, lift), steer(model, gated(model, gate)):
                found = logits(model)
        else:
            with steer(model, lift, gated(model, gate)):
                found = logits(model)
        assert all(not torch.equal(found[row, -1], base[row, -1]) for row in range(len(PROMPTS)))


def test_every_row_may_have_a_gate_of_its_own_or_none():
    model = tiny_model("gemma2")
    one, two = halving_gate(model, seed=7), halving_gate(model, seed=8, comparison="below", layer=2)
    pushes = [gated(model, one), gated(model, two, seed=1), gated(model, None), gated(model, one, seed=2)]
    rows = [(pushes[0],), (pushes[1],), (), (pushes[2], pushes[1]), (pushes[3], pushes[0])]
    with steer_rows(model, rows):
        found = logits(model)
    read = answer_log_likelihoods(model, PROMPTS, [("Y", "N")] * 5, rows=rows)
    for at, (prompt, own) in enumerate(zip(PROMPTS, rows, strict=True)):
        kept = tuple(
            replace(push, gate=None)
            for push in own
            if push.gate is None or bool(push.gate.fires(projections(model, push.gate, [prompt])))
        )
        with steer(model, *kept):
            assert torch.allclose(found[at, -1], logits(model, [prompt])[0, -1], atol=SAME)
            alone = answer_log_likelihoods(model, [prompt], [("Y", "N")])
        assert torch.allclose(read[at], alone[0], atol=SAME)


def test_a_new_prompt_is_decided_anew_inside_the_same_block():
    model = tiny_model("llama")
    gate = halving_gate(model)
    fires = gate.fires(projections(model, gate)).tolist()
    on, off = PROMPTS[fires.index(True)], PROMPTS[fires.index(False)]
    plain = {prompt: logits(model, [prompt]) for prompt in (on, off)}
    with steer(model, gated(model, gate)):
        for prompt in (on, off, on, off):
            assert torch.equal(logits(model, [prompt]), plain[prompt]) == (prompt == off)


def test_it_works_inside_transformers_own_generate():
    model = endless(tiny_model("qwen2"))
    push = gated(model, halving_gate(model))
    batch = left_padded(model, encode(model, PROMPTS))
    batch.pop("position_ids")
    with steer(model, push):
        theirs = model.network.generate(**batch, max_new_tokens=N_NEW, min_new_tokens=N_NEW, do_sample=False)
        ours = generate(model, PROMPTS, decoding=Decoding(max_new_tokens=N_NEW))
    same = [theirs[at, -N_NEW:].tolist() == list(own.tokens) for at, own in enumerate(ours)]
    assert sum(same) >= len(PROMPTS) - 1, "min_new_tokens forbids eos there: one row may differ by that"


def test_a_prompt_in_pieces_is_refused_before_its_end_is_read_and_right_after():
    model = tiny_model("llama")
    gate = halving_gate(model)
    (row,) = encode(model, [PROMPTS[0]])
    tokens = torch.tensor([row])

    def fed_in_pieces() -> Tensor:
        with torch.inference_mode():
            start = model.network(input_ids=tokens[:, :9], use_cache=True)
            return model.network(input_ids=tokens[:, 9:], past_key_values=start.past_key_values).logits

    with steer(model, gated(model, gate), lengths=[len(row)]):
        logits(model, [PROMPTS[0]])  # an older decision must not be taken for the new one
        with pytest.raises(InterventionError, match=r"has not read the last prompt token of 1 rows"):
            fed_in_pieces()
    with steer(model, gated(model, gate, positions="from_last_prompt_token"), lengths=[len(row)]):
        found, whole = fed_in_pieces()[0, -1], logits(model, [PROMPTS[0]])[0, -1]
    assert torch.allclose(found, whole, atol=SAME)
    fires = bool(gate.fires(projections(model, gate, [PROMPTS[0]]))[0])
    assert torch.allclose(found, logits(model, [PROMPTS[0]])[0, -1], atol=SAME) != fires


def test_hooks_are_gone_after_the_block_also_after_an_error():
    model = tiny_model("llama")
    before = hook_count(model.network)
    with steer(model, gated(model, halving_gate(model))):
        assert hook_count(model.network) > before
    with pytest.raises(RuntimeError, match="mine"), steer(model, gated(model, halving_gate(model))):
        raise RuntimeError("mine")
    assert hook_count(model.network) == before


def test_the_wave_reads_gates_as_steer_does():
    model, answers = tiny_model("llama"), [("Y", "N")] * len(PROMPTS)
    push = gated(model, halving_gate(model), positions="from_last_prompt_token")
    cells = [Cell(interventions=(push,)), Cell(interventions=(replace(push, gate=None),))]
    found = wave_log_likelihoods(model, PROMPTS, answers, cells=cells).log_likelihoods
    with steer(model, push):
        assert torch.allclose(found[0], answer_log_likelihoods(model, PROMPTS, answers), atol=SAME)
    assert not torch.allclose(found[0], found[1], atol=1e-2)


def test_whoever_does_not_say_that_it_reads_gates_refuses_them():
    model = tiny_model("llama")
    check(model, [gated(model, None)])
    check(model, [gated(model, halving_gate(model))], gates="possible")
    with pytest.raises(InterventionError, match="gates are not read"):
        check(model, [gated(model, halving_gate(model))])


def test_a_gate_that_is_not_possible_is_one_line():
    model = tiny_model("llama")
    vector = random_vector(model, 2, 3)
    late = Gate(condition=random_vector(model, 3), layer=3, threshold=0.0)
    with pytest.raises(InterventionError, match="reads layer 3, but the vector steers layer 2 already"):
        Intervention(vector=vector, coefficient=1.0, gate=late)
    Intervention(vector=vector.at([3]), coefficient=1.0, gate=late)
    with pytest.raises(InterventionError, match="no direction at layer 0"):
        Gate(condition=vector, layer=0, threshold=0.0)
    with pytest.raises(InterventionError, match="not a finite number"):
        Gate(condition=vector, layer=2, threshold=float("nan"))
    with pytest.raises(ZeroDirectionError, match="norm 0"):
        Gate(condition=1e-9 * vector, layer=2, threshold=0.0)
    other = Gate(condition=random_vector(tiny_model("qwen2"), 1), layer=1, threshold=0.0)
    with pytest.raises(VectorError, match="built for"), steer(model, replace(gated(model, None), gate=other)):
        pass


def test_only_the_angle_of_the_condition_matters():
    model = tiny_model("llama")
    gate = halving_gate(model)
    scaled = replace(gate, condition=5.0 * gate.condition)
    assert torch.allclose(projections(model, gate), projections(model, scaled), atol=1e-5)
    flipped = replace(gate, condition=-gate.condition, threshold=-gate.threshold, comparison="below")
    assert torch.equal(flipped.fires(projections(model, flipped)), gate.fires(projections(model, gate)))
    assert not bool(gate.fires(torch.tensor(float("nan"))))


VALUES = st.lists(st.integers(-20, 20).map(float), min_size=1, max_size=12)


@given(VALUES, VALUES)
def test_the_best_cut_is_as_good_as_any_other_on_its_side(wanted, others):
    if np.mean(wanted) == np.mean(others):
        return
    found = choose_threshold(wanted, others)
    values, truth = np.r_[wanted, others], np.r_[np.ones(len(wanted)), np.zeros(len(others))]
    sign = 1 if found.comparison == "above" else -1

    def score(cut: float) -> float:
        return float(balanced_accuracy_score(truth, sign * values > sign * cut))

    assert found.balanced_accuracy == pytest.approx(score(found.threshold))
    assert found.balanced_accuracy >= max(score(cut) for cut in np.arange(-20.5, 21)) - 1e-12
    assert found.balanced_accuracy > 0.5  # where the means differ, some cut is better than chance
    assert (found.comparison == "above") == (np.mean(wanted) > np.mean(others))
    mirrored = choose_threshold([-v for v in wanted], [-v for v in others])
    assert mirrored.threshold == pytest.approx(-found.threshold) and mirrored.comparison != found.comparison


def test_the_midpoint_is_between_the_means_and_a_clean_gap_is_cut_in_its_middle():
    found = choose_threshold([5.0, 7.0], [-1.0, 1.0], rule="midpoint")
    assert (found.threshold, found.comparison, found.balanced_accuracy) == (3.0, "above", 1.0)
    assert choose_threshold([5.0, 70.0], [-1.0, 1.0]).threshold == 3.0
    assert choose_threshold([0.0, 0.5], [8.0, 9.0]).comparison == "below"


@pytest.mark.parametrize(
    ("wanted", "others", "expected"),
    [([], [1.0], "some of both"), ([np.nan], [1.0], "NaN"), ([1.0, 3.0], [2.0], "tells nothing")],
)
def test_projections_that_decide_nothing_are_refused(wanted, others, expected):
    with pytest.raises(DataError, match=expected):
        choose_threshold(wanted, others)


def test_a_chosen_threshold_makes_a_gate_that_fires_as_it_said():
    model = tiny_model("llama")
    draft = Gate(condition=random_vector(model, AT, seed=7), layer=AT, threshold=0.0)
    values = projections(model, draft)
    wanted = values.argsort(descending=True)[:2]
    mask = torch.zeros(len(PROMPTS), dtype=torch.bool).index_fill(0, wanted, True)
    choice = choose_threshold(values[mask].tolist(), values[~mask].tolist())
    gate = replace(draft, threshold=choice.threshold, comparison=choice.comparison)
    assert choice.balanced_accuracy == 1.0 and torch.equal(gate.fires(values), mask)
