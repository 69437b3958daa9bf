"""The sandbox is attacked, under both isolations; a machine without them fails here, it does not skip."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from steerlab.errors import MissingExtraError, OptionError
from steerlab.sandbox import Job, Limits, python_check, run_many, run_untrusted, sandbox_check
from steerlab.sandbox import isolation as world
from steerlab.sandbox.attacks import ATTACKS, left_over, repeated
from steerlab.sandbox.seccomp import seccomp_filter

LIMITS = Limits(cpu_seconds=4, wall_seconds=8, memory_bytes=256 << 20, processes=20)


@pytest.fixture(params=["bubblewrap", "unshare"])
def isolation(request: pytest.FixtureRequest) -> str:
    reason = world.why_not(request.param)
    if reason is not None:
        pytest.fail(
            f"{request.param} does not work here: {reason}. Install it: apt-get install -y bubblewrap util-linux"
        )
    return request.param


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_sandbox_holds_against(attack: str, isolation: str) -> None:
    held, what = ATTACKS[attack](isolation)
    assert held, what


@pytest.mark.slow
def test_a_thousand_runs_leave_no_process_no_descriptor_and_no_file(isolation: str) -> None:
    held, what = repeated(isolation, runs=1000)
    assert held, what


def test_the_report_of_the_attacks_names_each_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ATTACKS:
        monkeypatch.setitem(ATTACKS, name, lambda _, name=name: (name != "daemon", "tried"))
    ATTACKS["daemon"].__doc__ = "Leaving a process behind."
    for attack in ATTACKS.values():
        attack.__doc__ = attack.__doc__ or "An attack."
    report = sandbox_check()
    assert report["isolation"] in ("bubblewrap", "unshare")
    assert set(report["attacks"]) == set(ATTACKS)
    assert report["held"] is False and report["attacks"]["daemon"]["held"] is False


def test_a_run_sees_its_files_its_input_and_nothing_of_the_environment(
    isolation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_MINE", "x")
    run = run_untrusted(
        {"a.txt": "one", "sub/b.bin": b"\xff\x00"},
        ["sh", "-c", "cat a.txt; wc -c <sub/b.bin; cat; env; echo mistake >&2; exit 7"],
        isolation=isolation,
        stdin="typed\n",
    )
    assert (run.exit_code, run.isolation, run.could_not_start) == (7, isolation, None)
    assert run.stdout.startswith("one2\ntyped\n") and run.stderr == "mistake\n"
    assert "SECRET" not in run.stdout
    assert 0 < run.cpu_seconds <= run.wall_seconds * (os.cpu_count() or 1) + 0.1


def test_facts_are_kept_apart(isolation: str) -> None:
    def run(command: str, **changes: float) -> object:
        return run_untrusted({}, ["sh", "-c", command], limits=replace(LIMITS, **changes), isolation=isolation)

    failed, killed = run("exit 3"), run("kill -9 $$")
    slow, loud = run("sleep 9", wall_seconds=0.3), run("yes | head -c 5000", output_bytes=1000)
    busy = run("while :; do :; done", cpu_seconds=0.3)
    assert (failed.exit_code, failed.stopped, failed.timed_out, failed.memory_exceeded) == (3, None, False, False)
    assert (killed.exit_code, killed.stopped, killed.timed_out, killed.memory_exceeded) == (137, None, False, False)
    assert (slow.exit_code, slow.timed_out, slow.could_not_start) == (None, True, None)
    assert (loud.exit_code, loud.output_truncated, len(loud.stdout)) == (0, True, 1000)
    assert (busy.exit_code, busy.timed_out) == (None, True) and busy.cpu_seconds >= 0.3


def test_a_program_that_is_not_there_is_no_score(isolation: str) -> None:
    run = run_untrusted({}, ["no-such-compiler", "x.c"], isolation=isolation)
    assert run.exit_code is None and "no-such-compiler is not installed" in (run.could_not_start or "")


def test_a_sandbox_that_cannot_be_built_is_no_score(isolation: str) -> None:
    run = run_untrusted({"big": bytes(1 << 20)}, ["true"], limits=replace(LIMITS, file_bytes=4096), isolation=isolation)
    assert run.exit_code is None and "did not start" in (run.could_not_start or "")
    check = python_check("x = 1", "assert x", limits=replace(LIMITS, file_bytes=4096), isolation=isolation)
    assert check.passed is None and "did not start" in check.reason


def test_without_any_isolation_it_refuses_unless_told_so_aloud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "why_not", lambda name: f"{name} is forbidden here")
    with pytest.raises(MissingExtraError, match="apt-get install -y bubblewrap"):
        run_untrusted({}, ["true"])
    with pytest.raises(MissingExtraError):
        run_many([Job(command=["true"])], workers=1)
    run = run_untrusted({"a": "b"}, ["sh", "-c", "cat a; ulimit -n"], isolation="none-i-understand")
    assert (run.exit_code, run.stdout, run.isolation) == (0, "b256\n", "none-i-understand")


def test_it_takes_unshare_when_bubblewrap_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name, **kw: None if name == "bwrap" else which(name, **kw))
    world.why_not.cache_clear()
    try:
        assert run_untrusted({}, ["true"]).isolation == "unshare"
    finally:
        world.why_not.cache_clear()


def test_no_capability_no_new_privilege_and_the_filter(isolation: str) -> None:
    run = run_untrusted({}, ["cat", "/proc/self/status"], isolation=isolation)
    status = dict(line.split(":\t", 1) for line in run.stdout.splitlines())
    assert {int(status[f"Cap{kind}"], 16) for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {0}
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == ("2" if seccomp_filter() else "0")


def test_no_user_namespace_inside(isolation: str) -> None:
    run = run_untrusted({}, ["unshare", "--user", "--map-root-user", "id"], isolation=isolation)
    assert run.exit_code != 0 and "uid=0" not in run.stdout


def test_runs_side_by_side_keep_their_order_and_their_bound(isolation: str) -> None:
    jobs = [Job(command=["sh", "-c", f"sleep 0.{9 - i}; echo {i}"], isolation=isolation) for i in range(8)]
    most, done = 0, threading.Event()

    def count() -> None:
        nonlocal most
        while not done.wait(0.02):
            most = max(most, sum(t.name.startswith("sandbox") for t in threading.enumerate()))

    counting = threading.Thread(target=count)
    counting.start()
    began = time.monotonic()
    results = run_many(jobs, workers=4)
    done.set()
    counting.join()
    assert [run.stdout for run in results] == [f"{i}\n" for i in range(8)]
    assert most <= 4 and time.monotonic() - began < 4.0


def test_nothing_outlives_a_caller_that_is_killed(isolation: str) -> None:
    mark = f"mark-{os.getpid()}-{isolation}"
    code = f"""
