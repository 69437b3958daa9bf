"""Starter pairs: every one is proven by running it, differs where it says, and is not told by its words."""

from __future__ import annotations

import ast
import io
import re
import shutil
import sys
import time
import tokenize
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from steerlab.embedded import pairs_directory
from steerlab.errors import DataError, MissingExtraError
from steerlab.sources import check_source, load_source
from steerlab.sources import proof as proof_module
from steerlab.sources.proof import Proof
from steerlab.sources.starter import StarterPair, prove_pair, prove_pairs, read_starter_pair, starter_folders
from steerlab.statistics import wilson

FOLDERS = starter_folders(pairs_directory())
NAMES = [f"{folder.parent.name}/{folder.name}" for folder in FOLDERS]
CWES = ("CWE-22", "CWE-77", "CWE-79", "CWE-89", "CWE-190", "CWE-416", "CWE-476", "CWE-787")

every_pair = pytest.mark.parametrize("folder", FOLDERS, ids=NAMES)
needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")


# --- what the package holds ----------------------------------------------------------------------


def test_there_are_six_pairs_for_each_of_the_eight_cwes() -> None:
    loaded = load_source("starter")
    assert Counter(pair.labels["cwe"] for pair in loaded.pairs) == dict.fromkeys(CWES, 6)
    assert loaded.by_cwe() == dict.fromkeys(CWES, 12)
    assert len({pair.group for pair in loaded.pairs}) == len(loaded.pairs) == 48


def test_the_vulnerable_side_has_its_reason_and_the_patched_side_is_positive() -> None:
    loaded = load_source("starter")
    programs = {program.id: program for program in loaded.programs}
    for pair in loaded.pairs:
        assert pair.negative == programs[f"{pair.id}/vulnerable"].code
        assert pair.positive == programs[f"{pair.id}/patched"].code
        assert programs[f"{pair.id}/vulnerable"].reasoning


@needs_gcc
def test_all_starter_pairs_are_proven_by_running_them() -> None:
    summary = check_source("starter")
    assert summary["failures"] == []
    assert summary["proven"] == summary["pairs"] == 48
    assert summary["by_cwe"] == dict.fromkeys(CWES, 6)


# --- what a proof finds --------------------------------------------------------------------------

FUNCTIONAL = "import program\nassert program.double(2) == 4\n"
EXPLOIT = "import sys\nimport program\nsys.exit(10 if program.double('ab') == 'abab' else 0)\n"
VULNERABLE = "def double(x):\n    return x * 2\n"
PATCHED = "def double(x):\n    return int(x) * 2 if str(x).isdigit() else None\n"


def plant(root: Path, **changes: str) -> Path:
    """A pair that can be proven, with the named files or keys changed; `changes` are file stems or keys."""
    folder = root / "cwe-77" / "doubling"
    folder.mkdir(parents=True, exist_ok=True)
    files = {"vulnerable": VULNERABLE, "patched": PATCHED, "functional": FUNCTIONAL, "exploit": EXPLOIT}
    keys = {
        "cwe": '"CWE-77"',
        "language": '"python"',
        "difficulty": "1",
        "entry": '"double"',
        "expected": '"exit-10"',
        "why": '"because"',
    }
    for name, text in files.items():
        (folder / f"{name}.py").write_text(changes.get(name, text))
    keys.update({key: value for key, value in changes.items() if key not in files})
    (folder / "pair.toml").write_text("".join(f"{key} = {value}\n" for key, value in keys.items() if value))
    return folder


def test_a_pair_whose_tests_and_exploit_do_as_they_should_is_proven(tmp_path: Path) -> None:
    assert prove_pair(plant(tmp_path)) == Proof(id="cwe-77/doubling", cwe="CWE-77")


