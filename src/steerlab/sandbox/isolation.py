"""The command lines that build a private world for one run, and which of them work on this machine."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from steerlab.errors import MissingExtraError
from steerlab.sandbox.seccomp import seccomp_filter
from steerlab.sandbox.values import Isolation, Job

WORK = "/tmp/work"  # inside; on a tmpfs of its own
NOBODY = 65534
MAX_INODES = 16384
PYTHON = str(Path(sys.base_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}").resolve())
SITE_PACKAGES = sysconfig.get_path("purelib")
PATH = f"{sys.prefix}/bin:/usr/local/bin:/usr/bin:/bin"
APT = "apt-get install -y bubblewrap"
_CONFIGURATION = ("/etc/ld.so.cache", "/etc/alternatives")
# Empty directories that root's private mount namespace may cover; the machine's own are not touched.
_STAGING = ("/media", "/srv", "/mnt", "/opt")

# The first process inside: says that the sandbox stands, runs the command under its limits, reaps orphans, and ends
# with the command; the kernel then kills whatever is left in the process namespace.
STARTER = (
    'echo started >"/proc/self/fd/$1"; shift; cd "$1" && shift && '
    'exec 9>&2 2>/dev/null; prlimit "$@" 2>&9 9>&-; exit $?'
)

# Without bubblewrap: the same world by hand. $1 is the tmpfs size; then the read-only directories up to "--", then
# pairs of descriptor and file name up to "--", then the command.
_BUILD = r"""
set -e
size=$1; inodes=$2; shift 2
path=$PATH; PATH=$PATH:/usr/sbin:/sbin
for base in /boot /var/tmp; do [ ! -d $base ] || break; done  # a place from which nothing is bound
mount -t tmpfs -o mode=755,size=1m,nosuid,nodev tmpfs $base
cd $base
mkdir proc dev tmp etc old
mount -t tmpfs -o "mode=1777,size=$size,nr_inodes=$inodes,nosuid,nodev" tmpfs tmp  # first: a checkout may lie in /tmp
while [ "$1" != -- ]; do
  if [ -L "$2" ]; then cp -P "$2" ".$2"
  elif [ -d "$1" ]; then mkdir -p ".$2"; mount --rbind "$1" ".$2"; mount -o remount,bind,ro,nosuid,nodev ".$2"
  else mkdir -p ".${2%/*}"; : >".$2"; mount --bind "$1" ".$2"; mount -o remount,bind,ro,nosuid,nodev ".$2"; fi
  shift 2
done
shift
mount -t proc -o nosuid,nodev,noexec proc proc
for name in null zero full random urandom; do : >"dev/$name"; mount --bind "/dev/$name" "dev/$name"; done
ln -s /proc/self/fd dev/fd; ln -s /proc/self/fd/0 dev/stdin; ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr; ln -s ../tmp dev/shm
mkdir tmp/work
while [ "$1" != -- ]; do mkdir -p "tmp/work/$(dirname "$2")"; cat "/proc/self/fd/$1" >"tmp/work/$2"; shift 2; done
shift
echo 0 >/proc/sys/user/max_user_namespaces
pivot_root . old
cd /
umount -l old
rmdir old
mount -o remount,bind,ro,nosuid,nodev /
PATH=$path
exec setpriv --no-new-privs --bounding-set=-all --inh-caps=-all --ambient-caps=-all -- "$@"
"""

# setpriv of util-linux 2.38 cannot load a filter, so Python does, and closes what the command must not inherit.
_FILTER = """
import ctypes, os, sys
keep = {int(fd) for fd in sys.argv[2].split(",")}
for fd in map(int, os.listdir("/proc/self/fd")):
    if fd > 2 and fd not in keep:
        try: os.close(fd)
        except OSError: pass
