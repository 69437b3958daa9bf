"""semgrep with our own rules on Python and C programs: many files in one sandboxed run, no network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from steerlab.analysers.values import LIMITS, Analysis, Finding, Rank, unscored, why_failed
from steerlab.sandbox import Isolation, run_untrusted
from steerlab.sandbox.isolation import PATH, SITE_PACKAGES
from steerlab.sources.reading import read_text

NAME = "semgrep"
BATCH = 24
INSTALL = "pip install 'steerlab[semgrep]'"
RULES = {"python": "python.yaml", "c": "c.yaml"}
_SUFFIXES = {"python": "py", "c": "c"}
_SEVERITIES: dict[str, Rank] = {"INFO": "low", "WARNING": "medium", "ERROR": "high"}
_CONFIDENCES: dict[str, Rank] = {"LOW": "low", "MEDIUM": "medium", "HIGH": "high"}


def rules_directory() -> Path:
    """Where the rules lie: one YAML file per language."""
    return Path(__file__).parents[1] / "rules"


def why_missing() -> str:
    """How to get semgrep, one line; "" when it is there."""
    return "" if shutil.which("semgrep", path=PATH) else f"semgrep is not installed: {INSTALL}"


def run_semgrep(programs: Sequence[str], language: str, isolation: Isolation) -> list[Analysis]:
    """The findings of our rules; "nosemgrep" comments are ignored. A batch that fails is halved and run again.

    A program that semgrep could not parse whole, or on which a rule ran out of time, is unscored.
    """
    names = [f"program{number}.{_SUFFIXES[language]}" for number in range(len(programs))]
    rules = RULES[language]
    # It reads trust anchors at its start, which the sandbox does not show; certifi, which it needs, brings some.
    command = ["env", f"SSL_CERT_FILE={SITE_PACKAGES}/certifi/cacert.pem"]
    command += ["semgrep", "scan", "--metrics=off", "--disable-version-check", "--disable-nosem", "--no-git-ignore"]
    command += ["--quiet", "--json", "--jobs=1", "--timeout=20", f"--config={rules}", *names]
    run = run_untrusted(
        {rules: read_text(rules_directory() / rules), **dict(zip(names, programs, strict=True))},
        command,
        limits=LIMITS,
        isolation=isolation,
        address_sanitizer=True,  # for the address space: OCaml's runtime reserves more than it uses
    )
    failed, report = why_failed(run), None
    if not failed:
        try:
            report = json.loads(run.stdout)
        except ValueError:
            failed = f"semgrep ended with {run.exit_code}: {run.stderr.strip()[-200:]}"
    if report is None:
        if len(programs) == 1 or run.could_not_start:
            return [unscored(NAME, language, failed)] * len(programs)
        half = len(programs) // 2
        return [f for part in (programs[:half], programs[half:]) for f in run_semgrep(part, language, isolation)]
    return [_analysis(report, name, language) for name in names]


def _analysis(report: dict[str, Any], name: str, language: str) -> Analysis:
    for error in report["errors"]:
        if error.get("path") == name:
            return unscored(NAME, language, f"could not be read whole: {error.get('message') or error['type']}")
    if name not in report["paths"]["scanned"]:
        return unscored(NAME, language, "semgrep did not scan it")
    found = [_finding(entry) for entry in report["results"] if entry["path"] == name]
    return Analysis(
        analyser=NAME,
        language=language,
        findings=tuple(sorted(found, key=lambda finding: (finding.line, finding.rule))),
    )


def _finding(entry: dict[str, Any]) -> Finding:
    extra = entry["extra"]
    return Finding(
        analyser=NAME,
        rule=entry["check_id"].rpartition(".")[2],
        cwe=extra["metadata"]["cwe"],
        line=entry["start"]["line"],
        severity=_SEVERITIES.get(extra["severity"], "undefined"),
        confidence=_CONFIDENCES.get(extra["metadata"].get("confidence", ""), "undefined"),
        message=" ".join(extra["message"].split()),
    )
