"""Texts to train and measure autoencoders on: files below a folder, cut into pieces, some whole files held out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from steerlab.errors import DataError
from steerlab.models import Model

SUFFIXES = (".py", ".c", ".h", ".cc", ".cpp", ".hpp", ".js", ".ts", ".java", ".go", ".rs", ".rb", ".php", ".txt", ".md")
LARGEST_FILE = 1_000_000  # bytes
PIECE = 1500  # characters
SHORTEST = 40  # characters of a piece
HELD_OUT_SHARE = 20  # one file in twenty


@dataclass(frozen=True, kw_only=True)
class TrainingTexts:
    """Pieces to train on and pieces of other files to measure on; `sha256` is over both."""

    training: tuple[str, ...]
    held_out: tuple[str, ...]
    sha256: str


def read_texts(path: Path) -> dict[str, str]:
    """The code and text files at or below `path`, by their relative name; what is no UTF-8 or over 1 MB is left out.

    Raises: DataError when there is none.
    """
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
    found = {}
    for file in files:
        if not file.is_file() or file.stat().st_size > LARGEST_FILE:
            continue
        try:
            found[str(file.relative_to(path)) if file != path else file.name] = file.read_text("utf-8")
        except UnicodeDecodeError:
            continue
    if not found:
        what = "does not exist" if not path.exists() else f"holds no text file ({', '.join(SUFFIXES)})"
        raise DataError(f"{path} {what}: give a file or a folder of code.")
    return found


def divided(texts: Mapping[str, str]) -> TrainingTexts:
    """Texts by name as pieces of whole lines, about 1,500 characters each; one text in twenty is held out whole.

    Which ones depends on their content alone. Raises: DataError when too few are left for both sides.
    """
    sides: tuple[list[str], list[str]] = ([], [])
    digests = []
    for _, text in sorted(texts.items()):
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        digests.append(digest)
        sides[int(digest[:8], 16) % HELD_OUT_SHARE == 0].extend(pieces(text))
    if len(sides[0]) > 1 and not sides[1]:  # one file, or few: the last tenth of the pieces
        cut = max(1, len(sides[0]) // 10)
        sides = (sides[0][:-cut], sides[0][-cut:])
    if not sides[0] or not sides[1]:
        raise DataError(f"{len(texts)} texts are too few to train on some and measure on others: give more code.")
    sha = hashlib.sha256("".join(digests).encode()).hexdigest()
    return TrainingTexts(training=tuple(sides[0]), held_out=tuple(sides[1]), sha256=sha)


def pieces(text: str) -> Iterator[str]:
    """Stretches of whole lines, each of about PIECE characters; a rest shorter than SHORTEST is dropped."""
    piece = ""
    for line in text.splitlines(keepends=True):
        piece += line[:PIECE]
        if len(piece) >= PIECE:
            yield piece
            piece = ""
    if len(piece) >= SHORTEST:
        yield piece


def token_rows(model: Model, texts: Sequence[str], *, longest: int) -> list[list[int]]:
    """Token ids of each text, cut at `longest` tokens; those of fewer than two tokens are left out."""
    ids = model.tokenizer(list(texts), add_special_tokens=True, truncation=True, max_length=longest)["input_ids"]
    return [list(map(int, row)) for row in ids if len(row) > 1]


def round_of(texts: Sequence[str], number: int, *, size: int, seed: int) -> list[str]:
    """The texts of one round: all of them come by, in another order each time, before any comes again."""
    found = []
    for place in range(number * size, (number + 1) * size):
        epoch, at = divmod(place, len(texts))
        found.append(texts[int(_order(len(texts), seed=seed, epoch=epoch)[at])])
    return found


@lru_cache(maxsize=4)
def _order(n: int, *, seed: int, epoch: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(n)
