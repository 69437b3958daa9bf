"""Known vulnerabilities of the pinned versions, by pip-audit; without its advisory service one line and no failure."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 300


def asked() -> list[dict[str, Any]] | str:
    """What pip-audit says of each package, or why it said nothing."""
    command = [sys.executable, "-m", "pip_audit", "-r", str(ROOT / "constraints.txt"), "--no-deps", "--disable-pip"]
    command += ["--progress-spinner", "off", "--format", "json", "--timeout", "10"]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return f"no answer within {SECONDS} s"
    try:
        found: list[dict[str, Any]] = json.loads(ended.stdout)["dependencies"]
    except (ValueError, KeyError):
        return (ended.stderr.strip().splitlines() or [f"pip-audit ended with {ended.returncode}"])[-1]
    return found


def verdict(found: list[dict[str, Any]] | str) -> tuple[int, str]:
    """The exit code and what to print: a package that nobody could look up is not called free of vulnerabilities."""
    if isinstance(found, str):
        return 0, f"audit: not done, the advisory service can't be reached ({found[:200]})."
    looked_up = [package for package in found if "skip_reason" not in package]
    if not looked_up:
        return 0, f"audit: not done, the advisory service can't be reached (0 of {len(found)} packages looked up)."
    lines = [
        f"{package['name']} {package['version']}: {known['id']}, mended in {', '.join(known['fix_versions']) or 'none'}"
        for package in looked_up
        for known in package["vulns"]
    ]
    said = f"audit: {len(lines)} known vulnerabilities in {len(looked_up)} of {len(found)} packages looked up."
    return int(bool(lines)), "\n".join([*lines, said])


def main() -> None:
    """Ask, print, and end with 1 when a vulnerability is known."""
    code, said = verdict(asked())
    print(said)
    sys.exit(code)


if __name__ == "__main__":
    main()
