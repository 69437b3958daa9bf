"""Writing files so that a reader never sees half of one."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from steerlab.errors import RunError


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to a temporary file beside `path`, flush it to disk, rename it into place.

    Raises: RunError with one line when the disk is full or the place can't be written; `path` is as before.
    """
    with atomic_file(path) as file:
        file.write(content)


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write into, which is at `path`, flushed to disk, when the block ends; `path` is as before on an error.

    Raises: RunError with one line when the disk is full or the place can't be written.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise unwritable(path, error) from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def unwritable(path: Path, error: OSError) -> RunError:
    """The one line for a place that can't be written."""
    if error.errno == errno.ENOSPC:
        return RunError(f"the disk is full while writing {path}: free some space and go on with --resume.")
    return RunError(f"{path} cannot be written ({error.strerror or error}): choose another place.")
