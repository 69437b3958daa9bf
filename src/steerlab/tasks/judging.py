"""Run a program with one of its tests in the sandbox: compiled, loaded, ended by itself, with which status."""

from __future__ import annotations

import re
import secrets
import shutil
from dataclasses import dataclass
from functools import cache

from steerlab.sandbox import Isolation, Limits, python_check, run_untrusted
from steerlab.sandbox.isolation import PATH
from steerlab.sources.proof import FLAGS

COMPILED = "compiled\n"
_COMPILE = f"gcc {' '.join(FLAGS)} judge.c -o t -lm </dev/null && rm ./*.c && echo compiled && exec ./t"

# The test's main becomes a function. Our main reads a secret, hides its own standard output and input from the test,
# and tells the secret and the status only when that function has come back.
_JUDGE_C = r"""
#define main test_main
#include "test.c"
#undef main
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
int main(void)
{
    char secret[33] = "";
    if (read(0, secret, 32) != 32)
        return 125;
    int verdict = dup(1);
    int nothing = open("/dev/null", O_RDWR);
    dup2(nothing, 0);
    dup2(nothing, 1);
    int status = test_main();
    dprintf(verdict, "\n%s %d\n", secret, status);
    return status;
}
"""
# What the tests see as "program". Objects of the program stay with it, but a named tuple would cross to the tests as a
# plain tuple and come back without its names: those that a test makes are wrapped.
_PROGRAM = """
import sys as _sys


class _Row:
    def __init__(self, row):
        self._row = row

    def __getattr__(self, name):
        return getattr(self._row, name)


class _Program:
    def __getattr__(self, name):
        found = getattr(_sys.modules["program"], name)
        named = isinstance(found, type) and issubclass(found, tuple)
        return (lambda *values: _Row(found(*values))) if named else found

    def __setattr__(self, name, value):
        setattr(_sys.modules["program"], name, value)


program = _Program()
"""
_TRIVIAL = "int main(void) { return 0; }\n"
_ERROR = re.compile(r"^[^\n:]+:\d+:\d+: (?:fatal )?error: (.*)$", re.MULTILINE)
_SYNTAX = re.compile(
    r"expected |stray |missing terminating|unterminated|.*at end of input|.else. without a previous|invalid suffix"
    r"|empty character constant|invalid preprocessing directive|extra closing"
)
# ASan announces a signal (DEADLYSIGNAL) in a line before the report that names it.
_REPORT = re.compile(r"ERROR: AddressSanitizer: [^\n]*|runtime error: [^\n]*|(?:Address|UndefinedBehavior)Sanitizer:.*")
_DEFINED = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", re.MULTILINE)
_TEST_LINE = re.compile(r"tests line (\d+): ")


@dataclass(frozen=True, kw_only=True)
class TestRun:
    """What one run of a program with a test showed.

    `loaded`: C has been compiled and linked, Python has been loaded. `status`: with which the test ended by itself,
    None when it did not. `report`: the first line of a sanitizer's report. `syntax_error`: gcc reports one.
    `reason`: one line for every end but status 0 without a report. `unscored`: why nothing can be told of the run.
    """

    __test__ = False  # for pytest: no test class

    loaded: bool | None
    status: int | None = None
    report: str = ""
    syntax_error: bool = False
    reason: str = ""
    unscored: str = ""

    @property
    def passed(self) -> bool | None:
        """The test ended by itself with 0, and no sanitizer reported."""
        return None if self.unscored else self.status == 0 and not self.report


