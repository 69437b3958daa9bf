"""gcc's warnings and its static analyser on C programs, compiled in the sandbox and never run."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from typing import Any

from steerlab.analysers.values import LIMITS, Analysis, Finding, unscored, why_failed
from steerlab.sandbox import Isolation, run_untrusted
from steerlab.sandbox.isolation import PATH

NAME = "gcc"
FILE = "program.c"
FLAGS = (
    *("-std=gnu17", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-fanalyzer"),
    *("-Wformat=2", "-Wformat-overflow=2", "-Warray-bounds=2", "-Wstringop-overflow=4", "-Wnull-dereference"),
    *("-Wuse-after-free=3", "-Wshift-overflow=2", "-Walloc-zero", "-fdiagnostics-format=json"),
)
# Warnings without a number of their own; the static analyser (-Wanalyzer-...) gives its own.
CWES = {
    "-Warray-bounds": "CWE-119",
    "-Warray-bounds=": "CWE-119",
    "-Wstringop-overflow=": "CWE-787",
    "-Wstringop-overread": "CWE-125",
    "-Wformat-overflow=": "CWE-787",
    "-Wsizeof-pointer-memaccess": "CWE-119",
    "-Wuse-after-free": "CWE-416",
    "-Wuse-after-free=": "CWE-416",
    "-Wdangling-pointer=": "CWE-825",
    "-Wreturn-local-addr": "CWE-825",
    "-Wfree-nonheap-object": "CWE-590",
    "-Wnonnull": "CWE-476",
    "-Wnull-dereference": "CWE-476",
    "-Woverflow": "CWE-190",
    "-Wshift-overflow=": "CWE-190",
    "-Winteger-overflow": "CWE-190",
    "-Walloc-size-larger-than=": "CWE-190",
    "-Wformat-security": "CWE-134",
    "-Wformat-nonliteral": "CWE-134",
    "-Wuninitialized": "CWE-457",
    "-Wmaybe-uninitialized": "CWE-457",
}
# A program may not switch its own warnings off.
_SILENCING = re.compile(r"^[ \t]*#[ \t]*pragma[ \t]+(?:GCC|clang)\b[^\n]*|\b_Pragma[ \t]*\([^\n)]*\)", re.MULTILINE)


def why_missing() -> str:
    """Always "": without a compiler a program is unscored, with the reason."""
    return ""


def run_gcc(programs: Sequence[str], language: str, isolation: Isolation) -> list[Analysis]:
    """The warnings of a compilation of each C program. What does not compile is unscored: gcc analyses none of it."""
    return [_analyse(program, isolation) for program in programs]


def _analyse(program: str, isolation: Isolation) -> Analysis:
    if shutil.which("gcc", path=PATH) is None:
        return unscored(NAME, "c", "gcc is not installed: apt-get install -y gcc libc6-dev")
    text = _SILENCING.sub("", program)
    command = ["gcc", *FLAGS, "-S", "-o", "/dev/null", FILE]
    run = run_untrusted({FILE: text}, command, limits=LIMITS, isolation=isolation)
    failed = why_failed(run)
    if failed:
        return unscored(NAME, "c", failed)
    try:
        entries = json.loads(run.stderr.partition("\n")[0] or "[]")
    except ValueError:
        return unscored(NAME, "c", f"gcc ended with {run.exit_code}: {run.stderr.strip()[-200:]}")
    errors = [entry["message"] for entry in entries if entry["kind"] in ("error", "fatal error", "sorry")]
    if errors or run.exit_code != 0:
        return unscored(NAME, "c", f"does not compile: {errors[0] if errors else run.exit_code}")
    found = {_finding(entry) for entry in entries if entry["kind"] == "warning" and _line(entry)}
    ordered = sorted(found, key=lambda finding: (finding.line, finding.rule, finding.message))
    return Analysis(analyser=NAME, language="c", findings=tuple(ordered))


def _line(entry: dict[str, Any]) -> int:
    """The line of the program that a diagnostic points at; 0 when it points elsewhere."""
    carets = [location["caret"] for location in entry.get("locations", ()) if "caret" in location]
    return next((caret["line"] for caret in carets if caret["file"] == FILE), 0)


def _finding(entry: dict[str, Any]) -> Finding:
    option, number = entry.get("option", ""), entry.get("metadata", {}).get("cwe")
    return Finding(
        analyser=NAME,
        rule=option,
        cwe=f"CWE-{number}" if number else CWES.get(option),
        line=_line(entry),
        severity="medium",
        confidence="low" if re.search(r"possibl|\bmay\b|maybe", option + entry["message"]) else "medium",
        message=entry["message"],
    )
