"""Programming problems: loaded, shown, extracted, checked; and their splits."""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import shared
from steerlab.errors import DataError, OptionError
from steerlab.tasks.exercises import load_exercises
from steerlab.tasks.problem_sets import PROBLEM_SETS, check_problems, list_problem_sets, load_problems
from steerlab.tasks.problems import (
    Problem,
    band,
    body_of,
    check_programs,
    complexity,
    parses,
    passed,
    program_of,
)
from steerlab.tasks.splits import SPLITS, draw_problems, split_problems


def problem(number: int = 0, *, cyclomatic: int = 3, **changes: object) -> Problem:
    """A problem that adds one to a number."""
    made = Problem(
        id=f"made/{number}",
        source="made",
        prompt='"""\nAdd one.\n\nassert f(1) == 2\n"""\ndef f(x):\n',
        entry="f",
        tests=("assert f(1) == 2",),
        setup="",
        reference="def f(x):\n    return x + 1\n",
        complexity=cyclomatic,
        band=band(cyclomatic),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


MBPP = {
    "task_id": 7,
    "text": "Write a function to add the two numbers of a pair.",
    "code": "import math\r\nclass Pair:\r\n\tdef __init__(self, a, b):\r\n\t\tself.a, self.b = a, b\r\n"
    "def helper(x):\r\n\treturn x\r\ndef both(pair = None) :\r\n\treturn helper(pair.a) + pair.b",
    "test_setup_code": "p = Pair(1, 2)\r\n",
    "test_list": ["assert both(p) == 3", "assert both(Pair(2, 2)) == 4"],
    "challenge_test_list": [],
}


def written(path: Path, *entries: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), "utf-8")
    return path


# --- loading ---


def test_mbpp_shows_description_asserts_what_the_tests_use_and_the_header(tmp_path: Path) -> None:
    (found,) = load_problems(f"mbpp:{written(tmp_path / 'mbpp.jsonl', MBPP)}")
    assert found.id == "mbpp/7" and found.entry == "both" and "\r" not in found.reference + found.setup + found.prompt
    assert found.prompt == (
        '"""\nWrite a function to add the two numbers of a pair.\n\nassert both(p) == 3\nassert both(Pair(2, 2)) == 4\n'
        '"""\nclass Pair:\n\tdef __init__(self, a, b):\n\t\tself.a, self.b = a, b\n\n\ndef both(pair=None):\n'
    )
    assert passed([found], ["    return pair.a + pair.b\n"]) == [True]
    assert [result.passed for result in check_programs([found], [found.reference])] == [True]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"code": "def both(:"}, "line 1: the reference does not parse"),
        ({"test_list": ["assert other(1)"]}, "line 1: no function of the code is called"),
        ({"test_list": []}, "line 1: test_list must be a list of texts"),
        ({"task_id": "7"}, "line 1: task_id must be a number"),
    ],
)
def test_a_malformed_entry_is_named_by_file_and_line(tmp_path: Path, change: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_problems(f"mbpp:{written(tmp_path / 'mbpp.jsonl', {**MBPP, **change})}")


def test_a_missing_key_and_a_missing_file_are_named(tmp_path: Path) -> None:
    entry = {key: value for key, value in MBPP.items() if key != "code"}
    with pytest.raises(DataError, match="line 1 lacks code"):
        load_problems(f"mbpp:{written(tmp_path / 'mbpp.jsonl', entry)}")
    with pytest.raises(DataError, match=r"holds no sanitized-mbpp\.json\. Get it: steerlab data fetch mbpp"):
        load_problems(f"mbpp-sanitized:{tmp_path}")
    with pytest.raises(DataError, match="names no path"):
        load_problems("humaneval")
    with pytest.raises(DataError, match="takes no path"):
        load_problems("exercises:here")
    with pytest.raises(DataError, match="Did you mean mbpp"):
        load_problems("mbp:here")


def test_the_hand_verified_file_brings_its_imports_before_the_tests(tmp_path: Path) -> None:
    entry = {
        "source_file": "x",
        "task_id": 3,
        "prompt": "Halve.",
        "code": "def halve(x):\n  return x / 2",
        "test_imports": ["import math"],
        "test_list": ["assert math.isclose(halve(3), 1.5)"],
    }
    (tmp_path / "sanitized-mbpp.json").write_text(json.dumps([entry]), "utf-8")
    (found,) = load_problems(f"mbpp-sanitized:{tmp_path}")
    assert found.setup == "import math" and found.entry == "halve"
    assert passed([found, found], ["    return x / 2\n", "    return x\n"]) == [True, False]


def test_humaneval_has_its_docstring_first_and_its_helpers_before_the_header(tmp_path: Path) -> None:
    prompt = (
        "import math\n\ndef twice(x):\n    return 2 * x\n\n\ndef four(x: int) -> int:\n"
        '    """ Four times x.\n    >>> four(1)\n    4\n    """\n'
    )
    entry = {
        "task_id": "HumanEval/1",
        "prompt": prompt,
        "entry_point": "four",
        "canonical_solution": "    return twice(twice(x))\n",
        "test": "def check(candidate):\n    assert candidate(2) == 8\n",
    }
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "HumanEval.jsonl.gz").write_bytes(gzip.compress(json.dumps(entry).encode()))
    (found,) = load_problems(f"humaneval:{tmp_path}")
    assert found.prompt == (
        '"""\nFour times x.\n>>> four(1)\n4\n"""\nimport math\n\ndef twice(x):\n    return 2 * x\n\n\n'
        "def four(x: int) -> int:\n"
    )
    assert "candidate" not in found.prompt
    assert passed([found] * 2, ["    return twice(twice(x))\n", "    return x\n"]) == [True, False]


