"""What untrusted code would try, tried: each attack says whether the sandbox held and what happened."""

from __future__ import annotations

import gc
import os
import secrets
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from steerlab.sandbox import isolation as world
from steerlab.sandbox.checks import python_check
from steerlab.sandbox.running import execute
from steerlab.sandbox.seccomp import seccomp_filter
from steerlab.sandbox.values import MEBIBYTE, Isolation, Job, Limits, SandboxResult

Outcome = tuple[bool, str]
LIMITS = Limits(
    cpu_seconds=4,
    wall_seconds=8,
    memory_bytes=256 * MEBIBYTE,
    processes=20,
    file_bytes=4 * MEBIBYTE,
    output_bytes=10_000,
)
_TESTS = "assert double(2) == 4\nassert double('ab') == 'abab'"


def _python(source: str, isolation: str, **changes: Any) -> SandboxResult:
    limits = Limits(**{**vars(LIMITS), **{name: value for name, value in changes.items() if name in vars(LIMITS)}})
    sanitizer = bool(changes.get("address_sanitizer", False))
    command = [world.PYTHON, "-I", "-S", "-B", "attack.py"]
    return execute(
        Job(files={"attack.py": source}, command=command, limits=limits, address_sanitizer=sanitizer), isolation
    )


def _names(place: str) -> set[str]:
    return {path.name for path in Path(place).iterdir()}


def left_over(mark: str) -> list[int]:
    """Processes of this machine with `mark` in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def _told(run: SandboxResult) -> str:
    lines = (run.stdout or run.stderr).strip().splitlines()
    end = run.stopped or run.could_not_start or f"ended with {run.exit_code}"
    return f"{end}; {lines[-1][:200]}" if lines else end


def fork_bomb(isolation: str) -> Outcome:
    """Processes without end; tried in earnest only after 40 forks have shown that the limit counts."""
    count = """
import os, time
made = 0
for _ in range(40):
    try:
        if os.fork() == 0:
            time.sleep(5)
            os._exit(0)
        made += 1
    except OSError:
        break
print(made, flush=True)
os._exit(0)
"""
    proof = _python(count, isolation)
    made = int(proof.stdout.strip() or 0) if proof.stopped is None else 0
    if made > LIMITS.processes or (made == 0 and "processes" not in (proof.stopped or "")):
        return False, f"{made} of 40 forks succeeded under a limit of {LIMITS.processes}; {_told(proof)}"
    mark = secrets.token_hex(8)
    bomb = "import os, sys\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    command = [world.PYTHON, "-I", "-S", "-c", bomb, mark]
    limits = Limits(**{**vars(LIMITS), "cpu_seconds": 2, "wall_seconds": 3})
    began = time.monotonic()
    run = execute(Job(command=command, limits=limits), isolation)
    rest = left_over(mark)
    held = run.exit_code is None and not rest and time.monotonic() - began < 8
    return held, f"{made} forks allowed; the bomb: {_told(run)}; {len(rest)} processes left"


def ten_gigabytes(isolation: str) -> Outcome:
    """10 GB at once, in pieces over processes, and with address space unlimited."""
    at_once = _python("x = bytearray(10 << 30)\nfor i in range(0, len(x), 4096): x[i] = 1\nprint('got it')", isolation)
    source = """
import os, time
for _ in range(9):
    if os.fork() == 0: break
pieces = []
while True:
    pieces.append(bytearray(b'x') * (4 << 20))
    time.sleep(0.005)
"""
    spread = _python(source, isolation)
    unlimited = _python("x = bytearray(b'x') * (10 << 30)\nprint('got it')", isolation, address_sanitizer=True)
    runs = (at_once, spread, unlimited)
    held = all(run.memory_exceeded for run in runs) and not any("got it" in run.stdout for run in runs)
    return held, " | ".join(map(_told, runs))


def deaf_loop(isolation: str) -> Outcome:
    """An endless loop that ignores every signal it can, in a session of its own."""
    source = """
import os, signal, sys
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
if os.fork(): os.wait()
os.setsid()
while True: pass
"""
    began = time.monotonic()
    by_wall = _python(source, isolation, wall_seconds=0.5)
    by_cpu = _python(source, isolation, cpu_seconds=0.5)
    held = by_wall.timed_out and by_cpu.timed_out and time.monotonic() - began < 10
    return held, f"{_told(by_wall)} | {_told(by_cpu)}"


def endless_output(isolation: str) -> Outcome:
    """Output without end on both streams."""
    source = "import os\nwhile True:\n    os.write(1, b'o' * 65536)\n    os.write(2, b'e' * 65536)"
    run = _python(source, isolation)
    held = run.output_truncated and len(run.stdout) <= LIMITS.output_bytes and len(run.stderr) <= LIMITS.output_bytes
    return held and run.exit_code is None, f"{run.stopped}; kept {len(run.stdout)} + {len(run.stderr)} bytes"


def full_disk(isolation: str) -> Outcome:
    """Large files, many files and empty files, everywhere a file can be made."""
    source = """
