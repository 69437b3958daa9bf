"""The starter pairs of the package, and the proof of each by running its tests and its exploit."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from steerlab.contrast import ContrastPair, Label, Program, ProgramSet, cwe_number
from steerlab.errors import DataError, nearest
from steerlab.sources.identity import cwe_name, digest
from steerlab.sources.proof import Proof, prove
from steerlab.sources.reading import read_text

LICENCE = "Apache-2.0"
SUFFIXES = {"c": ".c", "python": ".py"}
KEYS = ("cwe", "language", "difficulty", "entry", "expected", "why")
FILES = ("vulnerable", "patched", "functional", "exploit")


@dataclass(frozen=True, kw_only=True)
class StarterPair:
    """One pair of the package.

    `entry` is the function in which the versions differ. `expected` is "exit-10" or a text that the
    sanitizer prints when the exploit works. `difficulty` is 1, 2 or 3. `why` is one sentence.
    """

    id: str
    folder: Path
    cwe: str
    language: str
    difficulty: int
    entry: str
    expected: str
    why: str
    vulnerable: str
    patched: str


def load_starter(path: Path) -> ProgramSet:
    """The starter pairs under `path`: PATH/cwe-n/NAME/. Each pair is its own group.

    Raises: DataError when there are none or one is malformed.
    """
    starters = [read_starter_pair(folder) for folder in starter_folders(path)]
    programs = tuple(_program(pair, label) for pair in starters for label in _LABELS)
    pairs = tuple(
        ContrastPair(
            id=pair.id,
            group=pair.id,
            positive=pair.patched,
            negative=pair.vulnerable,
            labels={
                "cwe": pair.cwe,
                "language": pair.language,
                "source": "starter",
                "difficulty": str(pair.difficulty),
                "entry": pair.entry,
            },
        )
        for pair in starters
    )
    return ProgramSet(
        name="starter",
        licence=LICENCE,
        programs=programs,
        pairs=pairs,
        sha256=digest(programs, pairs),
        facts={
            "by_language": dict(sorted(Counter(pair.language for pair in starters).items())),
            "by_difficulty": dict(sorted(Counter(str(pair.difficulty) for pair in starters).items())),
        },
    )


def starter_folders(path: Path) -> list[Path]:
    """The folders of the pairs under `path`, by CWE number and name.

    Raises: DataError when there are none.
    """
    folders = [file.parent for file in path.glob("cwe-*/*/pair.toml")]
    if not folders:
        raise DataError(f"{path} holds no starter pairs (cwe-n/NAME/pair.toml). Install steerlab again.")
    return sorted(folders, key=lambda folder: (cwe_number(folder.parent.name), folder.name))


def read_starter_pair(folder: Path) -> StarterPair:
    """The pair in `folder`.

    Raises: DataError for a missing file, a missing, unknown or wrong key of pair.toml.
    """
    where = folder / "pair.toml"
    try:
        table = tomllib.loads(read_text(where))
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{where}: not TOML ({error}).") from error
    for key in table:
        if key not in KEYS:
            raise DataError(f"{where}: unknown key {key!r}. {nearest(key, KEYS)}")
    for key in KEYS:
        kind = int if key == "difficulty" else str
        if not isinstance(table.get(key), kind) or table[key] == "":
            raise DataError(f"{where}: {key!r} is missing or not {'a number' if kind is int else 'a text'}.")
    if cwe_name(folder.parent.name) != table["cwe"]:
        raise DataError(f"{where}: cwe {table['cwe']!r} does not fit its folder {folder.parent.name}.")
    if table["language"] not in SUFFIXES:
        raise DataError(f"{where}: language {table['language']!r}. {nearest(table['language'], SUFFIXES)}")
    if table["difficulty"] not in (1, 2, 3):
        raise DataError(f"{where}: difficulty {table['difficulty']} is not 1, 2 or 3.")
    suffix = SUFFIXES[table["language"]]
    for file in FILES:
        if not (folder / f"{file}{suffix}").is_file():
            raise DataError(f"{folder}: {file}{suffix} is missing.")
    return StarterPair(
        id=f"{folder.parent.name}/{folder.name}",
        folder=folder,
        vulnerable=read_text(folder / f"vulnerable{suffix}"),
        patched=read_text(folder / f"patched{suffix}"),
        **table,
    )


def prove_pair(folder: Path) -> Proof:
    """Run the four combinations of version and test of the pair in `folder`.

    Proven when `functional` passes on both versions, and `exploit` works on the vulnerable one and
    fails without a sanitizer report on the patched one. At most 20 seconds per program.
    Raises: DataError for a malformed pair; MissingExtraError when a C pair meets no gcc.
    """
    pair = read_starter_pair(folder)
    suffix = SUFFIXES[pair.language]
    return prove(
        pair.id,
        cwe=pair.cwe,
        suffix=suffix,
        expected=pair.expected,
        versions={"vulnerable": pair.vulnerable, "patched": pair.patched},
        tests={name: read_text(folder / f"{name}{suffix}") for name in ("functional", "exploit")},
    )


def prove_pairs(folders: Sequence[Path], *, threads: int = 2) -> list[Proof]:
    """Prove the pairs in `folders`, `threads` at a time, in their order. See `prove_pair`."""
    with ThreadPoolExecutor(max_workers=threads) as pool:
        return list(pool.map(prove_pair, folders))


_LABELS: tuple[Label, Label] = ("vulnerable", "patched")


def _program(pair: StarterPair, label: Label) -> Program:
    return Program(
        id=f"{pair.id}/{label}",
        group=pair.id,
        cwe=pair.cwe,
        language=pair.language,
        label=label,
        code=pair.vulnerable if label == "vulnerable" else pair.patched,
        reasoning=pair.why if label == "vulnerable" else "",
    )
