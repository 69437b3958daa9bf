"""Programs and contrast pairs: what a source of data gives, as values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from steerlab.errors import DataError

Label = Literal["vulnerable", "patched"]

CWE_NAMES: Mapping[str, str] = {
    "CWE-22": "path traversal",
    "CWE-77": "OS command injection",
    "CWE-78": "OS command injection",
    "CWE-79": "cross-site scripting",
    "CWE-89": "SQL injection",
    "CWE-125": "out-of-bounds read",
    "CWE-190": "integer overflow",
    "CWE-416": "use after free",
    "CWE-476": "NULL pointer dereference",
    "CWE-787": "out-of-bounds write",
}


@dataclass(frozen=True, kw_only=True)
class Program:
    """One program with its label.

    `id` is unique in its source and stable over runs. `group` is what may never be split between
    train and test: a program, its patch, its copies and augmentations share it. `reasoning` is the
    ground-truth explanation where the source has one, else the empty string. `part` names the
    source's own subdivision; `evaluated` is false for programs that are kept for training only
    (SecLLMHolmes before-versions).
    """

    id: str
    group: str
    cwe: str
    language: str
    label: Label
    code: str
    reasoning: str = ""
    part: str = ""
    evaluated: bool = True

    def __post_init__(self) -> None:
        if not self.code.strip():
            raise DataError(f"program {self.id} is empty.")
        if self.label not in ("vulnerable", "patched"):
            raise DataError(f"program {self.id}: label {self.label!r} is not vulnerable or patched.")


@dataclass(frozen=True, kw_only=True)
class ContrastPair:
    """Two texts that differ in what is to be steered; `positive` is what we want more of.

    `prompt` stands before both texts (empty for whole programs). `labels` holds cwe, language, source.
    """

    id: str
    group: str
    positive: str
    negative: str
    prompt: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.positive == self.negative:
            raise DataError(f"pair {self.id}: both sides are identical, there is nothing to contrast.")


@dataclass(frozen=True, kw_only=True)
class ProgramSet:
    """What a source gives: its programs, its pairs, where they come from and under which licence.

    `sha256` is over the ids and texts, so that a run can say what it read. `notes` are sentences
    for the user (what was dropped and why). `facts` are extra counts for `steerlab data check`.
    """

    name: str
    licence: str
    programs: Sequence[Program]
    pairs: Sequence[ContrastPair]
    sha256: str
    notes: Sequence[str] = ()
    facts: Mapping[str, object] = field(default_factory=dict)

    def evaluated(self) -> list[Program]:
        """The programs that count in a score."""
        return [program for program in self.programs if program.evaluated]

    def by_cwe(self) -> dict[str, int]:
        """Number of evaluated programs per CWE, in numerical order."""
        counts = Counter(program.cwe for program in self.evaluated())
        return {cwe: counts[cwe] for cwe in sorted(counts, key=cwe_number)}


def cwe_number(cwe: str) -> int:
    """The number in "CWE-79", for ordering."""
    digits = cwe.rpartition("-")[2]
    return int(digits) if digits.isdigit() else 10**6
