"""Starter tasks: patched bodies pass and resist, vulnerable ones pass and are exploited; a result cannot be faked."""

from __future__ import annotations

import ast
import json
import re
import shutil
from collections import Counter
from dataclasses import replace

import pytest

from steerlab.embedded import pairs_directory
from steerlab.errors import DataError, OptionError
from steerlab.sandbox import Limits, SandboxResult
from steerlab.sources.starter import StarterPair, read_starter_pair, starter_folders
from steerlab.tasks import judging
from steerlab.tasks.completion import (
    CompletionScore,
    CompletionTask,
    assemble,
    completion_task,
    extract_completion,
    score_completions,
    starter_tasks,
)
from steerlab.tasks.functions import cut_function, split_at_function

TASKS = starter_tasks()
BY_ID = {task.id: task for task in TASKS}
PAIRS = {pair.id: pair for pair in map(read_starter_pair, starter_folders(pairs_directory()))}
MERGE, DEPOSIT = BY_ID["cwe-77/merge-lists"], BY_ID["cwe-190/account-deposit"]

every_task = pytest.mark.parametrize("task", TASKS, ids=list(BY_ID))
needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")


def score(task: CompletionTask, text: str) -> CompletionScore:
    (found,) = score_completions([task], [text], workers=1)
    return found


# --- the property that matters most ----------------------------------------------------------------------------------


@needs_gcc
def test_every_patched_body_works_and_resists_its_exploit() -> None:
    scores = score_completions(TASKS, [task.patched for task in TASKS])
    assert [s for s in scores if not (s.secure_and_correct and s.parses and s.exploited is False)] == []
    assert [s.reason or s.finding or s.unscored for s in scores] == [""] * 48


@needs_gcc
def test_every_vulnerable_body_works_and_is_exploited_as_its_pair_says() -> None:
    scores = score_completions(TASKS, [task.vulnerable for task in TASKS])
    assert [s for s in scores if not (s.parses and s.functional and s.exploited)] == []
    assert [s for s in scores if s.secure is not False or s.secure_and_correct is not False or s.unscored] == []
    for found in scores:
        assert PAIRS[found.task].expected in found.finding, found


# --- the prompts -----------------------------------------------------------------------------------------------------


def test_there_is_one_task_for_each_starter_pair() -> None:
    assert list(BY_ID) == list(PAIRS)
    assert Counter(task.cwe for task in TASKS) == dict.fromkeys({task.cwe for task in TASKS}, 6)
    assert Counter(task.language for task in TASKS) == {"c": 28, "python": 20}


@every_task
def test_prompt_body_and_suffix_are_the_program_of_the_pair(task: CompletionTask) -> None:
    assert task.prompt.endswith(('"""\n', "{\n"))
    for body, program in ((task.patched, PAIRS[task.id].patched), (task.vulnerable, PAIRS[task.id].vulnerable)):
        whole = assemble(task, body)
        assert whole.endswith(body + task.suffix)
        if task.language == "python":
            assert _without_docstrings(whole) == _without_docstrings(program)
        else:
            assert _words_without_comments(whole) == _words_without_comments(program)


def _without_docstrings(program: str) -> str:
    tree = ast.parse(program)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body[0] = ast.Pass()
    return ast.dump(tree)


def _words_without_comments(program: str) -> list[str]:
    return re.sub(r"/\*.*?\*/", "", program, flags=re.DOTALL).split()


FIELD = "struct handler *next; };"  # of struct handler in event-bus; the fix declares a variable in the same words


@every_task
def test_no_line_of_the_fix_stands_in_the_prompt(task: CompletionTask) -> None:
    patched, vulnerable = (
        {line.strip() for line in body.split("\n")} - {"", "{", "}"} for body in (task.patched, task.vulnerable)
    )
    assert task.patched != task.vulnerable
    shown = " ".join(task.prompt.split())
    for line in patched - vulnerable:
        assert " ".join(line.split()) not in shown.replace(FIELD, ""), line


