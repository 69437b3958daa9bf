from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from conftest import byte_tokenizer, half_model, loaded_model, random_network, random_vector, tiny_model
from steerlab.capturing import capture
from steerlab.errors import InterventionError, LayerError, OptionError
from steerlab.gates import Gate
from steerlab.hooks import hook_count
from steerlab.interventions import Intervention
from steerlab.models import Model, inspect_model
from steerlab.readout import answer_log_likelihoods
from steerlab.steering import steer, steer_rows
from steerlab.wave import Cell, WaveResult, behind, trust, wave_log_likelihoods

PROMPTS = ["strcpy(a, b);", "x", "int f(int n) { return n * 3; }", "if (len >= sizeof(buffer)) return -1;"]
LETTERS = [["A", "B"]] * len(PROMPTS)
WORDS = [["yes", "no"], ["no", "yes"], ["safe", "unsafe"], ["0", "-10"]]
FAST = ("layers", "tree", "rows", "shared")


def cell(model: Model, *layers: int, positions: str = "from_last_prompt_token", **changes: object) -> Cell:
    options = {"coefficient": 1.0, "seed": sum(layers), **changes}
    vector = random_vector(model, *layers, seed=options.pop("seed"))
    return Cell(interventions=(Intervention(vector=vector, positions=positions, **options),))


def sweep(model: Model, positions: str = "from_last_prompt_token") -> list[Cell]:
    """Every operation, single layers out of order, layer sets, several interventions, inert ones."""
    return [
        cell(model, 3, positions=positions),
        cell(model, 0, positions=positions, coefficient=-2.0),
        cell(model, 1, positions=positions, operation="ablate"),
        cell(model, 2, positions=positions, operation="clamp", coefficient=0.0),
        cell(model, 0, 2, 3, positions=positions, operation="add_preserving_norm"),
        cell(model, 1, 2, positions=positions, coefficient=0.0),
        cell(model, 1, positions=positions, dose="residual_norm", coefficient=0.4),
        Cell(interventions=cell(model, 2, positions=positions).interventions * 2),
        Cell(
            interventions=(
                *cell(model, 1, 3, positions=positions, operation="ablate", seed=8).interventions,
                *cell(model, 3, positions=positions, coefficient=3.0, seed=9).interventions,
            )
        ),
        Cell(),
    ]


def naive(model: Model, prompts: Sequence[str], answers: Sequence[Sequence[str]], cells: Sequence[Cell]) -> Tensor:
    results = []
    for one in cells:
        with steer(model, *one.interventions):
            results.append(answer_log_likelihoods(model, prompts, answers))
    return torch.stack(results)


def assert_equal_and_moved(result: WaveResult, expected: Tensor) -> None:
    found = result.log_likelihoods
    assert found.shape == expected.shape
    assert float((found - expected).abs().max()) < 1e-5, result
    assert torch.equal(found.argmax(dim=-1), expected.argmax(dim=-1))
    margins = expected[..., 0] - expected[..., 1]
    assert float((margins - margins[-1]).abs().amax(dim=1)[:5].min()) > 0.01  # the last cell is the baseline


@pytest.mark.parametrize("way", ["auto", *FAST, "plain"])
def test_every_way_equals_one_steered_run_per_cell(model: Model, way: str) -> None:
    cells = sweep(model)
    result = wave_log_likelihoods(model, PROMPTS, LETTERS, cells=cells, way=way)
    assert_equal_and_moved(result, naive(model, PROMPTS, LETTERS, cells))
    assert result.way == ("layers" if way == "auto" else way)


@pytest.mark.parametrize("way", ["auto", *FAST, "plain"])
def test_relative_log_likelihoods_differ_by_a_constant_per_cell_and_prompt(model: Model, way: str) -> None:
    cells = sweep(model)
    before = hook_count(model.network)
    found = wave_log_likelihoods(model, PROMPTS, LETTERS, cells=cells, way=way, relative=True)
    expected = naive(model, PROMPTS, LETTERS, cells)
    margins = found.log_likelihoods[..., 0] - found.log_likelihoods[..., 1]
    assert float((margins - (expected[..., 0] - expected[..., 1])).abs().max()) < 1e-5
    assert "forward" not in vars(model.head)
    assert hook_count(model.network) == before


def test_relative_reads_make_the_logits_of_the_answers_only() -> None:
    model = tiny_model("qwen2")
    wave_log_likelihoods(model, PROMPTS, LETTERS, cells=sweep(model), way="layers", relative=True)  # checked before
    widths = set[int]()
    handle = model.head.register_forward_hook(lambda module, args, output: widths.add(output.shape[-1]))
    wave_log_likelihoods(model, PROMPTS, LETTERS, cells=sweep(model), way="layers", relative=True)
    handle.remove()
    assert widths == {2}  # A and B; of the prompts no logits are made