import os
written = 0
for place in ('/tmp', '/tmp/work', '/dev/shm', '/var/tmp', '/dev', '/'):
    for n in range(8):
        try:
            with open(f'{place}/big{n}-{place.count(chr(47))}{len(place)}', 'wb', buffering=0) as file:
                while True: written += file.write(bytes(1 << 16))
        except OSError as error: last = error
print(written, flush=True)
n = 0
while True:
    try: open(f'/tmp/work/empty{n}', 'w').close()
    except OSError: break
    n += 1
"""
    ignore = "import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    before = _names(tempfile.gettempdir())
    run = _python(ignore + source, isolation)
    written = int(run.stdout.strip() or -1)
    held = 0 <= written <= LIMITS.file_bytes + 2 * MEBIBYTE and run.could_not_start is None
    new = [name for name in _names(tempfile.gettempdir()) - before if name.startswith(("big", "empty"))]
    return held and not new, f"{written} bytes written to memory of its own, {len(new)} files outside; {_told(run)}"


def private_files(isolation: str) -> Outcome:
    """Reading the home directory, /etc/shadow, this machine's files and other processes' environment."""
    with tempfile.NamedTemporaryFile("w", prefix="secret-") as secret:
        secret.write("secret")
        secret.flush()
        source = f"""
import os
seen = []
for path in {[secret.name, "/etc/shadow", "/etc/passwd", "/proc/1/environ", "/proc/kcore", "/dev/sda", "/dev/vda"]!r}:
    try:
        with open(path, 'rb') as file:
            if file.read(64) and path != '/proc/1/environ': seen.append(path)
            if path == '/proc/1/environ' and b'SECRET' in file.read(): seen.append(path)
    except OSError: pass
for root in {sorted({str(Path.home()), "/root", "/home"})!r}:
    for place, folders, files in os.walk(root):
        if any(place == t or t.startswith(place + '/') for t in {list(world.toolchain())!r}):
            if place in {list(world.toolchain())!r}: folders.clear()
            elif files: seen.append(place)
        else: seen.append(place)
print(seen)
"""
        run = _python(source, isolation)
    return run.exit_code == 0 and run.stdout.strip() == "[]", f"readable: {run.stdout.strip() or _told(run)}"


def write_outside(isolation: str) -> Outcome:
    """Writing to the toolchain, to the root, to devices, to the kernel's switches and to this machine's files."""
    with tempfile.TemporaryDirectory(prefix="outside-") as outside:
        Path(outside).chmod(0o777)
        places = [*world.toolchain(), outside, "/", "/etc", "/dev", "/proc/sys/kernel", "/var/tmp", str(Path.home())]
        source = f"""
import os
wrote = []
for place in {places!r}:
    for action in (lambda p: open(p + '/attack', 'w').close(), lambda p: os.mkdir(p + '/attackdir'), os.rmdir,
                   lambda p: os.rename(p, p + '.old'), lambda p: os.chmod(p, 0o777), lambda p: os.utime(p)):
        try: action(place)
        except OSError: pass
        else: wrote.append(place)
for path in ('/proc/sys/kernel/core_pattern', '/proc/sys/user/max_user_namespaces', '/proc/sysrq-trigger'):
    try: open(path, 'w').write('1')
    except OSError: pass
    else: wrote.append(path)
print(wrote)
"""
        run = _python(source, isolation)
        arrived = _names(outside)
    return (
        run.stdout.strip() == "[]" and not arrived,
        f"written: {run.stdout.strip() or _told(run)}, outside: {len(arrived)}",
    )


def network(isolation: str) -> Outcome:
    """Connecting to a listener of this machine (loopback, abstract Unix socket), to the outside, to the hypervisor."""
    name = f"\0steerlab-{secrets.token_hex(8)}"
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as local:
        local.bind(name)
        local.listen()
        for listener in (tcp, local):
            listener.settimeout(0.05)
        source = f"""
import errno, socket, time
interfaces = [line.split(':')[0].strip() for line in open('/proc/net/dev') if ':' in line]
print('interfaces', interfaces)
began = time.monotonic()
def reach(family, address):
    try:
        with socket.socket(family) as s:
            s.settimeout(2)
            s.connect(address)
        return 'connected'
    except OSError as error: return errno.errorcode.get(error.errno, str(error))