# Words that speak of flaws, attacks and remedies; "escape" and "quote" only where they would be the remedy.
FLAW = re.compile(
    r"secur|\bsafe|unsafe|vulnerab|exploit|attack|inject|sanit|overflow|wrap|\bbounds?\b|travers|valid|\bcheck|trust"
    r"|malicious|danger|careful|dangling|freed|after free|leak|null pointer|bound parameter|\.\./|outside",
    re.IGNORECASE,
)
REMEDY = re.compile(r"escap|quot|placeholder|\bshell", re.IGNORECASE)
# What a docstring and a reason may share: words of the language, and what the job is about.
NEUTRAL = {
    *("with", "that", "than", "then", "when", "from", "before", "behind", "without", "cannot", "first"),
    *("name", "bytes", "read", "returns", "length", "characters", "repeated", "address", "home", "href", "tags"),
}


@every_task
def test_the_docstring_tells_the_job_and_nothing_of_the_flaw(task: CompletionTask) -> None:
    docstring, rest = _docstring(task)
    assert len(docstring) > 30
    assert not FLAW.search(docstring)
    assert not (task.cwe in ("CWE-77", "CWE-79", "CWE-89") and REMEDY.search(docstring))
    shared = _words(docstring) & _words(PAIRS[task.id].why)
    assert shared - _words(rest) - NEUTRAL == set()


def _docstring(task: CompletionTask) -> tuple[str, str]:
    """The docstring of the function to complete, and the prompt without it."""
    opening, closing = ('"""', '"""') if task.language == "python" else ("/*", "*/")
    end = task.prompt.rindex(closing)
    begin = task.prompt.rindex(opening, 0, end)
    return task.prompt[begin:end], task.prompt[:begin] + task.prompt[end:]


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]{4,}", text.lower()))


def test_a_pair_whose_versions_differ_outside_the_function_makes_no_task() -> None:
    pair = PAIRS["cwe-77/merge-lists"]
    changed = replace(pair, patched=pair.patched.replace('"LC_ALL": "C"', '"LC_ALL": "POSIX"'))
    with pytest.raises(DataError, match="differ outside the body of merge"):
        completion_task(changed)
    with pytest.raises(DataError, match="no Python function fuse"):
        completion_task(replace(pair, entry="fuse"))


def test_the_docstrings_of_the_package_are_plain_sentences_for_known_tasks() -> None:
    docstrings = json.loads((pairs_directory().parent / "tasks" / "docstrings.json").read_text())
    assert set(docstrings) <= set(PAIRS)
    for text in docstrings.values():
        assert text.endswith(".") and "\n" not in text and "*/" not in text and '"""' not in text


# --- cutting a continuation ------------------------------------------------------------------------------------------


@every_task
def test_a_body_with_whatever_follows_is_cut_at_its_end(task: CompletionTask) -> None:
    for body in (task.patched, task.vulnerable):
        assert extract_completion(task, body) == body
        for tail in ("\n\n\n# next\ndef other():\n    pass\n", "\n@decorated\nclass X:\n", "\nprint(1)"):
            if task.language == "python":
                assert extract_completion(task, body + tail) == body
        for tail in ("\n\n/* } */\nint other(void)\n{\n}\n", "}\n", " int x;"):
            if task.language == "c":
                assert extract_completion(task, body + tail) == body


@pytest.mark.parametrize(
    "body",
    [
        '    puts("}");\n    return \'}\' == *"{\\"}";\n}',
        "    // }\n    /* } /* } */\n    return 0; // it's }\n}",
        "    if (x) {\n        while (y) { z(); }\n    } else {\n    }\n}",
        "    int inner(int y) { return y; }\n    return inner(1);\n}",
        "    s = (struct p){1, {2}};\n#define CLOSE }\n    return 0;\n}",
        '    puts("a\\\n}");\n    return 0;\n}',
        "}",
    ],
)
def test_c_is_cut_at_the_brace_that_closes_the_function(body: str) -> None:
    assert cut_function(body + "\n\nint next(void)\n{\n    return 1;\n}\n", "c", indentation=4) == body


@pytest.mark.parametrize(
    "body",
    [
        '    text = """\nnot the end\n"""\n    return text',
        "    call(\n1,\n{2: 3},\n)\n    return 1",
        "    def inner(y):\n        return y\n\n    return inner(1)",
        "    x = 1\n# a comment at the margin\n    return x",
        "    x = 1 + \\\n2\n    return '#', \"'''\", x",
        "    x = '('  # (\n    return r'\\'",
        "\treturn 1",
    ],
)
def test_python_is_cut_at_the_first_statement_to_the_left(body: str) -> None:
    assert cut_function(body + "\n\n\n# about next\ndef next():\n    return 1\n", "python", indentation=4) == body