def test_reading_the_prompts_ends_at_the_last_layer_s_keys_and_values() -> None:
    model = tiny_model("qwen2")
    cells = sweep(model)
    first = wave_log_likelihoods(model, PROMPTS, LETTERS, cells=cells, way="layers")
    rows = list[tuple[int, ...]]()
    handle = model.layers[-1].mlp.register_forward_hook(lambda module, args, output: rows.append(output.shape[:2]))
    again = wave_log_likelihoods(model, PROMPTS, LETTERS, cells=cells, way="layers")
    handle.remove()
    assert torch.equal(first.log_likelihoods, again.log_likelihoods)
    assert rows == [(len(PROMPTS), 1 + len(cells) - 3)]  # one pass behind the prompts; cells at the top join after it


@pytest.mark.parametrize("positions", ["all", "prompt"])
def test_cells_that_touch_the_prompt_share_the_layers_below_and_say_why(model: Model, positions: str) -> None:
    cells = sweep(model, positions)
    result = wave_log_likelihoods(model, PROMPTS, LETTERS, cells=cells)
    assert_equal_and_moved(result, naive(model, PROMPTS, LETTERS, cells))
    assert result.way == "layers+shared"  # the baseline and the inert cell touch nothing
    assert "positions touch the prompt" in result.reason


@pytest.mark.parametrize("positions", ["all", "from_last_prompt_token", "last_prompt_token", "completion"])
def test_answers_of_several_tokens_are_read_behind_their_prompts_and_say_why(model: Model, positions: str) -> None:
    cells = sweep(model, positions)
    result = wave_log_likelihoods(model, PROMPTS, WORDS, cells=cells)
    assert_equal_and_moved(result, naive(model, PROMPTS, WORDS, cells))
    ends = positions in ("from_last_prompt_token", "last_prompt_token")
    assert result.way == ("tails" if ends else "tails+shared"), "the baseline and the inert cell touch nothing"
    assert "an answer has several tokens" in result.reason


@pytest.mark.parametrize("chunk", [1, 3])
@pytest.mark.parametrize("architecture", ["qwen2", "gemma2", "gpt2"])
def test_whole_answers_of_cells_in_small_chunks_give_the_same(architecture: str, chunk: int) -> None:
    model = tiny_model(architecture)
    cells = sweep(model)
    whole = wave_log_likelihoods(model, PROMPTS, WORDS, cells=cells, way="tails")
    parts = wave_log_likelihoods(model, PROMPTS, WORDS, cells=cells, way="tails", cells_per_chunk=chunk)
    assert torch.allclose(whole.log_likelihoods, parts.log_likelihoods, atol=1e-5)


def test_whole_answers_leave_no_hook_behind_and_count_every_answer(model: Model) -> None:
    before = hook_count(model.network), [sorted(vars(layer)) for layer in model.layers]
    seen: list[int] = []
    cells = sweep(model)
    wave_log_likelihoods(model, PROMPTS, WORDS, cells=cells, way="tails", progress=seen.append)
    assert sum(seen) == 2 * len(PROMPTS) * len(cells)
    assert (hook_count(model.network), [sorted(vars(layer)) for layer in model.layers]) == before
    with pytest.raises(OptionError, match="every answer is one token"):
        wave_log_likelihoods(model, PROMPTS, LETTERS, cells=cells, way="tails")


@pytest.mark.parametrize("chunk", [1, 3])
@pytest.mark.parametrize("way", FAST)
@pytest.mark.parametrize("architecture", ["qwen2", "gemma2", "gpt2"])
def test_cells_in_small_chunks_give_the_same(architecture: str, way: str, chunk: int) -> None:
    model = tiny_model(architecture)
    cells = sweep(model)
    whole = wave_log_likelihoods(model, PROMPTS, LETTERS, cells=cells, way=way)
    parts = wave_log_likelihoods(model, PROMPTS, LETTERS, cells=cells, way=way, cells_per_chunk=chunk)
    assert torch.allclose(whole.log_likelihoods, parts.log_likelihoods, atol=1e-5)


@pytest.mark.parametrize("architecture", ["mistral", "gemma2"])
def test_the_prompts_are_longer_than_the_window_and_it_matters(architecture: str) -> None:
    windowed = wave_log_likelihoods(tiny_model(architecture), PROMPTS, LETTERS, cells=[Cell()]).log_likelihoods
    network = random_network(architecture, sliding_window=400)
    without = inspect_model(network, byte_tokenizer(), name="wide")
    wide = wave_log_likelihoods(without, PROMPTS, LETTERS, cells=[Cell()]).log_likelihoods
    moved = (windowed - wide).abs().amax(dim=(0, 2))
    assert moved[0] > 0.01 and moved[2] > 0.01 and moved[3] > 0.01
    assert moved[1] < 1e-5  # one token long


