"""Promises P1-P10 and P12 on every architecture; each invariance has a twin that shows that it can move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers
from torch import Tensor

from conftest import ARCHITECTURES, half_model, loaded_model, random_vector, tiny_model
from steerlab.capturing import capture
from steerlab.errors import InterventionError, LayerError, SteerlabError, VectorError
from steerlab.formats.safetensors_file import load_vector, save_vector
from steerlab.generation import Decoding, generate
from steerlab.hooks import attached, hook_count, prompt_lengths
from steerlab.interventions import Intervention
from steerlab.models import Model
from steerlab.positions import POSITIONS
from steerlab.readout import answer_log_likelihoods
from steerlab.steering import steer, steer_rows
from steerlab.tokens import encode, left_padded

# Lengths in tokens from 3 to 35 with the byte tokenizer: shorter and longer than the sliding window of 8.
PROMPTS = (
    "def f(x):\n    return x + 1  # one",
    "x =",
    "import os\nos.system(arg",
    "for i in range(10): print",
    "char *p;",
)
N_NEW = 6
SAME = 5e-5  # float32 logits of standard deviation about 1: rounding differs with the shape of a batch
SAME_HALF = 0.08  # bfloat16 has 8 bits: mean difference of logits in units of their standard deviation
MOVED = 1e-2

EVERYWHERE = [*ARCHITECTURES, "stories260K", "embedded"]
EVERY_POSITION = pytest.mark.parametrize("positions", POSITIONS)
FIGURES: dict[str, float] = {}


@pytest.fixture(params=EVERYWHERE)
def any_model(request: pytest.FixtureRequest) -> Model:
    return endless(loaded_model(request.param))


@pytest.fixture(params=["llama", "gpt2"])
def half(request: pytest.FixtureRequest) -> Model:
    return endless(half_model(request.param))


@pytest.fixture(scope="module", autouse=True)
def print_figures():
    """The largest differences seen, for `pytest -s`."""
    yield
    for name, value in sorted(FIGURES.items()):
        print(f"\n{name}: {value:.1e}", end="")


def figure(promise: str, model: Model, value: float) -> float:
    key = f"{promise} {model.name.split('/hf')[0].split('/')[-1]}"
    FIGURES[key] = max(FIGURES.get(key, 0.0), value)
    return value


def endless(model: Model) -> Model:
    """The model without end-of-sequence tokens: every completion has the full length."""
    return replace(model, eos_token_ids=())


def push(
    model: Model, *, seed: int = 0, operation: str = "add", positions: str = "all", coefficient: float = 1.0
) -> Intervention:
    """A push at two layers, as long as the residual is there (norm 3 in the tiny models)."""
    layers = (1, model.n_layers - 1)
    norms = capture(model, ["def f(x):"], layers=layers, positions="all")
    norm = max(3.0, min(float(residual.norm()) for residual in norms.values()))
    vector = random_vector(model, *layers, seed=seed, norm=norm)
    return Intervention(vector=vector, coefficient=coefficient, operation=operation, positions=positions)


def forward(model: Model, rows: Sequence[Sequence[int]]) -> Tensor:
    """Logits [batch, position, token] of a plain forward without a cache."""
    with torch.inference_mode():
        return model.network(**left_padded(model, rows), use_cache=False).logits.float()


def naive_decode(
    model: Model, heads: list[list[int]], interventions: Sequence[Intervention], fed: Sequence[Sequence[int]] = ()
) -> tuple[list[list[int]], Tensor]:
    """Greedy decoding of the growing text, a full forward per token; logits [step, batch, token].

    `fed` are tokens to go on with instead of the greedy ones.
    """
    rows, steps = [list(head) for head in heads], []
    with steer(model, *interventions, lengths=[len(head) for head in heads]):
        for step in range(N_NEW):
            steps.append(forward(model, rows)[:, -1])
            chosen = [row[step] for row in fed] if fed else steps[-1].argmax(dim=-1).tolist()
            rows = [[*row, token] for row, token in zip(rows, chosen, strict=True)]
    return [row[len(head) :] for row, head in zip(rows, heads, strict=True)], torch.stack(steps)


def cached_decode(model: Model, interventions: Sequence[Intervention]) -> tuple[list[list[int]], Tensor]:
    """Our generate, with the logits that it chose from."""
    steps: list[Tensor] = []
    handle = model.network.register_forward_hook(lambda *call: steps.append(call[-1].logits[:, -1].float()))
    try:
        with steer(model, *interventions):
            completions = generate(model, PROMPTS, decoding=Decoding(max_new_tokens=N_NEW))
    finally:
        handle.remove()
    rows = [list(completion.tokens) for completion in completions]
    steps = steps[-N_NEW:]  # the forward before may be the one that measures memory
    order = sorted(range(len(PROMPTS)), key=lambda i: (-len(encode(model, PROMPTS)[i]), i))
    places = [order.index(i) for i in range(len(PROMPTS))]
    return rows, torch.stack([step[places] for step in steps])


def relative(ours: Tensor, theirs: Tensor) -> float:
    """Mean difference in standard deviations: the measure for bfloat16."""
    return float((ours - theirs).abs().mean() / theirs.std())


def largest(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max())


# P1


def recorded(model: Model, layer: int, prompts: Sequence[str]) -> list[Tensor]:
    seen = []
    for row in encode(model, prompts):
        with torch.inference_mode():
            output = model.network(**left_padded(model, [row]), use_cache=False, output_hidden_states=True)
        seen.append(output.hidden_states[layer + 1][0])
    return seen


def test_p1_capture_equals_hidden_states_of_the_next_index(model: Model) -> None:
    for layer in range(model.n_layers - 1):
        ours = torch.cat([capture(model, [prompt], layers=[layer])[layer] for prompt in PROMPTS])
        theirs = torch.stack([residual[-1] for residual in recorded(model, layer, PROMPTS)])
        assert figure("P1", model, largest(ours, theirs)) == 0.0


def test_p1_twin_neighbouring_layers_differ(model: Model) -> None:
    seen = capture(model, PROMPTS, layers=range(model.n_layers))
    assert all(largest(seen[layer], seen[layer + 1]) > MOVED for layer in range(model.n_layers - 1))


def test_p1_the_last_layer_is_read_before_the_final_norm(model: Model) -> None:
    last = model.n_layers - 1
    theirs = torch.stack([residual[-1] for residual in recorded(model, last, PROMPTS)])
    assert largest(capture(model, PROMPTS, layers=[last])[last], theirs) > MOVED


def test_p1_holds_in_bfloat16(half: Model) -> None:
    theirs = torch.stack([residual[-1].float() for residual in recorded(half, 1, PROMPTS)])
    ours = torch.cat([capture(half, [prompt], layers=[1])[1] for prompt in PROMPTS])
    assert torch.equal(ours, theirs)


# P2


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("operation", ["add", "ablate", "add_preserving_norm"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_p2_coefficient_0_changes_no_bit(architecture: str, operation: str, dtype: str) -> None:
    model = tiny_model(architecture) if dtype == "float32" else half_model(architecture)
    rows = encode(model, PROMPTS)
    plain = forward(model, rows)
    none = push(model, operation=operation, coefficient=0.0)
    with steer(model, none):
        assert torch.equal(forward(model, rows), plain)
    with steer_rows(model, [(push(model),), *[(none,)] * (len(rows) - 1)]):
        mixed = forward(model, rows)
    assert torch.equal(mixed[1:], plain[1:]) or architecture == "qwen2_moe"  # experts batch the rows' tokens together
    assert largest(mixed[1:], plain[1:]) < (SAME if dtype == "float32" else 1.0)
    assert largest(mixed[0], plain[0]) > MOVED


@pytest.mark.parametrize("operation", ["add", "ablate", "clamp", "add_preserving_norm"])
def test_p2_twin_coefficient_1_moves_the_logits(model: Model, operation: str) -> None:
    rows = encode(model, PROMPTS)
    plain = forward(model, rows)
    with steer(model, push(model, operation=operation)):
        assert largest(forward(model, rows), plain) > MOVED


# P3


@EVERY_POSITION
def test_p3_our_cached_decoding_equals_a_full_forward(any_model: Model, positions: str) -> None:
    interventions = [push(any_model, positions=positions)]
    rows, steps = cached_decode(any_model, interventions)
    expected, logits = naive_decode(any_model, encode(any_model, PROMPTS), interventions)
    assert figure("P3", any_model, largest(steps, logits)) < SAME * max(1.0, float(logits.std()))
    assert rows == expected


@EVERY_POSITION
def test_p3_the_generate_of_transformers_equals_a_full_forward(any_model: Model, positions: str) -> None:
    interventions = [push(any_model, positions=positions)]
    heads = encode(any_model, PROMPTS)
    batch = left_padded(any_model, heads)
    how = transformers.GenerationConfig(
        max_new_tokens=N_NEW, do_sample=False, pad_token_id=any_model.pad_token_id, output_logits=True,
        return_dict_in_generate=True,
    )  # fmt: skip
    with steer(any_model, *interventions), torch.inference_mode():
        found = any_model.network.generate(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], generation_config=how
        )
    written = found.sequences[:, -N_NEW:]
    _, logits = naive_decode(any_model, heads, interventions, written.tolist())
    steps = torch.stack([step.float() for step in found.logits])
    assert figure("P3 in transformers", any_model, largest(steps, logits)) < SAME * max(1.0, float(logits.std()))
    chosen = written != any_model.pad_token_id  # transformers goes on with pads where a row has ended
    assert torch.equal(written[chosen], logits.argmax(dim=-1).T[chosen])
    assert chosen.float().mean() > 0.5


def test_p3_one_prompt_without_padding_also_holds_inside_transformers(model: Model) -> None:
    interventions = [push(model, positions="completion"), push(model, seed=1, positions="last_prompt_token")]
    heads = encode(model, PROMPTS[:1])
    how = transformers.GenerationConfig(max_new_tokens=N_NEW, do_sample=False, pad_token_id=model.pad_token_id)
    with steer(model, *interventions), torch.inference_mode():  # transformers drops a mask without zeros
        found = model.network.generate(input_ids=torch.tensor(heads), generation_config=how)
    assert found[:, -N_NEW:].tolist() == naive_decode(model, heads, interventions)[0]


def test_p3_holds_with_beams_inside_transformers(model: Model) -> None:
    how = transformers.GenerationConfig(
        max_new_tokens=N_NEW, num_beams=3, do_sample=False, pad_token_id=model.pad_token_id
    )
    found = {}
    for use_cache in (True, False):
        batch = left_padded(model, encode(model, PROMPTS[:2]))
        batch.pop("position_ids")
        with steer(model, push(model, positions="prompt")), torch.inference_mode():
            if use_cache:
                found[use_cache] = model.network.generate(**batch, generation_config=how, use_cache=True)
            else:
                lengths = [len(row) for row in encode(model, PROMPTS[:2]) for _ in range(3)]
                with prompt_lengths(model.network, lengths):
                    found[use_cache] = model.network.generate(**batch, generation_config=how, use_cache=False)
    assert torch.equal(found[True], found[False])


def test_p3_twin_every_kind_of_positions_gives_logits_of_its_own(any_model: Model) -> None:
    heads = encode(any_model, PROMPTS)
    fed, plain = naive_decode(any_model, heads, ())
    last = {p: naive_decode(any_model, heads, [push(any_model, positions=p)], fed)[1][-1] for p in POSITIONS}
    seen = [plain[-1], *last.values()]
    for at, one in enumerate(seen):
        for other in seen[at + 1 :]:
            assert largest(one, other) > MOVED


@EVERY_POSITION
def test_p3_holds_in_bfloat16(half: Model, positions: str) -> None:
    interventions = [push(half, positions=positions)]
    rows, steps = cached_decode(half, interventions)
    _, logits = naive_decode(half, encode(half, PROMPTS), interventions, rows)
    assert figure("P3 mean/std", half, relative(steps, logits)) < SAME_HALF
    _, plain = naive_decode(half, encode(half, PROMPTS), (), rows)
    assert max(relative(*steps) for steps in zip(plain, logits, strict=True)) > 2 * SAME_HALF


def test_p3_a_static_cache_is_refused_with_one_line() -> None:
    model = tiny_model("llama")
    batch = left_padded(model, encode(model, PROMPTS))
    how = transformers.GenerationConfig(
        max_new_tokens=2, do_sample=False, pad_token_id=259, cache_implementation="static", disable_compile=True
    )
    with steer(model, push(model)), torch.inference_mode(), pytest.raises(InterventionError, match="dynamic"):
        model.network.generate(**batch, generation_config=how)


def test_p3_a_prefill_in_chunks_needs_prompt_lengths() -> None:
    model = tiny_model("llama")
    (row,) = encode(model, PROMPTS[:1])
    tokens = torch.tensor([row])
    steered = push(model, positions="last_prompt_token")

    def in_two() -> Tensor:
        with torch.inference_mode():
            cache = model.network(input_ids=tokens[:, :9], use_cache=True).past_key_values
            return model.network(input_ids=tokens[:, 9:], past_key_values=cache, use_cache=True).logits

    with steer(model, steered), pytest.raises(InterventionError, match="lengths"):
        in_two()
    with steer(model, steered, lengths=[len(row)]):
        found = in_two()[:, -1]
        assert largest(found, forward(model, [row])[:, -1]) < SAME
    with steer(model, replace(steered, positions="all")):
        assert largest(in_two()[:, -1], forward(model, [row])[:, -1]) < SAME


# P4


@EVERY_POSITION
def test_p4_company_and_padding_change_no_completion(any_model: Model, positions: str) -> None:
    intervention = push(any_model, positions=positions)
    how = Decoding(max_new_tokens=N_NEW)
    heads = encode(any_model, PROMPTS)
    with steer(any_model, intervention):
        together = generate(any_model, PROMPTS, decoding=how)
        alone = [generate(any_model, [prompt], decoding=how)[0] for prompt in PROMPTS]
    assert together == alone
    texts = [head + list(done.tokens) for head, done in zip(heads, together, strict=True)]
    with steer(any_model, intervention, lengths=[len(head) for head in heads]):
        batch = forward(any_model, texts)
    for at, (text, head) in enumerate(zip(texts, heads, strict=True)):
        with steer(any_model, intervention, lengths=[len(head)]):
            single = forward(any_model, [text])
        difference = largest(batch[at, -len(text) :], single[0])
        assert figure("P4", any_model, difference) < SAME * max(1.0, float(single.std()))


@EVERY_POSITION
def test_p4_holds_in_bfloat16(half: Model, positions: str) -> None:
    heads = encode(half, PROMPTS)
    intervention = push(half, positions=positions)
    with steer(half, intervention):
        batch = forward(half, heads)
    for at, head in enumerate(heads):
        with steer(half, intervention):
            single = forward(half, [head])
        assert figure("P4 mean/std", half, relative(batch[at, -len(head) :], single[0])) < SAME_HALF


def test_p4_twin_pads_that_count_as_text_move_the_logits(any_model: Model) -> None:
    heads = encode(any_model, PROMPTS)
    batch = left_padded(any_model, heads)
    with torch.inference_mode(), steer(any_model, push(any_model)):
        wrong = any_model.network(input_ids=batch["input_ids"], attention_mask=torch.ones_like(batch["input_ids"]))
        right = any_model.network(**batch)
    assert largest(wrong.logits[1:, -1], right.logits[1:, -1]) > MOVED


# P5


def test_p5_no_hook_is_left_after_the_block(model: Model) -> None:
    before = hook_count(model.network)
    with steer(model, push(model)):
        assert hook_count(model.network) > before
        generate(model, PROMPTS[:2], decoding=Decoding(max_new_tokens=2))
        capture(model, PROMPTS[:2], layers=[0, 2])
    answer_log_likelihoods(model, PROMPTS[:2], [("a", "b")] * 2, rows=[(push(model),), ()])
    assert hook_count(model.network) == before


def test_p5_no_hook_is_left_after_an_error_inside(model: Model) -> None:
    before = hook_count(model.network)
    with pytest.raises(KeyError), steer(model, push(model)), steer(model, push(model, seed=1)):
        forward(model, encode(model, PROMPTS))
        raise KeyError
    with pytest.raises(RuntimeError), steer(model, push(model)):
        model.network(input_ids=torch.tensor([[0.5]]))
    with pytest.raises(InterventionError), steer_rows(model, [(push(model),)]):
        forward(model, encode(model, PROMPTS))
    assert hook_count(model.network) == before


def test_p5_no_hook_is_left_after_an_error_at_enter(model: Model) -> None:
    before = hook_count(model.network)
    stranger = random_vector(tiny_model("gpt2" if model.name != "tiny-gpt2" else "llama"), 1)
    wrong = Intervention(vector=stranger, coefficient=1.0)
    with pytest.raises(VectorError), steer(model, push(model), wrong):
        pass
    with pytest.raises(VectorError), steer_rows(model, [(push(model),), (wrong,)]):
        pass
    with pytest.raises(LayerError):
        capture(model, PROMPTS, layers=[0, 99])
    assert hook_count(model.network) == before


def test_p5_the_model_is_the_same_bit_for_bit_afterwards(model: Model) -> None:
    rows = encode(model, PROMPTS)
    plain = forward(model, rows)
    with steer(model, push(model)):
        assert not torch.equal(forward(model, rows), plain)
    assert torch.equal(forward(model, rows), plain)


# P6


def ordered_pair(model: Model) -> tuple[Intervention, Intervention]:
    """Add a direction, and ablate another that is not orthogonal to it."""
    one, other = random_vector(model, 1, seed=1), random_vector(model, 1, seed=2)
    return (
        Intervention(vector=one, coefficient=1.0),
        Intervention(vector=one + other, coefficient=1.0, operation="ablate"),
    )


def test_p6_interventions_apply_in_written_order(model: Model) -> None:
    add, ablate = ordered_pair(model)
    unit = torch.from_numpy(ablate.vector.unit().directions[1])
    pushed = torch.from_numpy(add.vector.directions[1])
    (plain,) = capture(model, PROMPTS[:1], layers=[1])[1]

    def without(residual: Tensor) -> Tensor:
        return residual - (residual @ unit) * unit

    with steer(model, add, ablate):
        first = capture(model, PROMPTS[:1], layers=[1])[1][0]
    with steer(model, ablate, add):
        second = capture(model, PROMPTS[:1], layers=[1])[1][0]
    assert figure("P6", model, largest(first, without(plain + pushed))) < 1e-5
    assert largest(second, without(plain) + pushed) < 1e-5
    assert largest(first, second) > MOVED


def test_p6_nested_blocks_apply_in_the_order_of_entry(model: Model) -> None:
    rows = encode(model, PROMPTS)
    for one, other in (ordered_pair(model), ordered_pair(model)[::-1]):
        with steer(model, one, other):
            together = forward(model, rows)
        with steer(model, one), steer(model, other):
            nested = forward(model, rows)
        with steer(model, one), steer_rows(model, [(other,)] * len(rows)):
            by_row = forward(model, rows)
        assert torch.equal(nested, together)
        assert largest(by_row, together) < 1e-5


def test_p6_rows_keep_the_written_order(model: Model) -> None:
    rows = encode(model, [PROMPTS[0]] * 2)
    add, ablate = ordered_pair(model)
    with steer_rows(model, [(add, ablate), (ablate, add)]):
        found = forward(model, rows)
    for at, own in enumerate([(add, ablate), (ablate, add)]):
        with steer(model, *own):
            assert largest(forward(model, rows)[at], found[at]) < SAME
    assert largest(found[0], found[1]) > MOVED


def test_p6_readers_see_the_steered_stream_nested_either_way(model: Model) -> None:
    rows = encode(model, PROMPTS)
    seen: dict[str, list[Tensor]] = {"outside": [], "inside": []}
    intervention = push(model)
    with attached(model.network, readers={model.layers[1]: seen["outside"].append}), steer(model, intervention):
        forward(model, rows)
    with steer(model, intervention), attached(model.network, readers={model.layers[1]: seen["inside"].append}):
        forward(model, rows)
    (outside,), (inside,) = seen["outside"], seen["inside"]
    assert torch.equal(outside, inside)
    with steer(model, intervention):
        steered = capture(model, PROMPTS, layers=[1])[1]
    assert largest(inside[:, -1], steered) < 1e-5  # capture orders its rows by length
    assert largest(steered, capture(model, PROMPTS, layers=[1])[1]) > MOVED


# P7


@pytest.mark.parametrize("operation", ["add", "add_preserving_norm"])
def test_p7_twice_the_vector_is_twice_the_coefficient(model: Model, operation: str) -> None:
    rows = encode(model, PROMPTS)
    vector = random_vector(model, 1, 2)
    with steer(model, Intervention(vector=2 * vector, coefficient=0.7, operation=operation)):
        by_vector = forward(model, rows)
    with steer(model, Intervention(vector=vector, coefficient=1.4, operation=operation)):
        by_coefficient = forward(model, rows)
    with steer(model, Intervention(vector=vector, coefficient=0.7, operation=operation)):
        once = forward(model, rows)
    assert figure("P7", model, largest(by_vector, by_coefficient)) < SAME
    assert largest(by_vector, once) > MOVED


@pytest.mark.parametrize(
    ("operation", "dose"), [("ablate", "absolute"), ("clamp", "absolute"), ("add", "residual_norm")]
)
def test_p7_where_only_the_angle_matters_the_length_of_the_vector_does_not(
    model: Model, operation: str, dose: str
) -> None:
    rows = encode(model, PROMPTS)
    vector = random_vector(model, 1, 2)
    with steer(model, Intervention(vector=vector, coefficient=0.7, operation=operation, dose=dose)):
        once = forward(model, rows)
    with steer(model, Intervention(vector=2 * vector, coefficient=0.7, operation=operation, dose=dose)):
        twice = forward(model, rows)
    with steer(model, Intervention(vector=-vector, coefficient=0.3, operation=operation, dose=dose)):
        other = forward(model, rows)
    assert largest(once, twice) < SAME
    assert largest(once, other) > MOVED


# P8


def said(error: pytest.ExceptionInfo[SteerlabError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


def test_p8_a_vector_of_another_model_is_an_error_at_the_boundary(model: Model) -> None:
    name = "llama" if model.name == "tiny-gpt2" else "gpt2"
    stranger = Intervention(vector=random_vector(tiny_model(name), 1), coefficient=1.0)
    with pytest.raises(VectorError) as error, steer(model, stranger):
        pass
    assert "build one" in said(error) and model.name in said(error) and f"tiny-{name}" in said(error)


def test_p8_a_vector_of_another_width_is_an_error_at_the_boundary(model: Model) -> None:
    vector = random_vector(model, 1)
    narrow = replace(vector, model=replace(vector.model, d_model=8), directions={1: vector.directions[1][:8]})
    with pytest.raises(VectorError) as error, steer(model, Intervention(vector=narrow, coefficient=1.0)):
        pass
    assert "d_model 8" in said(error) and "32" in said(error)


def test_p8_a_layer_that_is_not_there_is_an_error_at_the_boundary(model: Model) -> None:
    vector = random_vector(model, 1)
    with pytest.raises(VectorError) as error:
        replace(vector, directions={4: vector.directions[1]})
    assert "0..3" in said(error)
    with pytest.raises(LayerError) as missing:
        capture(model, PROMPTS, layers=[4])
    assert "layer 4 does not exist" in said(missing) and "0..3" in said(missing)


def test_p8_a_wrong_number_of_rows_is_an_error_with_one_line(model: Model) -> None:
    rows = [(push(model),)] * 2
    for call in (
        lambda: generate(model, PROMPTS, rows=rows),
        lambda: answer_log_likelihoods(model, PROMPTS, [("a", "b")] * len(PROMPTS), rows=rows),
    ):
        with pytest.raises(InterventionError) as error:
            call()
        assert "2 sets" in said(error) and "5 prompts" in said(error)
    with pytest.raises(InterventionError) as forwarded, steer_rows(model, rows):
        forward(model, encode(model, PROMPTS))
    assert "5 rows" in said(forwarded)
    for call in (
        lambda: generate(model, PROMPTS),
        lambda: answer_log_likelihoods(model, PROMPTS, [("a", "b")] * len(PROMPTS)),
        lambda: capture(model, PROMPTS, layers=[0]),
    ):
        with pytest.raises(InterventionError) as inside, steer_rows(model, rows):
            call()
        assert "rows=rows" in said(inside)


# P9


def moves_of_a_run(model: Model, positions: str) -> tuple[list[dict[int, Tensor]], list[Tensor], list[int]]:
    """Per forward: how far steering moved each layer [batch, position, d_model]; which tokens are real; lengths."""
    intervention = push(model, positions=positions)
    before: dict[int, Tensor] = {}
    forwards: list[dict[int, Tensor]] = []
    real: list[Tensor] = []

    def note_before(layer: int):
        def edit(residual: Tensor) -> Tensor:
            before[layer] = residual.clone()
            return residual

        return edit

    def note_after(layer: int):
        def read(residual: Tensor) -> None:
            if layer == intervention.vector.layers[0]:
                forwards.append({})
                real.append(stream.positions.select("all"))
            assert layer not in forwards[-1], "the layer ran twice in one forward"
            forwards[-1][layer] = residual - before[layer]

        return read

    layers = {layer: model.layers[layer] for layer in intervention.vector.layers}
    with (
        attached(model.network, edits={module: note_before(layer) for layer, module in layers.items()}),
        steer(model, intervention),
        attached(model.network, readers={module: note_after(layer) for layer, module in layers.items()}) as stream,
    ):
        done = generate(model, PROMPTS, decoding=Decoding(max_new_tokens=N_NEW))
    return forwards, real, [len(completion.tokens) for completion in done]


@EVERY_POSITION
def test_p9_steering_fires_once_per_layer_step_and_row_and_never_on_a_pad(model: Model, positions: str) -> None:
    with steer(model, push(model, positions=positions)):
        free = generate(endless(model), PROMPTS, decoding=Decoding(max_new_tokens=N_NEW))
    early = free[0].tokens[1], free[3].tokens[2]
    forwards, real, lengths = moves_of_a_run(replace(model, eos_token_ids=early), positions)
    assert min(lengths) < max(lengths), "no row left early: the test shows nothing"
    assert len(forwards) == max(lengths)
    prompt_tokens = sorted((len(row) for row in encode(model, PROMPTS)), reverse=True)
    for step, (moves, tokens) in enumerate(zip(forwards, real, strict=True)):
        alive = [length for length in lengths if length > step]
        assert set(moves) == {1, model.n_layers - 1}
        assert tokens.sum(dim=1).tolist() == (prompt_tokens if step == 0 else [1] * len(alive))
        expected = {
            "all": tokens,
            "prompt": tokens & (step == 0),
            "completion": tokens & (step > 0),
            "last_prompt_token": tokens & (step == 0),
            "from_last_prompt_token": tokens.clone(),
        }[positions]
        if step == 0 and positions.endswith("last_prompt_token"):
            expected[:, :-1] = False
        for layer, moved in moves.items():
            direction = torch.from_numpy(push(model).vector.directions[layer])
            assert torch.allclose(moved[expected], direction.expand(int(expected.sum()), -1), atol=1e-5)
            assert not moved[~expected].any()


def test_p9_readers_count_one_call_per_layer_and_step(model: Model) -> None:
    calls = dict.fromkeys(range(model.n_layers), 0)
    rows = 0

    def counter(layer: int):
        def read(residual: Tensor) -> None:
            nonlocal rows
            calls[layer] += 1
            rows += residual.shape[0] if layer == 0 else 0

        return read

    fresh = replace(model, eos_token_ids=generate(endless(model), PROMPTS)[0].tokens[2:3])
    with attached(model.network, readers={module: counter(at) for at, module in enumerate(model.layers)}):
        done = generate(fresh, PROMPTS, decoding=Decoding(max_new_tokens=N_NEW))
    lengths = [len(completion.tokens) for completion in done]
    assert min(lengths) < N_NEW
    assert calls == dict.fromkeys(range(model.n_layers), max(lengths))
    assert rows == sum(lengths)


# P10


def mixed_rows(model: Model) -> list[tuple[Intervention, ...]]:
    """Every operation, every kind of positions, one to three interventions, and a row without any."""
    return [
        (push(model), push(model, seed=1, operation="ablate", positions="completion")),
        (push(model, seed=2, operation="clamp", coefficient=4.0, positions="from_last_prompt_token"),),
        (),
        (push(model, seed=3, operation="add_preserving_norm", positions="prompt"), push(model, coefficient=0.0)),
        (
            push(model, seed=4, operation="ablate", coefficient=0.5),
            push(model, seed=5, positions="last_prompt_token"),
            push(model, seed=6, operation="clamp", coefficient=-2.0),
        ),
    ]


def test_p10_each_row_of_a_forward_equals_that_row_alone(model: Model) -> None:
    rows, heads = mixed_rows(model), encode(model, PROMPTS)
    with steer_rows(model, rows):
        together = forward(model, heads)
    for at, (own, head) in enumerate(zip(rows, heads, strict=True)):
        with steer(model, *own):
            alone = forward(model, [head])
        assert figure("P10", model, largest(together[at, -len(head) :], alone[0])) < SAME


def test_p10_each_row_of_generate_equals_that_row_alone(model: Model) -> None:
    rows = mixed_rows(model)
    how = Decoding(max_new_tokens=N_NEW)
    free = generate(endless(model), PROMPTS, decoding=how, rows=rows)
    early = replace(model, eos_token_ids=(free[0].tokens[1], free[4].tokens[2]))
    together = generate(early, PROMPTS, decoding=how, rows=rows)
    assert len({len(completion.tokens) for completion in together}) > 1
    for at, own in enumerate(rows):
        with steer(model, *own):
            assert generate(early, [PROMPTS[at]], decoding=how) == [together[at]]


@pytest.mark.parametrize("answers", [("y", "n"), (" vulnerable", " safe")])
def test_p10_each_row_of_answer_log_likelihoods_equals_that_row_alone(model: Model, answers: tuple[str, ...]) -> None:
    rows = mixed_rows(model)
    together = answer_log_likelihoods(model, PROMPTS, [answers] * len(PROMPTS), rows=rows)
    plain = answer_log_likelihoods(model, PROMPTS, [answers] * len(PROMPTS))
    for at, own in enumerate(rows):
        with steer(model, *own):
            alone = answer_log_likelihoods(model, [PROMPTS[at]], [answers])
        assert largest(together[at], alone[0]) < SAME
    moved = (together - plain).abs().amax(dim=1)
    assert moved[2] < SAME
    assert (moved[[0, 1, 3, 4]] > 1e-3).all()


def test_p10_twin_rows_in_another_order_give_other_logits(model: Model) -> None:
    rows, heads = mixed_rows(model), encode(model, [PROMPTS[0]] * len(PROMPTS))
    with steer_rows(model, rows):
        found = forward(model, heads)[:, -1]
    assert all(largest(found[i], found[j]) > MOVED for i in range(5) for j in range(i))


# P12


def test_p12_a_saved_vector_is_the_same_after_loading(model: Model, tmp_path: Path) -> None:
    vector = random_vector(model, 0, 3)
    save_vector(vector, tmp_path / "a.safetensors")
    loaded = load_vector(tmp_path / "a.safetensors")
    assert loaded.describe() == vector.describe()
    assert all((loaded.directions[layer] == vector.directions[layer]).all() for layer in vector.layers)
    rows = encode(model, PROMPTS)
    with steer(model, Intervention(vector=vector, coefficient=1.0)):
        before = forward(model, rows)
    with steer(model, Intervention(vector=loaded, coefficient=1.0)):
        assert torch.equal(forward(model, rows), before)


def test_p12_twin_another_vector_is_not_the_same(model: Model, tmp_path: Path) -> None:
    save_vector(random_vector(model, 0, 3, seed=1), tmp_path / "a.safetensors")
    loaded = load_vector(tmp_path / "a.safetensors")
    assert (loaded.directions[0] != random_vector(model, 0, 3).directions[0]).any()
