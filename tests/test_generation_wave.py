"""The wave for generation: what one steered `generate` per cell and prompt writes, token by token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
import transformers
from transformers.cache_utils import DynamicLayer

from conftest import half_model, loaded_model, random_vector, tiny_model
from steerlab import batches
from steerlab.capturing import capture
from steerlab.errors import InterventionError, LayerError, OptionError, PromptError
from steerlab.gates import Gate
from steerlab.generation import Completion, Decoding, ReadRows, generate
from steerlab.hooks import Stream, hook_count
from steerlab.models import Model
from steerlab.steering import steer, steer_rows
from steerlab.wave import Cell, prefix, row_trust, rows, wave_generate
from test_wave import PROMPTS, cell, sweep

SHORT = Decoding(max_new_tokens=6)
SAMPLED = Decoding(max_new_tokens=8, temperature=1.0, top_p=0.9, seed=3)
FAST = ("rows", "shared", "batch")


def endless(model: Model) -> Model:
    return replace(model, eos_token_ids=())


def plain(model: Model, prompts: Sequence[str], cells: Sequence[Cell], how: Decoding = SHORT) -> list[list[Completion]]:
    """One steered `generate` per cell; P4 and P10 say that company changes nothing, one prompt at a time is below."""
    found = []
    for one in cells:
        with steer(model, *one.interventions):
            found.append(generate(model, prompts, decoding=how))
    return found


def written(completions: Sequence[Sequence[Completion]]) -> list[list[Completion]]:
    return [list(own) for own in completions]


def assert_moved(completions: Sequence[Sequence[Completion]]) -> None:
    """Steered cells of the sweep write something else than the baseline (the last); the inert one does not."""
    assert sum(completions[at] != completions[-1] for at in range(5)) >= 3
    assert completions[5] == completions[-1]


@contextmanager
def row_counts(module: torch.nn.Module) -> Iterator[list[tuple[int, int]]]:
    """Rows and tokens of each forward of `module` inside the block."""
    seen: list[tuple[int, int]] = []

    def count(_: torch.nn.Module, args: tuple[torch.Tensor, ...], kwargs: dict[str, torch.Tensor]) -> None:
        given = args[0] if args else kwargs.get("input_ids", kwargs.get("hidden_states"))
        assert given is not None
        seen.append((given.shape[0], given.shape[1]))

    handle = module.register_forward_pre_hook(count, with_kwargs=True)
    try:
        yield seen
    finally:
        handle.remove()


@pytest.mark.parametrize("positions", ["from_last_prompt_token", "all"])
def test_every_architecture_writes_what_one_run_per_cell_and_prompt_writes(model: Model, positions: str) -> None:
    model, cells = endless(model), sweep(model, positions)
    result = wave_generate(model, PROMPTS, cells=cells, decoding=SHORT)
    one_by_one = [[plain(model, [prompt], [one])[0][0] for prompt in PROMPTS] for one in cells]
    assert written(result.completions) == one_by_one
    assert_moved(one_by_one)
    assert result.way == ("rows" if positions == "from_last_prompt_token" else "rows+shared")
    assert ("positions touch the prompt" in result.reason) == (positions == "all")


@pytest.mark.parametrize("way", FAST)
def test_every_way_works_on_every_architecture(model: Model, way: str) -> None:
    model = endless(model)
    cells = sweep(model, "from_last_prompt_token" if way == "rows" else "prompt")
    result = wave_generate(model, PROMPTS, cells=cells, decoding=SHORT, way=way)
    assert result.way == way
    assert written(result.completions) == plain(model, PROMPTS, cells)
    assert_moved(result.completions)


@pytest.mark.parametrize("architecture", ["llama", "mistral"])
@pytest.mark.parametrize("positions", ["completion", "last_prompt_token"])
def test_positions_after_the_prompt_repeat_its_cache(architecture: str, positions: str) -> None:
    model = endless(tiny_model(architecture))
    cells = sweep(model, positions)
    result = wave_generate(model, PROMPTS, cells=cells, decoding=SHORT)
    assert written(result.completions) == plain(model, PROMPTS, cells)
    assert result.way == "rows"


@pytest.mark.parametrize("positions", ["from_last_prompt_token", "all"])
def test_the_embedded_model_writes_the_same(positions: str) -> None:
    model = loaded_model("embedded")
    norm = float(capture(model, PROMPTS, layers=[2], positions="all")[2].norm(dim=-1).mean())
    doses = [(layer, share) for layer in (0, 2, model.n_layers - 1) for share in (-0.5, 0.5)]
    cells = [cell(model, layer, positions=positions, coefficient=norm * share / 3) for layer, share in doses]
    how = Decoding(max_new_tokens=12)
    result = wave_generate(model, PROMPTS, cells=[*cells, Cell()], decoding=how)
    expected = plain(model, PROMPTS, [*cells, Cell()], how)
    assert written(result.completions) == expected
    assert sum(own != expected[-1] for own in expected) >= 4


@pytest.mark.parametrize("way", FAST)
def test_rows_that_have_ended_leave_and_the_work_shrinks(way: str) -> None:
    model = endless(tiny_model("qwen2"))
    cells = sweep(model, "from_last_prompt_token" if way == "rows" else "all")
    cells = [one for one in cells if one.live]  # the others are no matter of the prompt: a batch of their own
    free = plain(model, PROMPTS, cells)
    early = replace(model, eos_token_ids=(free[0][0].tokens[1], free[2][3].tokens[2], free[1][2].tokens[0]))
    wave_generate(early, PROMPTS, cells=cells, decoding=SHORT, way=way)  # the check of the way counts rows, too
    with row_counts(model.network) as forwards:
        result = wave_generate(early, PROMPTS, cells=cells, decoding=SHORT, way=way)
    assert written(result.completions) == plain(early, PROMPTS, cells)
    lengths = [len(done.tokens) for own in result.completions for done in own]
    assert {1, 2, 6} <= set(lengths)
    steps = forwards[-(max(lengths) - 1) :]
    assert steps == [(sum(length > step for length in lengths), 1) for step in range(1, max(lengths))]


def test_layers_below_the_steered_one_read_each_prompt_once() -> None:
    model = endless(tiny_model("llama"))
    cells = [cell(model, layer, positions="all", coefficient=c) for layer in (2, 1) for c in (1.0, 2.0, 3.0)]
    how = Decoding(max_new_tokens=1)
    wave_generate(model, PROMPTS, cells=cells, decoding=how)
    seen = []
    for layer in model.layers:
        with row_counts(layer.mlp) as forwards:
            wave_generate(model, PROMPTS, cells=cells, decoding=how)
        seen.append(sum(n for n, _ in forwards))
    n = len(PROMPTS)
    assert seen == [n, n, n + 3 * n, 6 * n]


def test_a_prompt_is_read_once_where_steering_begins_at_its_end() -> None:
    model = endless(tiny_model("llama"))
    cells = [cell(model, 1, coefficient=float(c)) for c in range(1, 8)]
    wave_generate(model, PROMPTS, cells=cells, decoding=SHORT)
    with row_counts(model.network) as forwards:
        wave_generate(model, PROMPTS, cells=cells, decoding=SHORT)
    n = len(PROMPTS)
    assert forwards == [(n, max(map(len, PROMPTS)) - 1), *[(7 * n, 1)] * SHORT.max_new_tokens]


@pytest.mark.parametrize("way", [*FAST, "plain"])
def test_a_prompt_is_sampled_alike_in_every_cell_and_batch(way: str) -> None:
    model = endless(tiny_model("llama"))
    cells = sweep(model, "from_last_prompt_token" if way == "rows" else "all")
    expected = plain(model, PROMPTS, cells, SAMPLED)
    for memory_bytes in (None, 1):
        found = wave_generate(model, PROMPTS, cells=cells, decoding=SAMPLED, way=way, memory_bytes=memory_bytes)
        assert written(found.completions) == expected
    assert expected[0] != expected[-1] and expected[5] == expected[-1]
    assert written(wave_generate(model, PROMPTS, cells=[Cell()], decoding=SHORT).completions) != [expected[-1]]


@pytest.mark.parametrize("way", [*FAST, "plain"])
def test_prompts_are_sampled_as_the_numbers_that_they_are_given(way: str) -> None:
    model = endless(tiny_model("qwen2"))
    cells = [cell(model, 1), Cell()]
    whole = wave_generate(model, PROMPTS, cells=cells, decoding=SAMPLED, way=way)
    part = wave_generate(model, PROMPTS[2:], cells=cells, decoding=SAMPLED, way=way, numbers=[2, 3])
    assert [list(own) for own in part.completions] == [list(own[2:]) for own in whole.completions]
    again = wave_generate(model, [PROMPTS[1]] * 3, cells=cells, decoding=SAMPLED, way=way, numbers=[7, 8, 7])
    for own in again.completions:
        assert own[0] == own[2] != own[1]
    with pytest.raises(OptionError, match="one per prompt"):
        wave_generate(model, PROMPTS, cells=cells, numbers=[1])


@pytest.mark.parametrize("architecture", ["qwen2", "gemma2"])
@pytest.mark.parametrize("positions", ["from_last_prompt_token", "all"])
def test_the_memory_budget_bounds_the_rows_and_changes_nothing(architecture: str, positions: str) -> None:
    model = endless(tiny_model(architecture))
    cells, prompts = sweep(model, positions), [prompt.ljust(20)[:20] for prompt in PROMPTS]
    whole = wave_generate(model, prompts, cells=cells, decoding=SHORT)
    staying, _ = batches.bytes_per_token(model)
    three_rows = 3 * (2 * (20 + SHORT.max_new_tokens) * staying + 12 * model.d_vocab)
    with row_counts(model.network) as forwards:
        parts = wave_generate(model, prompts, cells=cells, decoding=SHORT, memory_bytes=three_rows)
    assert parts == whole
    assert max(n for n, tokens in forwards if tokens == 1) == 3


class StubbornLayer(DynamicLayer):
    def batch_select_indices(self, indices: torch.Tensor) -> None:
        raise NotImplementedError("rows of this cache stay")


def test_a_cache_that_cannot_be_repeated_goes_the_plain_way_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    model = endless(tiny_model("llama"))
    cells = sweep(model)
    expected = plain(model, PROMPTS, cells)

    class StubbornCache(transformers.DynamicCache):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, **kwargs)
            self.layers = [StubbornLayer() for _ in self.layers]

    monkeypatch.setattr(row_trust, "_CHECKS", {})
    monkeypatch.setattr(prefix, "_DYNAMIC", {})  # what tests before this one have seen of the same network
    monkeypatch.setattr("transformers.models.llama.modeling_llama.DynamicCache", StubbornCache)
    result = wave_generate(model, PROMPTS, cells=cells, decoding=SHORT)
    assert result.way == "plain"
    assert result.reason == (
        "rows failed: a cache of StubbornLayer cannot be shared between cells; batch failed: rows of this cache stay"
    )
    assert written(result.completions) == expected
    with pytest.raises(OptionError, match="the way 'rows' is not possible here: rows failed: a cache of Stubborn"):
        wave_generate(model, PROMPTS, cells=cells, decoding=SHORT, way="rows")


@pytest.mark.parametrize("way", FAST)
def test_a_way_that_gives_other_chances_is_refused(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = endless(tiny_model("gpt2"))
    right = rows.READERS[way]

    @contextmanager
    def wrong(*arguments: object, room: int) -> Iterator[tuple[Stream, ReadRows]]:
        with right(*arguments, room=room) as (stream, read):
            read.cache.layers[1].values *= 1.01
            yield stream, read

    monkeypatch.setattr(row_trust, "_CHECKS", {})
    monkeypatch.setitem(rows.READERS, way, wrong)
    cells = [cell(model, 1, positions="from_last_prompt_token" if way == "rows" else "all")]
    with pytest.raises(OptionError, match=f"{way} differs from the plain way by"):
        wave_generate(model, PROMPTS, cells=cells, decoding=SHORT, way=way)
    result = wave_generate(model, PROMPTS, cells=cells, decoding=SHORT)
    assert result.way == ("shared" if way == "batch" and "touch" in result.reason else "batch")


@pytest.mark.parametrize("positions", ["from_last_prompt_token", "all"])
def test_gated_cells_are_steered_on_the_rows_where_the_gate_fires(positions: str) -> None:
    model = endless(tiny_model("qwen2"))
    gate = Gate(condition=random_vector(model, 1, seed=5), layer=1, threshold=0.0)
    seen = gate.projection(capture(model, PROMPTS, layers=[1], positions="last_prompt_token")[1])
    gate = replace(gate, threshold=float(seen.sort().values[1:3].mean()))
    fires = gate.fires(seen).tolist()
    assert 0 < sum(fires) < len(PROMPTS)
    ungated = cell(model, 2, positions=positions, coefficient=2.0)
    gated = Cell(interventions=(replace(ungated.interventions[0], gate=gate),))
    result = wave_generate(model, PROMPTS, cells=[gated, ungated, Cell()], decoding=SHORT)
    assert written(result.completions) == plain(model, PROMPTS, [gated, ungated, Cell()])
    for at, fired in enumerate(fires):
        assert result.completions[0][at] == result.completions[1 if fired else 2][at]
        assert result.completions[1][at] != result.completions[2][at]
    if positions == "all":
        assert result.way == "rows+shared+batch" and "a gate decides by the row" in result.reason


@pytest.mark.parametrize("positions", ["from_last_prompt_token", "all"])
def test_nothing_is_left_behind_also_after_an_error(positions: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = endless(tiny_model("mistral"))
    before = hook_count(model.network), [sorted(vars(layer)) for layer in model.layers]
    cells = sweep(model, positions)
    wave_generate(model, PROMPTS, cells=cells, decoding=SHORT)
    assert (hook_count(model.network), [sorted(vars(layer)) for layer in model.layers]) == before

    def broken(*_: object) -> torch.Tensor:
        raise KeyError("broken")

    monkeypatch.setattr("steerlab.steering.Step.apply", broken)
    with pytest.raises(KeyError):
        wave_generate(model, PROMPTS, cells=cells, decoding=SHORT)
    assert (hook_count(model.network), [sorted(vars(layer)) for layer in model.layers]) == before


def test_what_is_not_possible_is_said_in_words() -> None:
    model = tiny_model("qwen2")
    with pytest.raises(OptionError, match="the way 'rows' is not possible here: positions touch the prompt"):
        wave_generate(model, PROMPTS, cells=[cell(model, 1, positions="all")], way="rows")
    with pytest.raises(OptionError, match="Did you mean rows"):
        wave_generate(model, PROMPTS, cells=[cell(model, 1)], way="row")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="memory_bytes 0 is not positive"):
        wave_generate(model, PROMPTS, cells=[cell(model, 1)], memory_bytes=0)
    with pytest.raises(PromptError, match="exceed the context"):
        wave_generate(model, ["x" * 500], cells=[cell(model, 1)], decoding=Decoding(max_new_tokens=13))
    with pytest.raises(LayerError, match="layer 3 does not exist"):
        wave_generate(replace(model, layers=model.layers[:2]), PROMPTS, cells=[cell(model, 3)])
    with steer_rows(model, [()] * len(PROMPTS)), pytest.raises(InterventionError, match="cannot run inside steer_rows"):
        wave_generate(model, PROMPTS, cells=[Cell()])


def test_inside_a_steer_block_the_wave_is_plain_and_the_block_counts() -> None:
    model = endless(tiny_model("qwen2"))
    cells = [cell(model, 1), Cell()]
    outer = cell(model, 2, positions="all", seed=30).interventions
    with steer(model, *outer):
        result = wave_generate(model, PROMPTS, cells=cells, decoding=SHORT)
    both = [Cell(interventions=(*outer, *one.interventions)) for one in cells]
    assert result.way == "plain" and "steer or capture block" in result.reason
    assert written(result.completions) == plain(model, PROMPTS, both)


@pytest.mark.parametrize("way", FAST)
def test_prompts_of_one_token_and_stop_strings_work(way: str) -> None:
    model = endless(tiny_model("gpt2"))
    cells = sweep(model, "from_last_prompt_token" if way == "rows" else "all")
    free = plain(model, ["x", "y"], cells)
    text = next(done.text for own in free for done in own if len(done.text) > 3)
    how = replace(SHORT, stop=(text[1:3],))
    result = wave_generate(model, ["x", "y"], cells=cells, decoding=how, way=way)
    assert written(result.completions) == plain(model, ["x", "y"], cells, how)
    assert any(done.ended == "stop" for own in result.completions for done in own)


def test_progress_counts_completions_and_nothing_gives_nothing() -> None:
    model = tiny_model("qwen2")
    cells = [cell(model, 1), cell(model, 2, positions="all"), Cell()]
    for way in ("auto", "plain"):
        seen: list[int] = []
        wave_generate(model, PROMPTS, cells=cells, decoding=SHORT, way=way, progress=seen.append)
        assert sum(seen) == len(cells) * len(PROMPTS)
    assert wave_generate(model, PROMPTS, cells=[]).completions == ()
    assert wave_generate(model, [], cells=[Cell(), Cell()]).completions == ((), ())


@pytest.mark.parametrize("positions", ["from_last_prompt_token", "all"])
def test_in_bfloat16_the_fast_ways_are_taken(positions: str) -> None:
    model = endless(half_model("llama"))
    cells = [cell(model, 1, positions=positions), cell(model, 2, positions=positions)]
    result = wave_generate(model, PROMPTS, cells=cells, decoding=SHORT)
    assert result.way == ("rows" if positions == "from_last_prompt_token" else "shared")
    assert result.completions[0] != result.completions[1]


def test_out_of_memory_halves_the_batch(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    model = endless(tiny_model("qwen2"))
    cells = sweep(model)
    expected = wave_generate(model, PROMPTS, cells=cells, decoding=SHORT)
    right = rows.READERS["rows"]

    @contextmanager
    def small(model: Model, own: rows.CellRows, *, room: int) -> Iterator[tuple[Stream, ReadRows]]:
        if len(own.of) > 12:
            raise torch.OutOfMemoryError("out of memory")
        with right(model, own, room=room) as found:
            yield found

    monkeypatch.setitem(rows.READERS, "rows", small)
    assert wave_generate(model, PROMPTS, cells=cells, decoding=SHORT) == expected
    assert "going on with 20 at a time" in caplog.text and "going on with 10 at a time" in caplog.text