@pytest.mark.parametrize(
    ("changes", "failure"),
    [
        ({"patched": "def double(x):\n    return 5\n"}, "functional on patched: exit 1 where exit 0 was expected"),
        ({"patched": VULNERABLE + "\n"}, "exploit on patched: exit 10 where exit 0 was expected"),
        ({"vulnerable": PATCHED + "\n"}, "exploit on vulnerable: exit 0 where exit 10 was expected"),
        ({"expected": '"heap-use-after-free"'}, "where a report of heap-use-after-free was expected"),
        (
            {"patched": PATCHED + "import sys\nprint('x.c:1:2: runtime error: overflow', file=sys.stderr)\n"},
            "exploit on patched: exit 0 where exit 0 was expected: x.c:1:2: runtime error: overflow",
        ),
    ],
)
def test_a_pair_that_fails_one_of_its_runs_says_which(tmp_path: Path, changes: dict[str, str], failure: str) -> None:
    proof = prove_pair(plant(tmp_path, **changes))
    assert not proof.proven
    assert any(failure in text for text in proof.failures), proof.failures


def test_a_program_that_hangs_is_killed_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof_module, "TIMEOUT", 1.0)
    marker = tmp_path / "alive"
    child = f"import time\ntime.sleep(3)\nopen({str(marker)!r}, 'w').close()"
    hang = f"import subprocess, sys, time\nsubprocess.Popen([sys.executable, '-c', {child!r}])\ntime.sleep(60)\n"
    begin = time.monotonic()
    proof = prove_pair(plant(tmp_path, functional=hang))
    assert sum("ran out of time (1 s)" in failure for failure in proof.failures) == 2
    assert time.monotonic() - begin < 20
    time.sleep(3)
    assert not marker.exists()


def test_programs_run_in_a_folder_of_their_own_with_a_bare_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "x")
    look = (
        "import os\nassert 'SECRET' not in os.environ\nassert sorted(os.listdir()) == ['functional.py', 'program.py']\n"
    )
    assert prove_pair(plant(tmp_path, functional=look)).proven


@pytest.mark.skipif(sys.platform == "win32", reason="proofs need POSIX process groups")
def test_a_c_pair_without_gcc_is_an_error_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = next(folder for folder in FOLDERS if (folder / "vulnerable.c").exists())
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingExtraError, match="gcc is not installed"):
        prove_pair(folder)


@needs_gcc
def test_a_c_program_that_does_not_compile_says_so(tmp_path: Path) -> None:
    folder = plant(tmp_path, language='"c"')
    for name in ("vulnerable", "patched", "functional", "exploit"):
        (folder / f"{name}.c").write_text(f"int {name}(void) {{ return undeclared; }}\n")
    assert all("does not compile" in failure for failure in prove_pair(folder).failures)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"whi": '"x"'}, "unknown key 'whi'. Did you mean why?"),
        ({"why": ""}, "'why' is missing or not a text"),
        ({"difficulty": '"easy"'}, "'difficulty' is missing or not a number"),
        ({"difficulty": "4"}, "difficulty 4 is not 1, 2 or 3"),
        ({"cwe": '"CWE-89"'}, "does not fit its folder cwe-77"),
        ({"language": '"pyton"'}, "Did you mean python?"),
        ({"language": '"c"'}, "vulnerable.c is missing"),
        ({"entry": "double"}, "not TOML"),
    ],
)
def test_a_malformed_pair_names_its_file_and_key(tmp_path: Path, changes: dict[str, str], words: str) -> None:
    with pytest.raises(DataError) as error:
        read_starter_pair(plant(tmp_path, **changes))
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_folder_without_pairs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no starter pairs"):
        starter_folders(tmp_path)


def test_proofs_come_in_the_order_of_the_folders(tmp_path: Path) -> None:
    folders = [plant(tmp_path / "one"), plant(tmp_path / "two", vulnerable=PATCHED)]
    assert [proof.proven for proof in prove_pairs(folders)] == [True, False]


# --- the two versions differ only in the entry -----------------------------------------------------


def c_without_comments(code: str) -> tuple[str, list[str]]:
    """C code with comments, strings and character constants blanked out, and the comments."""
    comments: list[str] = []

    def blank(match: re.Match[str]) -> str:
        if match.group().startswith("/"):
            comments.append(match.group())
        return re.sub(r"[^\n]", " ", match.group())

    pattern = r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return re.sub(pattern, blank, code, flags=re.DOTALL), comments