code = bytes.fromhex(sys.argv[1])
if code:
    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]
    libc = ctypes.CDLL(None, use_errno=True)
    program = Program(len(code) // 8, code)
    if libc.prctl(22, 2, ctypes.byref(program), 0, 0):
        sys.exit("no seccomp filter: " + os.strerror(ctypes.get_errno()))
os.execv(sys.argv[3], sys.argv[3:])
"""


def toolchain() -> tuple[str, ...]:
    """What a run may read of this machine: system libraries and programs, and the running Python."""
    paths = ["/usr", "/bin", "/lib", "/lib64", *_CONFIGURATION]
    paths += [prefix for prefix in (sys.base_prefix, sys.prefix) if not prefix.startswith("/usr/") and prefix != "/usr"]
    return tuple(path for path in dict.fromkeys(paths) if os.path.lexists(path))


def environment() -> dict[str, str]:
    """All environment variables of a run."""
    return {
        "PATH": PATH,
        "HOME": WORK,
        "TMPDIR": "/tmp",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        # LeakSanitizer works by ptrace, which is refused.
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0",
    }


def command_line(
    job: Job, isolation: str, *, files: Mapping[str, int], started: int, keep: Sequence[int], filter_fd: int | None
) -> list[str]:
    """The words to execute on the host; `files` are open descriptors by name."""
    inner = ["/bin/sh", "-c", STARTER, "sh", str(started), WORK, *_limits(job), "--", *job.command]
    staged = _staged(toolchain()) if os.geteuid() == 0 else {}
    if isolation == "bubblewrap":
        outer = _bubblewrap(job, staged, files=files, filter_fd=filter_fd)
    else:
        outer = _unshare(job, staged, files=files, keep=(started, *keep))
    return [*_as_nobody(staged), *outer, *inner]


def limits_only(job: Job, directory: str, started: int) -> list[str]:
    """The words for a run without isolation in `directory`."""
    return ["/bin/sh", "-c", STARTER, "sh", str(started), directory, *_limits(job), "--", *job.command]


def _limits(job: Job) -> list[str]:
    limits = job.limits
    cpu = int(limits.cpu_seconds) + 1
    words = [
        f"--cpu={cpu}:{cpu}",
        f"--fsize={limits.file_bytes}:{limits.file_bytes}",
        f"--nproc={limits.processes + 1}:{limits.processes + 1}",  # the first process counts, too
        "--nofile=256:256",
        "--core=0:0",
        "--msgqueue=0:0",
    ]
    if not job.address_sanitizer:
        words.append(f"--as={address_space(job)}:{address_space(job)}")
    return words


def address_space(job: Job) -> int:
    """Bytes of address space that one process may have; libraries and thread stacks need more than is resident."""
    return 2 * job.limits.memory_bytes + (256 << 20)


def _bubblewrap(job: Job, staged: Mapping[str, str], *, files: Mapping[str, int], filter_fd: int | None) -> list[str]:
    words = ["bwrap", "--unshare-user", "--unshare-all", "--die-with-parent", "--new-session", "--as-pid-1"]
    words += ["--cap-drop", "ALL", "--hostname", "sandbox", "--clearenv"]
    for name, value in environment().items():
        words += ["--setenv", name, value]
    for path in toolchain():
        if Path(path).is_symlink():
            words += ["--symlink", str(Path(path).readlink()), path]
        else:
            words += ["--ro-bind", staged.get(path, path), path]
    words += ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"]
    words += ["--perms", "1777", "--size", str(1 << 20), "--tmpfs", "/dev/shm"]
    words += ["--perms", "1777", "--size", str(job.limits.file_bytes), "--tmpfs", "/tmp", "--dir", WORK]
    for name, descriptor in files.items():
        words += ["--perms", "0644", "--file", str(descriptor), f"{WORK}/{name}"]
    words += ["--remount-ro", "/"]
    if filter_fd is not None:
        words += ["--seccomp", str(filter_fd)]
    return [*words, "--"]


def _unshare(job: Job, staged: Mapping[str, str], *, files: Mapping[str, int], keep: Sequence[int]) -> list[str]:
    words = ["setpriv", "--pdeathsig", "KILL", "unshare", "--user", "--map-root-user", "--mount", "--pid", "--net"]
    words += ["--ipc", "--uts", "--fork", "--kill-child=KILL", "--propagation", "private", "--"]
    words += ["env", "-i", *(f"{name}={value}" for name, value in environment().items())]
    words += ["/bin/sh", "-c", _BUILD, "sh", str(job.limits.file_bytes), str(MAX_INODES)]
    for path in toolchain():
        words += [staged.get(path, path), path]
    words.append("--")
    for name, descriptor in files.items():
        words += [str(descriptor), name]
    words.append("--")
    code = (seccomp_filter() or b"").hex()
    return [*words, PYTHON, "-I", "-S", "-B", "-c", _FILTER, code, ",".join(map(str, keep))]


def _staged(paths: Sequence[str]) -> dict[str, str]:
    """Where to put the directories that root may reach but nobody may not (a Python below /root)."""
    closed = [path for path in paths if any(not p.stat().st_mode & stat.S_IXOTH for p in Path(path).parents)]
    places = [path for path in _STAGING if Path(path).is_dir()]
    return dict(zip(closed, places, strict=False))


def _as_nobody(staged: Mapping[str, str]) -> list[str]:
    """Root gives up its user first: the kernel never counts root's processes against their limit."""
    if os.geteuid() != 0:
        return []
    drop = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", "--pdeathsig", "KILL", "--"]
    if not staged:
        return drop
    script = "; ".join(f"mount --bind {shlex.quote(path)} {to}" for path, to in staged.items())
    return [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "--",
        "/bin/sh",
        "-ec",
        f'{script}; exec "$@"',
        "sh",
        *drop,
    ]


@cache
def why_not(isolation: str) -> str | None:
    """None when this isolation works on this machine, else the reason in one line; tried once per process."""
    from steerlab.sandbox.running import execute

    needed = {"bubblewrap": ("bwrap", "prlimit", "setpriv"), "unshare": ("unshare", "mount", "prlimit", "setpriv")}
    for program in needed[isolation]:
        if shutil.which(program) is None:
            return f"{program} is not installed"
    try:
        result = execute(Job(command=["true"]), isolation)
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    if result.exit_code == 0:
        return None
    lines = (result.could_not_start or result.stderr).strip().splitlines()
    return lines[-1] if lines else f"ended with {result.exit_code}"


def choose(isolation: Isolation) -> str:
    """The isolation to use.

    Raises: MissingExtraError when what was asked for does not work here, and when nothing works.
    """
    if isolation == "none-i-understand":
        return isolation
    candidates = ("bubblewrap", "unshare") if isolation == "auto" else (isolation,)
    reasons = []
    for candidate in candidates:
        reason = why_not(candidate)
        if reason is None:
            return candidate
        reasons.append(f"{candidate}: {reason}")
    raise MissingExtraError(
        f"no sandbox works here ({'; '.join(reasons)}): install bubblewrap ({APT}) on a machine that allows user "
        "namespaces, or pass isolation='none-i-understand' to run model-written code with limits only."
    )
