"""SVEN: 799 pairs of real functions before and after a security fix, read from the official repository."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from steerlab.contrast import ContrastPair, Program, ProgramSet, cwe_number
from steerlab.errors import DataError
from steerlab.sources.identity import cwe_name, digest, merge_groups, text_key
from steerlab.sources.reading import read_json_lines

LICENCE = "MIT"
PARTS = ("train", "val")
FIELDS = ("func_name", "func_src_before", "func_src_after", "commit_link", "file_name", "vul_type")
LANGUAGES = {
    ".py": "python",
    ".c": "c",
    ".h": "c++",  # the one header of the set is of a C++ program
    ".C": "c++",
    ".cc": "c++",
    ".cpp": "c++",
    ".cxx": "c++",
    ".hpp": "c++",
}
SHARED_REPOSITORIES = ("torvalds/linux", "gpac/gpac", "libtiff")

_COMMIT = re.compile(r"(?:https?://)?[^/]+/(?P<repository>.+?)/(?:-/)?commit/(?P<commit>[0-9a-f]+).*")


@dataclass(frozen=True, kw_only=True)
class _Row:
    """One line of SVEN, checked."""

    id: str
    part: str
    cwe: str
    language: str
    repository: str
    commit: str
    function: str
    before: str
    after: str


def load_sven(path: Path) -> ProgramSet:
    """The pairs under `path`, the repository or its `data_train_val` folder.

    The function before the fix is vulnerable, the one after it is patched; `part` is train or val.
    Functions of one commit, versions of one function (repository, file and name) and equal texts
    share a group, over train and val. Lines whose sides are identical are dropped and counted in a note.
    Raises: DataError when a folder or a field is missing, or a line cannot be read.
    """
    folder = _folder(path)
    rows: list[_Row] = []
    identical: list[str] = []
    for part in PARTS:
        for file in sorted((folder / part).glob("*.jsonl")):
            for number, entry in read_json_lines(file):
                row = _row(entry, where=f"{file} line {number}", part=part, name=f"{file.stem}/{number}")
                if row.before == row.after:
                    identical.append(row.id)
                else:
                    rows.append(row)
    if not rows:
        raise DataError(f"{folder} holds no pairs. Run: steerlab data fetch sven --out DIR")
    groups = merge_groups({row.id: _keys(row) for row in rows})
    programs = tuple(program for row in rows for program in _programs(row, group=groups[row.id]))
    pairs = tuple(_pair(row, group=groups[row.id]) for row in rows)
    return ProgramSet(
        name="sven",
        licence=LICENCE,
        programs=programs,
        pairs=pairs,
        sha256=digest(programs, pairs),
        notes=_notes(rows, identical),
        facts={
            "by_cwe": _counts((row.cwe for row in rows), by_number=True),
            "by_language": _counts(row.language for row in rows),
            "by_part": _counts(row.part for row in rows),
            "dropped_identical": len(identical),
            "repositories_shared_with_secllmholmes": sum(_is_shared(row) for row in rows),
        },
    )


def _folder(path: Path) -> Path:
    for folder in (path / "data_train_val", path):
        if (folder / "train").is_dir():
            if not (folder / "val").is_dir():
                raise DataError(f"{folder} lacks val. Run: steerlab data fetch sven --out DIR")
            return folder
    raise DataError(
        f"{path} is not SVEN: it holds no data_train_val/train. Give the repository or its data_train_val "
        "folder, or run: steerlab data fetch sven --out DIR"
    )


def _row(entry: dict[str, Any], *, where: str, part: str, name: str) -> _Row:
    for field in FIELDS:
        if not isinstance(entry.get(field), str):
            raise DataError(f"{where}: {field} is missing or not a text. SVEN has {', '.join(FIELDS)}.")
    cwe = cwe_name(entry["vul_type"])
    if cwe is None:
        raise DataError(f"{where}: vul_type {entry['vul_type']!r} is not a CWE number.")
    suffix = PurePosixPath(entry["file_name"]).suffix
    if suffix not in LANGUAGES:
        raise DataError(
            f"{where}: {entry['file_name']} has an unknown language. Possible: {', '.join(sorted(LANGUAGES))}."
        )
    link = _COMMIT.fullmatch(entry["commit_link"])
    if link is None:
        raise DataError(f"{where}: commit_link {entry['commit_link']!r} is not HOST/REPOSITORY/commit/HASH.")
    return _Row(
        id=f"{part}/{name}",
        part=part,
        cwe=cwe,
        language=LANGUAGES[suffix],
        repository=link["repository"],
        commit=link["commit"],
        function=f"{entry['file_name']}:{entry['func_name']}",
        before=entry["func_src_before"],
        after=entry["func_src_after"],
    )


def _keys(row: _Row) -> tuple[str, ...]:
    return (
        f"{row.repository}@{row.commit[:12]}",
        f"function:{row.repository}:{row.function}",
        text_key(row.before),
        text_key(row.after),
    )


def _programs(row: _Row, *, group: str) -> tuple[Program, Program]:
    vulnerable = Program(
        id=f"{row.id}/vulnerable",
        group=group,
        cwe=row.cwe,
        language=row.language,
        label="vulnerable",
        code=row.before,
        part=row.part,
    )
    patched = Program(
        id=f"{row.id}/patched",
        group=group,
        cwe=row.cwe,
        language=row.language,
        label="patched",
        code=row.after,
        part=row.part,
    )
    return vulnerable, patched


def _pair(row: _Row, *, group: str) -> ContrastPair:
    labels = {
        "cwe": row.cwe,
        "language": row.language,
        "source": "sven",
        "part": row.part,
        "repository": row.repository,
    }
    return ContrastPair(id=row.id, group=group, positive=row.after, negative=row.before, labels=labels)


def _is_shared(row: _Row) -> bool:
    """True when SecLLMHolmes' real-world part holds programs of the same project."""
    return any(name in row.repository for name in SHARED_REPOSITORIES)


def _counts(values: Iterator[str], *, by_number: bool = False) -> dict[str, int]:
    counts = Counter(values)
    return {value: counts[value] for value in sorted(counts, key=cwe_number if by_number else None)}


def _notes(rows: list[_Row], identical: list[str]) -> tuple[str, ...]:
    notes = []
    if identical:
        notes.append(f"{len(identical)} lines were dropped because their sides are identical: {', '.join(identical)}.")
    shared = sum(_is_shared(row) for row in rows)
    if shared:
        notes.append(
            f"{shared} pairs come from linux, gpac or libtiff, which also occur in SecLLMHolmes: "
            "keep them apart when one set is the test of the other."
        )
    return tuple(notes)
