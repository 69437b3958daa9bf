"""Bandit on Python programs: many files in one sandboxed run."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Sequence
from typing import Any

from steerlab.analysers.values import LIMITS, Analysis, Finding, Rank, unscored, why_failed
from steerlab.sandbox import Isolation, run_untrusted

NAME = "bandit"
BATCH = 24
# Rules that advise where nothing is wrong: an import, a process started without a shell. Never evidence of a CWE.
ADVICE = frozenset({
    *("B401", "B402", "B403", "B404", "B405", "B406", "B407", "B408", "B409", "B411", "B412", "B413", "B415"),
    *("B603", "B606", "B607"),
})  # fmt: skip
# Where Bandit's own number does not name the flaw that the rule describes.
CWES = {
    "B102": "CWE-94",  # exec of a text; Bandit: 78
    "B307": "CWE-94",  # eval of a text; Bandit: 78
    "B310": "CWE-918",  # urlopen of any scheme; Bandit: 22
    "B506": "CWE-502",  # yaml.load; Bandit: 20
    "B701": "CWE-79",  # Jinja2 without autoescape; Bandit: 94
}
_RANKS: dict[str, Rank] = {"LOW": "low", "MEDIUM": "medium", "HIGH": "high"}


def why_missing() -> str:
    """How to get Bandit, one line; "" when it is there."""
    return "" if importlib.util.find_spec("bandit") else "bandit is not installed: pip install bandit"


def run_bandit(programs: Sequence[str], language: str, isolation: Isolation) -> list[Analysis]:
    """The findings in Python programs; "# nosec" comments are ignored. A batch that fails is halved and run again."""
    names = [f"program{number}.py" for number in range(len(programs))]
    run = run_untrusted(
        dict(zip(names, programs, strict=True)),
        [sys.executable, "-I", "-B", "-m", "bandit", "--quiet", "--format", "json", "--ignore-nosec", *names],
        limits=LIMITS,
        isolation=isolation,
    )
    failed, report = why_failed(run), None
    if not failed:
        try:
            report = json.loads(run.stdout)
        except ValueError:
            failed = f"bandit ended with {run.exit_code}: {run.stderr.strip()[-200:]}"
    if report is None:
        if len(programs) == 1 or run.could_not_start:
            return [unscored(NAME, "python", failed)] * len(programs)
        half = len(programs) // 2
        return [found for part in (programs[:half], programs[half:]) for found in run_bandit(part, language, isolation)]
    return [_analysis(report, name) for name in names]


def _analysis(report: dict[str, Any], name: str) -> Analysis:
    for error in report["errors"]:
        if error["filename"].removeprefix("./") == name:
            return unscored(NAME, "python", error["reason"])
    found = [_finding(entry) for entry in report["results"] if entry["filename"].removeprefix("./") == name]
    return Analysis(
        analyser=NAME,
        language="python",
        findings=tuple(sorted(found, key=lambda finding: (finding.line, finding.rule))),
    )


def _finding(entry: dict[str, Any]) -> Finding:
    rule, number = entry["test_id"], entry["issue_cwe"].get("id")
    return Finding(
        analyser=NAME,
        rule=rule,
        cwe=None if rule in ADVICE or not number else CWES.get(rule, f"CWE-{number}"),
        line=entry["line_number"],
        severity=_RANKS.get(entry["issue_severity"], "undefined"),
        confidence=_RANKS.get(entry["issue_confidence"], "undefined"),
        message=entry["issue_text"],
    )