print('loopback', reach(socket.AF_INET, ('127.0.0.1', {tcp.getsockname()[1]})))
print('abstract', reach(socket.AF_UNIX, {name!r}))
print('outside', reach(socket.AF_INET, ('192.0.2.1', 80)) if interfaces == ['lo'] else 'not tried')
print('vsock', reach(40, (2, 1)))
print('at once', time.monotonic() - began < 1)
"""
        run = _python(source, isolation)
        reached = []
        for listener in (tcp, local):
            try:
                listener.accept()[0].close()
                reached.append(listener.family.name)
            except TimeoutError:
                pass
    held = "connected" not in run.stdout and not reached and "outside ENETUNREACH" in run.stdout
    if seccomp_filter() is not None:
        held = held and "vsock EAFNOSUPPORT" in run.stdout
    return held and "at once True" in run.stdout, " ".join(run.stdout.split()) or _told(run)


def kill_parent(isolation: str) -> Outcome:
    """Killing everything that can be named, the first process and this one above all."""
    with subprocess.Popen(["sleep", "30"]) as canary:
        source = f"""
import os, signal
for pid in ({os.getpid()}, {canary.pid}, os.getppid(), 1, -{os.getpgrp()}, 0, -1):
    try: os.kill(pid, signal.SIGTERM if pid in (0, -1) else signal.SIGKILL)
    except OSError as error: print(pid > 1, error)
"""
        run = _python(source, isolation)
        alive = canary.poll() is None
        canary.kill()
    return alive and run.could_not_start is None, f"the canary {'lives' if alive else 'is dead'}; {_told(run)}"


def daemon(isolation: str) -> Outcome:
    """Leaving a process behind that has left the session, the group and its parent."""
    mark = secrets.token_hex(8)
    source = f"""
import os
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for fd in range(3): os.close(fd)
        os.execv('/bin/sh', ['/bin/sh', '-c', 'sleep 60; : {mark}'])
    os._exit(0)
import time; time.sleep(0.2)
print('left')
"""
    run = _python(source, isolation)
    rest = left_over(f": {mark}")
    return run.stdout.strip() == "left" and not rest, f"{_told(run)}; {len(rest)} processes left"


def symlinks(isolation: str) -> Outcome:
    """Links from every likely name of a result to a file of this machine, and a work directory that is a link."""
    with tempfile.TemporaryDirectory(prefix="result-") as outside:
        target = Path(outside, "result.json")
        target.write_text("mine")
        for path in (Path(outside), target):
            path.chmod(0o777)
        source = f"""
import os
for name in ('result', 'result.json', 'stdout', 'stderr', 'exit_code', 'verdict', '../result.json'):
    os.symlink({str(target)!r}, name)
    try: open(name, 'w').write('faked')
    except OSError: pass
for fd in range(3, 64):
    try: os.write(fd, b'faked')
    except OSError: pass
