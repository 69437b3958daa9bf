"""Analysers give findings as values; what they could not read is unscored; no program can silence them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from steerlab.analysers import (
    ANALYSERS,
    COVERS,
    FAMILIES,
    Analysis,
    Finding,
    analyse,
    analyse_many,
    bandit,
    covers,
    gcc,
    has_finding,
    related,
    semgrep,
)
from steerlab.analysers.sanitizers import report_finding
from steerlab.contrast import Program, ProgramSet
from steerlab.errors import MissingExtraError, OptionError
from steerlab.sandbox import SandboxResult
from steerlab.sources import load_source
from steerlab.tasks.analyser_quality import check_analysers, measure_analysers
from steerlab.tasks.completion import score_completions, starter_tasks
from steerlab.tasks.sanitizing import sanitizer_analysis

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
needs_semgrep = pytest.mark.skipif(bool(semgrep.why_missing()), reason="semgrep is not installed")

INJECTION = """
import sqlite3, os


def show(connection, name):
    os.system("echo " + name)  # nosec
    return connection.execute("SELECT age FROM people WHERE name = '%s'" % name).fetchone()
"""
PLAIN = "def double(number):\n    return 2 * number\n"
FREED = """
#include <stdlib.h>
#pragma GCC diagnostic ignored "-Wanalyzer-use-after-free"
#pragma GCC diagnostic ignored "-Wuse-after-free"
int last(int *numbers, int n)
{
    free(numbers);
    return numbers[n - 1];
}
"""
OVERFLOW = 'void put(void)\n{\n    char b[4];\n    __builtin_strcpy(b, "far too long");\n    __builtin_puts(b);\n}\n'
PLAIN_C = "int twice(int n)\n{\n    return n > 100 ? 0 : 2 * n;\n}\n"


def cwes(analysis: Analysis) -> set[str | None]:
    assert analysis.findings is not None, analysis.reason
    return {finding.cwe for finding in analysis.findings}


def analysis(name: str, language: str, *found: str | None) -> Analysis:
    findings = tuple(
        Finding(analyser=name, rule="r", cwe=cwe, line=1, severity="high", confidence="high", message="m")
        for cwe in found
    )
    return Analysis(analyser=name, language=language, findings=findings)


def nothing(name: str, language: str) -> Analysis:
    return Analysis(analyser=name, language=language, findings=None, reason="does not parse")


# --- Bandit ----------------------------------------------------------------------------------------------------------


def test_bandit_finds_injection_with_line_severity_and_confidence_and_nosec_silences_nothing() -> None:
    (found,) = analyse(INJECTION, language="python", analysers=["bandit"])
    assert {"CWE-78", "CWE-89"} <= cwes(found)
    shell = next(f for f in found.findings or () if f.cwe == "CWE-78")
    assert (shell.rule, shell.line, shell.severity, shell.confidence) == ("B605", 6, "high", "high")
    assert has_finding([found], "CWE-77") is True


def test_a_program_that_does_not_parse_is_unscored_and_harms_no_other_in_its_batch() -> None:
    many = analyse_many([PLAIN, "def broken(:\n", INJECTION], language=["python"] * 3, analysers=["bandit"], workers=1)
    (plain,), (broken,), (injection,) = many
    assert plain.findings == ()
    assert broken.findings is None and broken.reason == "does not parse"
    assert has_finding([broken], "CWE-89") is None
    assert "CWE-89" in cwes(injection)


def test_imports_and_processes_without_a_shell_are_advice_and_no_evidence_of_a_flaw() -> None:
    program = 'import subprocess\n\n\ndef listing():\n    return subprocess.run(["ls", "-l"], check=True)\n'
    (found,) = analyse(program, language="python", analysers=["bandit"])
    assert {f.rule for f in found.findings or ()} == {"B404", "B603", "B607"}
    assert cwes(found) == {None}
    assert has_finding([found], "CWE-78") is False


def test_bandits_numbers_that_name_another_flaw_are_corrected() -> None:
    (found,) = analyse("def run(text):\n    return eval(text)\n", language="python", analysers=["bandit"])
    assert cwes(found) == {"CWE-94"}
    assert set(bandit.CWES.values()) <= set(COVERS["bandit", "python"])


def test_equal_programs_are_analysed_once_and_every_one_gets_its_analysis(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    run = bandit.run_untrusted
    monkeypatch.setattr(
        bandit, "run_untrusted", lambda files, *a, **k: (seen.append(len(files)), run(files, *a, **k))[1]
    )
    many = analyse_many([PLAIN, INJECTION, PLAIN], language=["python"] * 3, analysers=["bandit"], workers=1)
    assert seen == [2]
    assert many[0] == many[2] != many[1]


def test_a_batch_that_fails_is_halved_until_the_program_that_breaks_it_stands_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = bandit.run_untrusted

    def breaks(files: dict[str, str], *rest: object, **named: object) -> SandboxResult:
        if "BREAK" in "".join(files.values()):
            return SandboxResult(stopped="memory over its limit")
        return run(files, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(bandit, "run_untrusted", breaks)
    programs = [INJECTION, "BREAK = 1\n", PLAIN]
    (good,), (bad,), (plain,) = analyse_many(programs, language=["python"] * 3, analysers=["bandit"], workers=1)
    assert "CWE-89" in cwes(good) and plain.findings == ()
    assert bad.findings is None and bad.reason == "stopped: memory over its limit"


def test_a_sandbox_that_does_not_start_is_unscored_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object, **__: object) -> SandboxResult:
        return SandboxResult(could_not_start="no namespaces here")

    for module in (bandit, gcc):
        monkeypatch.setattr(module, "run_untrusted", refuses)
    for name, program, language in (("bandit", PLAIN, "python"), ("gcc", PLAIN_C, "c")):
        (found,) = analyse(program, language=language, analysers=[name])
        assert found.findings is None and found.reason == "no namespaces here"


# --- gcc -------------------------------------------------------------------------------------------------------------


@needs_gcc
def test_gcc_finds_a_use_after_free_and_a_pragma_silences_nothing() -> None:
    (found,) = analyse(FREED, language="c", analysers=["gcc"])
    assert "CWE-416" in cwes(found)
    assert {f.line for f in found.findings or () if f.cwe == "CWE-416"} == {8}
    assert has_finding([found], "CWE-415") is True


@needs_gcc
def test_warnings_without_a_number_are_mapped_to_one() -> None:
    (found,) = analyse(OVERFLOW, language="c", analysers=["gcc"])
    assert has_finding([found], "CWE-787") is True
    assert set(gcc.CWES.values()) <= set(COVERS["gcc", "c"])
    (plain,) = analyse(PLAIN_C, language="c", analysers=["gcc"])
    assert plain.findings == ()


@needs_gcc
def test_c_that_does_not_compile_is_unscored_with_gccs_first_error() -> None:
    (found,) = analyse("int f(void) { return absent; }\n", language="c", analysers=["gcc"])
    assert found.findings is None and "absent" in found.reason and found.reason.startswith("does not compile")
    assert has_finding([found], "CWE-787") is None


def test_without_gcc_c_is_unscored_and_the_reason_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gcc.shutil, "which", lambda *_, **__: None)
    (found,) = analyse(PLAIN_C, language="c", analysers=["gcc"])
    assert found.findings is None and "apt-get install" in found.reason


# --- semgrep ---------------------------------------------------------------------------------------------------------


def test_a_missing_semgrep_is_one_line_that_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(semgrep.shutil, "which", lambda *_, **__: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'steerlab\[semgrep\]'"):
        analyse(PLAIN, language="python", analysers=["semgrep"])
    assert analyse("fn main() {}", language="rust", analysers=["semgrep"]) == ()


def test_the_rules_name_a_cwe_that_is_said_to_be_covered_and_all_eight_families_have_one() -> None:
    named: set[str] = set()
    for language, file in semgrep.RULES.items():
        rules = yaml.safe_load((semgrep.rules_directory() / file).read_text())["rules"]
        assert len({rule["id"] for rule in rules}) == len(rules)
        for rule in rules:
            assert rule["languages"] == [language]
            assert covers("semgrep", language, rule["metadata"]["cwe"]), rule["id"]
            named |= related(rule["metadata"]["cwe"])
    assert {f"CWE-{n}" for n in (22, 77, 79, 89, 190, 416, 476, 787)} <= named


def test_no_rule_knows_a_name_of_the_starter_pairs() -> None:
    tasks = starter_tasks()
    for file in semgrep.RULES.values():
        text = (semgrep.rules_directory() / file).read_text()
        assert [task.entry for task in tasks if re.search(rf"\b{re.escape(task.entry)}\(", text)] == []


@needs_semgrep
def test_semgrep_finds_what_our_rules_describe_and_nothing_in_plain_programs() -> None:
    programs = [INJECTION, PLAIN, FREED, PLAIN_C, "def broken(:\n"]
    languages = ["python", "python", "c", "c", "python"]
    found = analyse_many(programs, language=languages, analysers=["semgrep"], workers=1)
    assert {"CWE-78", "CWE-89"} <= cwes(found[0][0])
    assert found[1][0].findings == () and found[3][0].findings == ()
    assert "CWE-416" in cwes(found[2][0])
    assert found[4][0].findings is None and found[4][0].reason == "does not parse"


# --- sanitizers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("report", "rule", "cwe"),
    [
        ("ERROR: AddressSanitizer: heap-buffer-overflow on address 0x602", "heap-buffer-overflow", "CWE-122"),
        ("ERROR: AddressSanitizer: heap-use-after-free on address 0x60", "heap-use-after-free", "CWE-416"),
        ("ERROR: AddressSanitizer: SEGV on unknown address 0x000000000000 (pc 0x5)", "SEGV", "CWE-476"),
        ("ERROR: AddressSanitizer: SEGV on unknown address 0x7f1300000000 (pc 0x5)", "SEGV", None),
        ("runtime error: signed integer overflow: 2147483647 + 1", "undefined-behaviour", "CWE-190"),
        ("runtime error: index 9 out of bounds for type 'int [4]'", "undefined-behaviour", "CWE-119"),
    ],
)
def test_a_sanitizers_report_is_a_finding(report: str, rule: str, cwe: str | None) -> None:
    found = report_finding(report)
    assert (found.rule, found.cwe, found.severity) == (rule, cwe, "high")


@needs_gcc
def test_the_exploit_of_a_task_makes_the_sanitizers_an_analyser() -> None:
    tasks = [task for task in starter_tasks() if task.id == "cwe-416/event-bus"]
    bodies = [tasks[0].vulnerable, tasks[0].patched, "    return absent;\n}"]
    scores = score_completions(tasks * 3, bodies)
    vulnerable, patched, broken = (sanitizer_analysis(tasks[0], score) for score in scores)
    assert has_finding([vulnerable], "CWE-416") is True
    assert patched.findings == () and has_finding([patched], "CWE-416") is False
    assert broken.findings is None and "does not compile" in broken.reason


# --- which CWEs are one weakness -------------------------------------------------------------------------------------


def test_a_cwe_belongs_to_one_family_and_related_is_symmetric() -> None:
    members = [cwe for family in FAMILIES.values() for cwe in family]
    assert len(members) == len(set(members))
    for cwe in members:
        assert cwe in related(cwe)
        assert all(related(other) == related(cwe) for other in related(cwe))
    assert related("cwe-078") == related("CWE-77") != related("CWE-79")
    assert related("CWE-502") == {"CWE-502"}
    for family in (("CWE-22", "CWE-36"), ("CWE-79", "CWE-80"), ("CWE-787", "CWE-121"), ("CWE-190", "CWE-680")):
        assert set(family) <= related(family[0])
    with pytest.raises(OptionError, match="write it like CWE-89"):
        related("injection")


def test_a_finding_counts_for_its_family_and_silence_only_where_there_is_a_rule() -> None:
    assert has_finding([analysis("bandit", "python", "CWE-78")], "CWE-77") is True
    assert has_finding([analysis("bandit", "python", "CWE-78")], "CWE-89") is False
    assert has_finding([analysis("bandit", "python", None)], "CWE-78") is False
    assert has_finding([analysis("bandit", "python")], "CWE-787") is None
    assert has_finding([analysis("semgrep", "c")], "CWE-79") is None
    assert has_finding([], "CWE-89") is None


def test_unscored_is_never_no_finding_but_one_finding_is_enough() -> None:
    assert has_finding([nothing("bandit", "python")], "CWE-89") is None
    assert has_finding([analysis("bandit", "python"), nothing("semgrep", "python")], "CWE-89") is None
    assert has_finding([analysis("bandit", "python", "CWE-89"), nothing("semgrep", "python")], "CWE-89") is True
    # gcc has no rule for path traversal, so that it could not read the program does not matter
    assert has_finding([analysis("semgrep", "c"), nothing("gcc", "c")], "CWE-22") is False


def test_every_analyser_says_what_it_covers_in_each_language_that_it_reads() -> None:
    assert {(name, language) for name, known in ANALYSERS.items() for language in known.languages} | {
        ("sanitizers", "c")
    } == set(COVERS)


def test_wrong_options_are_one_line() -> None:
    with pytest.raises(OptionError, match="analyser 'bandid' does not exist. Did you mean bandit"):
        analyse(PLAIN, language="python", analysers=["bandid"])
    with pytest.raises(OptionError, match="1 languages do not fit 2 programs"):
        analyse_many([PLAIN, PLAIN], language=["python"], analysers=["bandit"], workers=1)
    with pytest.raises(OptionError, match="0 workers"):
        analyse_many([PLAIN], language=["python"], analysers=["bandit"], workers=0)


# --- how good they are -----------------------------------------------------------------------------------------------


def program(name: str, code: str, label: str, cwe: str = "CWE-89") -> Program:
    return Program(id=name, group=name, cwe=cwe, language="python", label=label, code=code)  # type: ignore[arg-type]


def test_recall_precision_and_false_alarms_count_only_what_was_read() -> None:
    programs = (
        program("a", INJECTION, "vulnerable"),
        program("b", PLAIN, "vulnerable"),
        program("c", "def broken(:\n", "vulnerable"),
        program("d", PLAIN + "\n", "patched"),
        program("e", INJECTION + "\n", "patched"),
        program("f", PLAIN + "\n\n", "patched", cwe="CWE-787"),
    )
    source = ProgramSet(name="made-up", licence="", programs=programs, pairs=(), sha256="")
    rows = {(row.analyser, row.cwe): row for row in measure_analysers(source, analysers=["bandit"])}
    row = rows["bandit", "CWE-89"]
    assert (row.recall.value, row.recall.n, row.recall.n_unscored) == (0.5, 2, 1)
    assert (row.false_alarms.value, row.false_alarms.n) == (0.5, 2)
    assert (row.precision.value, row.precision.n) == (0.5, 2)
    assert row.weak and row.covered
    assert rows["bandit", "CWE-787"].covered is False
    assert rows["bandit", "CWE-787"].false_alarms.n_unscored == 1
    assert rows["any", "CWE-89"].recall == row.recall


@needs_gcc
@pytest.mark.slow
def test_the_analysers_on_the_starter_pairs_are_what_the_reference_says() -> None:
    facts = json.loads(json.dumps(check_analysers(load_source("starter"))))
    rows = {(row["analyser"], row["cwe"]): row for row in facts["rows"]}
    assert rows["bandit", "CWE-89"]["recall"]["value"] == 1.0
    assert rows["sanitizers", "CWE-416"]["recall"] == rows["sanitizers", "CWE-787"]["recall"]
    assert rows["sanitizers", "all"]["false_alarms"]["value"] == 0.0
    page = (Path(__file__).parents[1] / "docs" / "reference" / "analysers.md").read_text()
    for name in ("bandit", "gcc", "sanitizers"):
        recall = rows[name, "all"]["recall"]
        assert f"{recall['value']:.2f} [{recall['low']:.2f}, {recall['high']:.2f}]" in page
        assert set(facts["weak"][name]) == {row["cwe"] for row in facts["rows"] if row["analyser"] == name
                                            and row["weak"] and row["cwe"] != "all"}  # fmt: skip
