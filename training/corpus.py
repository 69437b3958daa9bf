"""Real code for training: standard library, permissively licensed packages, both sides of SVEN's training split."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
import itertools
import json
import platform
import random
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from training.overlap import ngrams

# Installed packages that are read, with their licence as declared by the package. Only names in this table are read.
PACKAGES: dict[str, str] = {
    "attr": "MIT",
    "click": "BSD-3-Clause",
    "jinja2": "BSD-3-Clause",
    "joblib": "BSD-3-Clause",
    "networkx": "BSD-3-Clause",
    "packaging": "Apache-2.0 OR BSD-2-Clause",
    "pygments": "BSD-2-Clause",
    "pyparsing": "MIT",
    "rich": "MIT",
    "sympy": "BSD-3-Clause",
    "httpx": "BSD-3-Clause",
    "markdown_it": "MIT",
    "nltk": "Apache-2.0",
    "hypothesis": "MPL-2.0",  # not read: kept to say so
}
READ_LICENCES = ("MIT", "BSD", "Apache", "PSF")
STANDARD_LIBRARY_SKIPPED = (
    "test",
    "tests",
    "idlelib",
    "lib2to3",
    "site-packages",
    "turtledemo",
    "__pycache__",
    "pydoc_data",
    "encodings",
)
LARGEST_FILE = 120_000
NGRAM = 13
SHARED_LIMIT = {False: 8, True: 0}  # a whole file of a library; a function of SVEN


@dataclass(frozen=True, kw_only=True)
class Source:
    """One file that was read: where it came from, without a path of this machine."""

    origin: str
    licence: str
    name: str
    version: str
    sha256: str


def _python_files(root: Path, skipped: tuple[str, ...]) -> Iterator[Path]:
    for path in sorted(root.rglob("*.py")):
        if not any(part in skipped for part in path.relative_to(root).parts) and path.stat().st_size <= LARGEST_FILE:
            yield path


@functools.cache
def _distributions() -> dict[str, list[str]]:
    return dict(importlib.metadata.packages_distributions())


def _version(package: str) -> str:
    names = _distributions().get(package)
    return importlib.metadata.version(names[0]) if names else ""


def python_texts() -> Iterator[tuple[Source, str]]:
    """Every readable file of the standard library and of the packages in PACKAGES, in a fixed order."""
    standard = Path(sysconfig.get_paths()["stdlib"])
    roots = [("python", "PSF-2.0", platform.python_version(), standard, STANDARD_LIBRARY_SKIPPED)]
    site = Path(sysconfig.get_paths()["purelib"])
    for package, licence in PACKAGES.items():
        if licence.startswith(READ_LICENCES) and (site / package).is_dir():
            roots.append(
                (package, licence, _version(package), site / package, ("tests", "test", "testing", "__pycache__"))
            )
    for origin, licence, version, root, skipped in roots:
        for path in _python_files(root, skipped):
            try:
                text = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue
            digest = hashlib.sha256(text.encode()).hexdigest()
            yield (
                Source(
                    origin=origin, licence=licence, name=str(path.relative_to(root)), version=version, sha256=digest
                ),
                text,
            )


def sven_texts(train_folder: Path) -> Iterator[tuple[Source, str]]:
    """Both sides of every function of SVEN's training split. `train_folder` must be named `train`, never `val`."""
    if train_folder.name != "train":
        raise ValueError(f"{train_folder.name!r} is not SVEN's training split: give the folder named 'train'.")
    for path in sorted(train_folder.glob("*.jsonl")):
        for number, line in enumerate(path.read_text(encoding="utf-8").strip("\n").split("\n")):
            row = json.loads(line)
            for side in ("func_src_before", "func_src_after"):
                text = row[side]
                digest = hashlib.sha256(text.encode()).hexdigest()
                yield (
                    Source(
                        origin="sven-train",
                        licence="MIT",
                        name=f"{path.name}:{number}:{side}",
                        version="",
                        sha256=digest,
                    ),
                    text,
                )


def is_apart(source: Source, text: str, avoided: set[tuple[str, ...]]) -> bool:
    """Whether the text shares at most SHARED_LIMIT n-grams with `avoided`."""
    return not avoided or len(ngrams(text, NGRAM) & avoided) <= SHARED_LIMIT[source.origin == "sven-train"]


def write_corpus(folder: Path, found: Iterable[tuple[Source, str]], avoided: set[tuple[str, ...]]) -> list[str]:
    """Write the texts (one JSON string a line) and `sources.jsonl`; return the texts.

    A text is left out unless it is apart from `avoided`, the 13-grams of the held-out sets: SVEN's two splits hold
    copies of the same functions, for example.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts: list[str] = []
    seen: set[str] = set()
    with (
        (folder / "sources.jsonl").open("w", encoding="utf-8") as sources,
        (folder / "texts.jsonl").open("w", encoding="utf-8") as out,
    ):
        for source, text in found:
            if source.sha256 in seen:
                continue
            seen.add(source.sha256)
            if not is_apart(source, text, avoided):
                continue
            sources.write(json.dumps(source.__dict__) + "\n")
            out.write(json.dumps(text) + "\n")
            texts.append(text)
    return texts


def blocks(text: str, language: str) -> list[str]:
    """The text's top-level pieces: a Python statement with what stands above it, C up to a closing brace at column 0.

    Joined they are the text, but for what stands before the first Python statement; [] where Python does not parse.
    """
    lines = text.splitlines(keepends=True)
    if language == "python":
        try:
            body = ast.parse(text).body
        except (SyntaxError, ValueError):
            return []
        ends = [0, *(node.end_lineno or 0 for node in body)]
        return ["".join(lines[start:end]) for start, end in itertools.pairwise(ends)]
    found, piece = [], []
    for line in lines:
        piece.append(line)
        if line.rstrip() in ("}", "};"):
            found.append("".join(piece))
            piece = []
    return [*found, "".join(piece)] if piece else found


def whole(text: str, language: str, random_source: random.Random, characters: int) -> str:
    """A run of whole blocks from a random one on, of at most `characters`; "" where the first is longer."""
    found = blocks(text, language)
    start = random_source.randrange(len(found)) if found else 0
    run = ""
    for block in found[start:]:
        if len(run) + len(block) > characters:
            break
        run += block
    return run.strip("\n") + "\n" if run.strip() else ""


def language_of(text: str) -> str:
    """What the text is written in, by its signs: nothing else is kept with a text of the corpus."""
    return "c" if text.count(";\n") > text.count(":\n") else "python"


def chunks(text: str, random_source: random.Random, characters: int) -> Iterator[str]:
    """Whole-line pieces of about `characters` characters; the first starts at a random line near the top."""
    lines = text.splitlines(keepends=True)
    start = random_source.randrange(0, min(4, len(lines)) or 1) if lines else 0
    piece: list[str] = []
    size = 0
    for line in lines[start:]:
        piece.append(line)
        size += len(line)
        if size >= characters:
            yield "".join(piece)
            piece, size = [], 0
    if size > 200:
        yield "".join(piece)
