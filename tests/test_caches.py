"""A cache with room gives what transformers' own gives, and joins rows of several."""

from __future__ import annotations

import pytest
import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from conftest import tiny_model
from steerlab.caches import RoomyLayer, join_layers, make_room
from steerlab.generation import Decoding, generate
from steerlab.models import Model


def tokens(n_rows: int, n_tokens: int, *, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    keys, values = torch.randn(2, n_rows, 2, n_tokens, 4, generator=generator)
    return keys, values


def filled(n_rows: int, n_tokens: int, *, seed: int = 0) -> DynamicLayer:
    layer = DynamicLayer()
    layer.update(*tokens(n_rows, n_tokens, seed=seed))
    return layer


def assert_same(mine: DynamicLayer, theirs: DynamicLayer) -> None:
    assert torch.equal(mine.keys, theirs.keys) and torch.equal(mine.values, theirs.values)
    assert mine.get_seq_length() == theirs.get_seq_length()


@pytest.mark.parametrize("room", [0, 3, 40])
def test_appending_dropping_and_cropping_give_what_the_layer_of_transformers_gives(room: int) -> None:
    mine, theirs = RoomyLayer([(filled(5, 7), None)], room=room), filled(5, 7)
    assert_same(mine, theirs)
    for step in range(6):
        more = tokens(len(theirs.keys), 1 + step % 2, seed=step)
        for ours, own in zip(mine.update(*more), theirs.update(*more), strict=True):
            assert torch.equal(ours, own)
        if step in (1, 3):
            for layer in (mine, theirs):
                layer.batch_select_indices(torch.tensor([2, 0, 1]))
        if step == 4:
            for layer in (mine, theirs):
                layer.crop(-3)
        assert_same(mine, theirs)


def test_a_step_copies_nothing_while_there_is_room() -> None:
    layer = RoomyLayer([(filled(5, 7), None)], room=3)
    places = {layer.keys.data_ptr()}
    for step in range(3):
        layer.update(*tokens(5, 1, seed=step))
        places.add(layer.keys.data_ptr())
    assert len(places) == 1


def test_rows_of_several_layers_are_joined() -> None:
    parts = [(filled(2, 7, seed=1), torch.tensor([1, 1, 0])), (filled(3, 7, seed=2), None)]
    joined = join_layers(parts, room=2)
    assert torch.equal(joined.keys, torch.cat([parts[0][0].keys[[1, 1, 0]], parts[1][0].keys]))
    assert torch.equal(joined.values, torch.cat([parts[0][0].values[[1, 1, 0]], parts[1][0].values]))
    joined.update(*tokens(6, 1))
    assert torch.equal(parts[0][0].keys, filled(2, 7, seed=1).keys)


def test_layers_with_a_window_are_joined_and_stay_windows() -> None:
    layer = DynamicSlidingWindowLayer(sliding_window=4)
    layer.update(*tokens(2, 7))
    joined = join_layers([(layer, torch.tensor([1, 0, 1]))], room=5)
    assert type(joined) is DynamicSlidingWindowLayer and joined.get_seq_length() == 7
    assert torch.equal(joined.keys, layer.keys[[1, 0, 1]])
    assert layer.keys.shape[0] == 2


def test_only_filled_dynamic_layers_get_room() -> None:
    cache = DynamicCache()
    cache.layers = [filled(2, 3), DynamicLayer(), DynamicSlidingWindowLayer(sliding_window=4)]
    kept = cache.layers[1:]
    make_room(cache, tokens=3)
    assert type(cache.layers[0]) is RoomyLayer and cache.layers[1:] == kept
    make_room(None, tokens=3)


def test_completions_are_those_of_a_cache_without_room(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts, how = ["def f(x):\n    return", "x", "for i in"], Decoding(max_new_tokens=10, temperature=1.0)
    with_room = generate(model, prompts, decoding=how)
    monkeypatch.setattr("steerlab.caches.make_room", lambda cache, *, tokens: None)
    assert generate(model, prompts, decoding=how) == with_room


def test_generation_uses_the_room() -> None:
    model = tiny_model("llama")
    seen = []
    handle = model.network.register_forward_hook(lambda *call: seen.append(call[-1].past_key_values.layers[0]))
    generate(model, ["x"], decoding=Decoding(max_new_tokens=3))
    handle.remove()
    assert type(seen[-1]) is RoomyLayer