from steerlab.sandbox import run_untrusted
run_untrusted({{}}, ["sh", "-c", "setsid sleep 60 & sleep 60; : {mark}"], isolation={isolation!r})"""
    with subprocess.Popen([sys.executable, "-c", code]) as caller:
        deadline = time.monotonic() + 20
        while len(left_over(f": {mark}")) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        caller.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 5
    while left_over(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left_over(mark)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_address_sanitizer_finds_an_overflow_inside(isolation: str) -> None:
    source = "#include <stdlib.h>\nint main(int n, char **v) { char *p = malloc(8); p[8 * n] = 1; return p[0]; }\n"
    run = run_untrusted(
        {"x.c": source},
        ["sh", "-c", "gcc -g -fsanitize=address x.c -o x && ./x"],
        limits=replace(LIMITS, memory_bytes=512 << 20),
        isolation=isolation,
        address_sanitizer=True,
    )
    assert run.exit_code != 0 and "heap-buffer-overflow" in run.stderr


@pytest.mark.parametrize("name", ["/etc/x", "../x", "", "a/../../b", "a\0b"])
def test_a_file_name_that_leads_out_is_an_error(name: str) -> None:
    with pytest.raises(OptionError, match="relative path"):
        Job(files={name: ""}, command=["true"])


def test_limits_and_workers_are_above_zero() -> None:
    with pytest.raises(OptionError, match="wall_seconds"):
        Limits(wall_seconds=0)
    with pytest.raises(OptionError, match="workers"):
        run_many([], workers=0)


RIGHT = {
    "values": ("def f(x): return x + 1", "assert f(1) == 2"),
    "changed in place": ("def f(x): x.sort()", "x = [3, 1]\nf(x)\nassert x == [1, 3]"),
    "a test's function": ("def f(g, x): return [g(y) for y in x]", "assert f(lambda a: a * 2, (1, 2)) == [2, 4]"),
    "a generator": ("def f(n):\n  yield from range(n)", "assert list(f(3)) == [0, 1, 2]"),
    "HumanEval's check": ("def f(n): return {n: {n}}", "def check(c):\n  assert c(2) == {2: {2}}\ncheck(f)"),
    "a class": (
        "class S:\n  def __init__(self): self.a = []\n  def push(self, x): self.a.append(x)\n"
        "  def __len__(self): return len(self.a)",
        "s = S()\ns.push(3)\nassert len(s) == 1 and s.a == [3] and isinstance(s, S) and s == s and s != S()",
    ),
    "its exceptions": (
        "class E(KeyError): pass\ndef f(): raise E('x')",
        "try: f()\nexcept E as e: assert e.args == ('x',)\nelse: assert False\n"
        "try: f()\nexcept KeyError: pass\nelse: assert False",
    ),
    "exact numbers": (
        "from decimal import Decimal\nfrom fractions import Fraction\nimport datetime\n"
        "def f(): return Decimal('0.1'), Fraction(1, 3), datetime.date(2024, 2, 29), 10 ** 5000, float('inf')",
        "from decimal import Decimal\nfrom fractions import Fraction\nimport datetime\n"
        "assert f() == (Decimal('0.1'), Fraction(1, 3), datetime.date(2024, 2, 29), 10 ** 5000, float('inf'))",
    ),
    "Python's own types": (
        "def f(x, kind): return kind if kind is int else [y for y in x if not isinstance(y, kind)]",
        "assert f((1, 'a'), str) == [1] and f((), int) is int and f((), int) is not bool",
    ),
    "files beside it": ("def f(p):\n  with open(p, 'w') as h: h.write('x')", "f('y')\nassert open('y').read() == 'x'"),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_program_passes(name: str, isolation: str) -> None:
    check = python_check(*RIGHT[name], isolation=isolation, limits=LIMITS)
    assert check.passed is True, check


def test_a_program_may_bear_the_name_of_a_builtin_when_the_caller_says_so() -> None:
    program, tests = "def sum(a, b): return a + b", "assert sum(1, 2) == 3"
    assert python_check(program, tests, entry_points=["sum"]).passed is True
    assert python_check(program, tests).passed is False


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("def f(x): return x", "tests line 2: AssertionError"),
        ("def f(x) return x", "SyntaxError"),
        ("def g(x): return x", "NameError"),
        ("def f(x): return 1 / 0", "ZeroDivisionError"),
        ("while True: pass", "CPU time over 2 s"),
        ("x = []\nwhile True: x.append('x' * 10 ** 6)", "memory|MemoryError"),
    ],
)
def test_a_wrong_program_fails_with_one_line_of_reason(program: str, reason: str) -> None:
    check = python_check(program, "\nassert f(1) == 2", limits=replace(LIMITS, cpu_seconds=2, wall_seconds=60))
    assert check.passed is False
    assert re.search(reason, check.reason) and "\n" not in check.reason


def test_tests_that_cannot_be_handed_over_are_unscored() -> None:
    tests = "import sqlite3\nassert f(sqlite3.connect(':memory:')) == 1"
    check = python_check("def f(connection): return 1", tests)
    assert check.passed is None and "Connection" in check.reason
    assert python_check("x = 1", "assert (").passed is None


def test_a_judge_that_does_not_start_is_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "SITE_PACKAGES", "")
    monkeypatch.setattr("steerlab.sandbox.checks._harness", lambda: b"no code")
    check = python_check("x = 1", "assert x == 1")
    assert check.passed is None and "the judge did not start" in check.reason


def test_many_checks_at_once_all_tell_the_truth(isolation: str) -> None:
    def passed(index: int) -> bool | None:
        return python_check("def f(x): return x + 1", f"assert f(1) == {1 + index % 2}", isolation=isolation).passed

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(passed, range(60))) == [index % 2 == 1 for index in range(60)]
