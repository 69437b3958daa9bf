"""What goes wrong around a run: one clear line, exit code 1, nothing computed is lost, and --resume goes on."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from conftest import save_tiny, tiny_model
from steerlab import batches, results, shards
from steerlab.commands.study_files import run_directory
from steerlab.errors import RunError
from steerlab.results import open_run, read_run
from steerlab.sources import load_source
from steerlab.studies import detection_jobs
from steerlab.studies.detection_material import DetectionSettings
from steerlab.studies.vulnerability_detection import run
from test_vulnerability_detection import write_pairs

STUDY = "run vulnerability-detection --layers 1,2 --coefficients=-4,4 --draws 1 --folds 2 --analyses gate"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model and pairs on disk."""
    made = tmp_path_factory.mktemp("faults")
    save_tiny("qwen2", made / "model")
    write_pairs(made / "pairs.jsonl")
    return made


def study(folder: Path, out: Path, **options: object) -> pd.DataFrame:
    """The rows of a small run."""
    settings = DetectionSettings(
        model=str(folder / "model"),
        pairs=f"jsonl:{folder / 'pairs.jsonl'}",
        layers=("1", "2"),
        coefficients=(-4.0, 4.0),
        draws=1,
        folds=2,
        analyses=("gate",),
    )
    run(settings, tiny_model("qwen2"), load_source(settings.pairs), out, **options)  # type: ignore[arg-type]
    return read_run(out)[1]


@pytest.fixture(scope="module")
def calm(folder: Path) -> pd.DataFrame:
    """The rows of a run to which nothing happens."""
    return study(folder, folder / "calm")


