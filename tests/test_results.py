"""A run directory: what is in it after a kill, a resume, a full disk, a second run."""

from __future__ import annotations

import errno
import multiprocessing
import os
import pickle
import random
import time
from pathlib import Path

import pandas as pd
import pytest

from steerlab import shards
from steerlab.errors import RunError
from steerlab.results import open_run, read_run
from steerlab.trial_ids import TrialIds

SETTINGS = {"model": "m", "layers": (1, 2)}
FACTS = {"data_sha256": "d"}


def row(trial: str, program: str, margin: float = 1.0) -> dict[str, object]:
    return {"trial": trial, "program": program, "margin": margin}


def test_rows_of_a_finished_run_are_read_back(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with open_run(out, settings=SETTINGS, facts=FACTS, resume=False) as opened:
        opened.append([row("b", "p1"), row("b", "p2")])
        opened.append([row("a", "p1", 3.0)])
        opened.finish({"verdict": "none"})
    result, rows = read_run(out)
    assert result == {"verdict": "none"}
    assert rows[["trial", "program"]].to_numpy().tolist() == [["a", "p1"], ["b", "p1"], ["b", "p2"]]


def test_a_used_directory_needs_resume(tmp_path: Path) -> None:
    with open_run(tmp_path, settings=SETTINGS, facts=FACTS, resume=False) as opened:
        opened.append([row("a", "p")])
    with pytest.raises(RunError, match="--resume"), open_run(tmp_path, settings=SETTINGS, facts=FACTS, resume=False):
        pass
    with open_run(tmp_path, settings=SETTINGS, facts=FACTS, resume=True) as opened:
        assert opened.done == {"a"}


def test_resume_refuses_other_settings_and_names_them(tmp_path: Path) -> None:
    with open_run(tmp_path, settings=SETTINGS, facts=FACTS, resume=False):
        pass
    other = SETTINGS | {"layers": (1, 3)}
    with pytest.raises(RunError, match=r"layers = \[1, 2\], now it is \[1, 3\]"):
        with open_run(tmp_path, settings=other, facts=FACTS, resume=True):
            pass
    with pytest.raises(RunError, match="data_sha256"):
        with open_run(tmp_path, settings=SETTINGS, facts={"data_sha256": "e"}, resume=True):
            pass


def test_a_directory_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(RunError, match="not empty"), open_run(tmp_path, settings={}, facts={}, resume=True):
        pass


def test_two_runs_cannot_write_into_one_directory(tmp_path: Path) -> None:
    with open_run(tmp_path, settings=SETTINGS, facts=FACTS, resume=False):
        with pytest.raises(RunError, match="in use"), open_run(tmp_path, settings=SETTINGS, facts=FACTS, resume=True):
            pass


def test_rows_are_written_when_the_block_ends_by_ctrl_c(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), open_run(tmp_path, settings=SETTINGS, facts=FACTS, resume=False) as opened:
        opened.append([row("a", "p")])
        raise KeyboardInterrupt
    with open_run(tmp_path, settings=SETTINGS, facts=FACTS, resume=True) as opened:
        assert opened.done == {"a"}
    with pytest.raises(RunError, match="not finished"):
        read_run(tmp_path)


def test_a_full_disk_is_one_line_and_keeps_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(RunError, match="disk is full"):
        with open_run(tmp_path, settings=SETTINGS, facts=FACTS, resume=False) as opened:
            opened.append([row("a", "p")])
            opened.flush()
            monkeypatch.setattr(os, "fsync", full)
            opened.append([row("b", "p")])
            opened.flush()
    monkeypatch.undo()
    with open_run(tmp_path, settings=SETTINGS, facts=FACTS, resume=True) as opened:
        assert opened.done == {"a"}


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    for place in (file, file / "run"):
        with pytest.raises(RunError), open_run(place, settings={}, facts={}, resume=False):
            pass


def test_a_damaged_shard_is_set_aside_and_computed_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with open_run(tmp_path, settings=SETTINGS, facts=FACTS, resume=False) as opened:
        opened.append([row("a", "p")])
        opened.flush()
        opened.append([row("b", "p")])
    first = sorted((tmp_path / "rows").glob("part-*.parquet"))[0]
    first.write_bytes(first.read_bytes()[:40])
    with open_run(tmp_path, settings=SETTINGS, facts=FACTS, resume=True) as opened:
        assert opened.done == {"b"}
        opened.append([row("a", "p")])
        assert list(opened.rows()["trial"]) == ["a", "b"]
    assert "damaged" in caplog.text


def _work(out: Path, resume: bool) -> None:
    from steerlab import results

    results.FLUSH_ROWS = 4
    with open_run(out, settings=SETTINGS, facts=FACTS, resume=resume) as opened:
        for number in range(60):
            trial = f"t{number:02d}"
            if trial not in opened.done:
                time.sleep(0.002)
                opened.append([row(trial, program, number / 7) for program in ("p", "q")])
        opened.finish({"done": True})


def test_a_run_killed_at_any_point_and_resumed_gives_the_same_rows(tmp_path: Path) -> None:
    """P15 on the directory itself: kill -9 at random moments, then resume."""
    _work(tmp_path / "calm", False)
    calm = read_run(tmp_path / "calm")[1]
    context = multiprocessing.get_context("fork")
    moments = random.Random(5)
    for number in range(6):
        out = tmp_path / f"killed-{number}"
        for attempt in range(3):
            process = context.Process(target=_work, args=(out, attempt > 0 and (out / "manifest.json").exists()))
            process.start()
            process.join(moments.uniform(0.02, 0.12))
            process.kill()
            process.join()
        _work(out, (out / "manifest.json").exists())
        pd.testing.assert_frame_equal(read_run(out)[1], calm)


def test_only_the_rows_that_are_asked_for_are_read(tmp_path: Path) -> None:
    with open_run(tmp_path, settings=SETTINGS, facts=FACTS, resume=False) as opened:
        for trial in "cab":
            opened.append([row(trial, program) for program in ("q", "p")])
            opened.flush()
        opened.append([row("b", "p", 9.0)])
        found = opened.rows({"trial": {"b", "c", "z"}, "program": {"p"}})
        assert found[["trial", "program", "margin"]].to_numpy().tolist() == [["b", "p", 1.0], ["c", "p", 1.0]]
        assert not len(opened.rows({"arm": {"grid"}}))


def test_columns_that_are_empty_in_a_shard_take_the_type_of_the_others(tmp_path: Path) -> None:
    with open_run(tmp_path, settings=SETTINGS, facts=FACTS, resume=False) as opened:
        for more in ({"fires": float("nan"), "why": None}, {"fires": True, "why": "x"}, {}):
            opened.append([row(f"t{len(more)}{more.get('why')}", "p") | more])
            opened.flush()
        opened.finish({})
    rows = read_run(tmp_path)[1]
    assert rows["fires"].dropna().tolist() == [True] and rows["why"].dropna().tolist() == ["x"]


def test_a_run_that_is_merged_in_parts_is_the_run_that_is_merged_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(out: Path) -> pd.DataFrame:
        with open_run(out, settings=SETTINGS, facts=FACTS, resume=False) as opened:
            for number in range(40):
                trials = [f"{number * 7919 % 1000:03d}", f"{number * 104729 % 1000:03d}x"]
                opened.append([row(trial, program, number) for trial in trials for program in "pqr"])
                if number % 3 == 0:
                    opened.flush()
            opened.finish({})
            pd.testing.assert_frame_equal(opened.rows(), read_run(out)[1])
        return read_run(out)[1]

    whole = write(tmp_path / "whole")
    monkeypatch.setattr(shards, "PART_ROWS", 50)
    parts = write(tmp_path / "parts")
    assert len(whole) == 240 and whole["trial"].is_monotonic_increasing
    pd.testing.assert_frame_equal(parts, whole)


def test_trial_ids_are_a_set_that_stays_small() -> None:
    names = [f"{number:016x}" for number in range(100_000)]
    ids = TrialIds(names[:70_000])
    ids.update(names[50_000:])
    assert len(ids) == len(names) and ids == set(names) and ids != {*names[1:], "other"}
    assert all(name in ids for name in names) and "other" not in ids
    assert len(pickle.dumps(TrialIds(names))) < 10 * len(names)