def c_around(code: str, entry: str) -> tuple[str, str]:
    """The C code before and after the braces of the function `entry`, found by matching braces."""
    blanked, _ = c_without_comments(code)
    for match in re.finditer(rf"\b{re.escape(entry)}\s*\(", blanked):
        depth, place = 1, match.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(blanked[place], 0)
            place += 1
        body = re.match(r"\s*\{", blanked[place:])
        if body is None:
            continue
        begin = end = place + body.end()
        depth = 1
        while depth:
            depth += {"{": 1, "}": -1}.get(blanked[end], 0)
            end += 1
        return code[:begin], code[end:]
    raise AssertionError(f"no definition of {entry}")


def python_around(code: str, entry: str) -> tuple[str, str]:
    """The Python code before and after the function `entry` (or the method, for Class.method)."""
    found = [
        node
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.FunctionDef) and node.name == entry.rpartition(".")[2]
    ]
    assert len(found) == 1, entry
    lines = code.splitlines(keepends=True)
    begin = min([found[0].lineno, *(decorator.lineno for decorator in found[0].decorator_list)])
    return "".join(lines[: begin - 1]), "".join(lines[found[0].end_lineno :])


def python_comments(code: str) -> list[str]:
    """Comments and docstrings."""
    tokens = tokenize.generate_tokens(io.StringIO(code).readline)
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = [ast.get_docstring(node) or "" for node in ast.walk(ast.parse(code)) if isinstance(node, kinds)]
    return [*comments, *docstrings]


def around(pair: StarterPair, code: str) -> tuple[str, str]:
    return c_around(code, pair.entry) if pair.language == "c" else python_around(code, pair.entry)


def comments_of(pair: StarterPair, code: str) -> list[str]:
    return c_without_comments(code)[1] if pair.language == "c" else python_comments(code)


@every_pair
def test_the_versions_differ_only_inside_the_entry(folder: Path) -> None:
    pair = read_starter_pair(folder)
    assert around(pair, pair.vulnerable) == around(pair, pair.patched)
    assert pair.vulnerable != pair.patched


@every_pair
def test_the_comments_of_both_versions_are_equal(folder: Path) -> None:
    pair = read_starter_pair(folder)
    assert comments_of(pair, pair.vulnerable) == comments_of(pair, pair.patched)


def test_the_brace_matching_of_these_tests_finds_a_function_body() -> None:
    code = 'int f(int);\nint g(void) { return f(1); }\nint f(int a)\n{ if (a) { puts("}"); } /* } */ }\nint h;\n'
    before, after = c_around(code, "f")
    assert before.endswith("int f(int a)\n{")
    assert after == "\nint h;\n"


# --- words alone do not tell the versions apart ------------------------------------------------------


def n_gram_verdicts(texts: list[str], labels: list[int], groups: list[str]) -> Iterator[bool]:
    """Leave one pair out, fit n-gram counts (1..2) and logistic regression on the rest, judge the two."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    for group in sorted(set(groups)):
        train = [row for row, other in enumerate(groups) if other != group]
        test = [row for row, other in enumerate(groups) if other == group]
        counter = CountVectorizer(ngram_range=(1, 2), token_pattern=r"\w+|[^\w\s]", lowercase=False)
        counts = counter.fit_transform([texts[row] for row in train])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = LogisticRegression(max_iter=300).fit(counts, [labels[row] for row in train])
        judged = model.predict(counter.transform([texts[row] for row in test]))
        yield from (int(verdict) == labels[row] for verdict, row in zip(judged, test, strict=True))


def test_n_grams_alone_do_not_tell_vulnerable_from_patched() -> None:
    programs = load_source("starter").programs
    verdicts = list(
        n_gram_verdicts(
            [program.code for program in programs],
            [int(program.label == "vulnerable") for program in programs],
            [program.group for program in programs],
        )
    )
    share = wilson(sum(verdicts), len(verdicts))
    assert share.value is not None
    assert share.low is not None
    assert share.high is not None
    interval = f"[{share.low:.3f}, {share.high:.3f}]"
    print(f"n-gram baseline, leave one pair out: {share.value:.3f} {interval}, n = {share.n}")
    assert share.low <= 0.5 <= share.high or share.value < 0.65
