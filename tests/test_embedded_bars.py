"""The kit's bars: what is measured, on which sets, and when a bar is met."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from conftest import loaded_model, shared
from steerlab.building import rendered_pair
from steerlab.cli import main
from steerlab.embedded import exercises_file, fresh_file, held_out_families_file
from steerlab.errors import DataError
from steerlab.kit.direction import Response, measure, response_rows, split
from steerlab.kit.figure import write_figure
from steerlab.kit.rows import Bar, absent, at_least, at_most, cells, judged, measured
from steerlab.kit.sizes import SIZES, spread
from steerlab.kit.verdicts import (
    balanced,
    in_each,
    in_turn,
    naive_bayes,
    of_groups,
    ordered,
    parsed_answers,
    read,
    starter_ngrams,
)
from steerlab.readout import answer_log_likelihoods
from steerlab.sources import load_source
from steerlab.sources.fresh import load_generated
from steerlab.statistics import Estimate, wilson
from steerlab.tasks.exercises import load_exercises
from steerlab.tasks.templates import load_templates, render
from training.exercises import band, complexity, is_branching, is_held_out
from training.families import FAMILIES
from training.fresh import draw
from training.held_sets import draw_exercises

EMBEDDED = "embedded"


# --- bars and rows ---


def test_a_bar_holds_at_its_bound_and_never_for_a_missing_number() -> None:
    assert judged("x", wilson(8, 10), at_least(0.8)).verdict == "met"
    assert judged("x", wilson(7, 10), at_least(0.8)).verdict == "not met"
    assert judged("x", wilson(0, 0), at_least(0.8)).verdict == "not met"
    assert judged("x", wilson(8, 10)).verdict == "printed only"
    assert measured("x", 0.7, at_most(0.6), note="").verdict == "not met"
    assert measured("x", None, at_most(0.6), note="").verdict == "not met"


def test_a_bar_of_two_bounds_is_missed_on_either_side() -> None:
    bar = Bar(text="0.60 to 0.90", low=0.6, high=0.9)
    assert [judged("x", wilson(n, 100), bar).verdict for n in (59, 60, 90, 91)] == ["not met", "met", "met", "not met"]


def test_a_bar_on_the_interval_asks_for_its_lower_end() -> None:
    bar = Bar(text="interval > 0.5", low=0.5, of="lower end")
    assert judged("x", wilson(60, 100), bar).low > 0.5 and judged("x", wilson(60, 100), bar).verdict == "met"
    assert judged("x", wilson(6, 10), bar).verdict == "not met"


def test_a_row_shows_its_interval_and_what_was_unscored() -> None:
    row = judged("x", wilson(8, 10, n_unscored=3), at_least(0.8))
    assert cells(row) == ("x", "0.80", f"{row.low:.2f} to {row.high:.2f}", "10", "3", ">= 0.80", "met")
    assert cells(absent("x", verdict="not given", note="no path"))[1:] == ("–", "", "", "", "", "not given")


def test_spread_keeps_order_and_both_halves() -> None:
    assert spread(range(10), 5) == [0, 2, 4, 6, 8]
    assert spread([1, 2], 5) == [1, 2]


# --- the shipped sets ---


def test_complexity_counts_decisions_as_radon_does() -> None:
    assert complexity("def f(a):\n    return a\n") == 1
    assert complexity("def f(a):\n    return [x for x in a if x > 1 and x < 9]\n") == 4
    assert complexity("def f(a):\n    for x in a:\n        if x:\n            return 1 if x > 2 else 2\n") == 4
    assert complexity("def f(a):\n    while a or not a or a:\n        a = 1\n    else:\n        a = 2\n") == 4


def test_exercises_fill_four_bands_with_held_out_compositions() -> None:
    exercises = load_exercises()
    counts = pd.Series([exercise.band for exercise in exercises]).value_counts()
    assert len(exercises) == 200 and sorted(counts.index) == [1, 2, 3, 4] and counts.min() >= 40
    assert len({exercise.prompt for exercise in exercises}) == len(exercises)
    for exercise in exercises:
        composition = tuple(exercise.labels["composition"].split("/"))
        assert is_held_out(composition) and is_branching(composition) == (exercise.labels["branching"] == "yes")
        assert complexity(exercise.reference) == exercise.complexity
        assert band(exercise.complexity) == exercise.band
        assert f"def {exercise.entry}(" in exercise.prompt and all(line in exercise.prompt for line in exercise.tests)
        assert len({line.rpartition(" == ")[2] for line in exercise.tests}) > 1


def test_pairs_are_of_the_families_that_their_file_names_and_share_no_program() -> None:
    fresh, held_out = load_source("fresh"), load_generated(held_out_families_file(), name="held-out")
    of_training = {f"{family.cwe}/{family.name}": not family.held_out for family in FAMILIES}
    assert all(of_training[program.part] for program in fresh.programs)
    assert not any(of_training[program.part] for program in held_out.programs)
    for source in (fresh, held_out):
        counts = source.by_cwe().values()
        assert len(counts) == 8 and len(set(counts)) == 1 and min(counts) >= 24
    texts = [program.code for source in (fresh, held_out) for program in source.programs]
    assert len(set(texts)) == len(texts)


def test_the_shipped_sets_stay_small() -> None:
    assert sum(path.stat().st_size for path in (fresh_file(), held_out_families_file(), exercises_file())) < 1.5e6


def test_a_program_that_was_seen_in_training_is_drawn_again() -> None:
    families = [family for family in FAMILIES if family.held_out and family.cwe == "CWE-22"]
    first = draw([], families=families, pairs_per_cwe=3, seed=5)
    assert first == draw([], families=families, pairs_per_cwe=3, seed=5)
    seen = f"before {first[1]['patched']} after"
    again = draw([seen], families=families, pairs_per_cwe=3, seed=5)
    assert again[0] == first[0] and again[1] != first[1]
    assert not any(row[side].rstrip("\n") in seen for row in again for side in ("vulnerable", "patched"))


def test_exercises_are_drawn_the_same_way_twice_and_never_from_training_items() -> None:
    rows = draw_exercises([], per_band=3, seed=11)
    assert rows == draw_exercises([], per_band=3, seed=11) and [row["band"] for row in rows] == sorted([1, 2, 3, 4] * 3)
    seen = "".join(str(row["prompt"]) + str(row["solution"]) for row in rows[:2])
    again = draw_exercises([seen], per_band=3, seed=11)
    assert not any(str(row["prompt"]) + str(row["solution"]) in seen for row in again)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"familly": "x"}, "Did you mean family"),
        ({"patched": " "}, "'patched' is missing"),
        ({"cwe": 3}, "'cwe' is missing"),
    ],
)
def test_a_malformed_pair_is_named_by_file_and_line(tmp_path: Path, change: dict[str, object], said: str) -> None:
    lines = fresh_file().read_text("utf-8").split("\n")
    file = tmp_path / "pairs.jsonl"
    file.write_text(lines[0] + "\n" + json.dumps(json.loads(lines[1]) | change) + "\n", "utf-8")
    with pytest.raises(DataError, match=said) as error:
        load_generated(file, name="fresh")
    assert "pairs.jsonl line 2" in str(error.value)


@pytest.mark.parametrize("change", [{"band": 5}, {"band": "1"}, {"asserts": []}, {"extra": 1}])
def test_a_malformed_exercise_is_named_by_file_and_line(tmp_path: Path, change: dict[str, object]) -> None:
    entry = json.loads(exercises_file().read_text("utf-8").split("\n")[0]) | change
    file = tmp_path / "exercises.jsonl"
    file.write_text(json.dumps(entry) + "\n", "utf-8")
    with pytest.raises(DataError, match="line 1"):
        load_exercises(file)


# --- verdicts ---


def _answers(*pairs: tuple[float, float]) -> pd.DataFrame:
    """Rows of pairs with the margins of their vulnerable and their patched side."""
    rows = [
        {
            "label": label,
            "margin": margin,
            "answer": None if np.isnan(margin) else "vulnerable" if margin > 0 else "patched",
        }
        | {"pair": f"p{number}", "family": "", "template": "plain", "program": f"p{number}/{label}", "cwe": "CWE-22"}
        for number, sides in enumerate(pairs)
        for label, margin in zip(("vulnerable", "patched"), sides, strict=True)
    ]
    return pd.DataFrame(rows)


def test_perfect_answers_have_a_wide_interval_and_swapped_ones_none_right() -> None:
    row = balanced("x", _answers(*[(1.0, -1.0)] * 6), at_least(0.8))
    assert row.value == row.high == 1.0 and row.low < 0.8 and row.n == 12 and row.verdict == "met"
    assert balanced("x", _answers(*[(-1.0, 1.0)] * 6)).value == 0.0


def test_pair_order_counts_a_tie_half_and_leaves_out_what_was_not_read() -> None:
    row = ordered("x", _answers((2.0, 1.0), (-1.0, -1.0), (0.0, 1.0), (float("nan"), 0.0)))
    assert row.value == 0.5 and row.n == 3 and row.n_unscored == 1


def test_naive_bayes_finds_a_planted_word_and_turns_with_the_labels() -> None:
    programs = of_groups(load_source("starter"), per_cwe=1)
    planted = [replace(p, code=p.code + ("\nzzz" if p.label == "vulnerable" else "\nyyy") * 40) for p in programs]
    margins = naive_bayes(planted[:8], planted[8:], n=1)
    assert all((margin > 0) == (p.label == "vulnerable") for margin, p in zip(margins, planted[8:], strict=True))
    turned = [replace(p, label="patched" if p.label == "vulnerable" else "vulnerable") for p in planted[:8]]
    assert np.allclose(naive_bayes(turned, planted[8:], n=1), -margins)


def test_naive_bayes_on_words_stays_near_chance_on_held_out_families() -> None:
    train, test = load_source("fresh").evaluated(), load_generated(held_out_families_file(), name="x").evaluated()
    margins = naive_bayes(train, test, n=1)
    right = [(margin > 0) == (p.label == "vulnerable") for margin, p in zip(margins, test, strict=True)]
    assert np.mean(right) < 0.6


def test_the_baseline_of_the_starter_pairs_says_something_about_each() -> None:
    row = starter_ngrams(of_groups(load_source("starter"), per_cwe=6))
    assert row.n == 96 and row.n_unscored == 0 and row.verdict == "printed only"


def test_both_sides_of_a_pair_are_asked_in_one_template_and_all_templates_come_up() -> None:
    programs = load_source("fresh").evaluated()
    asked: dict[str, set[str]] = {}
    for program, template in in_turn(programs):
        asked.setdefault(program.group, set()).add(template.name)
    assert all(len(names) == 1 for names in asked.values())
    assert set.union(*asked.values()) <= {template.name for template in load_templates()}
    assert len(in_each(programs[:4], n_templates=3)) == 12


def test_questions_are_read_as_the_readout_reads_them_and_long_ones_are_unscored() -> None:
    model = loaded_model(EMBEDDED)
    programs = load_source("fresh").evaluated()[:3]
    long = replace(programs[0], id="long", code="x = 1\n" * model.context)
    template = load_templates()[0]
    rows = read(model, [(program, template) for program in [*programs, long]])
    wanted = answer_log_likelihoods(model, [render(template, p) for p in programs], [(" yes", " no")] * 3).numpy()
    assert np.allclose(rows["margin"][:3], wanted[:, 0] - wanted[:, 1], atol=1e-4)
    assert np.isnan(rows["margin"][3]) and rows["answer"][3] is None
    assert balanced("x", rows).n_unscored == 1
    found = parsed_answers(model, [programs[0], long])
    assert found.n == 1 and found.n_unscored == 1


# --- the direction ---


def _response(margins: tuple[float, ...], *, random: float, low: float) -> Response:
    shift = margins[-1] - margins[0]
    return Response(
        layer=1,
        n_layers=4,
        coefficients=tuple(map(float, range(len(margins)))),
        margins=margins,
        randoms=((0.0,) * (len(margins) - 1) + (random,),) * 2,
        shift=Estimate(value=shift, low=low, high=shift + 1, level=0.95, n=8, n_unscored=0, method="x"),
        n_pairs=4,
        n_built_on=4,
        way="plain",
    )


def test_the_direction_bar_asks_for_monotone_larger_than_random_and_certain() -> None:
    rising = (-2.0, -1.0, 0.0, 1.0, 2.0)
    assert _response(rising, random=-3.0, low=1.0).met
    assert response_rows(_response(rising, random=-3.0, low=1.0))[0].verdict == "met"
    assert not _response(rising, random=-4.0, low=1.0).met  # a random direction moves as much
    assert not _response(rising, random=0.0, low=-0.1).met
    assert not _response((-2.0, -1.0, -1.0, 1.0, 2.0), random=0.0, low=1.0).met
    assert not _response(rising[1:], random=0.0, low=1.0).met  # four coefficients
    assert not _response(rising[::-1], random=0.0, low=-5.0).met


def test_no_family_builds_the_direction_and_is_held_out() -> None:
    parts = split(load_source("fresh").pairs)
    built, held_out = ({pair.labels["family"] for pair in half} for half in (parts.building, parts.held_out))
    assert built and held_out and not built & held_out
    assert len(parts.building) + len(parts.held_out) == len(load_source("fresh").pairs)
    with pytest.raises(DataError, match="too few"):
        split(load_source("fresh").pairs[:1])


def test_dose_zero_changes_nothing_the_same_call_gives_the_same_response_and_a_figure(tmp_path: Path) -> None:
    model = loaded_model(EMBEDDED)
    source = load_source("fresh")
    kept = {program.group for program in of_groups(source, per_cwe=2)}
    parts = split([pair for pair in source.pairs if pair.group in kept and pair.labels["cwe"] in ("CWE-22", "CWE-190")])
    doses = (-0.3, 0.0, 0.3)
    found = measure(model, parts, coefficients=doses, draws=2)
    assert 0 <= found.layer < model.n_layers and found.n_pairs == len(parts.held_out)
    assert all(draw[1] == pytest.approx(found.margins[1], abs=1e-3) for draw in found.randoms)
    prompts = [side for pair in parts.held_out for side in rendered_pair(load_templates()[0], pair)]
    plain = answer_log_likelihoods(model, prompts, [(" no", " yes")] * len(prompts)).numpy()
    assert found.margins[1] == pytest.approx(float((plain[:, 0] - plain[:, 1]).mean()), abs=1e-3)
    again = measure(model, parts, coefficients=doses, draws=2)
    assert again == found
    write_figure(found, tmp_path / "a.svg")
    write_figure(found, tmp_path / "b.svg")
    drawn = (tmp_path / "a.svg").read_text("utf-8")
    assert drawn == (tmp_path / "b.svg").read_text("utf-8") and "mean difference" in drawn and "2 random" in drawn


# --- the command ---


@pytest.fixture
def steerlab(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["steerlab", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        found = capsys.readouterr()
        return int(end.value.code or 0), found.out, found.err

    return run


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name a source"),
        (("starter", "--embedded"), "takes no source"),
        (("--quick",), "go with --embedded"),
        (("--embedded", "--sven", "/nowhere"), "/nowhere does not exist"),
        (("--embedded", "--secllmholmes", "."), "not SecLLMHolmes"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_1(steerlab, arguments: tuple[str, ...], said: str) -> None:
    code, out, err = steerlab("data", "check", *arguments)
    assert code == 1 and not out and said in err and err.count("\n") == 1


def test_the_command_prints_every_bar_and_ends_well_even_where_bars_are_missed(
    steerlab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded_model(EMBEDDED)
    small = replace(SIZES["quick"], exercises=4, pairs_per_cwe=1, starter_per_cwe=1, answers=2, tasks=2, repeats=1)
    small = replace(small, direction_per_cwe=2, draws=2)
    monkeypatch.setitem(SIZES, "quick", small)
    given = ("--secllmholmes", shared("data", "secllmholmes"))
    code, out, err = steerlab("data", "check", "--embedded", "--quick", "--out", tmp_path, "--json", *given)
    assert code == 0, err
    found = json.loads(out)
    assert found["size"] == "quick" and "<svg" in (tmp_path / "direction.svg").read_text("utf-8")
    verdicts = {row["name"]: row["verdict"] for row in found["rows"]}
    for name in ("exercises, unseen compositions: pass@1", "fresh pairs: balanced accuracy", "64 greedy tokens"):
        assert verdicts[name] in ("met", "not met")
    assert verdicts["SecLLMHolmes hand-crafted: balanced accuracy"] == "printed only"
    assert verdicts["SVEN validation: balanced accuracy"] == "not given"
    assert sum(name.startswith("fresh pairs, CWE-") for name in verdicts) == 8
    assert sum(name.startswith("starter tasks") for name in verdicts) == 4
    assert all(row["n"] for row in found["rows"] if row["verdict"] != "not given")
    assert "exercises" in err and found["direction"]["coefficients"] == list(small.coefficients)
