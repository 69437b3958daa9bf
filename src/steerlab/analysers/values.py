"""What an analyser says of a program: findings, or why there are none to be had."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from steerlab.sandbox import Isolation, Limits, SandboxResult

Rank = Literal["low", "medium", "high", "undefined"]

LIMITS = Limits(cpu_seconds=120.0, wall_seconds=180.0, memory_bytes=1 << 30, output_bytes=8 << 20)  # of one run


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that an analyser found.

    `rule` is the analyser's own name for it. `cwe` ("CWE-89") is the weakness that the finding is evidence of; None
    for a rule that names none, or that gives advice where nothing is wrong (an import). `line` counts from 1.
    `severity` and `confidence` are the analyser's own where it has them.
    """

    analyser: str
    rule: str
    cwe: str | None
    line: int
    severity: Rank
    confidence: Rank
    message: str


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """What one analyser said of one program in `language`.

    `findings` None: the program could not be analysed, and `reason` says why in one line. That is never "no
    findings", which is the empty tuple.
    """

    analyser: str
    language: str
    findings: tuple[Finding, ...] | None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Analyser:
    """One analyser: the languages that it reads and how to run it.

    `run` takes programs of one language, at most `batch` of them, and gives one Analysis each. `why_missing` says how
    to get an analyser that is not installed, one line; "" when it is there.
    """

    name: str
    what: str
    languages: tuple[str, ...]
    batch: int
    run: Callable[[Sequence[str], str, Isolation], list[Analysis]]
    why_missing: Callable[[], str]


def unscored(analyser: str, language: str, reason: str) -> Analysis:
    """The analysis that could not be made, with the reason as one line."""
    return Analysis(analyser=analyser, language=language, findings=None, reason=" ".join(reason.split())[:300])


def why_failed(run: SandboxResult) -> str:
    """Why the output of a run cannot be used, one line; "" when it ended by itself and was read whole."""
    if run.could_not_start:
        return run.could_not_start
    if run.stopped:
        return f"stopped: {run.stopped}"
    return "its output is too long to be read" if run.output_truncated else ""
