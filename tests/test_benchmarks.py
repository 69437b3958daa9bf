"""The comparison with the peers: the contract of a worker, what becomes a verdict, and the rendered table."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from conftest import byte_tokenizer, random_network

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def bench() -> Iterator[types.SimpleNamespace]:
    sys.path[:0] = [str(BENCHMARKS), str(BENCHMARKS / "peers")]
    import peers
    import peers_environments
    import peers_table
    import worker

    yield types.SimpleNamespace(command=peers, environments=peers_environments, table=peers_table, worker=worker)
    del sys.path[:2]


def script(folder: Path, text: str) -> list[str]:
    path = folder / "fake_worker.py"
    path.write_text(text)
    return [sys.executable, str(path), "job.json"]


def test_the_result_of_a_worker_is_the_last_line_that_it_prints(bench, tmp_path) -> None:
    command = script(tmp_path, "print('a peer greets you'); print('{\"load_seconds\": 1.5}')")
    assert bench.command.run_worker(command, environment={}) == {"load_seconds": 1.5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise ValueError('no such layer')", "status 1: ValueError: no such layer"),
        ("print('done')", "'done', not a JSON object"),
        ("print('[1]')", "a JSON list, not an object"),
        ("", "'', not a JSON object"),
    ],
)
def test_a_worker_without_a_result_is_an_error_that_says_what_it_did(bench, tmp_path, text, message) -> None:
    with pytest.raises(bench.environments.PeerError, match=message):
        bench.command.run_worker(script(tmp_path, text), environment={})


def test_every_side_has_a_worker_and_pinned_versions(bench) -> None:
    for name, side in bench.environments.SIDES.items():
        assert side.worker(name).is_file()
        assert all("==" in requirement for requirement in side.requirements)


def hooked(network, cell, work):
    def add(module, inputs, output):
        return output + cell.vector

    handle = network.model.layers[cell.layer].register_forward_hook(add)
    try:
        return work()
    finally:
        handle.remove()


@pytest.fixture(scope="module")
def measured(bench, tmp_path_factory) -> tuple[dict, Path]:
    """What a fake peer gives: it steers all positions with a hook, forgets to decode, and leaves a hook behind."""
    worker = bench.worker
    tokenizer = byte_tokenizer()
    tokenizer.padding_side, tokenizer.eos_token = "left", None
    network = random_network("qwen2", eos_token_id=None)
    loaded = worker.Loaded(network=network, tokenizer=tokenizer)

    def encoded(prompts):
        batch = worker.encoded(tokenizer, prompts)
        batch.pop("token_type_ids", None)
        return batch

    def readout(loaded, prompt, cell):
        with torch.inference_mode():
            return hooked(network, cell, lambda: network(**encoded(prompt)).logits[0, -1])

    def generate(loaded, prompts, cell, count):
        batch = encoded(prompts)
        return worker.new_tokens(hooked(network, cell, lambda: worker.greedy(loaded, batch, count)), batch)

    def probes(loaded, given):
        long = given.prompts[0]

        def prefill_only():
            ids = tokenizer(long)["input_ids"]
            return worker.decoded_by_hand(network, ids, given.first, count=given.new_tokens, stop=len(ids))

        def unable():
            raise NotImplementedError("one vector at a time")

        def left_behind():
            chances = worker.log_chances(readout(loaded, long, given.first), given.answers)
            return [chances]

        def padded():
            with torch.inference_mode():
                logits = hooked(network, given.first, lambda: network(**encoded(given.prompts)).logits[:, -1])
            return worker.log_chances(logits, given.answers)

        return {
            "decoding": {"old": prefill_only, "new": lambda: generate(loaded, [long], given.first, 8)[0]},
            "left_padding": {"broken": unable, "a forward": padded},
            "rows": {"a list": unable},
            "clean_up": {"an error": left_behind},
        }

    peer = worker.Peer(
        packages=("pytest",), load=lambda _: loaded, sweep={"all": worker.by_forwards(readout)}, generate=generate,
        extract=None, probes=probes, notes=("a fake",),
    )  # fmt: skip
    directions = {"2": torch.randn(32, generator=torch.Generator().manual_seed(0)).tolist()}
    job = {
        "model": "", "threads": torch.get_num_threads(), "reference": True,
        "sweep": {"prompts": ["one", "another"], "cells": [[2, 1.0], [2, -1.0]], "sample": [1], "answers": [65, 66],
                  "directions": directions},
        "generation": {"prompts": ["a", "bcd"], "cell": [2, 1.0], "directions": directions, "new_tokens": 4},
        "probes": {"prompts": ["a longer prompt", "short"], "cells": [[2, 2.0], [2, -2.0]], "directions": directions,
                   "answers": [65, 66], "new_tokens": 8},
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("worker")
    found = worker.measure(peer, job, folder / "fake.npy")
    return json.loads(json.dumps(found)), folder


def test_a_worker_measures_its_peer_beside_the_plain_forward(measured) -> None:
    found, _ = measured
    assert found["sweep_all"]["seconds"] > 0
    assert found["sweep_all"]["floor_seconds"] > 0
    assert found["sweep_all"]["n_cells_run"] == 1
    assert [len(row) for row in found["generation"]["values"]] == [4, 4]
    assert "sweep_last" not in found
    assert "extraction" not in found
    assert found["peak_mib"] > 50


def test_a_peer_may_bring_its_own_probe_of_other_hooks(bench) -> None:
    def mute(*_):
        raise AssertionError

    peer = bench.worker.Peer(
        packages=(), load=mute, sweep={}, generate=mute, extract=None,
        probes=lambda *_: {"other_hooks": {"on its own network": lambda: [1]}},
    )  # fmt: skip
    found = bench.worker._probes(peer, None, None)
    assert found == {"other_hooks": {"on its own network": {"values": [1]}}}


def test_verdicts_come_from_what_the_peer_gave(bench, measured) -> None:
    found, _ = measured
    verdicts = bench.table.verdicts(found, found["reference"])
    assert {name: own["verdict"] for name, own in verdicts.items()} == {
        "decoding": "silently wrong",
        "left_padding": "degraded",
        "rows": "error",
        "clean_up": "silently wrong",
        "other_hooks": "supported",
    }
    assert verdicts["decoding"]["ways"] == {"old": "silently wrong", "new": "supported"}
    assert verdicts["rows"]["errors"] == {"a list": "NotImplementedError: one vector at a time"}


def test_a_probe_that_a_mistake_would_pass_decides_nothing(bench) -> None:
    wanted = {"values": [7, 7, 7], "twins": [[7, 7, 7]]}
    assert bench.table.verdict({"a way": {"values": [7, 7, 7]}}, wanted)["verdict"] == "undecided"


def test_a_sampled_sweep_is_scaled_to_all_cells(bench) -> None:
    rounds = [
        {"sweep_all": {"seconds": s, "floor_seconds": 0.5, "n_cells_run": 3, "warm_up_seconds": 0.1}} for s in (2, 1, 3)
    ]
    found = bench.table.part(rounds, "sweep_all", n_cells=30)
    assert found["seconds"] == 20
    assert found["times_floor"] == 40
    assert bench.table.part(rounds, "generation", n_cells=30) == {}
    assert bench.table.part([*rounds, {"sweep_all": {"error": "no"}}], "sweep_all", n_cells=30) == {"error": "no"}


def test_the_page_shows_numbers_verdicts_and_what_failed(bench, measured) -> None:
    result, folder = measured
    rounds = [result | {"import_seconds": 1.25}]
    fake = bench.table.side(rounds, rounds, n_cells=10, folder=folder)
    broken = bench.table.side([{"error": "pip failed: no such version"}], rounds, n_cells=10, folder=folder)
    page = bench.table.markdown(
        {
            "sides": {"fake": fake, "broken": broken}, "shape": {"num_hidden_layers": 4}, "sizes": bench.command.SMALL,
            "n_cells": 10, "doses": (1.0,), "dtype": "float32", "threads": 2, "cores": 2, "load_average": 0.1,
            "repeats": 1, "date": "2026-11-26", "options": "--small",
        }
    )  # fmt: skip
    assert "on 2026-11-26" in page
    assert "(1 x ours)" in page
    assert "| fake | silently wrong |  | degraded | error | silently wrong | supported |" in page
    assert "`new` supported" in page
    assert "- fake: a fake." in page
    assert "error: pip failed: no such version" in page
    assert "0 of 2 rows differ" in page
