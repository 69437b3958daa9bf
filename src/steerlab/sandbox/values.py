"""What a run in the sandbox is given and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal

from steerlab.errors import OptionError

Isolation = Literal["auto", "bubblewrap", "unshare", "none-i-understand"]
MEBIBYTE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one run may use in all; each limit is for the sum over its processes unless said otherwise.

    `memory_bytes`: resident memory. `processes`: processes and threads at one time. `file_bytes`: all files of the
    run together. `output_bytes`: of standard output and of standard error, each.
    """

    cpu_seconds: float = 10.0
    wall_seconds: float = 20.0
    memory_bytes: int = 512 * MEBIBYTE
    processes: int = 32
    file_bytes: int = 32 * MEBIBYTE
    output_bytes: int = 64 * 1024

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise OptionError(f"the sandbox limit {name} is {value}: choose a number above 0.")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run: files by relative name, the command that runs beside them, what it reads on standard input.

    `address_sanitizer=True` leaves address space unlimited (AddressSanitizer reserves terabytes), so memory is
    bounded by what is resident only.
    """

    files: Mapping[str, str | bytes] = field(default_factory=dict)
    command: Sequence[str]
    limits: Limits = field(default_factory=Limits)
    isolation: Isolation = "auto"
    stdin: str | bytes = ""
    address_sanitizer: bool = False

    def __post_init__(self) -> None:
        if not self.command or any("\0" in word for word in self.command):
            raise OptionError("the sandbox needs a command: a list of words without NUL, the program first.")
        for name in self.files:
            path = PurePosixPath(name)
            if not name or "\0" in name or path.is_absolute() or ".." in path.parts or not path.parts:
                raise OptionError(f"{name!r} is not a file name for the sandbox: give a relative path without '..'.")


@dataclass(frozen=True, kw_only=True)
class SandboxResult:
    """The facts of one run, kept apart.

    `exit_code` is as a shell tells it (128 + signal number) and None when the sandbox itself stopped the run or
    could not start it; `stopped` then says why it was stopped. `could_not_start` is never a score: no line of
    the command has run. `memory_exceeded` is True when the run was stopped for its memory, and when it failed with an
    out-of-memory message as its last line of standard error (address space refused; a program could print that).
    """

    exit_code: int | None = None
    timed_out: bool = False
    memory_exceeded: bool = False
    output_truncated: bool = False
    could_not_start: str | None = None
    stopped: str | None = None
    stdout: str = ""
    stderr: str = ""
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    isolation: str = ""


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """Whether a program passed its tests.

    `passed` is None when this could not be found out (the sandbox did not start, or the tests use the program in a
    way that cannot cross to its process); that is never a score. `reason` is one line.
    """

    passed: bool | None
    reason: str
    run: SandboxResult
