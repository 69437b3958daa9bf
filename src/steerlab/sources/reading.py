"""Read text and JSON lines so that an error names the file, the line and the byte."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from steerlab.errors import DataError


def read_text(path: Path) -> str:
    """The text of a UTF-8 file.

    Raises: DataError when it cannot be read or is not UTF-8; the latter names line (from 1) and byte
    (from 0, in the file).
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # utf-8-sig counts from after the byte order mark
        start = error.start + (len(raw) - len(error.object))
        line = raw.count(b"\n", 0, start) + 1
        raise DataError(
            f"{path} line {line}: byte 0x{raw[start]:02x} at offset {start} is not UTF-8. Save the file as UTF-8."
        ) from error


def read_json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSON lines file with their line numbers (from 1); blank lines are skipped.

    Raises: DataError, naming file and line, for invalid JSON and for what is not an object.
    """
    return json_lines(read_text(path), where=str(path))


def json_lines(text: str, *, where: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """As `read_json_lines`, of a text; errors call it `where`."""
    # not splitlines(): it also splits at characters such as U+2028, which JSON allows inside strings
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{where} line {number}: not JSON ({error.msg} at column {error.colno}). "
                "Write one JSON object per line."
            ) from error
        except RecursionError as error:
            raise DataError(f"{where} line {number}: nested too deeply. Write one flat object per line.") from error
        if not isinstance(value, dict):
            kind = type(value).__name__
            raise DataError(f"{where} line {number}: a {kind}, not an object. Write one JSON object per line.")
        yield number, value
