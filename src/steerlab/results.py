"""One directory per run: manifest, rows, completions, result; written atomically, resumable."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

import pandas as pd

from steerlab.errors import RunError
from steerlab.files import unwritable, write_atomically
from steerlab.shards import Where, known_shards, merge_shards, read_shards, write_shard
from steerlab.trials import digest

FLUSH_SECONDS = 5.0
FLUSH_ROWS = 5000
PACKAGES = ("steerlab", "torch", "transformers", "tokenizers", "numpy", "scipy", "scikit-learn", "pandas")


class Run:
    """An open run directory. Rows of finished trials are buffered and written as Parquet shards.

    A trial's rows come in one `append` and go to one shard, so after a kill a trial is there whole or not at all.
    """

    def __init__(self, path: Path, manifest: Mapping[str, Any], lock: IO[str]) -> None:
        self.path = path
        self.manifest = dict(manifest)
        self._lock = lock
        self._buffer: list[Mapping[str, Any]] = []
        self._flushed = time.monotonic()
        self._shards, self.done = known_shards(path / "rows")

    def append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add the rows of one or more whole trials (each row names its `trial`)."""
        self._buffer.extend(rows)
        self.done.update({str(row["trial"]) for row in rows})
        if len(self._buffer) >= FLUSH_ROWS or time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the buffered rows to disk."""
        if self._buffer:
            last = int(self._shards[-1].stem.split("-")[1]) if self._shards else -1
            self._shards.append(write_shard(self.path / "rows", last + 1, self._buffer))
            self._buffer = []
        self._flushed = time.monotonic()

    def rows(self, where: Where | None = None) -> pd.DataFrame:
        """The rows so far, in a stable order, each trial once; with `where` those that have the given values.

        Rows lie on disk, not in memory: ask for what is needed, for example {"trial": ids}.
        """
        self.flush()
        return read_shards(self._shards, where)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write rows.parquet, result.json and the finished manifest."""
        self.flush()
        merge_shards(self._shards, self.path / "rows.parquet")
        self.manifest["rows_crc32"] = _crc32(self.path / "rows.parquet")
        self.manifest["finished"] = _now()
        write_json(self.path / "manifest.json", self.manifest)
        write_json(self.path / "result.json", summary)

    def close(self) -> None:
        """Flush and release the directory."""
        try:
            self.flush()
        finally:
            self._lock.close()


@contextmanager
def open_run(
    path: Path, *, settings: Mapping[str, Any], facts: Mapping[str, Any], resume: bool, command: Sequence[str] = ()
) -> Iterator[Run]:
    """Open or create the run directory `path` for `settings`; what is buffered is written at the end, also on Ctrl-C.

    `facts` (data hashes, model fingerprint) are recorded and must agree on resume.
    Raises: RunError when the directory is in use, not empty without `resume`, of other settings, or not writable.
    """
    old = _old_manifest(path)
    if old is None and path.is_dir() and any(not _of_a_start(entry) for entry in path.iterdir()):
        raise RunError(f"{path} is not empty and holds no run: choose another --out.")
    if old is not None and not resume:
        raise RunError(f"{path} already holds a run: go on with --resume, or choose another --out.")
    manifest = _manifest(settings, facts, command)
    if old is not None:
        _refuse_changes(path, old, manifest)
        manifest["started"] = old.get("started", manifest["started"])
        manifest["resumed"] = [*old.get("resumed", []), _now()]
    lock = _locked(path)
    try:
        write_json(path / "manifest.json", manifest)
        run = Run(path, manifest, lock)
    except BaseException:
        lock.close()
        raise
    try:
        yield run
    finally:
        run.close()


def _of_a_start(entry: Path) -> bool:
    """Whether a run that was killed before it had a manifest can have left this file."""
    return entry.name == ".lock" or entry.name.startswith(".manifest.json.")


def read_run(path: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """The result and the rows of a finished run.

    Raises: RunError when there is none, or when it was interrupted before its end.
    """
    if not (path / "manifest.json").is_file():
        raise RunError(f"{path} holds no run: it has no manifest.json.")
    if not (path / "result.json").is_file() or not (path / "rows.parquet").is_file():
        raise RunError(f"{path} is not finished: go on with the same command and --resume.")
    try:
        result = json.loads((path / "result.json").read_text("utf-8"))
        if not isinstance(result, dict):
            raise ValueError("result.json holds no object")
        wanted = json.loads((path / "manifest.json").read_text("utf-8")).get("rows_crc32")
        if wanted is not None and wanted != _crc32(path / "rows.parquet"):
            raise ValueError("rows.parquet does not have the checksum that the manifest names")
        return result, pd.read_parquet(path / "rows.parquet", engine="pyarrow", page_checksum_verification=True)
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is damaged: {error}. Run it again with --resume.") from None


def _crc32(path: Path) -> str:
    """The CRC-32 of a file, eight hexadecimal digits."""
    seen = 0
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            seen = zlib.crc32(part, seen)
    return f"{seen:08x}"


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write `value` as readable JSON, atomically."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_atomically(path, f"{text}\n".encode())


def _old_manifest(path: Path) -> dict[str, Any] | None:
    file = path / "manifest.json"
    if path.exists() and not path.is_dir():
        raise RunError(f"{path} is a file: choose another --out.")
    try:
        found = json.loads(file.read_text("utf-8")) if file.is_file() else None
    except (OSError, ValueError) as error:
        raise RunError(f"{file} is damaged: {error}. Choose another --out.") from None
    return found if isinstance(found, dict) else None


def _refuse_changes(path: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    for part in ("settings", "facts"):
        before, now = old.get(part, {}), json.loads(json.dumps(new[part]))
        for key in sorted({*before, *now}):
            if before.get(key) != now.get(key):
                raise RunError(
                    f"{path} was begun with {key} = {_short(before.get(key))}, now it is {_short(now.get(key))}: "
                    "resume with the same settings, or choose another --out."
                )


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) < 80 else f"{text[:77]}..."


def _locked(path: Path) -> IO[str]:
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = (path / ".lock").open("w", encoding="utf-8")
    except OSError as error:
        raise unwritable(path, error) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise RunError(f"{path} is in use by another run: wait for it, or choose another --out.") from None
    return lock


def _manifest(settings: Mapping[str, Any], facts: Mapping[str, Any], command: Sequence[str]) -> dict[str, Any]:
    return {
        "run": digest([settings, facts]),
        "settings": dict(settings),
        "facts": dict(facts),
        "command": list(command),
        "versions": {name: _version(name) for name in PACKAGES} | {"python": platform.python_version()},
        "git_commit": _git_commit(),
        "machine": {"system": platform.platform(), "cpus": os.cpu_count()},
        "started": _now(),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """The commit of the checkout that steerlab runs from; None for an installed wheel."""
    here = Path(__file__).resolve().parents[2]
    if not (here / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def command_line() -> list[str]:
    """The command as it was typed, for the manifest."""
    return ["steerlab", *sys.argv[1:]]
