"""Ray workers: the same rows as in one process, also when an actor is killed; Ray is gone at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from conftest import save_tiny
from steerlab.cli import main
from steerlab.errors import DataError, MissingExtraError, OptionError, RunError
from steerlab.models import load_model
from steerlab.results import read_run
from steerlab.sources import load_source
from steerlab.studies.detection_material import DetectionSettings, Material
from steerlab.studies.ray_workers import RayWorkers, choose_workers
from steerlab.studies.vulnerability_detection import run
from steerlab.studies.workers import LocalWorkers
from test_vulnerability_detection import write_pairs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model and pairs on disk: actors know no more than names."""
    made = tmp_path_factory.mktemp("ray")
    save_tiny("qwen2", made / "model")
    write_pairs(made / "pairs.jsonl")
    return made


def study(folder: Path, out: Path, **options: Any) -> pd.DataFrame:
    """The rows of a run with two small folds."""
    settings = DetectionSettings(
        model=str(folder / "model"),
        pairs=f"jsonl:{folder / 'pairs.jsonl'}",
        layers=(1, 2),
        coefficients=(-4.0, 4.0),
        max_new_tokens=2,
        draws=1,
        folds=2,
        analyses=("gate",),
    )
    run(settings, load_model(settings.model, device="cpu"), load_source(settings.pairs), out, **options)
    return read_run(out)[1]


@pytest.fixture(scope="module")
def local(folder: Path) -> pd.DataFrame:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in an actor
    try:
        return study(folder, folder / "local")
    finally:
        torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _own_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    try:
        choose_workers("ray", {})
    except MissingExtraError as error:
        pytest.skip(str(error))


def test_two_actors_of_which_one_is_killed_give_the_rows_of_one_process(
    folder: Path, local: pd.DataFrame, tmp_path: Path
) -> None:
    import ray

    made: list[RayWorkers] = []
    killed: list[int] = []

    def workers(material: Material) -> RayWorkers:
        made.append(RayWorkers(material, load={"device": "cpu"}, n=2))
        return made[0]

    def kill_once(what: str, done: int, total: int) -> None:
        # Called right before a job is sent to an actor: it dies with the job in hand.
        if "choosing" in what and len(made[0].pids) == 2 and not killed:
            killed.append(made[0].pids[0])
            os.kill(killed[0], signal.SIGKILL)

    rows = study(folder, tmp_path / "out", workers=workers, step=kill_once)
    assert killed, "the twin: an actor must have been killed while there was work"
    pd.testing.assert_frame_equal(rows, local)
    assert not ray.is_initialized()


def test_what_the_user_can_mend_comes_back_as_the_same_line_and_ray_ends(folder: Path, tmp_path: Path) -> None:
    import ray

    pairs = folder / "pairs.jsonl"

    def elsewhere(material: Material) -> RayWorkers:
        # The actors find the file changed: what they raise must reach the user as it is.
        text = pairs.read_text()
        pairs.write_text("no JSON\n")
        changed.append(text)
        return RayWorkers(material, load={"device": "cpu"}, n=1)

    changed: list[str] = []
    try:
        with pytest.raises(DataError, match=r"pairs\.jsonl") as caught:
            study(folder, tmp_path / "out", workers=elsewhere)
    finally:
        pairs.write_text(changed[0])
    assert type(caught.value) is DataError and "\n" not in str(caught.value)
    assert not ray.is_initialized()


@pytest.mark.slow
def test_actors_that_find_other_data_are_refused(folder: Path, tmp_path: Path) -> None:
    pairs = folder / "pairs.jsonl"
    text = pairs.read_text()

    def fewer(material: Material) -> RayWorkers:
        pairs.write_text(text.replace("copy(p", "copy(q"))
        return RayWorkers(material, load={"device": "cpu"}, n=1)

    try:
        with pytest.raises(RunError, match="another data"):
            study(folder, tmp_path / "out", workers=fewer)
    finally:
        pairs.write_text(text)


def test_missing_ray_is_one_line_that_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"steerlab\[ray\]"):
        choose_workers("ray", {})
    command = ["steerlab", "run", "vulnerability-detection", "--model", "embedded", "--pairs", "starter"]
    monkeypatch.setattr(sys, "argv", [*command, "--workers", "ray"])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr().err
    assert end.value.code == 1 and said.count("\n") == 1 and "steerlab[ray]" in said


def test_workers_are_named_local_ray_or_ray_with_a_number() -> None:
    assert choose_workers("local", {}) is choose_workers("", {}) is LocalWorkers
    for wrong in ("rays", "ray:", "ray:0", "ray:-1", "ray:two", "local:2"):
        with pytest.raises(OptionError, match="ray:N"):
            choose_workers(wrong, {})


@pytest.mark.slow
def test_ctrl_c_ends_ray_and_the_run_goes_on_with_resume(folder: Path, tmp_path: Path) -> None:
    """As a user meets it: the command with --workers, interrupted once it has rows, then again with --resume."""
    out = tmp_path / "out"
    command = [
        *(
            sys.executable,
            "-c",
            "from steerlab import cli, results; results.FLUSH_ROWS = 1; cli.main()",
        ),  # rows at once
        *("run", "vulnerability-detection"),
        *("--model", str(folder / "model"), "--pairs", f"jsonl:{folder / 'pairs.jsonl'}", "--layers", "1,2"),
        *("--coefficients=-4,4", "--draws", "30", "--folds", "4", "--analyses", "samples", "--device", "cpu"),
        *("--workers", "ray:2", "--out", str(out)),
    ]
    # A shell starts what runs in its background with SIGINT ignored, which children inherit; a terminal does not.
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=heard,  # noqa: PLW1509
    ) as process:
        deadline = time.monotonic() + 120
        while not list(out.glob("**/part-*.parquet")):
            assert process.poll() is None and time.monotonic() < deadline, "it ended before it could be interrupted"
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1 and "--resume" in said.splitlines()[-1]
    left = subprocess.run(["pgrep", "-g", str(process.pid)], capture_output=True, text=True, check=False).stdout.split()
    assert not left
    again = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert not read_run(out)[1].duplicated(["trial", "program"]).any()