def test_exercises_stand_as_the_embedded_model_was_trained_on_them() -> None:
    exercises = load_problems("exercises")
    assert len(exercises) == 200
    assert all(one.prompt.startswith(f"def {one.entry}(") and one.prompt.endswith('"""\n') for one in exercises)
    assert all(complexity(one.reference) == one.complexity and band(one.complexity) == one.band for one in exercises)


def test_the_list_says_what_a_person_types() -> None:
    assert [entry["spec"] for entry in list_problem_sets()] == [
        "mbpp:PATH",
        "mbpp-sanitized:PATH",
        "humaneval:PATH",
        "exercises",
    ]


# --- from a completion to a program ---


def test_references_pass_and_wrong_constant_or_leaving_answers_do_not() -> None:
    exercises = random.Random(3).sample(load_exercises(), 6)
    completions = [one.reference.removeprefix(one.prompt) + "\nprint('more')\n" for one in exercises]
    assert passed(exercises, completions, workers=2) == [True] * 6
    wrong = ["    return None\n", "    import sys; sys.exit(0)\n", "", "    return (\n", "    while True: pass\n"]
    assert passed(exercises[:1] * 5, wrong, workers=2) == [False] * 5


def test_a_continuation_ends_where_its_function_ends() -> None:
    two = "    a = 1\n\n    return a\n\n\ndef g():\n    return 2\n"
    assert body_of(two, entry="f") == "    a = 1\n\n    return a\n"
    assert body_of("return 1\n", entry="f") == "\n"
    assert body_of("    import re\n    return re\nimport os\n", entry="f") == "    import re\n    return re\n"
    literal = '    return """\nnot the end\n"""\nprint(1)\n'
    assert body_of(literal, entry="f") == '    return """\nnot the end\n"""\n'


def test_a_completion_that_is_a_program_of_its_own_keeps_its_imports_and_ends_with_its_function() -> None:
    own = "import math\n\ndef g(x):\n    return math.floor(x)\n\ndef f(x):\n    return g(x) + 1\n"
    assert body_of(f"{own}\nprint(f(1))\n", entry="f") == own
    assert body_of(f"```python\n{own}\nprint(f(1))\n```\nIt adds one.", entry="f") == own
    assert program_of(problem(), f"```\n{own}```") == own
    assert program_of(problem(), "    return x + 1\nprint(1)") == problem().prompt + "    return x + 1\n"
    assert passed([problem()] * 2, [own, own.replace("+ 1", "+ 2")]) == [True, False]


def test_nothing_is_mended() -> None:
    for broken in ("    return (x\n", "    retrun x\n", "return x + 1\n"):
        assert passed([problem()], [broken]) == [False]
    assert not parses(program_of(problem(), "    return (x\n")) and parses(program_of(problem(), "    return x\n"))


