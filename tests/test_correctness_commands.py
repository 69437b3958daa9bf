"""Track C on the command line: problem sets are checked, a coefficient is chosen by hand, errors are one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from planted import judged_here, planted
from steerlab.studies import correctness_writing
from steerlab.studies.code_correctness import run_correctness
from steerlab.studies.correctness_material import CorrectnessSettings

Steerlab = Callable[..., tuple[int, str, str]]


@pytest.fixture
def selectable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run with the stage coefficients done."""
    monkeypatch.setattr(correctness_writing, "check_programs", judged_here)
    made = planted(13, n=50)
    settings = CorrectnessSettings(
        model="planted",
        sae="planted",
        problems="planted",
        per_coefficient=5,
        coefficients=(10.0, 30.0),
        general_limit=1.0,
        draws=1,
        max_new_tokens=2,
    )
    run_correctness(settings, made.model, made.problems, [made.autoencoder], tmp_path / "run", last="coefficients")
    return tmp_path / "run"


def test_problem_sets_are_listed_and_checked(steerlab: Steerlab, tmp_path: Path) -> None:
    code, out, _ = steerlab("data", "list", "--json")
    names = [entry["name"] for entry in json.loads(out)["problems"]]
    assert code == 0 and names == ["mbpp", "mbpp-sanitized", "humaneval", "exercises"]
    entry = {
        "task_id": 1,
        "text": "Add one.",
        "code": "def f(x):\r\n  return x + 1",
        "test_setup_code": "",
        "test_list": ["assert f(1) == 2"],
    }
    (tmp_path / "mbpp.jsonl").write_text(json.dumps(entry) + "\n")
    code, out, _ = steerlab("data", "check", f"mbpp:{tmp_path}", "--json")
    found = json.loads(out)
    assert (code, found["problems"], found["references_passed"]) == (0, 1, 1)


def test_a_choice_by_hand_is_recorded_and_the_page_drawn_again(steerlab: Steerlab, selectable: Path) -> None:
    page = selectable / "coefficient_examples" / "index.html"
    page.unlink()
    reason = "thirty <b>repeats</b> itself"
    code, out, _ = steerlab("select", selectable, "--coefficient", 10, "--reason", reason, "--json")
    entry = json.loads(out)
    assert (code, entry["value"], entry["chosen_by"], entry["reason"]) == (0, 10.0, "hand", reason)
    assert entry["rule"]["value"] == 30.0
    assert "thirty &lt;b&gt;repeats" in page.read_text("utf-8")
    page.unlink()
    code, out, _ = steerlab("run", "code-correctness", "--figures-only", "--out", selectable, "--json")
    assert code == 0 and json.loads(out)["page"] == str(page) and page.is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("data", "check", "humanevl:x"), "Did you mean humaneval"),
        (("data", "check", "mbpp:nowhere"), "steerlab data fetch mbpp"),
        (("run", "code-correctness", "--model", "embedded"), "--sae is missing"),
        (("run", "code-correctness", "--figures-only"), "--figures-only needs --out"),
        (("select", "nowhere", "--coefficient", "3", "--reason", "x"), "run the stage coefficients there first"),
        (("select", "nowhere", "--coefficient", "x", "--reason", "x"), "is not a number"),
    ],
)
def test_what_a_person_can_mend_is_one_line(steerlab: Steerlab, arguments: tuple[Any, ...], message: str) -> None:
    code, out, err = steerlab(*arguments)
    assert code == 1 and out == "" and message in err and err.count("\n") == 1
