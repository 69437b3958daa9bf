"""Run a command in the sandbox: start, read with a bound, watch, stop, account."""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from steerlab.errors import OptionError
from steerlab.sandbox import isolation as world
from steerlab.sandbox.seccomp import seccomp_filter
from steerlab.sandbox.values import Isolation, Job, Limits, SandboxResult
from steerlab.sandbox.watching import Usage, descendants, usage, used_inodes

TICK_SECONDS = 0.01
READ_BYTES = 65536
DISCARDED_FACTOR = 256  # output beyond its limit is thrown away up to this factor; then the run is stopped
_OWN_PROCESSES, _OWN_BYTES = 4, 16 << 20  # the sandbox's own: its program, the starter, prlimit
_OUT_OF_MEMORY = ("MemoryError", "Cannot allocate memory", "std::bad_alloc", "Out of memory")


def run_untrusted(
    files: Mapping[str, str | bytes],
    command: Sequence[str],
    *,
    limits: Limits | None = None,
    isolation: Isolation = "auto",
    stdin: str | bytes = "",
    address_sanitizer: bool = False,
) -> SandboxResult:
    """Run `command` beside `files` in a fresh sandbox; see `steerlab.sandbox` for what that does not protect against.

    Raises: MissingExtraError when no isolation works here and isolation is not "none-i-understand".
    """
    job = Job(
        files=files,
        command=command,
        limits=limits or Limits(),
        isolation=isolation,
        stdin=stdin,
        address_sanitizer=address_sanitizer,
    )
    return execute(job, world.choose(isolation))


def run_many(jobs: Sequence[Job], *, workers: int) -> list[SandboxResult]:
    """Run jobs, at most `workers` at a time; results in the order of the jobs.

    Raises: MissingExtraError as run_untrusted, before anything runs.
    """
    if workers < 1:
        raise OptionError(f"{workers} workers cannot run anything: choose --workers of 1 or more.")
    chosen = [world.choose(job.isolation) for job in jobs]
    with ThreadPoolExecutor(workers, thread_name_prefix="sandbox") as pool:
        return list(pool.map(execute, jobs, chosen))


def execute(job: Job, isolation: str, inherit: Sequence[int] = ()) -> SandboxResult:
    """Run `job` under an isolation that works; the descriptors in `inherit` stay open in the command."""
    program = job.command[0]
    if "/" not in program and shutil.which(program, path=world.PATH) is None:
        reason = f"{program} is not installed: the sandbox looks in {world.PATH}"
        return SandboxResult(could_not_start=reason, isolation=isolation)
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        try:
            process, started = _start(job, isolation, inherit, stack)
        except OSError as error:
            return SandboxResult(could_not_start=f"the sandbox did not start: {error}", isolation=isolation)
        outputs = [_Output(limit=job.limits.output_bytes) for _ in range(2)]
        stopped, watched_cpu = "the caller went away", 0.0
        try:
            stopped, watched_cpu = _watch(process, outputs, job, began)
        finally:
            if stopped:
                _kill(process.pid)
            status, used = os.wait4(process.pid, 0)[1:]
            process.returncode = os.waitstatus_to_exitcode(status)
        wall, cpu = time.monotonic() - began, max(watched_cpu, used.ru_utime + used.ru_stime)
        stdout, stderr = (bytes(output.kept).decode(errors="replace") for output in outputs)
        if not os.read(started, 1):
            lines = stderr.strip().splitlines()
            reason = f"the sandbox did not start: {lines[-1] if lines else stopped or process.returncode}"
            return SandboxResult(could_not_start=reason, wall_seconds=wall, isolation=isolation)
    code = process.returncode if process.returncode >= 0 else 128 - process.returncode
    out_of_memory = code != 0 and any(text in stderr.strip().rpartition("\n")[2] for text in _OUT_OF_MEMORY)
    return SandboxResult(
        exit_code=None if stopped else code,
        timed_out="time" in stopped or (code == 128 + signal.SIGKILL and cpu >= job.limits.cpu_seconds),
        memory_exceeded="memory" in stopped or out_of_memory,
        output_truncated=any(output.truncated for output in outputs),
        stopped=stopped or None,
        stdout=stdout,
        stderr=stderr,
        wall_seconds=wall,
        cpu_seconds=cpu,
        isolation=isolation,
    )


@dataclass(kw_only=True)
class _Output:
    """The first `limit` bytes of a stream; `seen` counts all."""

    limit: int
    seen: int = 0
    kept: bytearray = field(default_factory=bytearray)

    def add(self, chunk: bytes) -> None:
        self.seen += len(chunk)
        self.kept += chunk[: self.limit - len(self.kept)]

    @property
    def truncated(self) -> bool:
        return self.seen > self.limit