@pytest.fixture
def command(steerlab, folder: Path) -> Callable[..., tuple[int, list[str]]]:
    """The study on the command line: exit code, and the lines on stderr but for where it writes."""

    def typed(out: Path, *more: str) -> tuple[int, list[str]]:
        given = ("--model", folder / "model", "--pairs", f"jsonl:{folder / 'pairs.jsonl'}", "--out", out, *more)
        code, _, err = steerlab(*shlex.split(STUDY), *given)
        return code, [line for line in err.splitlines() if not line.startswith("run directory: ")]

    return typed


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are written as they come, not every few seconds."""
    monkeypatch.setattr(results, "FLUSH_ROWS", 1)


@contextmanager
def mounted(place: Path, *options: str) -> Iterator[Callable[..., None]]:
    """A file system in memory at `place`; the function gives it other options. Skips where mounting is not allowed."""
    place.mkdir()

    def mount(*own: str) -> subprocess.CompletedProcess[str]:
        given = ["mount", "-t", "tmpfs", "-o", ",".join(own), "none", str(place)]
        return subprocess.run(given, capture_output=True, text=True, check=False)

    if os.getuid() != 0 or mount(*options).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        yield lambda *own: mount("remount", *own).check_returncode()
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


# --- killed ---


def _die_at(folder: Path, out: Path, moment: int, resume: bool) -> None:
    results.FLUSH_ROWS = 1
    steps = iter(range(10**6))

    def step(what: str, done: int, total: int) -> None:
        if next(steps) == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    study(folder, out, step=step, resume=resume)


@pytest.mark.parametrize("moments", [(0, 0, 0), (3, 9, 12), (6, 1, 20), (17, 17, 2)])
def test_a_run_killed_again_and_again_ends_with_the_rows_of_a_calm_one(
    folder: Path, calm: pd.DataFrame, tmp_path: Path, moments: tuple[int, ...]
) -> None:
    out, killed = tmp_path / "run", 0
    for moment in moments:
        there = (out / "manifest.json").exists()
        process = multiprocessing.get_context("fork").Process(target=_die_at, args=(folder, out, moment, there))
        process.start()
        process.join()
        killed += process.exitcode == -signal.SIGKILL
    assert killed, "the twin: it must have been killed"
    pd.testing.assert_frame_equal(study(folder, out, resume=True), calm)


# --- the disk ---


@pytest.mark.usefixtures("at_once")
def test_a_disk_that_fills_up_is_one_line_and_the_run_goes_on_when_there_is_room(
    command, calm: pd.DataFrame, tmp_path: Path
) -> None:
    with mounted(tmp_path / "small", "size=200k") as again:
        out = tmp_path / "small" / "run"
        code, said = command(out)
        assert code == 1 and len(said) == 1, said
        assert "the disk is full while writing" in said[0] and "--resume" in said[0]
        kept = shards.known_shards(out / "rows")[1]
        assert len(kept) > 0, "the twin: something must have been written before"
        assert not [path for path in out.rglob(".*") if path.name != ".lock"], "no half-written file is left"
        again("size=64m")
        before = {path.name: path.stat().st_mtime_ns for path in (out / "rows").iterdir()}
        assert command(out, "--resume") == (0, [])
        assert before.items() <= {path.name: path.stat().st_mtime_ns for path in (out / "rows").iterdir()}.items()
        pd.testing.assert_frame_equal(read_run(out)[1], calm)


@pytest.mark.usefixtures("at_once")
def test_a_directory_that_becomes_read_only_is_one_line_and_the_run_goes_on_later(
    command, calm: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opens, calls = tempfile.NamedTemporaryFile, iter(range(1000))

    def refused(**options: object) -> object:
        if next(calls) > 3:
            raise OSError(errno.EROFS, "Read-only file system", str(options["dir"]))
        return opens(**options)  # type: ignore[call-overload]

    with monkeypatch.context() as patched:
        patched.setattr(tempfile, "NamedTemporaryFile", refused)
        for more in ((), ("--resume",)):
            code, said = command(tmp_path / "run", *more)
            assert code == 1 and len(said) == 1 and "cannot be written (Read-only file system)" in said[0], said
    assert len(shards.known_shards(tmp_path / "run" / "rows")[1]) > 0, "the twin: something must have been written"
    assert command(tmp_path / "run", "--resume") == (0, [])
    pd.testing.assert_frame_equal(read_run(tmp_path / "run")[1], calm)


def test_a_read_only_directory_is_one_line_before_anything_is_computed(command, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "ro"):
        code, said = command(tmp_path / "disk" / "run")
    assert code == 1 and len(said) == 1 and "cannot be written (Read-only file system)" in said[0], said


# --- memory ---


def test_rows_that_do_not_fit_are_halved_and_give_the_same_rows(
    folder: Path,
    calm: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    network, most = tiny_model("qwen2").network, 3
    forward = type(network).forward

    def tight(self: object, input_ids: torch.Tensor | None = None, **more: object) -> object:
        if input_ids is not None and len(input_ids) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB.")
        return forward(self, input_ids=input_ids, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(type(network), "forward", tight)
    rows = study(folder, tmp_path / "run")
    assert "out of memory" in caplog.text
    pd.testing.assert_frame_equal(rows, calm, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_row_that_does_not_fit_alone_is_one_line_and_the_run_goes_on(
    command, calm: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    read, calls = detection_jobs.read_cells, iter(range(1000))

    def no_room(*given: object, **more: object) -> object:
        if next(calls) == 2:
            raise error
        return read(*given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(detection_jobs, "read_cells", no_room)
    code, said = command(tmp_path / "run")
    assert code == 1 and len(said) == 1, said
    assert said[0].startswith("error: out of memory") and "--dtype bfloat16" in said[0] and "--resume" in said[0]
    assert command(tmp_path / "run", "--resume") == (0, [])
    pd.testing.assert_frame_equal(read_run(tmp_path / "run")[1], calm)


# --- damaged files ---


def interrupted(folder: Path, out: Path) -> list[Path]:
    """A run that was stopped when some of its rows were on disk; its shards."""

    def stop(what: str, done: int, total: int) -> None:
        if len(list((out / "rows").glob("part-*.parquet"))) > 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        study(folder, out, step=stop)
    found = sorted((out / "rows").glob("part-*.parquet"))
    assert len(found) > 2
    return found


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("damage", ["cut", "emptied", "a bit flipped", "another file's bytes"])
def test_a_damaged_shard_is_named_and_its_rows_are_computed_again(
    command, folder: Path, calm: pd.DataFrame, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    tmp_path = folder / f"damaged by {damage}"
    files = interrupted(folder, tmp_path / "run")
    content = bytearray(files[1].read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "emptied":
        content.clear()
    elif damage == "a bit flipped":
        content[len(content) // 3] ^= 4
    else:
        content = bytearray(files[0].read_bytes())
    files[1].write_bytes(content)
    assert command(tmp_path / "run", "--resume")[0] == 0
    said = [message for message in caplog.messages if "damaged" in message]
    assert len(said) == 1 and files[1].name in said[0] and "computed again" in said[0], said
    pd.testing.assert_frame_equal(read_run(tmp_path / "run")[1], calm)


def test_a_flipped_bit_anywhere_in_a_shard_is_seen(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [{"trial": f"t{i}", "program": f"p{i}", "margin": float(i), "answer": "patched"} for i in range(20)]
    file = shards.write_shard(tmp_path, 0, rows)
    content = file.read_bytes()
    for at in np.random.default_rng(0).choice(len(content), size=200, replace=False):
        file.write_bytes(content[:at] + bytes([content[at] ^ (1 << int(at) % 8)]) + content[at + 1 :])
        assert shards.known_shards(tmp_path)[0] == []
        file.with_suffix(".damaged").unlink()
    file.write_bytes(content)
    assert shards.known_shards(tmp_path) == ([file], {f"t{i}" for i in range(20)})


def test_the_shards_of_an_older_version_have_no_checksum_and_are_read(tmp_path: Path) -> None:
    file = shards.write_shard(tmp_path, 3, [{"trial": "a", "program": "p"}])
    file.rename(tmp_path / "part-000003.parquet")
    assert shards.known_shards(tmp_path)[1] == {"a"}


def test_damaged_rows_of_a_finished_run_are_named_and_mended_by_resume(
    command, steerlab, folder: Path, calm: pd.DataFrame, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert command(out)[0] == 0
    file = out / "rows.parquet"
    content = bytearray(file.read_bytes())
    content[len(content) // 4] ^= 1
    file.write_bytes(content)
    code, _, err = steerlab("report", out)
    assert code == 1 and err.count("\n") == 1 and str(out) in err and "--resume" in err, err
    assert command(out, "--resume") == (0, [])
    pd.testing.assert_frame_equal(read_run(out)[1], calm)


# --- clocks, and two at once ---


def test_a_clock_that_jumps_changes_neither_rows_nor_ids(
    folder: Path, calm: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamps = iter(["2031-01-01T00:00:00+00:00", "1999-12-31T23:59:59+00:00"] * 100)
    real, seconds = time.time, iter([9e9, 0.0] * 10**5)
    monkeypatch.setattr(results, "_now", lambda: next(stamps))
    monkeypatch.setattr(time, "time", lambda: next(seconds))
    try:
        rows = study(folder, tmp_path / "run")
    finally:
        monkeypatch.setattr(time, "time", real)
    pd.testing.assert_frame_equal(rows, calm)


def test_a_run_directory_is_new_also_when_the_clock_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for wanted in ("s-now", "s-now-2", "s-now-3"):
        found = run_directory("s", "", resume=False, now="now")
        assert found == Path("runs") / wanted
        found.mkdir(parents=True)


def _hold(out: Path) -> None:
    with open_run(out, settings={}, facts={}, resume=(out / "manifest.json").exists()):
        time.sleep(60)


def test_a_second_run_into_a_directory_is_refused_and_a_killed_one_leaves_no_lock(command, tmp_path: Path) -> None:
    out = tmp_path / "run"
    holder = multiprocessing.get_context("fork").Process(target=_hold, args=(out,))
    holder.start()
    try:
        deadline = time.monotonic() + 30
        while not (out / "manifest.json").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with (
            pytest.raises(RunError, match="is in use by another run"),
            open_run(out, settings={}, facts={}, resume=True),
        ):
            pass
        code, said = command(out)
        assert code == 1 and len(said) == 1 and "--resume, or choose another --out" in said[0], said
    finally:
        holder.kill()
        holder.join()
    with open_run(out, settings={}, facts={}, resume=True) as opened:
        assert len(opened.done) == 0


# --- Ray ---


@pytest.mark.slow
@pytest.mark.usefixtures("at_once")
def test_an_actor_that_dies_every_time_is_one_line_and_the_run_goes_on(
    folder: Path, calm: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray")
    from steerlab.studies.ray_workers import RayWorkers

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    made: list[RayWorkers] = []

    def workers(material: object) -> RayWorkers:
        made.append(RayWorkers(material, load={"device": "cpu"}, n=1))  # type: ignore[arg-type]
        return made[0]

    def kill(what: str, done: int, total: int) -> None:
        if "testing" in what:
            os.kill(made[0].pids[-1], signal.SIGKILL)

    with pytest.raises(RunError, match=r"died 3 times in the same place.*--resume"):
        study(folder, tmp_path / "run", workers=workers, step=kill)
    assert not ray.is_initialized()
    kept = len(shards.known_shards(tmp_path / "run" / "rows")[1])
    assert kept > 0, "what was done before is on disk"
    pd.testing.assert_frame_equal(study(folder, tmp_path / "run", resume=True), calm, atol=1e-5)


def test_the_halving_of_batches_is_the_one_that_knows_lack_of_memory() -> None:
    assert batches.is_out_of_memory(MemoryError()) and not batches.is_out_of_memory(RuntimeError("shapes do not match"))
