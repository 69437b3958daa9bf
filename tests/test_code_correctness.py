"""Track C end to end on a planted model: latents, coefficients, effect; interrupted and resumed; chosen by hand."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from planted import BEST, LAYER, Planted, judged_here, planted
from steerlab.errors import DataError, OptionError, RunError
from steerlab.gates import Gate
from steerlab.generation import Decoding, generate
from steerlab.interventions import Intervention
from steerlab.latents import decoder_direction
from steerlab.report import verdict
from steerlab.steering import steer
from steerlab.studies import code_correctness, correctness_writing
from steerlab.studies.code_correctness import STAGES, redraw, run_correctness
from steerlab.studies.correctness_material import CorrectnessSettings, prepare_correctness
from steerlab.studies.correctness_summary import primary_arm
from steerlab.studies.latents_found import read_latents
from steerlab.studies.selected_coefficients import read_selected, select_by_hand
from steerlab.tasks.problems import check_programs

SETTINGS = CorrectnessSettings(
    model="planted",
    sae="planted",
    problems="planted",
    per_coefficient=20,
    general_limit=1.0,
    draws=1,
    max_new_tokens=2,
)
FEW = {"per_coefficient": 4, "coefficients": (10.0, 30.0, 100.0)}


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The three programs that a planted network writes are judged here; the sandbox has tests of its own."""
    monkeypatch.setattr(correctness_writing, "check_programs", judged_here)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Planted, Path]:
    """A finished run that nobody writes into: copy it."""
    made, out = planted(5, n=40), tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(correctness_writing, "check_programs", judged_here)
        run(made, out, **FEW)
    return made, out


@pytest.fixture
def copied(whole: tuple[Planted, Path], tmp_path: Path) -> tuple[Planted, Path]:
    """A copy of the finished run, to go on with."""
    made, out = whole
    return made, Path(shutil.copytree(out, tmp_path / "run"))


def run(made: Planted, out: Path, **changes: Any) -> dict[str, Any]:
    arguments = {key: changes.pop(key) for key in ("resume", "first", "last", "window", "step") if key in changes}
    settings = replace(SETTINGS, **changes)
    return run_correctness(settings, made.model, made.problems, [made.autoencoder], out, **arguments)


def one_by_one(made: Planted, ids: list[str], coefficient: float, *, gate: Gate | None = None) -> dict[str, bool]:
    """What is written for each problem by itself, steered along the planted direction, and whether it passes."""
    vector = decoder_direction(made.autoencoder, made.correct, model=made.model)
    steering = Intervention(vector=vector, coefficient=coefficient, gate=gate)
    found = {}
    for problem in made.problems:
        if problem.id in ids:
            with steer(made.model, steering):
                (completion,) = generate(made.model, [problem.prompt], decoding=Decoding(max_new_tokens=2))
            found[problem.id] = completion.text == " 1"
    return found


def hold_by_hand(made: Planted, out: Path) -> None:
    """The rates of the grid are those that a plain loop gives."""
    summary = json.loads((out / "summary.json").read_text("utf-8"))
    before = one_by_one(made, summary["problems"], 0.0)
    for entry in summary["directions"]["correct"]["coefficients"]:
        after = one_by_one(made, summary["problems"], entry["coefficient"])
        corrected = sum(after[name] and not before[name] for name in before)
        corrupted = sum(before[name] and not after[name] for name in before)
        failing = sum(not passed for passed in before.values())
        assert entry["flip_rate"]["value"] == (corrected + corrupted) / len(before)
        assert entry["correction_rate"]["value"] == corrected / failing
        assert entry["corruption_rate"]["value"] == corrupted / (len(before) - failing)
        assert entry["net_benefit"] == (corrected - corrupted) / len(before)


def hold_the_planted(made: Planted, out: Path) -> None:
    """The planted latents come first, and the planted coefficient is picked."""
    found = json.loads((out / "latents.json").read_text("utf-8"))["chosen"]
    assert (found["correct"]["layer"], found["correct"]["latent"]) == (LAYER, made.correct)
    assert found["incorrect"]["latent"] == made.incorrect
    selected = read_selected(out)
    for target in ("correct", "incorrect"):  # the incorrect-predicting one is subtracted: toward passing as well
        assert (selected[target]["value"], selected[target]["qualifies"]) == (BEST, True), selected[target]["reason"]


