"""The pair families of the eight CWEs; FAMILIES is the table."""

from __future__ import annotations

from training.families import (
    cwe_022,
    cwe_077,
    cwe_079,
    cwe_089,
    cwe_190,
    cwe_416,
    cwe_476,
    cwe_787,
    wide_022,
    wide_077,
    wide_079,
    wide_089,
    wide_190,
    wide_416,
    wide_476,
    wide_787,
)
from training.families.contract import CWE_NAMES, Family, Sample

# The wide modules hold small grammars. They are never trained on: with one or two narrow families per CWE they are the
# held-out families (training/log.md says what came of training on them).
_MODULES = (
    cwe_022,
    cwe_077,
    cwe_079,
    cwe_089,
    cwe_190,
    cwe_416,
    cwe_476,
    cwe_787,
    wide_022,
    wide_077,
    wide_079,
    wide_089,
    wide_190,
    wide_416,
    wide_476,
    wide_787,
)
FAMILIES: tuple[Family, ...] = tuple(family for module in _MODULES for family in module.FAMILIES)

__all__ = ["CWE_NAMES", "FAMILIES", "Family", "Sample"]
