"""Which CWEs are one weakness under several numbers, and whether analyses found a weakness."""

from __future__ import annotations

from collections.abc import Sequence

from steerlab.analysers.values import Analysis
from steerlab.errors import OptionError
from steerlab.sources.identity import cwe_name

# Benchmarks and analysers give one flaw different numbers (a base or its variant, cause or effect). A finding counts
# for every CWE of its family; a CWE in no family counts for itself only.
FAMILIES: dict[str, tuple[str, ...]] = {
    "path traversal": ("CWE-22", "CWE-23", "CWE-36", "CWE-73"),
    "command injection": ("CWE-77", "CWE-78", "CWE-88"),
    "cross-site scripting": ("CWE-79", "CWE-80"),
    "SQL injection": ("CWE-89", "CWE-564"),
    "code injection": ("CWE-94", "CWE-95"),
    "out of bounds": (
        *("CWE-119", "CWE-120", "CWE-121", "CWE-122", "CWE-124", "CWE-125", "CWE-126", "CWE-127"),
        *("CWE-129", "CWE-131", "CWE-787", "CWE-788", "CWE-805"),
    ),
    "integer overflow": ("CWE-190", "CWE-191", "CWE-680"),
    "use after free": ("CWE-415", "CWE-416", "CWE-825"),
    "null dereference": ("CWE-476", "CWE-690"),
    "weak hash or cipher": ("CWE-326", "CWE-327", "CWE-328", "CWE-916"),
    "weak randomness": ("CWE-330", "CWE-338"),
    "hard-coded credentials": ("CWE-259", "CWE-321", "CWE-798"),
    "temporary file": ("CWE-377", "CWE-379"),
}

# The CWEs for which an analyser has a rule in a language. Silence about any other says nothing.
COVERS: dict[tuple[str, str], tuple[str, ...]] = {
    ("bandit", "python"): (
        *("CWE-20", "CWE-22", "CWE-78", "CWE-79", "CWE-80", "CWE-89", "CWE-94", "CWE-155", "CWE-259", "CWE-295"),
        *("CWE-319", "CWE-326", "CWE-327", "CWE-330", "CWE-377", "CWE-400", "CWE-494", "CWE-502", "CWE-605"),
        *("CWE-703", "CWE-732", "CWE-838", "CWE-918"),
    ),
    ("gcc", "c"): (
        *("CWE-119", "CWE-125", "CWE-134", "CWE-190", "CWE-401", "CWE-415", "CWE-416", "CWE-457", "CWE-476"),
        *("CWE-590", "CWE-690", "CWE-787", "CWE-825"),
    ),
    ("semgrep", "python"): ("CWE-22", "CWE-78", "CWE-79", "CWE-89"),
    ("semgrep", "c"): ("CWE-22", "CWE-78", "CWE-190", "CWE-416", "CWE-476", "CWE-787"),
    ("sanitizers", "c"): ("CWE-119", "CWE-121", "CWE-122", "CWE-190", "CWE-415", "CWE-416", "CWE-476", "CWE-825"),
}


def family(cwe: str) -> str:
    """The name of the family of a CWE ("command injection"); the CWE itself where it is in none."""
    return next((name for name, members in FAMILIES.items() if cwe in members), cwe)


def related(cwe: str) -> frozenset[str]:
    """`cwe` and the CWEs of its family: what a finding may be called to count as this weakness.

    Raises: OptionError for what is not a CWE number.
    """
    name = cwe_name(cwe)
    if name is None:
        raise OptionError(f"{cwe!r} is not a CWE number: write it like CWE-89.")
    return next((frozenset(family) for family in FAMILIES.values() if name in family), frozenset({name}))


def covers(analyser: str, language: str, cwe: str) -> bool:
    """Whether the analyser has a rule for `cwe`, or a CWE of its family, in `language`.

    Raises: OptionError as `related`.
    """
    return not related(cwe).isdisjoint(COVERS.get((analyser, language), ()))


def has_finding(analyses: Sequence[Analysis], cwe: str) -> bool | None:
    """Whether the weakness `cwe` was found in a program, by its analyses.

    True when one analysis holds a finding of `cwe` or of its family. False when none does and every analyser that was
    asked and has a rule for it has read the program. None otherwise: nothing with such a rule was asked, or it could
    not read the program. False says that these analysers saw nothing, not that the program is safe.
    Raises: OptionError as `related`.
    """
    family = related(cwe)
    asked = [analysis for analysis in analyses if covers(analysis.analyser, analysis.language, cwe)]
    if any(finding.cwe in family for analysis in asked for finding in analysis.findings or ()):
        return True
    return None if not asked or any(analysis.findings is None for analysis in asked) else False