# --- planted truth ---


def test_the_planted_latent_and_coefficient_are_found_and_the_effect_is_that_of_a_plain_loop(tmp_path: Path) -> None:
    made = planted(0, n=50)  # in the sandbox
    summary = run(made, tmp_path, per_coefficient=5)
    hold_the_planted(made, tmp_path)
    hold_by_hand(made, tmp_path)
    arms = summary["arms"]
    assert arms["steered"]["correction"]["value"] == arms["gated"]["correction"]["value"] == 1.0
    assert arms["steered"]["corruption"]["value"] == arms["gated"]["corruption"]["value"] == 0.0
    assert arms["flipped_sign"]["corruption"]["value"] == 1.0
    assert arms["random_direction"]["correction"]["value"] < 1.0
    assert summary["differences"]["gated"]["mcnemar_p"] < 0.05 and summary["differences"]["gated"]["binomial_p"] < 0.05
    assert summary["gate_fires"]["correct"]["failing"]["value"] == 1.0
    assert summary["gate_fires"]["correct"]["passing"]["value"] == 0.0
    assert summary["verdict"].startswith("a gain: correct latent added: 1.00 of programs pass")
    for file in ("report.html", "coefficient_analysis.png", "coefficient_examples/index.html", "effect.parquet"):
        assert (tmp_path / file).stat().st_size > 0
    baseline = pd.read_parquet(tmp_path / "baseline.parquet")
    assert {"prompt", "completion", "body", "passed", "reason"} <= set(baseline.columns)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 21))
@pytest.mark.usefixtures("in_process")
def test_twenty_planted_truths_are_found(seed: int, tmp_path: Path) -> None:
    made = planted(seed, n=50)
    run(made, tmp_path, per_coefficient=5, seed=seed, last="coefficients")
    hold_the_planted(made, tmp_path)
    hold_by_hand(made, tmp_path)


@pytest.mark.usefixtures("in_process")
def test_a_gated_arm_equals_a_run_with_the_gate(copied: tuple[Planted, Path]) -> None:
    made, out = copied
    select_by_hand(out, 100.0, reason="so much that constant steering breaks every program")
    run(made, out, **FEW, first="effect")
    rows = pd.read_parquet(out / "effect.parquet")
    gated = rows[rows["arm"] == "gated"].set_index("program")["passed"].to_dict()
    constant = rows[rows["arm"] == "steered"].set_index("program")["passed"].to_dict()
    assert not any(constant.values()) and any(gated.values())
    gate = read_latents(out, made.model).gates["correct"]
    assert one_by_one(made, list(gated), 100.0, gate=gate) == gated


@pytest.mark.slow
@pytest.mark.usefixtures("in_process")
def test_refinement_tries_coefficients_between_the_neighbours_of_the_best(tmp_path: Path) -> None:
    made = planted(4, n=60)
    run(made, tmp_path, per_coefficient=10, refine=4, coefficients=FEW["coefficients"], last="coefficients")
    summary = json.loads((tmp_path / "summary.json").read_text("utf-8"))
    tried = [entry["coefficient"] for entry in summary["directions"]["correct"]["coefficients"]]
    more = sorted(set(tried) - set(FEW["coefficients"]))
    assert len(more) == 4 and all(10 < one < 100 for one in more)
    hold_by_hand(made, tmp_path)


# --- interrupted and resumed ---


def contents(out: Path) -> dict[str, Any]:
    """Every file that a run leaves, without times and without what says how the run went."""
    found: dict[str, Any] = {}
    for path in sorted(out.rglob("*")):
        name = str(path.relative_to(out))
        if path.suffix == ".parquet" and path.parent.name != "rows":
            frame = pd.read_parquet(path)
            found[name] = frame.sort_values(list(frame.columns[:3]) + ["program"] * ("program" in frame)).to_csv()
        elif path.suffix == ".json" and name != "manifest.json":
            found[name] = _timeless(json.loads(path.read_text("utf-8")))
        elif path.suffix == ".png" or name == "coefficient_examples/index.html":
            found[name] = path.read_bytes()
    return found


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(entry) for key, entry in value.items() if key not in ("timestamp", "manifest")}
    return [_timeless(entry) for entry in value] if isinstance(value, list) else value


