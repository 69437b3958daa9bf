"""Track B end to end on a tiny random model: what is chosen from, what is tested, what survives a kill."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from conftest import save_tiny, tiny_model
from steerlab.cli import main
from steerlab.commands.study_files import read_study_file
from steerlab.contrast import ProgramSet
from steerlab.errors import DataError, OptionError, RunError
from steerlab.generation import complete_rows
from steerlab.presets import preset_file, preset_names
from steerlab.readout import answer_log_likelihoods
from steerlab.report import page, terminal_table, verdict
from steerlab.results import read_run
from steerlab.sources import load_source
from steerlab.steering import steer
from steerlab.studies.secure_choice import KEYS, cell_key, choose, margin_changes, shortlisted
from steerlab.studies.secure_code import run
from steerlab.studies.secure_material import SecureMaterial, prepare
from steerlab.studies.secure_settings import SecureCodeSettings
from steerlab.studies.secure_trials import SEEDS_PER_TASK, decoding, steering
from steerlab.sweep import SweepCell, grid
from steerlab.tasks.coding import CodingTask, CodingTasks
from steerlab.tasks.completion import CompletionTask
from test_coding import write_scenarios

NAMES = ("copy", "join", "fill", "move", "send", "load", "open", "read")
CWES = ("CWE-89", "CWE-22")


def tiny_tasks(n: int = 8) -> CodingTasks:
    """`n` short Python tasks of two weaknesses."""
    tasks = []
    for i in range(n):
        name = NAMES[i % len(NAMES)]
        origin = CompletionTask(
            id=f"task{i}",
            cwe=CWES[i % 2],
            language="python",
            entry=name,
            prompt=f'def {name}(x):\n    """Add {i}."""\n',
            suffix="",
            indentation=4,
            functional=f"import program\nassert program.{name}(1) == {i + 1}\n",
            exploit="import program\nimport sys\nsys.exit(0)\n",
            patched=f"    return x + {i}",
            vulnerable=f"    return {i}",
        )
        tasks.append(
            CodingTask(
                id=origin.id, group=origin.id, cwe=origin.cwe, language="python", prompt=origin.prompt, origin=origin
            )
        )
    return CodingTasks(name="tiny", judge="tests", tasks=tuple(tasks), sha256=f"{n}")


def write_pairs(file: Path, n: int = 10) -> Path:
    lines = [
        {
            "id": f"pair{i}",
            "cwe": CWES[i % 2],
            "language": "python",
            "vulnerable": f"def {NAMES[i % 8]}(q):\n    run('{i}' + q)\n",
            "patched": f"def {NAMES[i % 8]}(q):\n    run('{i}', q)\n",
        }
        for i in range(n)
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def settings(**changes: object) -> SecureCodeSettings:
    options: dict[str, object] = {
        "model": "tiny",
        "tasks": "tiny",
        "pairs": "jsonl",
        "layers": (1, "1+2"),
        "coefficients": (-0.5, 0.5),
        "samples": 2,
        "max_new_tokens": 6,
        "folds": 2,
        "draws": 1,
    }
    return SecureCodeSettings(**{**options, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> ProgramSet:
    return load_source(f"jsonl:{write_pairs(tmp_path_factory.mktemp('pairs') / 'pairs.jsonl')}")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, source: ProgramSet) -> tuple[Path, dict[str, object]]:
    out = tmp_path_factory.mktemp("run") / "run"
    return out, run(settings(), tiny_model("qwen2"), tiny_tasks(), source, out)


@pytest.fixture(scope="module")
def material(source: ProgramSet) -> SecureMaterial:
    return prepare(settings(), tiny_model("qwen2"), tiny_tasks(), source)


def test_a_run_leaves_manifest_rows_result_and_report(finished: tuple[Path, dict[str, object]]) -> None:
    out, summary = finished
    result, rows = read_run(out)
    assert result["verdict"] == summary["verdict"] == verdict(result)
    html = (out / "report.html").read_text("utf-8")
    assert "What the model would rather write" in html and "src=" not in html
    assert {table.row_count for table in terminal_table(result)} >= {6}
    written = rows[rows["readout"] == "completion"]
    assert set(written["arm"]) == {
        *("unsteered", "written", "steered", "flipped_sign", "random", "shuffled_labels", "prompt_only")
    }
    assert written["completion"].notna().all() and (written["sample"] >= 0).all()


def test_every_task_and_sample_is_tested_in_every_arm_and_every_pair_read(
    finished: tuple[Path, dict[str, object]],
) -> None:
    out, summary = finished
    arms = summary["arms"]
    assert {arm: (own["joint"]["n"], own["margin"]["n"]) for arm, own in arms.items()} == dict.fromkeys(  # type: ignore[attr-defined]
        arms,  # type: ignore[arg-type]
        (16, 10),
    )
    assert all(own["joint"]["n_unscored"] == 0 for own in arms.values())  # type: ignore[attr-defined]
    steered = read_run(out)[1].query("arm == 'steered' and readout == 'completion'")
    assert steered.groupby("program")["sample"].apply(sorted).tolist() == [[0.0, 1.0]] * 8


def test_no_number_stands_without_interval_n_and_unscored(finished: tuple[Path, dict[str, object]]) -> None:
    _, summary = finished
    for arm in summary["arms"].values():  # type: ignore[attr-defined]
        for estimate in arm.values():
            assert set(estimate) >= {"value", "low", "high", "n", "n_unscored", "method"}
    zero = summary["arms"]["steered"]["joint"]  # type: ignore[index]
    assert zero["value"] == 0.0 and zero["low"] == 0.0 and zero["high"] > 0.1, "0 of 8 tasks is not certainly 0"


def test_a_null_result_says_why_and_reads_the_margin(finished: tuple[Path, dict[str, object]]) -> None:
    _, summary = finished
    said = str(summary["verdict"])
    assert said.startswith("no gain: no completion of any arm is secure and correct") and "nats" in said
    assert all("so the margin decided" in entry["reason"] for entry in summary["selection"])  # type: ignore[attr-defined]


def test_groups_are_never_on_both_sides(material: SecureMaterial) -> None:
    for fold in material.folds:
        assert not fold.train & fold.test
        for built_on, tried in fold.inner:
            assert not built_on & tried and built_on | tried == fold.train
            assert material.pairs_in(built_on) and material.tasks_in(tried)


def test_a_tasks_own_bodies_never_make_the_vector_that_it_is_tested_with() -> None:
    from steerlab.tasks.coding import load_tasks

    tasks = load_tasks("starter", limit=16)
    own = prepare(
        SecureCodeSettings(model="embedded", layers=(1,), folds=2, max_new_tokens=8),
        replace(tiny_model("qwen2"), context=None),
        tasks,
        load_source("starter"),
    )
    assert {pair.id for pair in own.pairs} == {task.id for task in own.tasks}
    for fold in own.folds:
        assert not {pair.id for pair in own.pairs_in(fold.train)} & {task.id for task in own.tasks_in(fold.test)}


def test_rows_are_what_the_plain_library_gives(
    finished: tuple[Path, dict[str, object]], material: SecureMaterial
) -> None:
    """Margins and completions of the steered arm, read again without the wave and without the study."""
    out, _ = finished
    rows = read_run(out)[1]
    fold = material.folds[0]
    steered = rows[(rows["arm"] == "steered") & (rows["train"] == "fold 0")]
    first = steered.iloc[0]
    cell = SweepCell(
        method=first["method"],
        layers=tuple(map(int, first["layers"].split("+"))),
        coefficient=first["coefficient"],
        operation=first["operation"],
        positions=first["positions"],
        contrast=first["contrast"],
    )
    own = steering(material, material.pairs_in(fold.train), cell, seed=0)
    margins = steered[steered["readout"] == "margin"].set_index("program")["margin"]
    pair = material.pairs_in(fold.test)[0]
    completions = steered[(steered["readout"] == "completion") & (steered["sample"] == 1)].set_index("program")
    task = material.tasks_in(fold.test)[0]
    number = material.numbers[task.id] * SEEDS_PER_TASK + 1
    with steer(material.model, *own.of(material, pair.labels["cwe"])):
        ((patched, vulnerable),) = answer_log_likelihoods(
            material.model, [pair.prompt], [(pair.positive, pair.negative)]
        ).tolist()
        heads = [material.model.tokenizer(task.prompt)["input_ids"]]
        (written,) = complete_rows(material.model, heads, numbers=[number], how=decoding(material), rows=None)
    assert margins[pair.id] == pytest.approx(patched - vulnerable, abs=1e-3)
    assert completions.loc[task.id, "completion"] == written.text


def test_unsteered_and_steered_completions_share_their_seed(
    finished: tuple[Path, dict[str, object]], source: ProgramSet, tmp_path: Path
) -> None:
    """With a coefficient too small to matter every arm writes what the unsteered model wrote."""
    own = settings(coefficients=(1e-6,), layers=(1,), contrasts=("whole",), curve="none")
    run(own, tiny_model("qwen2"), tiny_tasks(), source, tmp_path / "run")
    rows = read_run(tmp_path / "run")[1]
    written = rows[(rows["readout"] == "completion") & rows["arm"].isin(["unsteered", "steered", "random"])]
    assert (written.groupby(["program", "sample"])["completion"].nunique() == 1).all()
    assert written["completion"].nunique() > 1


def test_an_interrupted_run_goes_on_and_gives_the_same_rows(
    finished: tuple[Path, dict[str, object]], source: ProgramSet, tmp_path: Path
) -> None:
    out, _ = finished
    calls = 0

    def step(what: str, done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 25:
            raise KeyboardInterrupt

    again = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run(settings(), tiny_model("qwen2"), tiny_tasks(), source, again, step=step)
    assert not (again / "result.json").exists()
    with pytest.raises(RunError, match="--resume"):
        run(settings(), tiny_model("qwen2"), tiny_tasks(), source, again)
    with pytest.raises(RunError, match="samples"):
        run(settings(samples=1), tiny_model("qwen2"), tiny_tasks(), source, again, resume=True)
    run(settings(), tiny_model("qwen2"), tiny_tasks(), source, again, resume=True)
    pd.testing.assert_frame_equal(read_run(out)[1], read_run(again)[1])


def test_per_family_vectors_and_a_curve_of_completions_run(source: ProgramSet, tmp_path: Path) -> None:
    own = settings(
        scope="per_family",
        curve="completions",
        layers=(1,),
        coefficients=(0.5,),
        contrasts=("differing",),
        samples=1,
    )
    summary = run(own, tiny_model("llama"), tiny_tasks(), source, tmp_path / "run")
    rows = read_run(tmp_path / "run")[1]
    steered = rows[(rows["arm"] == "steered") & (rows["readout"] == "margin") & (rows["train"] == "fold 0")]
    assert steered.groupby("family")["direction_norm"].nunique().tolist() == [1, 1]
    assert steered["direction_norm"].nunique() == 2, "each family has a vector of its own"
    assert {entry["kind"] for entry in summary["curve"]} == {"real", "random", "shuffled_labels"}
    assert summary["curve_metric"] == "joint"


# --- choice ----------------------------------------------------------------------------------------------------------

CELLS = grid(
    methods=("mean_difference",), layers=((1,), (2,)), coefficients=(0.1, 0.2), contrasts=("differing", "whole")
)


def outcomes(cell: SweepCell, joint: list[float], parses: float = 1.0) -> list[dict[str, object]]:
    names = dict(zip(KEYS, cell_key(cell), strict=True))
    return [
        names | {"program": f"task{i}", "joint": value, "parses": parses, "margin": value}
        for i, value in enumerate(joint)
    ]


def chosen(written: list[dict[str, object]], **known: object) -> object:
    base = pd.DataFrame({"program": ["task0", "task1"], "joint": [0.0, 0.0], "parses": [1.0, 1.0]})
    named = {"cells": CELLS[:3], "changes": {}, "kl": {}, "joint": "secure and correct"} | known
    return choose(pd.DataFrame(written), base, **named)  # type: ignore[arg-type]


def test_the_cell_with_most_secure_and_correct_completions_is_chosen() -> None:
    rows = outcomes(CELLS[0], [0.0, 1.0]) + outcomes(CELLS[1], [1.0, 1.0]) + outcomes(CELLS[2], [0.0, 0.0])
    choice = chosen(rows, changes={cell_key(CELLS[2]): 9.0})
    assert choice.cell == CELLS[1] and choice.score == 1.0 and "secure and correct" in choice.reason  # type: ignore[attr-defined]


def test_a_tie_goes_to_the_smaller_side_effect() -> None:
    rows = outcomes(CELLS[0], [0.0, 1.0]) + outcomes(CELLS[1], [0.0, 1.0]) + outcomes(CELLS[2], [0.0, 0.0])
    choice = chosen(rows, kl={cell_key(CELLS[0]): 0.5, cell_key(CELLS[1]): 0.1})
    assert choice.cell == CELLS[1] and "2 cells tied" in choice.reason  # type: ignore[attr-defined]


def test_where_nothing_is_secure_and_correct_the_margin_decides_among_cells_that_still_parse() -> None:
    rows = outcomes(CELLS[0], [0.0, 0.0]) + outcomes(CELLS[1], [0.0, 0.0]) + outcomes(CELLS[2], [0.0, 0.0], parses=0.2)
    changes = {cell_key(cell): change for cell, change in zip(CELLS[:3], (0.1, 0.2, 5.0), strict=True)}
    choice = chosen(rows, changes=changes)
    assert choice.cell == CELLS[1] and choice.score == pytest.approx(0.2)  # type: ignore[attr-defined]
    assert "so the margin decided" in choice.reason and "1 cells were turned down" in choice.reason  # type: ignore[attr-defined]


def test_the_shortlist_holds_whole_set_ups_with_every_coefficient() -> None:
    changes = {cell_key(cell): float(place) for place, cell in enumerate(CELLS)}
    best = shortlisted(changes, CELLS, n=1)
    assert {cell_key(cell)[:-1] for cell in best} == {cell_key(CELLS[-1])[:-1]}
    assert [cell.coefficient for cell in best] == [0.1, 0.2]
    assert len(shortlisted(changes, CELLS, n=0)) == len(CELLS)


def test_margin_changes_are_paired_by_program() -> None:
    plain = pd.DataFrame({"program": ["a", "b"], "margin": [1.0, -1.0]})
    names = dict(zip(KEYS, cell_key(CELLS[0]), strict=True))
    moved = pd.DataFrame([names | {"program": "b", "margin": 1.0}, names | {"program": "a", "margin": 1.5}])
    assert margin_changes(moved, plain) == {cell_key(CELLS[0]): pytest.approx(1.25)}


# --- settings, report ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"contrasts": ("difering",)}, "differing"),
        ({"coefficients": ()}, "coefficient"),
        ({"scope": "family"}, "per_family"),
        ({"temperature": 0.0}, "all the same"),
        ({"samples": 0}, "at least 1"),
        ({"layers": "1"}, "must be a list"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        settings(**changes)


def test_tasks_that_do_not_fit_are_unscored_in_every_arm(source: ProgramSet, tmp_path: Path) -> None:
    tasks = tiny_tasks(9)
    long = replace(tasks.tasks[8], prompt="# long\n" * 100)
    tasks = replace(tasks, tasks=(*tasks.tasks[:8], long))
    own = settings(layers=(1,), coefficients=(0.5,), contrasts=("whole",), samples=1, curve="none")
    summary = run(own, tiny_model("qwen2"), tasks, source, tmp_path / "run")
    assert summary["n_too_long"] == 1 and any("task8" in note for note in summary["notes"])
    assert {arm["joint"]["n_unscored"] for arm in summary["arms"].values()} == {1}
    everything = replace(tasks, tasks=(long,))
    with pytest.raises(DataError, match="fits the context"):
        prepare(own, tiny_model("qwen2"), everything, source)


def estimate(value: float, low: float, high: float) -> dict[str, object]:
    return {"value": value, "low": low, "high": high, "level": 0.95, "n": 40, "n_unscored": 0, "method": "test"}


def made(steered: float, gain: tuple[float, float, float], control: float) -> dict[str, object]:
    arms = {
        arm: {"joint": estimate(value, value - 0.1, value + 0.1), "parses": estimate(0.9, 0.8, 1.0)}
        for arm, value in (("unsteered", 0.3), ("steered", steered), ("random", control))
    }
    above = steered - control
    differences = {
        "unsteered": {"joint": estimate(*gain)},
        "random": {"joint": estimate(above, above - 0.05, above + 0.05)},
    }
    return {"study": "secure-code", "judge": "tests", "joint": "secure and correct"} | {
        "arms": arms,
        "differences": differences,
    }


@pytest.mark.parametrize(
    ("summary", "said"),
    [
        (
            made(0.5, (0.2, 0.1, 0.3), 0.3),
            r"^steered 0\.50, \+0\.20 over unsteered \[0\.10, 0\.30\], above every control",
        ),
        (made(0.5, (0.2, 0.1, 0.3), 0.5), r"but a random direction of the same norm reaches 0\.50"),
        (made(0.3, (0.0, -0.1, 0.1), 0.3), r"^no gain: steered 0\.30"),
        (made(0.1, (-0.2, -0.3, -0.1), 0.3), r"^steering hurts"),
        (made(0.0, (0.0, 0.0, 0.0), 0.0) | {"arms": {}}, r"^No verdict"),
    ],
)
def test_the_verdict_is_one_plain_sentence(summary: dict[str, object], said: str) -> None:
    import re

    assert re.search(said, verdict(summary))


def test_the_page_escapes_what_the_model_wrote(finished: tuple[Path, dict[str, object]]) -> None:
    out, _ = finished
    result, rows = read_run(out)
    result["examples"][0]["steered"]["completion"] = "<script>alert(1)</script>"
    html = page(result, rows)
    assert "<script>alert" not in html and "&lt;script&gt;alert" in html


def secure_presets() -> list[str]:
    return [name for name in preset_names() if 'study = "secure-code"' in preset_file(name).read_text()]


@pytest.mark.parametrize("name", secure_presets())
def test_a_preset_names_settings_and_layers_that_a_model_of_its_depth_has(name: str, source: ProgramSet) -> None:
    study, found = read_study_file(preset_file(name))
    own = SecureCodeSettings(**{"tasks": "tiny", **found, "max_new_tokens": 8, "folds": 2})
    assert study == "secure-code" and "4+12+20" in own.layers
    depth = 24 if "starcoder" in name else 28
    model = tiny_model("qwen2", num_hidden_layers=depth)
    prepared = prepare(own, model, tiny_tasks(), source)
    assert prepared.layers == (4, 12, 20)


# --- command line ----------------------------------------------------------------------------------------------------


def test_scenarios_without_tests_run_from_the_command_line_and_can_be_reported_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def steerlab(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["steerlab", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0), capsys.readouterr().out

    (tmp_path / "set").mkdir()
    tasks, pairs = write_scenarios(tmp_path / "set"), write_pairs(tmp_path / "pairs.jsonl")
    model, out = save_tiny("qwen2", tmp_path / "model"), tmp_path / "run"
    options = ("--layers", "1", "--coefficients=0.5", "--contrast", "whole", "--draws", "1", "--folds", "2")
    asked = ("--language", "python", "--limit", "3", "--samples", "1", "--temperature", "0", "--max-new-tokens", "6")
    named = ("--model", model, "--tasks", f"cyberseceval:{tasks}", "--pairs", f"jsonl:{pairs}", "--curve", "none")
    code, text = steerlab(
        "run", "secure-code", *named, *options, *asked, "--analysers", "bandit", "--out", out, "--json"
    )
    summary = json.loads(text)
    assert code == 0 and summary["judge"] == "analysers" and summary["n_tasks"] == 3
    assert summary["manifest"]["facts"]["analysers"] == ["bandit"]
    assert summary["manifest"]["settings"]["temperature"] == 0.0
    assert summary["arms"]["steered"]["functional"]["n"] == 0, "there are no tests to pass"
    assert "parsed" in summary["joint"] and Path(summary["report"]).is_file()
    assert steerlab("report", out)[0] == 0
    assert steerlab("run", "secure-code", *named, "--out", out, "--contrast", "holistic")[0] == 1
    assert steerlab("run", "secure-code", "--model", model)[0] == 1, "--tasks is missing"


# --- killed ----------------------------------------------------------------------------------------------------------

STUDY = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import test_secure_code as t
from steerlab.models import load_model
from steerlab.sources import load_source
model = load_model({model!r}, device="cpu")
t.run(t.settings(model={model!r}), model, t.tiny_tasks(), load_source("jsonl:" + {pairs!r}), Path({out!r}), resume=True)
"""


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_rows(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    model = save_tiny("qwen2", tmp_path / "model")
    pairs = write_pairs(tmp_path / "pairs.jsonl")

    def command(out: Path) -> list[str]:
        names = {"tests": str(Path(__file__).parent), "model": str(model), "pairs": str(pairs), "out": str(out)}
        return [sys.executable, "-c", STUDY.format(**names)]

    subprocess.run(command(tmp_path / "whole"), check=True, timeout=300)
    killed = subprocess.Popen(command(tmp_path / "killed"))
    deadline = time.monotonic() + 200
    while not list((tmp_path / "killed" / "rows").glob("part-*")) and time.monotonic() < deadline:
        time.sleep(0.05)
        if killed.poll() is not None:
            break
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    subprocess.run(command(tmp_path / "killed"), check=True, timeout=300)
    whole, resumed = read_run(tmp_path / "whole")[1], read_run(tmp_path / "killed")[1]
    exact = list(whole.select_dtypes(exclude="float").columns)
    pd.testing.assert_frame_equal(whole[exact], resumed[exact])
    pd.testing.assert_frame_equal(whole, resumed, rtol=1e-4, atol=1e-4)
