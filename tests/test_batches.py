"""Batches: within the memory that is free; halved when it runs out; results in the order of the rows."""

from __future__ import annotations

import gc
import logging
import weakref

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import byte_tokenizer, random_network, random_vector, tiny_model
from steerlab import batches
from steerlab.batches import bytes_per_token, plan, row_bytes, run_batched
from steerlab.generation import Decoding, generate
from steerlab.interventions import Intervention
from steerlab.models import inspect_model
from steerlab.steering import steer

LENGTHS = st.lists(st.integers(1, 3000), max_size=200)


@settings(max_examples=30)
@given(LENGTHS)
def test_every_row_is_in_one_batch_longest_first_and_none_is_too_large(lengths):
    planned = plan(tiny_model("llama"), lengths)
    flat = [row for batch in planned for row in batch]
    assert sorted(flat) == list(range(len(lengths)))
    assert [lengths[row] for row in flat] == sorted(lengths, reverse=True)
    for batch in planned:
        assert len(batch) == 1 or len(batch) * lengths[batch[0]] <= batches.CPU_TOKENS_PER_BATCH
        assert len(batch) <= batches.MAXIMAL_ROWS


def test_less_memory_gives_smaller_batches(monkeypatch):
    model = tiny_model("llama")
    sizes = []
    for rows in (2, 8, 1000):
        monkeypatch.setattr(
            batches, "free_bytes", lambda _, rows=rows: rows * row_bytes(model, 50) / batches.MEMORY_SHARE
        )
        sizes.append(len(plan(model, [50] * 100)[0]))
    assert (
        sizes[0] == 2
        and sizes[1] in (7, 8)
        and sizes[2] == min(batches.MAXIMAL_ROWS, batches.CPU_TOKENS_PER_BATCH // 50)
    )


def test_the_measured_cache_is_that_of_the_shape():
    """Llama here: 4 layers, keys and values of 2 heads of 8, 4 bytes each."""
    staying, passing = bytes_per_token(tiny_model("llama"))
    assert staying == 4 * 2 * 2 * 8 * 4
    assert passing > 32 * 4


def test_the_measurement_keeps_no_network_alive():
    model = inspect_model(random_network("llama"), byte_tokenizer(), name="short")
    bytes_per_token(model)
    network = weakref.ref(model.network)
    del model
    gc.collect()
    assert network() is None


def test_the_measurement_is_not_disturbed_by_steering_with_lengths():
    model = inspect_model(random_network("llama"), byte_tokenizer(), name="fresh")
    push = Intervention(vector=random_vector(model, 1), coefficient=1.0)
    with steer(model, push, lengths=[3, 4, 5]):
        done = generate(model, ["abc", "de"], decoding=Decoding(max_new_tokens=2))
    with steer(model, push):
        assert generate(model, ["abc", "de"], decoding=Decoding(max_new_tokens=2)) == done


def limited(most: int, error: type[Exception] = torch.OutOfMemoryError, text: str = "CUDA out of memory"):
    sizes: list[int] = []

    def run(batch: list[int]) -> list[int]:
        sizes.append(len(batch))
        if len(batch) > most:
            raise error(text)
        return [row * 10 for row in batch]

    return run, sizes


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (torch.OutOfMemoryError, "CUDA out of memory"),
        (MemoryError, ""),
        (RuntimeError, "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_out_of_memory_halves_and_says_so_and_loses_nothing(error, text, caplog):
    run, sizes = limited(5, error, text)
    counted: list[int] = []
    with caplog.at_level(logging.WARNING, logger="steerlab"):
        found = run_batched(tiny_model("llama"), list(range(1, 31)), run, progress=counted.append)
    assert found == [row * 10 for row in range(30)]
    assert sum(counted) == 30
    assert [message for message in caplog.messages if "out of memory" in message] == [
        "out of memory with 30 rows: going on with 15 at a time",
        "out of memory with 15 rows: going on with 7 at a time",
        "out of memory with 7 rows: going on with 3 at a time",
    ]
    assert sizes[:4] == [30, 15, 7, 3] and max(sizes[3:]) == 3


def test_later_batches_are_halved_too_so_that_they_need_not_fail():
    run, sizes = limited(20)
    run_batched(tiny_model("llama"), [1] * 200, run)
    assert sum(size > 20 for size in sizes) == 2


def test_a_single_row_that_does_not_fit_raises():
    run, sizes = limited(0)
    with pytest.raises(torch.OutOfMemoryError):
        run_batched(tiny_model("llama"), [4, 4, 4, 4], run)
    assert sizes == [4, 2, 1]


def test_another_error_is_not_taken_for_lack_of_memory():
    run, sizes = limited(0, RuntimeError, "shapes do not match")
    with pytest.raises(RuntimeError, match="shapes"):
        run_batched(tiny_model("llama"), [4] * 4, run)
    assert sizes == [4]


def test_the_tensors_of_a_failed_batch_are_gone_before_the_next_try():
    lost: list[weakref.ref[torch.Tensor]] = []

    def run(batch: list[int]) -> list[int]:
        assert all(reference() is None for reference in lost)
        large = torch.ones(1000)
        if len(batch) > 1:
            lost.append(weakref.ref(large))
            raise torch.OutOfMemoryError("out of memory")
        return batch

    assert run_batched(tiny_model("llama"), [1] * 4, run) == [0, 1, 2, 3]
    assert len(lost) == 2


def test_no_rows_give_no_results():
    assert run_batched(tiny_model("llama"), [], lambda batch: batch) == []