@pytest.mark.parametrize("positions", ["from_last_prompt_token", "all"])
def test_a_wave_leaves_no_hook_and_no_replaced_forward_behind(model: Model, positions: str) -> None:
    before = hook_count(model.network), [sorted(vars(layer)) for layer in model.layers]
    for way in FAST:
        if positions == "all" and way != "shared":
            continue
        wave_log_likelihoods(model, PROMPTS, LETTERS, cells=sweep(model, positions), way=way)
    assert (hook_count(model.network), [sorted(vars(layer)) for layer in model.layers]) == before


@pytest.mark.parametrize("way", FAST)
def test_an_error_inside_a_wave_leaves_no_hook_behind(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("qwen2")
    cells = sweep(model)
    wave_log_likelihoods(model, PROMPTS, LETTERS, cells=cells, way=way)
    before = hook_count(model.network)

    def broken(*_: object, **__: object) -> Tensor:
        raise KeyError("broken")

    monkeypatch.setattr(behind, "answer_values", broken)
    monkeypatch.setattr("steerlab.steering.Step.apply", broken)
    with pytest.raises(KeyError):
        wave_log_likelihoods(model, PROMPTS, LETTERS, cells=cells, way=way)
    assert hook_count(model.network) == before
    assert not any("forward" in vars(layer) for layer in model.layers)


def test_a_way_that_gives_other_values_is_refused_with_its_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("llama")
    cells = sweep(model)

    def wrong(*arguments: object) -> Tensor:
        return trust.run_plain(*arguments) + 0.01

    def impossible(*_: object) -> Tensor:
        raise RuntimeError("the mask has the wrong shape\nsecond line")

    monkeypatch.setattr(trust, "_CHECKS", {})
    monkeypatch.setitem(trust.RUNS, "layers", wrong)
    monkeypatch.setitem(trust.RUNS, "tree", impossible)
    result = wave_log_likelihoods(model, PROMPTS, LETTERS, cells=cells)
    assert result.way == "rows"
    assert result.reason == (
        "layers differs from the plain way by 1.0e-02 on short rows; tree failed: the mask has the wrong shape"
    )
    assert_equal_and_moved(result, naive(model, PROMPTS, LETTERS, cells))
    with pytest.raises(OptionError, match=r"the way 'tree' is not possible here: tree failed: .* Use way='auto'"):
        wave_log_likelihoods(model, PROMPTS, LETTERS, cells=cells, way="tree")


def test_ways_that_cannot_work_are_refused_in_words() -> None:
    model = tiny_model("qwen2")
    with pytest.raises(OptionError, match="positions touch the prompt"):
        wave_log_likelihoods(model, PROMPTS, LETTERS, cells=[cell(model, 1, positions="all")], way="layers")
    with pytest.raises(OptionError, match="an answer has several tokens"):
        wave_log_likelihoods(model, PROMPTS, WORDS, cells=[cell(model, 1)], way="rows")
    with pytest.raises(OptionError, match="Did you mean layers"):
        wave_log_likelihoods(model, PROMPTS, LETTERS, cells=[cell(model, 1)], way="layer")  # type: ignore[arg-type]
    short = replace(model, layers=model.layers[:2])
    with pytest.raises(LayerError, match="layer 3 does not exist"):
        wave_log_likelihoods(short, PROMPTS, LETTERS, cells=[cell(model, 3)])


@pytest.mark.parametrize("way", ["layers", "tree"])
def test_the_check_notices_cells_that_see_each_other(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("qwen2")
    monkeypatch.setattr(trust, "_CHECKS", {})
    monkeypatch.setattr(Tensor, "fill_diagonal_", lambda tensor, value: tensor.fill_(value))
    with pytest.raises(OptionError, match=f"{way} differs from the plain way by"):
        wave_log_likelihoods(model, PROMPTS, LETTERS, cells=[cell(model, 1)], way=way)


def test_inside_a_steer_block_the_wave_is_plain_and_the_block_counts() -> None:
    model = tiny_model("qwen2")
    cells = [cell(model, 1), Cell()]
    outer = cell(model, 2, positions="all", seed=30).interventions
    with steer(model, *outer):
        result = wave_log_likelihoods(model, PROMPTS, LETTERS, cells=cells)
    both = [Cell(interventions=(*outer, *one.interventions)) for one in cells]
    assert result.way == "plain" and "steer or capture block" in result.reason
    assert torch.allclose(result.log_likelihoods, naive(model, PROMPTS, LETTERS, both), atol=1e-5)
    rows = [()] * len(PROMPTS)
    with steer_rows(model, rows), pytest.raises(InterventionError, match="cannot run inside steer_rows"):
        wave_log_likelihoods(model, PROMPTS, LETTERS, cells=cells)


@pytest.mark.parametrize("way", FAST)
def test_prompts_of_one_token_are_read(way: str) -> None:
    model = tiny_model("llama")
    cells = sweep(model)
    result = wave_log_likelihoods(model, ["x", "y"], [["A", "B"]] * 2, cells=cells, way=way)
    assert_equal_and_moved(result, naive(model, ["x", "y"], [["A", "B"]] * 2, cells))


def test_progress_counts_every_cell_of_every_prompt() -> None:
    model = tiny_model("qwen2")
    cells = [cell(model, 1), cell(model, 2, positions="all"), Cell()]
    for way in ("auto", "plain"):
        seen: list[int] = []
        wave_log_likelihoods(model, PROMPTS, LETTERS, cells=cells, way=way, progress=seen.append)
        assert sum(seen) == len(cells) * len(PROMPTS)


def test_no_cells_and_no_prompts_give_empty_results() -> None:
    model = tiny_model("qwen2")
    assert wave_log_likelihoods(model, PROMPTS, LETTERS, cells=[]).log_likelihoods.shape == (0, 4, 2)
    assert wave_log_likelihoods(model, [], [], cells=[Cell()]).log_likelihoods.shape == (1, 0, 0)


@pytest.mark.parametrize("architecture", ["qwen2", "gemma2"])
def test_in_bfloat16_the_wave_differs_by_rounding_only(architecture: str) -> None:
    model = half_model(architecture)
    cells = sweep(model)
    result = wave_log_likelihoods(model, PROMPTS, LETTERS, cells=cells)
    expected = naive(model, PROMPTS, LETTERS, cells)
    assert float((result.log_likelihoods - expected).abs().max()) < 0.25
    assert result.way == "layers"


@pytest.mark.parametrize("positions", ["from_last_prompt_token", "all"])
def test_the_embedded_model_agrees_up_to_the_rounding_of_the_naive_loop(positions: str) -> None:
    """A trained model rounds more than the tiny ones: the naive loop itself is 9e-6 from its float64 values."""
    model = loaded_model("embedded")
    doses = [(layer, c) for layer in range(model.n_layers) for c in (-2.0, 2.0)]
    cells = [*(cell(model, layer, positions=positions, coefficient=c) for layer, c in doses), Cell()]
    prompts = [f"int f(char *s) {{ char b[8]; {line} }}\n" for line in ("strcpy(b, s);", "strncpy(b, s, 7);")]
    answers = [["A", "B"]] * 2
    double = inspect_model(deepcopy(model.network).double(), model.tokenizer, name=model.name)
    exact = naive(double, prompts, answers, cells)
    in_double = wave_log_likelihoods(double, prompts, answers, cells=cells).log_likelihoods
    assert float((in_double - exact).abs().max()) < 3e-6  # three float32 steps of the returned values (about -10)
    expected = naive(model, prompts, answers, cells)
    found = wave_log_likelihoods(model, prompts, answers, cells=cells).log_likelihoods
    assert float((found - exact).abs().max()) < 1e-5
    assert float((found - expected).abs().max()) < 1e-5 + float((expected - exact).abs().max())
    assert torch.equal(found.argmax(dim=-1), expected.argmax(dim=-1))
    assert float((expected - expected[-1]).abs().max()) > 0.01


@pytest.mark.parametrize("architecture", ["qwen2", "mistral"])
@pytest.mark.parametrize("positions", ["from_last_prompt_token", "all"])
def test_gated_cells_share_the_layers_below_the_gate_and_say_why(architecture: str, positions: str) -> None:
    model = tiny_model(architecture)
    gate = Gate(condition=random_vector(model, 1, seed=5), layer=1, threshold=0.0)
    seen = gate.projection(capture(model, PROMPTS, layers=[1], positions="last_prompt_token")[1])
    gate = replace(gate, threshold=float(seen.sort().values[1:3].mean()))
    open_cell = cell(model, 2, positions=positions, coefficient=2.0)
    gated = Cell(interventions=(replace(open_cell.interventions[0], gate=gate),))
    cells = [gated, open_cell, Cell()]
    result = wave_log_likelihoods(model, PROMPTS, LETTERS, cells=cells)
    assert float((result.log_likelihoods - naive(model, PROMPTS, LETTERS, cells)).abs().max()) < 1e-5
    moved = (result.log_likelihoods[0] - result.log_likelihoods[2]).abs().amax(dim=-1)
    assert ((moved > 1e-3) == gate.fires(seen)).all() and 0 < int(gate.fires(seen).sum()) < len(PROMPTS)
    assert result.way == "layers+shared"
    assert ("positions touch" if positions == "all" else "a gate decides by the row") in result.reason
