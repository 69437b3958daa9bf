"""Generated pairs of the package: new programs of known families, and programs of held-out families."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from steerlab.contrast import ContrastPair, Program, ProgramSet
from steerlab.errors import DataError, nearest
from steerlab.sources.identity import digest
from steerlab.sources.reading import read_json_lines

LICENCE = "Apache-2.0"
KEYS = ("id", "cwe", "language", "family", "vulnerable", "patched")


def load_generated(path: Path, *, name: str) -> ProgramSet:
    """The pairs of a file that training/fresh.py or training/held_sets.py wrote; each pair is its own group.

    `part` of a program, and the label "family" of a pair, is "CWE-n/family": what wrote it.
    Raises: DataError, naming file and line, for a missing, unknown or empty key, or an id that occurs twice.
    """
    rows = [_row(entry, where=f"{path} line {number}") for number, entry in read_json_lines(path)]
    if not rows:
        raise DataError(f"{path} is empty. Install steerlab again.")
    repeated = [identity for identity, n in Counter(row["id"] for row in rows).items() if n > 1]
    if repeated:
        raise DataError(f"{path}: id {repeated[0]!r} occurs more than once. Ids must be unique.")
    programs = tuple(_program(row, label) for row in rows for label in ("vulnerable", "patched"))
    pairs = tuple(_pair(row, source=name) for row in rows)
    return ProgramSet(
        name=name,
        licence=LICENCE,
        programs=programs,
        pairs=pairs,
        sha256=digest(programs, pairs),
        facts={
            "by_language": dict(sorted(Counter(row["language"] for row in rows).items())),
            "families": len({_family(row) for row in rows}),
        },
    )


def _row(entry: dict[str, object], *, where: str) -> dict[str, str]:
    for key in entry:
        if key not in KEYS:
            raise DataError(f"{where}: unknown key {key!r}. {nearest(key, KEYS)}")
    row: dict[str, str] = {}
    for key in KEYS:
        value = entry.get(key)
        if not isinstance(value, str) or not value.strip():
            raise DataError(f"{where}: {key!r} is missing, empty or no text.")
        row[key] = value
    return row


def _family(row: dict[str, str]) -> str:
    return f"{row['cwe']}/{row['family']}"


def _program(row: dict[str, str], label: str) -> Program:
    return Program(
        id=f"{row['id']}/{label}",
        group=row["id"],
        cwe=row["cwe"],
        language=row["language"],
        label=label,  # type: ignore[arg-type]
        code=row[label],
        part=_family(row),
    )


def _pair(row: dict[str, str], *, source: str) -> ContrastPair:
    return ContrastPair(
        id=row["id"],
        group=row["id"],
        positive=row["patched"],
        negative=row["vulnerable"],
        labels={"cwe": row["cwe"], "language": row["language"], "source": source, "family": _family(row)},
    )
