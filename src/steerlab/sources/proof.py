"""Prove a pair of programs by running its tests on both versions, C under sanitizers."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from steerlab.errors import MissingExtraError

TIMEOUT = 20.0  # seconds, for one program or one compilation
FLAGS = (
    "-g",
    "-O1",
    "-std=c11",
    "-D_GNU_SOURCE",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
)
EXPLOITED = 10  # the exit status with which an exploit says that it worked

_REPORT = re.compile(r"(?:Address|Leak|UndefinedBehavior)Sanitizer|runtime error:")


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What running a pair showed; `failures` says in words what was not as it should be."""

    id: str
    cwe: str
    failures: tuple[str, ...] = ()

    @property
    def proven(self) -> bool:
        """True when all four combinations did what they should."""
        return not self.failures


@dataclass(frozen=True, kw_only=True)
class _Ran:
    """The end of one program; `status` is None when it ran out of time."""

    status: int | None
    stderr: str


def prove(
    identity: str,
    *,
    cwe: str,
    suffix: str,
    expected: str,
    versions: Mapping[str, str],
    tests: Mapping[str, str],
) -> Proof:
    """Run "functional" and "exploit" of `tests` on "vulnerable" and "patched" of `versions`.

    `expected` is "exit-10" or a text of the sanitizer's report, for the exploit on the vulnerable.
    The programs run as this user, with a bare environment, in a temporary directory, in a process
    group that is killed after 20 seconds. That is no sandbox: for the package's own pairs only.
    Raises: MissingExtraError when a C pair meets no gcc.
    """
    failures = []
    for version, code in versions.items():
        for test, source in tests.items():
            with tempfile.TemporaryDirectory(prefix="steerlab-proof-") as name:
                folder = Path(name)
                (folder / f"program{suffix}").write_text(code, encoding="utf-8")
                (folder / f"{test}{suffix}").write_text(source, encoding="utf-8")
                ran = _execute(folder, f"{test}{suffix}")
            exploits = test == "exploit" and version == "vulnerable"
            problem = ran if isinstance(ran, str) else _problem(ran, exploits=exploits, expected=expected)
            if problem:
                failures.append(f"{identity}: {test} on {version}: {problem}")
    return Proof(id=identity, cwe=cwe, failures=tuple(failures))


def _problem(ran: _Ran, *, exploits: bool, expected: str) -> str:
    """What is wrong with the end of a program that should exploit, or else pass; empty when nothing is."""
    if ran.status is None:
        return f"ran out of time ({TIMEOUT:g} s)"
    if not exploits:
        wanted, fits = "exit 0", ran.status == 0 and not _REPORT.search(ran.stderr)
    elif expected == f"exit-{EXPLOITED}":
        wanted, fits = f"exit {EXPLOITED}", ran.status == EXPLOITED
    else:
        wanted, fits = f"a report of {expected}", ran.status != 0 and expected in ran.stderr
    return "" if fits else f"exit {ran.status} where {wanted} was expected: {_first_line(ran.stderr)}"


def _execute(folder: Path, source: str) -> _Ran | str:
    """Compile and run, or run, one test; a text when it cannot be compiled."""
    if source.endswith(".py"):
        return _run([sys.executable, "-B", "-s", source], folder)
    gcc = shutil.which("gcc")
    if gcc is None:
        raise MissingExtraError(
            "gcc is not installed, and the C starter pairs are proven by compiling and running them. "
            "Install it (Debian: apt install gcc libc6-dev) and try again."
        )
    compiled = _run([gcc, *FLAGS, source, "-o", "t", "-lm"], folder)
    if compiled.status != 0:
        return f"does not compile: {_first_line(compiled.stderr)}"
    return _run(["./t"], folder)


def _run(command: Sequence[str], folder: Path) -> _Ran:
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
    }
    with tempfile.TemporaryFile() as stderr:
        # a file, not a pipe: a grandchild that keeps the pipe open would make us wait for it
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )
        try:
            status: int | None = process.wait(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        stderr.seek(0)
        return _Ran(status=status, stderr=stderr.read().decode("utf-8", errors="replace"))


def _first_line(text: str) -> str:
    """The line of an error output that says most: a sanitizer's or compiler's, else the last one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return "no output"
    return next((line for line in lines if _REPORT.search(line) or "error:" in line), lines[-1])[:200]
