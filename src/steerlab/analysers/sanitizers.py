"""What AddressSanitizer and UBSan reported while a test ran, as findings."""

from __future__ import annotations

import re

from steerlab.analysers.values import Finding

NAME = "sanitizers"
# Texts of reports and the weakness that each shows; the first that occurs counts.
REPORTS: dict[str, str | None] = {
    "heap-buffer-overflow": "CWE-122",
    "stack-buffer-overflow": "CWE-121",
    "stack-buffer-underflow": "CWE-121",
    "dynamic-stack-buffer-overflow": "CWE-121",
    "global-buffer-overflow": "CWE-119",
    "container-overflow": "CWE-119",
    "memcpy-param-overlap": None,
    "negative-size-param": "CWE-190",
    "calloc-overflow": "CWE-190",
    "allocation-size-too-big": "CWE-190",
    "requested allocation size": "CWE-190",
    "heap-use-after-free": "CWE-416",
    "stack-use-after-return": "CWE-825",
    "stack-use-after-scope": "CWE-825",
    "double-free": "CWE-415",
    "attempting free on address which was not malloc()-ed": None,
    "null pointer": "CWE-476",
    "SEGV on unknown address 0x0000000000": "CWE-476",
    "signed integer overflow": "CWE-190",
    "out of bounds for type": "CWE-119",
    "insufficient space for an object": "CWE-119",
    "pointer index expression": "CWE-119",
}
_LINE = re.compile(r":(\d+):\d+: runtime error: ")


def report_finding(report: str) -> Finding:
    """The finding that a report's first line tells; `line` is 0 where the report names none.

    `cwe` is None for a report that is not in REPORTS, such as a crash at an address that is not near zero.
    """
    cwe = next((number for text, number in REPORTS.items() if text in report), None)
    line = _LINE.search(report)
    rule = report.partition("AddressSanitizer: ")[2].split(" ")[0] or "undefined-behaviour"
    return Finding(
        analyser=NAME,
        rule=rule,
        cwe=cwe,
        line=int(line[1]) if line else 0,
        severity="high",
        confidence="high",
        message=report,
    )