def run_c_test(program: str, test: str, *, limits: Limits, isolation: Isolation) -> TestRun:
    """Compile and run the C program `test`, which includes `program` as "program.c", under both sanitizers."""
    secret = secrets.token_hex(16)
    run = run_untrusted(
        {"program.c": program, "test.c": test, "judge.c": _JUDGE_C},
        ["sh", "-c", _COMPILE],
        limits=limits,
        isolation=isolation,
        stdin=secret,
        address_sanitizer=True,
    )
    if run.could_not_start:
        return TestRun(loaded=None, unscored=run.could_not_start)
    if not run.stdout.startswith(COMPILED):
        errors = _ERROR.findall(run.stderr)
        reason = errors[0] if errors else run.stopped or _last_line(run.stderr)
        return TestRun(
            loaded=False,
            syntax_error=bool(syntax_errors(run.stderr)),
            reason=f"does not compile: {reason}",
        )
    reports = _REPORT.findall(run.stderr)
    told = re.findall(rf"^{secret} (-?\d+)$", run.stdout, re.MULTILINE)
    status = int(told[0]) if len(told) == 1 and not run.stopped and run.exit_code == int(told[0]) & 255 else None
    if status is None:
        reason = f"stopped: {run.stopped}" if run.stopped else f"left with {run.exit_code} before the test had ended"
    else:
        reason = f"the test ended with {status}: {_last_line(run.stderr)}" if status else ""
    named = [line for line in reports if "DEADLYSIGNAL" not in line] or reports
    found = named[0].strip() if named else ""
    return TestRun(loaded=True, status=status, report=found, reason=found or reason)


def run_python_test(program: str, test: str, *, limits: Limits, isolation: Isolation) -> TestRun:
    """Run the Python program `test`, which imports `program` as "program", in another process than `program`.

    Lines of `test` are changed for that: "import program", "from program import NAME" and "sys.exit(".
    """
    end = f"Ended{secrets.token_hex(16)}"
    lines = re.sub(r"^from program import (\w+)$", r"\1 = program.\1", test, flags=re.MULTILINE)
    lines = re.sub(r"^import program$", f"class {end}(BaseException): pass", lines, flags=re.MULTILINE)
    lines = lines.replace("sys.exit(", f"raise {end}(")
    check = python_check(f"{program}\n{_PROGRAM}", lines, limits=limits, isolation=isolation)
    if check.passed is None:
        return TestRun(loaded=None, unscored=check.reason)
    if check.reason.startswith("the program does not load"):
        return TestRun(loaded=False, reason=check.reason)
    if check.passed:
        return TestRun(loaded=True, status=0)
    ended = re.search(rf"{end}: (\d+)$", check.reason)
    if ended:
        reason = "" if ended[1] == "0" else f"the test ended with {ended[1]}"
        return TestRun(loaded=True, status=int(ended[1]), reason=reason)
    return TestRun(loaded=True, reason=_with_line(check.reason, test))


def syntax_errors(stderr: str) -> list[str]:
    """The syntax errors among gcc's messages; undeclared names, wrong types and a link that fails are none."""
    return [error for error in _ERROR.findall(stderr) if _SYNTAX.match(error)]


def undefine(completion: str) -> str:
    """Preprocessor lines that end, behind `completion`, the macros that it defines: or it could redefine a test."""
    return "".join(f"\n#undef {name}" for name in dict.fromkeys(_DEFINED.findall(completion)))


@cache
def why_no_compiler(isolation: Isolation) -> str:
    """Why C cannot be scored here, one line; "" when a trivial program compiles and runs in the sandbox."""
    if shutil.which("gcc", path=PATH) is None:
        return "gcc is not installed, and C is scored by compiling it: apt-get install -y gcc libc6-dev"
    run = run_c_test("", _TRIVIAL, limits=Limits(), isolation=isolation)
    return "" if run.passed else f"gcc does not work in the sandbox: {run.unscored or run.reason}"


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip()[:200] if lines else "no output"


def _with_line(reason: str, test: str) -> str:
    """`reason` with the line of the test that it names."""
    found = _TEST_LINE.match(reason)
    lines = test.splitlines()
    if found is None or not 0 < int(found[1]) <= len(lines):
        return reason
    return f"{lines[int(found[1]) - 1].strip()[:120]}: {reason[found.end() :]}"
