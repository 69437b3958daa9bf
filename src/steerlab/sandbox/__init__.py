"""Run untrusted code; says what it does not protect against.

Every run has user, process, mount, network, IPC and host name namespaces of its own, no capabilities, no new
privileges, a seccomp filter, the toolchain read-only, a private /tmp in memory, no network interface but a loopback
of its own. Bubblewrap builds that; without it util-linux `unshare` does. Started by root, a run belongs to nobody.

It does not protect against:
- a hole in the kernel: a virtual machine would; use one for code that is out to get you.
- slowing the machine down: a run may use all of its limits, and memory bandwidth and caches have none.
- memory over its limit for some 10 ms (the interval of the watch), at most 2 x memory_bytes + 256 MiB of address
  space in each process; kernel memory (pipes, sockets) is bounded by 256 descriptors per process only.
  With address_sanitizer=True address space is unlimited.
- reading what is in the toolchain: /usr, the Python installation and its packages can be read; nothing may be
  secret there. Kernel version, processor and mount points can be seen, and time can be measured.
- weak tests, and objects that lie about themselves: see python_check.
With isolation "none-i-understand" there are limits and nothing else: the code runs as you, reads and writes your
files, reaches the network, and can leave processes behind.
"""

from steerlab.sandbox.attacks import sandbox_check
from steerlab.sandbox.checks import python_check
from steerlab.sandbox.running import run_many, run_untrusted
from steerlab.sandbox.values import CheckResult, Isolation, Job, Limits, SandboxResult

__all__ = [
    "CheckResult",
    "Isolation",
    "Job",
    "Limits",
    "SandboxResult",
    "python_check",
    "run_many",
    "run_untrusted",
    "sandbox_check",
]
