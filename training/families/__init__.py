"""The pair families of the eight CWEs; FAMILIES is the table."""

from __future__ import annotations

import importlib

from training.families.contract import CWE_NAMES, Family, Sample

MODULES = ("cwe_022", "cwe_077", "cwe_079", "cwe_089", "cwe_190", "cwe_416", "cwe_476", "cwe_787")


def _merge() -> tuple[Family, ...]:
    found: list[Family] = []
    for name in MODULES:
        try:
            found.extend(importlib.import_module(f"training.families.{name}").FAMILIES)
        except (ImportError, SyntaxError, AttributeError, NameError) as error:
            print(f"families: {name} left out for now: {type(error).__name__}: {error}")
    return tuple(found)


FAMILIES: tuple[Family, ...] = _merge()

__all__ = ["CWE_NAMES", "FAMILIES", "Family", "Sample"]