os.chdir('/tmp'); os.rename('work', 'old'); os.symlink({outside!r}, 'work')
try: open('work/result.json', 'w').write('faked')
except OSError: pass
print('done')
"""
        run = _python(source, isolation)
        content, names = target.read_text(), _names(outside)
    held = content == "mine" and names == {"result.json"} and run.exit_code == 0 and run.stdout == "done\n"
    return held, f"the file outside says {content!r}; no result is a file; {_told(run)}"


def _fakes(programs: dict[str, str], isolation: str, tests: str = _TESTS) -> Outcome:
    reasons = []
    held = True
    for name, program in programs.items():
        check = python_check(program, tests, isolation=_named(isolation), limits=LIMITS)
        held = held and check.passed is False
        reasons.append(f"{name}: {check.passed} ({check.reason[:90]})")
    right = python_check("def double(x): return 2 * x", _TESTS, isolation=_named(isolation), limits=LIMITS)
    return held and right.passed is True, "; ".join(reasons)


def _named(isolation: str) -> Isolation:
    return "bubblewrap" if isolation == "bubblewrap" else "unshare"


def fake_result(isolation: str) -> Outcome:
    """Printing what a passed test prints, and writing it to every descriptor; an object that equals everything."""
    verdict = "b'l60:s32:' + b'0' * 32 + b's6:passeds16:all tests passed'"
    everywhere = f"import os\nfor fd in range(64):\n    try: os.write(fd, {verdict})\n    except OSError: pass"
    return _fakes(
        {
            "print": "import sys\nprint('passed\\nall tests passed\\nOK')\nprint('OK', file=sys.stderr)",
            "descriptors": everywhere,
            "equals all": "class A:\n    __eq__ = lambda *_: True\n    __hash__ = None\ndef double(x): return A()",
            "equals all, number": "class A(int):\n    __eq__ = lambda *_: True\ndef double(x): return A(0)",
        },
        isolation,
    )


def exit_first(isolation: str) -> Outcome:
    """Ending with success before the tests, or in them, also where the tests expect an exception."""
    early = {
        "os._exit": "import os; os._exit(0)",
        "sys.exit": "import sys; sys.exit(0)",
        "in a call": "import os\ndef double(x): os._exit(0)",
        "at exit": "import atexit, os\natexit.register(os._exit, 0)\ndef double(x): raise SystemExit(0)",
        "kill the judge": "import os\ndef double(x): os.kill(os.getppid(), 9)",
    }
    plain, what = _fakes(early, isolation)
    expecting = "try: double(None)\nexcept BaseException: pass\nelse: raise AssertionError"
    caught, more = _fakes({"caught": early["in a call"]}, isolation, expecting)
    return plain and caught, f"{what}; {more}"


def patch_harness(isolation: str) -> Outcome:
    """Patching builtins and loaded modules, searching frames, memory and the judge's process for the secret."""
    patch = """
import builtins, gc, os, sys
builtins.AssertionError = builtins.Exception = type('Never', (BaseException,), {})
builtins.compile = builtins.exec = builtins.len = lambda *a, **k: None
for module in list(sys.modules.values()):
    for name in list(vars(module)):
        if name in ('judge', 'pack', 'send', 'receive', 'unpack', 'token', 'hide'): setattr(module, name, print)
"""
    frames = """
import gc, os, sys
frame = sys._getframe()
found = []
while frame:
    found += [v for v in frame.f_locals.values() if isinstance(v, (str, bytes)) and len(v) == 32]
    frame = frame.f_back
found += [o for o in gc.get_objects() if isinstance(o, str) and len(o) == 32]
for token in found:
    for fd in range(3, 64):
        try: os.write(fd, b'l99:s32:%ss6:passeds0:' % token.encode())
        except OSError: pass
"""
    memory = """
import ctypes, os
parent, seen = os.getppid(), 'double-is-not-here'
for path in ['mem', 'environ', 'maps', *(f'fd/{n}' for n in range(64))]:
    try: os.open(f'/proc/{parent}/{path}', os.O_RDONLY | os.O_NONBLOCK)
    except OSError: pass
    else: seen = path
if ctypes.CDLL(None).ptrace(16, parent, 0, 0) == 0: seen = 'ptrace'
def double(x): return 2 * x if seen != 'double-is-not-here' else 'the judge is closed'
"""
    length = "def double(x): return []\nlen = lambda x: 3\nsorted = any = all = lambda *_: True"
    counted, more = _fakes({"own len": length}, isolation, "assert len(double(1)) == 3 and all([double(1)])")
    held, what = _fakes({"patch": patch, "frames": frames, "memory": memory}, isolation)
    return held and counted, f"{what}; {more}"


def repeated(isolation: str, runs: int = 30) -> Outcome:
    """Many runs in a row, each of them leaving work undone: no process, file or descriptor may stay."""
    mark = secrets.token_hex(8)
    place = tempfile.gettempdir()
    command = ["sh", "-c", f"echo x >made; sleep 60 & : {mark}"]
    execute(Job(command=command, limits=LIMITS), isolation)
    gc.collect()  # files that somebody else has forgotten are closed now, and not while we count
    before, files = len(_names("/proc/self/fd")), _names(place)
    codes = {execute(Job(command=command, limits=LIMITS), isolation).exit_code for _ in range(runs)}
    descriptors = len(_names("/proc/self/fd")) - before
    new = [name for name in _names(place) - files if "steerlab" in name or name == "made"]
    rest = left_over(f": {mark}")
    held = codes == {0} and not rest and descriptors == 0 and not new
    return (
        held,
        f"{runs} runs, exit codes {codes}: left {len(rest)} processes, {descriptors} descriptors, {len(new)} files",
    )


ATTACKS: dict[str, Callable[[str], Outcome]] = {
    "fork_bomb": fork_bomb,
    "ten_gigabytes": ten_gigabytes,
    "deaf_loop": deaf_loop,
    "endless_output": endless_output,
    "full_disk": full_disk,
    "private_files": private_files,
    "write_outside": write_outside,
    "network": network,
    "kill_parent": kill_parent,
    "daemon": daemon,
    "symlinks": symlinks,
    "fake_result": fake_result,
    "exit_first": exit_first,
    "patch_harness": patch_harness,
    "repeated": repeated,
}


def sandbox_check(isolation: Isolation = "auto") -> dict[str, Any]:
    """Try every attack on this machine, about half a minute; JSON-able.

    Raises: MissingExtraError when there is no sandbox to attack; "none-i-understand" is refused, too.
    """
    chosen = world.choose("auto" if isolation == "none-i-understand" else isolation)
    attacks = {}
    for name, attack in ATTACKS.items():
        held, what = attack(chosen)
        attacks[name] = {"held": held, "what": f"{(attack.__doc__ or '').splitlines()[0]} {what}"}
    return {
        "isolation": chosen,
        "seccomp": seccomp_filter() is not None,
        "held": all(attack["held"] for attack in attacks.values()),
        "attacks": attacks,
    }