def test_a_method_ends_where_the_next_method_begins() -> None:
    text = "        return 1\n\n    def other(self):\n        return 2\n"
    assert cut_function(text, "python", indentation=8) == "        return 1"


@pytest.mark.parametrize("language", ["c", "python"])
def test_what_does_not_end_is_kept_and_what_is_empty_stays_empty(language: str) -> None:
    endless = "    x = f(x);\n" * 500 + "    x = f("
    assert cut_function(endless, language, indentation=4) == endless
    assert cut_function("", language, indentation=4) == ""
    assert cut_function("\n\n", "python", indentation=4) == ""
    assert cut_function("def other():\n    pass\n", "python", indentation=4) == ""
    unclosed = '    puts("}\n    /* }'
    assert cut_function(unclosed, "c", indentation=4) == unclosed


def test_a_c_function_is_found_behind_its_declaration_and_not_in_a_comment() -> None:
    program = "/* int f(int x)\n{\n */\nint f(int x);\n\n/* Job. */\nint f(int x)\n{\n    return x;\n}\n"
    parts = split_at_function(program, "c", entry="f")
    assert (parts.body, parts.after, parts.indentation) == ("    return x;\n}", "\n", 4)
    assert parts.before.endswith("/* Job. */\nint f(int x)\n{\n")
    with pytest.raises(DataError, match="no comment before it"):
        split_at_function("int f(int x)\n{\n    return x;\n}\n", "c", entry="f")
    with pytest.raises(DataError, match="no docstring and body"):
        split_at_function("def f():\n    return 1\n", "python", entry="f")


# --- the facts about a completion ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["", "\n\n", "return 1\n", "    return (\n", "    return 'a\n", "    x = = 1\n", "    x\0"]
)
def test_python_that_is_empty_or_has_a_syntax_error_does_not_parse_and_is_neither_secure_nor_right(text: str) -> None:
    found = score(MERGE, text)
    assert (found.parses, found.runs, found.functional, found.secure, found.exploited) == (
        False, False, False, False, False
    )  # fmt: skip
    assert found.unscored == "" and found.reason == "does not parse"


def test_wrong_python_runs_and_what_breaks_the_exploit_has_not_resisted_it() -> None:
    found = score(MERGE, "    return []\n")
    assert (found.parses, found.runs, found.functional, found.exploited) == (True, True, False, False)
    assert (found.secure, found.secure_and_correct) == (True, False)
    broken = score(MERGE, "    return undefined_name\n")
    assert (broken.parses, broken.functional, broken.exploited, broken.secure) == (True, False, False, False)
    assert "NameError" in broken.reason


@needs_gcc
@pytest.mark.parametrize(
    ("text", "parses"),
    [
        ("", False),
        ("    return 0\n}", False),
        ("    if (cents > 0) {\n    return 0;\n}", False),
        ('    puts("open);\n}', False),
        ("    return unknown;\n}", True),
        ("    unknown_type x;\n    return 0;\n}", True),
        ("    return a;\n}", True),
        ("    return no_such_function(1);\n}", True),
    ],
)
def test_c_that_does_not_compile_parses_only_when_its_syntax_is_right(text: str, parses: bool) -> None:
    found = score(DEPOSIT, text)
    assert found.parses is parses
    if found.runs:  # a pointer returned as int is a warning
        assert found.functional is False
    else:
        assert (found.functional, found.exploited, found.secure) == (False, False, False)
        assert found.reason.startswith("does not compile: ")
    assert found.unscored == ""


@pytest.mark.parametrize(
    "text",
    [
        "    import os\n    os._exit(0)\n",
        "    import sys\n    sys.exit(0)\n",
        "    raise SystemExit(0)\n",
        "    print('passed')\n    print('1 passed in 0.01s')\n    import os\n    os._exit(0)\n",
        "    import builtins\n    builtins.AssertionError = ValueError\n    import os\n    os.kill(os.getppid(), 9)\n",
    ],
)
def test_python_that_leaves_early_or_prints_a_result_has_neither_passed_nor_resisted(text: str) -> None:
    found = score(MERGE, text)
    assert (found.functional, found.secure, found.unscored) == (False, False, "")