def _watch(process: subprocess.Popen[bytes], outputs: Sequence[_Output], job: Job, began: float) -> tuple[str, float]:
    """Read and measure until the run ends ("") or has to be stopped (the reason); also the CPU seconds last seen."""
    cpu = 0.0
    ended = os.pidfd_open(process.pid)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(ended, selectors.EVENT_READ)
            for stream, output in zip((process.stdout, process.stderr), outputs, strict=True):
                assert stream is not None
                os.set_blocking(stream.fileno(), False)
                selector.register(stream, selectors.EVENT_READ, output)
            next_look = began + TICK_SECONDS
            while True:
                events = selector.select(max(0.0, next_look - time.monotonic()))
                for key, _ in events:
                    if key.data is not None and not _take(key.fd, key.data):
                        selector.unregister(key.fileobj)
                if any(key.fd == ended for key, _ in events):
                    _last_output(selector)
                    return "", cpu
                if time.monotonic() >= next_look:
                    now = usage(process.pid)
                    cpu = max(cpu, now.cpu_seconds)
                    reason = _too_much(process.pid, now, outputs, job) or _too_long(job, began)
                    if reason:
                        return reason, cpu
                    next_look = time.monotonic() + TICK_SECONDS
    finally:
        os.close(ended)


def _take(descriptor: int, output: _Output) -> bool:
    """Read once; False at the end of the stream."""
    try:
        chunk = os.read(descriptor, READ_BYTES)
    except BlockingIOError:
        return True
    output.add(chunk)
    return bool(chunk)


def _last_output(selector: selectors.BaseSelector) -> None:
    """What the pipes still hold (64 KiB each) when every process has ended."""
    for key in list(selector.get_map().values()):
        for _ in range(16 if key.data is not None else 0):
            try:
                chunk = os.read(key.fd, READ_BYTES)
            except BlockingIOError:
                break
            key.data.add(chunk)
            if not chunk:
                break


def _too_long(job: Job, began: float) -> str:
    over = time.monotonic() - began > job.limits.wall_seconds
    return f"wall time over {job.limits.wall_seconds:g} s" if over else ""


def _too_much(pid: int, now: Usage, outputs: Sequence[_Output], job: Job) -> str:
    """Why the run has to be stopped now; "" when it may go on."""
    limits = job.limits
    if now.resident_bytes > limits.memory_bytes + _OWN_BYTES:
        return f"memory over {limits.memory_bytes} bytes"
    # Shared memory can be touched and hidden from the resident size; it cannot leave the address space.
    if not job.address_sanitizer and now.address_bytes > 4 * world.address_space(job):
        return f"memory reserved over {4 * world.address_space(job)} bytes"
    if now.cpu_seconds > limits.cpu_seconds:
        return f"CPU time over {limits.cpu_seconds:g} s"
    if now.processes > limits.processes + _OWN_PROCESSES:
        return f"more than {limits.processes} processes"
    if used_inodes(descendants(pid)[:2][-1]) > world.MAX_INODES:
        return f"more than {world.MAX_INODES} files"
    for output in outputs:
        if output.seen > DISCARDED_FACTOR * output.limit:
            return f"output over {DISCARDED_FACTOR * output.limit} bytes"
    return ""


def _kill(pid: int) -> None:
    """End everything below `pid`; the death of a process namespace's first process takes the whole namespace with it.

    `pid` itself is the sandbox's own program and ends when its child has ended; it is killed, too, and its
    children die with it (die-with-parent, kill-child).
    """
    for process in [*descendants(pid)[1:2], *reversed(descendants(pid)[2:])]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    deadline = time.monotonic() + 2.0
    while len(descendants(pid)) > 1 and time.monotonic() < deadline:
        time.sleep(0.001)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _start(
    job: Job, isolation: str, inherit: Sequence[int], stack: contextlib.ExitStack
) -> tuple[subprocess.Popen[bytes], int]:
    read_started, unmoved = os.pipe()
    stack.callback(os.close, read_started)
    started = stack.enter_context(above(unmoved))
    stdin = stack.enter_context(memory_file(job.stdin))
    passed = [started.fileno(), *inherit]
    if isolation == "none-i-understand":
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="steerlab-sandbox-"))
        for name, content in job.files.items():
            path = Path(directory, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_bytes(content))
        words = world.limits_only(job, directory, started.fileno())
    else:
        files = {name: stack.enter_context(memory_file(content)).fileno() for name, content in job.files.items()}
        code = seccomp_filter()
        filter_fd = None if code is None else stack.enter_context(memory_file(code)).fileno()
        words = world.command_line(
            job, isolation, files=files, started=started.fileno(), keep=inherit, filter_fd=filter_fd
        )
        passed += [*files.values()] + ([] if filter_fd is None else [filter_fd])
    process = subprocess.Popen(
        words,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=passed,
        env=world.environment(),
        start_new_session=True,
        cwd="/",
    )
    for stream in (process.stdout, process.stderr):
        assert stream is not None
        stack.callback(stream.close)
    started.close()
    return process, read_started


def memory_file(content: str | bytes) -> BinaryIO:
    """An open file without a name on any disk, which the user inside may open by its name in /proc."""
    file = above(os.memfd_create("steerlab"))
    file.write(_bytes(content))
    file.seek(0)
    return file


def above(descriptor: int) -> BinaryIO:
    """The same file above the descriptors 0..9 that the starter uses for itself."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 20)
    os.close(descriptor)
    if os.geteuid() == 0:
        os.fchown(moved, world.NOBODY, world.NOBODY)
    return cast(BinaryIO, os.fdopen(moved, "r+b" if _seekable(moved) else "wb", buffering=0))


def _seekable(descriptor: int) -> bool:
    try:
        os.lseek(descriptor, 0, os.SEEK_CUR)
    except OSError:
        return False
    return True


def _bytes(content: str | bytes) -> bytes:
    return content.encode(errors="surrogateescape") if isinstance(content, str) else content