def test_equal_programs_are_run_once_and_told_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    both = check_programs([problem()] * 3, [problem().reference] * 3, tick=told.append)
    assert [result.passed for result in both] == [True] * 3 and told == [1]


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("def f(x):\n    return x\n", 1),
        ("def f(x):\n    return [y for y in x if y and x]\n", 4),
        ("def g(x):\n    return x if x else 1\ndef f(x):\n    return g(x)\n", 3),
        ("class A:\n    def f(self):\n        return 1\n    def g(self):\n        return 1 if self else 2\n", 3),
        ("x = 1\n", 0),
    ],
)
def test_complexity_is_summed_over_functions_and_methods(program: str, expected: int) -> None:
    assert complexity(program) == expected


# --- splits ---


@given(n=st.integers(10, 120), seed=st.integers(0, 5))
def test_splits_have_their_shares_and_are_alike_in_complexity(n: int, seed: int) -> None:
    problems = [problem(i, cyclomatic=1 + i % 7) for i in range(n)]
    found = split_problems(problems, seed=seed)
    counts = Counter(found.values())
    for split, share in zip(SPLITS, (0.5, 0.1, 0.4), strict=True):
        assert abs(counts[split] - share * n) < 1.01
        own = [p.complexity for p in problems if found[p.id] == split]
        if split != "tuning" and n >= 60:  # of ten, four neighbours can lie anywhere
            assert abs(sum(own) / len(own) - sum(p.complexity for p in problems) / n) < 1.0
    assert split_problems(list(reversed(problems)), seed=seed) == found
    assert n < 30 or split_problems(problems, seed=seed + 1) != found


def test_a_draw_covers_the_complexities_and_is_the_same_twice() -> None:
    problems = [problem(i, cyclomatic=1 + i // 10) for i in range(100)]
    drawn = draw_problems(problems, 10, seed=1)
    assert [one.complexity for one in drawn] == list(range(1, 11))
    assert draw_problems(problems, 10, seed=1) == drawn != draw_problems(problems, 10, seed=2)
    assert draw_problems(problems[:3], 10, seed=1) == tuple(problems[:3])


def test_too_few_problems_and_two_with_one_id_are_refused() -> None:
    with pytest.raises(DataError, match="9 problems are too few"):
        split_problems([problem(i) for i in range(9)], seed=0)
    with pytest.raises(DataError, match="two problems have the id made/1"):
        split_problems([problem(i % 9) for i in [*range(9), 1]], seed=0)
    with pytest.raises(OptionError, match="at least 1"):
        draw_problems([problem()], 0, seed=0)


# --- every reference, in the sandbox ---


def test_the_check_counts_references_and_says_why_one_failed(tmp_path: Path) -> None:
    wrong = {**MBPP, "task_id": 8, "test_list": ["assert both(p) == 4"]}
    told: list[int] = []
    found = check_problems(f"mbpp:{written(tmp_path / 'mbpp.jsonl', MBPP, wrong)}", tick=told.append)
    assert (found["problems"], found["references_passed"], sum(told)) == (2, 1, 2)
    assert found["references_unscored"] == {} and "AssertionError" in found["references_failed"]["mbpp/8"]  # type: ignore[index]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "folder", "n"), [("mbpp", "mbpp", 974), ("mbpp-sanitized", "mbpp", 427), ("humaneval", "humaneval", 164)]
)
def test_every_published_reference_passes(name: str, folder: str, n: int) -> None:
    found = check_problems(f"{name}:{shared('data', folder)}")
    assert (found["problems"], found["references_passed"]) == (n, n), found


@pytest.mark.slow
def test_every_humaneval_solution_passes_below_its_prompt_in_the_common_form() -> None:
    path = shared("data", "humaneval")
    problems = load_problems(f"humaneval:{path}")
    lines = gzip.decompress((path / "data" / "HumanEval.jsonl.gz").read_bytes()).decode().splitlines()
    solutions = [json.loads(line)["canonical_solution"] for line in lines]
    assert passed(problems, solutions) == [True] * len(problems)


def test_every_set_names_its_licence() -> None:
    assert all(found.licence and found.counts for found in PROBLEM_SETS.values())
