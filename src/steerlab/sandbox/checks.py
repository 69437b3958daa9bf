"""Whether a Python program passes its tests: judged by another process than the program's own."""

from __future__ import annotations

import importlib.util
import marshal
import os
import secrets
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from steerlab.sandbox import isolation as world
from steerlab.sandbox.harness import READY, ProtocolError, pack, unpack
from steerlab.sandbox.running import above, execute, memory_file
from steerlab.sandbox.values import CheckResult, Isolation, Job, Limits

HARNESS = "harness.pyc"


def python_check(
    program: str,
    tests: str,
    *,
    limits: Limits | None = None,
    isolation: Isolation = "auto",
    entry_points: Sequence[str] = (),
) -> CheckResult:
    """Run `program` and then `tests` against it, in one sandbox but in two processes.

    The tests are ordinary statements (asserts, HumanEval's `check(candidate)`); the names that they use and do not
    define are Python's, then the program's. Name those of the program's functions in `entry_points` that bear the
    name of a builtin (`sum`). Only plain values cross between the processes, in both directions: None, bool, numbers,
    text, bytes, list, tuple, set, dict, deque, Decimal, Fraction, dates, Python's own types; lists, dicts and sets
    that the program changes in place are changed for the tests, too. The tests' functions can be passed and called.
    The program's objects stay with it and are asked from afar. A subclass of a plain type (a namedtuple, an IntEnum)
    arrives as the plain type. What else the tests want to hand over (a database connection, a mock) has to be built by
    a few lines appended to the program; without them the result is unscored.

    The secret that a verdict carries enters the tests' process only, after the program's process has split off and
    before it gets any source; the program has neither the pipe nor a way into that process (not dumpable, no ptrace).
    So ending early, printing, patching builtins, reading frames and memory give the program nothing.

    Not protected against: an object of the program's own class may lie about its length, truth, text, elements and
    its equality with other objects of the program (never about equality with a plain value); a program may
    recognise the arguments of known tests; tests that are weak; and with isolation "none-i-understand" as
    root, a program that reads the other process's memory.
    Raises: MissingExtraError as run_untrusted.
    """
    chosen = world.choose(isolation)
    token = secrets.token_hex(16)
    limits = limits or Limits()
    question = pack([token, program, tests, list(entry_points)], lambda _: b"")
    read, write = os.pipe()
    with (
        os.fdopen(read, "rb", buffering=0) as verdict,
        above(write) as answer,
        memory_file(question) as file,
    ):
        fds = (file.fileno(), answer.fileno())
        command = [world.PYTHON, "-I", "-S", "-B", HARNESS, *map(str, fds), world.SITE_PACKAGES]
        job = Job(files={HARNESS: _harness()}, command=command, limits=limits)
        run = execute(job, chosen, inherit=fds)
        answer.close()
        os.set_blocking(verdict.fileno(), False)
        message = verdict.read(65536) or b""
    if run.could_not_start:
        return CheckResult(passed=None, reason=run.could_not_start, run=run)
    if not message.startswith(READY):  # the program has not had its turn
        reason = f"the judge did not start: {_why(run.stopped, run.exit_code)}: {run.stderr[-200:]}"
        return CheckResult(passed=None, reason=" ".join(reason.split()), run=run)
    try:
        told, outcome, reason = unpack(message.removeprefix(READY), lambda *_: None)
    except (ProtocolError, TypeError, ValueError):
        told, outcome, reason = "", "failed", _why(run.stopped, run.exit_code)
    if not secrets.compare_digest(str(told), token) or run.stopped or run.exit_code != 0:
        outcome, reason = "failed", _why(run.stopped, run.exit_code)
    passed = {"passed": True, "failed": False, "unscored": None}[outcome]
    return CheckResult(passed=passed, reason=" ".join(reason.split())[:400], run=run)


def _why(stopped: str | None, exit_code: int | None) -> str:
    return f"stopped: {stopped}" if stopped else f"ended with {exit_code} before a verdict"


@cache
def _harness() -> bytes:
    """The judge's code, compiled; compiling it in every run would cost as much as the run."""
    path = Path(__file__).with_name("harness.py")
    code = compile(path.read_text(), "harness", "exec")
    return importlib.util.MAGIC_NUMBER + bytes(12) + marshal.dumps(code)