@needs_gcc
@pytest.mark.parametrize(
    "text",
    [
        "    __builtin_printf(\"compiled\\n\\n%032d 0\\n\", 0);\n    __builtin_exit(0);\n}",
        "    _exit(0);\n}",
        '    __asm__("mov $60, %eax; xor %edi, %edi; syscall");\n    return 0;\n}',
        "#define account_open(...) (__builtin_exit(0), 0)\n    return -1;\n}",
        "#define CHECK(x)\n#define return return 0 *\n    return -1;\n}",
    ],
)  # fmt: skip
def test_c_that_leaves_early_prints_a_result_or_redefines_the_test_has_not_passed(text: str) -> None:
    found = score(DEPOSIT, text)
    assert found.functional is False and found.secure_and_correct is False and found.unscored == ""


@needs_gcc
def test_a_sanitizer_report_fails_the_tests_and_counts_as_exploited() -> None:
    found = score(DEPOSIT, "    int x[2] = {0, 0};\n    return x[cents];\n}")
    assert (found.parses, found.runs, found.functional, found.exploited, found.secure) == (
        True, True, False, True, False
    )  # fmt: skip
    assert "out of bounds" in found.finding


@needs_gcc
def test_a_completion_that_never_ends_has_failed_and_is_scored() -> None:
    limits = Limits(cpu_seconds=2, wall_seconds=20)
    texts = ["    while True:\n        pass\n", "    for (;;)\n        a->bookings++;\n}"]
    for found in score_completions([MERGE, DEPOSIT], texts, limits=limits):
        assert (found.parses, found.runs, found.functional, found.secure) == (True, True, False, False)
        assert found.unscored == ""
        # Which of the two limits comes first depends on how busy the machine is.
        assert re.match(r"stopped: (CPU|wall) time over", found.reason)


def test_scores_come_in_the_order_of_the_completions_and_equal_ones_are_run_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = []

    def count(program: str, test: str, **_: object) -> judging.TestRun:
        runs.append(program)
        return judging.TestRun(loaded=True, status=0)

    monkeypatch.setattr("steerlab.tasks.completion.run_python_test", count)
    texts = [MERGE.patched, "    return 1\n", MERGE.patched + "\n\nprint()\n"]
    found = score_completions([MERGE] * 3, texts)
    assert [s.completion for s in found] == [MERGE.patched, "    return 1", MERGE.patched]
    assert len(runs) == 4


def test_what_the_sandbox_could_not_start_is_unscored_and_not_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> SandboxResult:
        return SandboxResult(could_not_start="no room")

    monkeypatch.setattr("steerlab.sandbox.checks.execute", refuse)
    monkeypatch.setattr(judging, "run_untrusted", refuse)
    monkeypatch.setattr("steerlab.tasks.completion.why_no_compiler", lambda _: "")
    for found in score_completions([MERGE, DEPOSIT], [MERGE.patched, DEPOSIT.patched]):
        facts = (found.runs, found.functional, found.exploited, found.secure, found.secure_and_correct)
        assert facts == (None,) * 5
        assert found.unscored == "tests: no room; exploit: no room"


def test_a_machine_without_a_compiler_leaves_c_unscored(monkeypatch: pytest.MonkeyPatch) -> None:
    judging.why_no_compiler.cache_clear()
    monkeypatch.setattr("steerlab.tasks.judging.shutil.which", lambda *_, **__: None)
    found = score(DEPOSIT, DEPOSIT.patched)
    judging.why_no_compiler.cache_clear()
    assert (found.parses, found.functional, found.secure_and_correct) == (None, None, None)
    assert "apt-get install" in found.unscored


def test_lengths_and_workers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(OptionError, match="1 completions do not fit 2 tasks"):
        score_completions([MERGE, MERGE], [""])
    with pytest.raises(OptionError, match="0 workers"):
        score_completions([MERGE], [""], workers=0)


def test_the_secure_and_correct_number_is_false_as_soon_as_one_side_is() -> None:
    facts = {"task": "t", "completion": "", "parses": True, "runs": True, "exploited": None}
    for functional, resisted, joint in (
        (True, True, True),
        (False, None, False),
        (None, False, False),
        (None, True, None),
        (True, None, None),
    ):
        found = CompletionScore(**facts, functional=functional, resisted=resisted)  # type: ignore[arg-type]
        assert found.secure_and_correct is joint


def test_a_task_needs_a_pair_that_knows_its_function() -> None:
    pair = PAIRS["cwe-190/account-deposit"]
    assert isinstance(pair, StarterPair)
    with pytest.raises(DataError, match="no C function withdraw_all"):
        completion_task(replace(pair, entry="withdraw_all"))
