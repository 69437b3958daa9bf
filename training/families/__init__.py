"""The pair families of the eight CWEs; FAMILIES is the table."""

from __future__ import annotations

from training.families import cwe_022, cwe_077, cwe_079, cwe_089, cwe_190, cwe_416, cwe_476, cwe_787
from training.families.contract import CWE_NAMES, Family, Sample

FAMILIES: tuple[Family, ...] = (
    *cwe_022.FAMILIES,
    *cwe_077.FAMILIES,
    *cwe_079.FAMILIES,
    *cwe_089.FAMILIES,
    *cwe_190.FAMILIES,
    *cwe_416.FAMILIES,
    *cwe_476.FAMILIES,
    *cwe_787.FAMILIES,
)

__all__ = ["CWE_NAMES", "FAMILIES", "Family", "Sample"]