def interrupting(stage: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int, int], None]:
    """A step that breaks off in the middle of a stage."""
    running, calls = [""], [0]
    perform = code_correctness._perform

    def performed(name: str, *arguments: Any) -> Any:
        running[0] = name
        if name == stage == "problems":
            raise KeyboardInterrupt
        return perform(name, *arguments)

    def step(what: str, done: int, total: int) -> None:
        if running[0] == stage:
            calls[0] += 1
            if calls[0] == 2:
                raise KeyboardInterrupt

    monkeypatch.setattr(code_correctness, "_perform", performed)
    return step


@pytest.mark.usefixtures("in_process")
def test_interrupted_in_every_stage_and_resumed_it_leaves_the_same_files(
    whole: tuple[Planted, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, out = whole
    for stage in STAGES:
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            run(made, tmp_path, **FEW, step=interrupting(stage, patched), resume=stage != "problems")
        assert not (tmp_path / STAGES[stage]).exists(), stage
    run(made, tmp_path, **FEW, resume=True)
    expected, found = contents(out), contents(tmp_path)
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []


@pytest.mark.slow
@pytest.mark.usefixtures("in_process")
def test_parts_of_the_problems_add_up_to_the_whole(whole: tuple[Planted, Path], tmp_path: Path) -> None:
    made, out = whole
    run(made, tmp_path, **FEW, last="problems")
    for window in ((0, 20), (20, None)):
        run(made, tmp_path, **FEW, first="baseline", last="baseline", window=window)
    run(made, tmp_path, **FEW, first="latents", last="coefficients")
    for window in ((0, 10), (10, None)):
        run(made, tmp_path, **FEW, first="effect", window=window)
    expected, found = contents(out), contents(tmp_path)
    different = {name for name in expected if found[name] != expected[name]}
    assert different <= {"attention.json", "result.json"}  # attention is read on problems of the window
    assert found["result.json"]["arms"] == expected["result.json"]["arms"]


# --- stages, by hand, errors ---


@pytest.mark.usefixtures("in_process")
def test_a_choice_by_hand_is_kept_beside_the_rules_and_used(copied: tuple[Planted, Path]) -> None:
    made, out = copied
    rule = read_selected(out)["correct"]["rule"]
    select_by_hand(out, 3.0, reason="the examples at 30 look wrong")
    entry = read_selected(out)["correct"]
    assert (entry["value"], entry["chosen_by"], entry["reason"]) == (3.0, "hand", "the examples at 30 look wrong")
    assert entry["rule"] == rule and entry["timestamp"]
    summary = run(made, out, **FEW, first="effect")
    assert summary["selected"]["correct"]["value"] == 3.0
    rows = pd.read_parquet(out / "effect.parquet")
    assert set(rows[rows["arm"] == "steered"]["coefficient"]) == {3.0}
    run(made, out, **FEW, first="coefficients", last="coefficients")
    assert read_selected(out)["correct"]["chosen_by"] == "hand"


def test_a_choice_by_hand_that_cannot_be_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="run the stage coefficients there first"):
        select_by_hand(tmp_path, 3.0, reason="x")
    with pytest.raises(OptionError, match="needs a reason"):
        select_by_hand(tmp_path, 3.0, reason=" ")
    with pytest.raises(OptionError, match="steer nothing"):
        select_by_hand(tmp_path, 0.0, reason="x")
    with pytest.raises(OptionError, match="Did you mean correct"):
        select_by_hand(tmp_path, 3.0, reason="x", target="corect")


def test_figures_are_drawn_again_without_computing(
    copied: tuple[Planted, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, out = copied
    before = contents(out)
    for name in ("coefficient_analysis.png", "coefficient_examples/index.html", "report.html"):
        (out / name).unlink()
    monkeypatch.setattr(code_correctness, "open_run", None)
    assert redraw(out) == out / "report.html"
    assert contents(out) == before and (out / "report.html").is_file()


@pytest.mark.usefixtures("in_process")
def test_a_stage_without_those_before_it_says_which_is_missing(tmp_path: Path) -> None:
    made = planted(9, n=30)
    with pytest.raises(RunError, match=r"has no splits\.json: the stage problems has not been done there"):
        run(made, tmp_path, first="coefficients", per_coefficient=3)
    with pytest.raises(OptionError, match="Did you mean effect"):
        run(made, tmp_path / "b", last="efect")
    with pytest.raises(OptionError, match="comes after"):
        run(made, tmp_path / "b", first="effect", last="baseline")
    with pytest.raises(OptionError, match="--start is 0 or more"):
        run(made, tmp_path / "b", window=(3, 3))


@pytest.mark.usefixtures("in_process")
def test_a_baseline_newer_than_the_latents_is_named(tmp_path: Path) -> None:
    made = planted(14, n=40)
    run(made, tmp_path, **FEW, last="baseline", window=(0, 30))
    run(made, tmp_path, **FEW, first="latents", last="coefficients")
    run(made, tmp_path, **FEW, first="baseline", last="baseline")
    with pytest.raises(RunError, match="newer than the stage latents"):
        run(made, tmp_path, **FEW, first="effect")


@pytest.mark.usefixtures("in_process")
def test_without_a_failing_problem_there_is_nothing_to_rank(tmp_path: Path) -> None:
    made = planted(10, n=40)
    passing = tuple(p for p in made.problems if "q" not in p.prompt)[:20]
    with pytest.raises(DataError, match="passed and 0 failed"):
        run(replace(made, problems=passing), tmp_path, per_coefficient=3)


def test_problems_that_do_not_fit_the_context_are_left_out_and_counted() -> None:
    made = planted(11, n=60)
    long = replace(made.problems[0], prompt="# " + "a" * 600 + "\n" + made.problems[0].prompt)
    material = prepare_correctness(SETTINGS, made.model, (long, *made.problems[1:]))
    assert [problem.id for problem in material.too_long] == [long.id] and "1 of 60 problems" in material.notes[0]


def test_settings_that_cannot_be_are_refused() -> None:
    for change, message in (
        ({"coefficients": (0.0, 1.0)}, "none of them 0"),
        ({"bands": (5,)}, "band 5 does not exist"),
        ({"draws": 0}, "draws 0"),
        ({"flips": (0.6, 0.2)}, "within 0..1"),
    ):
        with pytest.raises(OptionError, match=message):
            replace(SETTINGS, **change)  # type: ignore[arg-type]


def test_the_judge_of_these_tests_agrees_with_the_sandbox() -> None:
    problem = planted(12, n=10).problems[0]
    programs = [problem.prompt + body for body in (" 1\n", " x\n", "\n")]
    here = [result.passed for result in judged_here([problem] * 3, programs)]
    assert [result.passed for result in check_programs([problem] * 3, programs)] == here == [True, False, False]


def test_the_verdict_is_about_the_arm_that_the_tuning_split_chose() -> None:
    def tried(benefit: float) -> dict[str, Any]:
        return {
            "coefficients": [{"coefficient": 3.0, "net_benefit": benefit}, {"coefficient": 9.0, "net_benefit": 1.0}]
        }

    by_rule = {target: {"value": 3.0, "chosen_by": "rule"} for target in ("correct", "incorrect")}
    assert primary_arm(by_rule, {"correct": tried(0.1), "incorrect": tried(0.3)})["arm"] == "away"
    assert primary_arm(by_rule, {"correct": tried(0.3), "incorrect": tried(0.3)})["arm"] == "steered"
    assert primary_arm(by_rule, {})["arm"] == "steered"
    by_hand = by_rule | {"incorrect": {"value": 5.0, "chosen_by": "hand"}}
    assert primary_arm(by_hand, {"correct": tried(0.9), "incorrect": tried(0.3)})["arm"] == "away"

    def arm(value: float, p: float) -> dict[str, Any]:
        return {"pass_rate": {"value": value, "low": value - 0.05, "high": value + 0.05}, "mcnemar_p_holm": p}

    summary = {
        "study": "code-correctness",
        "primary": {"arm": "steered", "reason": ""},
        "arms": {name: {"pass_rate": {"value": 0.5, "n": 9}} for name in ("unsteered", "steered", "away", "gated")},
        "differences": {"steered": arm(0.0, 1.0), "away": arm(0.4, 0.3), "gated": arm(0.3, 0.01)},
    }
    said = verdict(summary)
    assert said.startswith("no gain: correct latent added")
    assert "adjusted for 4: correct latent added where the gate fires +0.30" in said and "subtracted" not in said
