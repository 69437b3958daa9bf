"""Your own contrast pairs: one JSON object per line with "vulnerable" and "patched"."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steerlab.contrast import ContrastPair, Program, ProgramSet
from steerlab.errors import DataError, nearest
from steerlab.sources.identity import cwe_name, digest, merge_groups, text_key
from steerlab.sources.reading import json_lines, read_text

ALIASES = {"negative": "vulnerable", "positive": "patched"}
REQUIRED = ("vulnerable", "patched")
OPTIONAL = ("id", "group", "cwe", "language", "prompt")
EXAMPLE = '{"vulnerable": "...", "patched": "...", "cwe": "CWE-89"}'


@dataclass(frozen=True, kw_only=True)
class _Row:
    """One line, checked."""

    id: str
    group: str
    cwe: str
    language: str
    prompt: str
    vulnerable: str
    patched: str


def load_jsonl(path: Path) -> ProgramSet:
    """The pairs of a file: required "vulnerable" and "patched" (or "negative" and "positive").

    Optional: "id" (default: the line, "line-3"), "group" (default: the id), "cwe", "language" and
    "prompt" (each default empty; `prompt` stands before both sides). Pairs that share a text share a
    group. The programs of the set are prompt and side together.
    Raises: DataError, naming file and line, for an empty file, bad JSON, wrong or unknown keys, an
    empty or missing side, identical sides, a duplicate id, or text that is not UTF-8.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder. Give a file: jsonl:FILE")
    return parse_jsonl(read_text(path), where=str(path))


def parse_jsonl(text: str, *, where: str) -> ProgramSet:
    """As `load_jsonl`, of a text; errors call it `where`."""
    lines = [(number, _renamed(entry, f"{where} line {number}")) for number, entry in json_lines(text, where=where)]
    if not lines:
        raise DataError(f"{where} is empty. Write one pair per line: {EXAMPLE}")
    _check_two_classes(lines, where)
    rows = [_row(entry, number=number, where=f"{where} line {number}") for number, entry in lines]
    _check_ids(rows, lines, where)
    groups = merge_groups({row.id: _keys(row) for row in rows})
    programs = tuple(program for row in rows for program in _programs(row, group=groups[row.id]))
    pairs = tuple(_pair(row, group=groups[row.id]) for row in rows)
    return ProgramSet(
        name="jsonl",
        licence="yours",
        programs=programs,
        pairs=pairs,
        sha256=digest(programs, pairs),
        notes=_notes(rows, groups),
        facts={"by_language": dict(sorted(Counter(row.language for row in rows).items()))},
    )


def _renamed(entry: dict[str, Any], where: str) -> dict[str, Any]:
    """The object with its aliases resolved. Raises: DataError for an unknown key or both names of a side."""
    renamed: dict[str, Any] = {}
    for given, value in entry.items():
        key = ALIASES.get(given, given)
        if key not in REQUIRED and key not in OPTIONAL:
            raise DataError(
                f"{where}: unknown key {given!r}. {nearest(given, (*REQUIRED, *OPTIONAL, *ALIASES))} Write: {EXAMPLE}"
            )
        if key in renamed:
            raise DataError(f"{where}: {given!r} and another name of {key!r} are both given. Keep one.")
        renamed[key] = value
    return renamed


def _check_two_classes(lines: list[tuple[int, dict[str, Any]]], where: str) -> None:
    for side, other in (REQUIRED, REQUIRED[::-1]):
        if all(side not in entry or entry[side] == "" for _, entry in lines):
            raise DataError(
                f"{where}: one class only, none of its {len(lines)} lines has a {side} side. "
                f"Give each {other} text its {side} version: {EXAMPLE}"
            )


def _row(entry: dict[str, Any], *, number: int, where: str) -> _Row:
    for key, value in entry.items():
        if not isinstance(value, str):
            raise DataError(f"{where}: {key!r} is {type(value).__name__}, it must be a text.")
    for side in REQUIRED:
        if side not in entry:
            raise DataError(f"{where}: {side!r} is missing. Write: {EXAMPLE}")
        if not entry[side].strip():
            raise DataError(f"{where}: the {side} side is empty.")
    if entry["vulnerable"] == entry["patched"]:
        raise DataError(f"{where}: both sides are identical, there is nothing to contrast. Remove or mend the line.")
    cwe = cwe_name(entry["cwe"]) if entry.get("cwe") else ""
    if cwe is None:
        raise DataError(f'{where}: cwe {entry["cwe"]!r} is not a CWE number. Write it like "CWE-89", or leave it out.')
    identity = entry.get("id") or f"line-{number}"
    return _Row(
        id=identity,
        group=entry.get("group") or identity,
        cwe=cwe,
        language=entry.get("language", ""),
        prompt=entry.get("prompt", ""),
        vulnerable=entry["vulnerable"],
        patched=entry["patched"],
    )


def _check_ids(rows: list[_Row], lines: list[tuple[int, dict[str, Any]]], where: str) -> None:
    first: dict[str, int] = {}
    for row, (number, _) in zip(rows, lines, strict=True):
        if row.id in first:
            raise DataError(
                f"{where} line {number}: id {row.id!r} is already used in line {first[row.id]}. Ids must be unique."
            )
        first[row.id] = number


def _keys(row: _Row) -> tuple[str, ...]:
    return (row.group, text_key(row.prompt + row.vulnerable), text_key(row.prompt + row.patched))


def _programs(row: _Row, *, group: str) -> tuple[Program, Program]:
    vulnerable = Program(
        id=f"{row.id}/vulnerable",
        group=group,
        cwe=row.cwe,
        language=row.language,
        label="vulnerable",
        code=row.prompt + row.vulnerable,
    )
    patched = Program(
        id=f"{row.id}/patched",
        group=group,
        cwe=row.cwe,
        language=row.language,
        label="patched",
        code=row.prompt + row.patched,
    )
    return vulnerable, patched


def _pair(row: _Row, *, group: str) -> ContrastPair:
    return ContrastPair(
        id=row.id,
        group=group,
        positive=row.patched,
        negative=row.vulnerable,
        prompt=row.prompt,
        labels={"cwe": row.cwe, "language": row.language, "source": "jsonl"},
    )


def _notes(rows: list[_Row], groups: dict[str, str]) -> tuple[str, ...]:
    given = len({row.group for row in rows})
    merged = len(set(groups.values()))
    if merged == given:
        return ()
    return (f"{given} groups became {merged}, because pairs that share a text may not be split.",)
