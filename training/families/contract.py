"""What a pair family is: a seeded way to write one program in a vulnerable and a patched version."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Language = Literal["c", "python"]

CWE_NAMES: dict[str, str] = {
    "CWE-22": "path traversal",
    "CWE-77": "OS command injection",
    "CWE-79": "cross-site scripting",
    "CWE-89": "SQL injection",
    "CWE-190": "integer overflow",
    "CWE-416": "use after free",
    "CWE-476": "NULL pointer dereference",
    "CWE-787": "out-of-bounds write",
}


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One drawn program, both ways.

    `vulnerable` and `patched` are whole source texts that differ only where the flaw is.
    `flaw` is the line of `vulnerable`, stripped, that makes it vulnerable (it occurs there verbatim).
    `fix` is the line of `patched`, stripped, that makes it safe (it occurs there verbatim).
    `reason` and `reason_patched` say in one short sentence, naming identifiers of the program, why.
    """

    vulnerable: str
    patched: str
    flaw: str
    fix: str
    reason: str
    reason_patched: str


@dataclass(frozen=True, kw_only=True)
class Family:
    """A kind of program with one way to be wrong and one way to be right."""

    cwe: str
    name: str
    language: Language
    held_out: bool
    make: Callable[[random.Random], Sample]
