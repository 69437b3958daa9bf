"""What the processes of one run use, summed, read from /proc."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class Usage:
    """A moment's sum over a process and all its descendants.

    A page shared by two processes counts twice. `cpu_seconds` includes descendants that have ended and were waited for.
    """

    processes: int
    resident_bytes: int
    address_bytes: int
    cpu_seconds: float


def descendants(pid: int) -> list[int]:
    """`pid` and every process below it, parents first."""
    found = [pid]
    for process in found:
        try:
            threads = list(Path(f"/proc/{process}/task").iterdir())
        except OSError:
            continue
        for thread in threads:
            try:
                found += map(int, (thread / "children").read_text().split())
            except OSError:
                continue
    return found


def usage(pid: int) -> Usage:
    """What `pid` and its descendants use now."""
    resident = address = processes = 0
    cpu = 0.0
    for process in descendants(pid):
        try:
            sizes = Path(f"/proc/{process}/statm").read_text().split()
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        address += int(sizes[0]) * _PAGE
        resident += int(sizes[1]) * _PAGE
        cpu += sum(map(int, fields[11:15])) / _TICK
        processes += int(fields[17])  # threads
    return Usage(processes=processes, resident_bytes=resident, address_bytes=address, cpu_seconds=cpu)


def used_inodes(pid: int) -> int:
    """Files in the private /tmp and /dev/shm of a process: empty ones take kernel memory that no size limit counts."""
    used: dict[int, int] = {}
    root = f"/proc/{pid}/root"
    try:
        if Path(root).stat().st_dev == Path("/").stat().st_dev:
            return 0  # not private, or not yet
        for place in ("/tmp", "/dev/shm"):
            filesystem = os.statvfs(root + place)
            used[filesystem.f_fsid] = filesystem.f_files - filesystem.f_ffree
    except OSError:
        pass
    return sum(used.values())
