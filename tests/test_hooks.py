"""Hooks: attached once, in order, removed always."""

from __future__ import annotations

import pytest
import torch

from conftest import tiny_model
from steerlab.errors import InterventionError
from steerlab.hooks import attached, hook_count, last_logits_only, output_bytes, paused, prompt_lengths, stream_of
from steerlab.models import Model

TOKENS = torch.tensor([[5, 6, 7, 8]])


@pytest.fixture
def llama() -> Model:
    return tiny_model("llama")


def logits(model: Model, **given: object) -> torch.Tensor:
    with torch.inference_mode():
        return model.network(**{"input_ids": TOKENS, **given}).logits


def test_any_number_of_blocks_share_one_hook_per_layer_and_one_on_the_network(llama):
    before = hook_count(llama.network)
    readers = {llama.layers[1]: lambda residual: None}
    with attached(llama.network, readers=readers), attached(llama.network, readers=readers):
        assert hook_count(llama.network) == before + 2
        assert stream_of(llama.network) is not None
    assert hook_count(llama.network) == before
    assert stream_of(llama.network) is None


def test_edits_run_in_the_order_of_entry_and_before_all_readers(llama):
    calls: list[str] = []

    def edit(name: str):
        return lambda residual: (calls.append(name), residual)[1]

    at = llama.layers[1]
    with (
        attached(llama.network, readers={at: lambda _: calls.append("reader 1")}, edits={at: edit("edit 1")}),
        attached(llama.network, readers={at: lambda _: calls.append("reader 2")}, edits={at: edit("edit 2")}),
    ):
        logits(llama)
    assert calls == ["edit 1", "edit 2", "reader 1", "reader 2"]


def test_an_inner_block_that_ends_leaves_the_outer_one_at_work(llama):
    plain = logits(llama)
    push = {llama.layers[1]: lambda residual: residual + 1}
    with attached(llama.network, edits=push):
        outer = logits(llama)
        with attached(llama.network, edits=push):
            assert not torch.equal(logits(llama), outer)
        assert torch.equal(logits(llama), outer)
    assert torch.equal(logits(llama), plain)
    assert not torch.equal(outer, plain)


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt, GeneratorExit])
def test_an_error_of_any_kind_removes_everything(llama, error):
    before = hook_count(llama.network)
    with pytest.raises(error), attached(llama.network, edits={llama.layers[0]: lambda residual: residual}):
        raise error
    assert hook_count(llama.network) == before and stream_of(llama.network) is None


def test_two_networks_do_not_share_a_stream(llama):
    other = tiny_model("gpt2")
    plain = logits(other)
    with attached(llama.network, edits={llama.layers[0]: lambda residual: residual * 2}):
        assert torch.equal(logits(other), plain)


def test_embeddings_instead_of_tokens_have_positions_too(llama):
    embedded = llama.embedding(TOKENS).detach()
    with attached(llama.network) as stream:
        found = logits(llama, input_ids=None, inputs_embeds=embedded)
        assert stream.positions.select("all").shape == (1, 4)
    assert torch.allclose(found, logits(llama), atol=1e-6)


def test_tokens_given_by_place_have_positions_too(llama):
    with attached(llama.network) as stream, torch.inference_mode():
        llama.network(TOKENS, torch.tensor([[0, 0, 1, 1]]))
        assert stream.positions.select("all").tolist() == [[False, False, True, True]]


def test_a_forward_without_tokens_is_one_line(llama):
    with attached(llama.network), pytest.raises(InterventionError, match="neither input_ids nor inputs_embeds"):
        llama.network(attention_mask=torch.ones(1, 4))


def test_a_ready_made_mask_is_refused(llama):
    with attached(llama.network), pytest.raises(InterventionError, match="dynamic"):
        logits(llama, attention_mask=torch.zeros(1, 1, 4, 4))


def test_prompt_lengths_return_to_those_of_the_block_outside(llama):
    with prompt_lengths(llama.network, [2]) as stream:
        with prompt_lengths(llama.network, [3]):
            logits(llama)
            assert int(stream.positions.select("prompt").sum()) == 3
        logits(llama)
        assert int(stream.positions.select("prompt").sum()) == 2


def test_paused_forwards_are_neither_steered_nor_read(llama):
    plain, calls = logits(llama), []
    at = llama.layers[1]
    with attached(llama.network, edits={at: lambda residual: residual + 1}, readers={at: calls.append}):
        with paused(llama.network):
            assert torch.equal(logits(llama), plain)
        assert not calls
        assert not torch.equal(logits(llama), plain)
        assert len(calls) == 1
    with paused(llama.network):
        assert torch.equal(logits(llama), plain)


@pytest.mark.parametrize("n_positions", [1, 2, 4, 9])
def test_the_last_logits_are_those_of_the_whole_forward(model, n_positions):
    before, whole = hook_count(model.network), logits(model)
    with last_logits_only(model.network, model.head, n_positions=n_positions):
        last = logits(model)
    assert last.shape[1] == min(n_positions, 4)
    assert torch.allclose(last, whole[:, -n_positions:], atol=1e-5)
    assert hook_count(model.network) == before
    with last_logits_only(model.network, None):
        assert torch.equal(logits(model), whole)


def test_the_bytes_of_a_layer_are_those_of_its_parts(llama):
    before = hook_count(llama.network)
    with output_bytes(llama.layers[0]) as sizes:
        logits(llama)
    assert sum(sizes) >= 4 * 32 * 4 * 2
    assert hook_count(llama.network) == before
