"""One directory per run: manifest, rows, completions, result; written atomically, resumable."""

from __future__ import annotations

import fcntl
import io
import json
import logging
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

import pandas as pd

from steerlab.errors import RunError
from steerlab.files import unwritable, write_atomically
from steerlab.trials import digest

LOGGER = logging.getLogger("steerlab")
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
        self._shards = _read_shards(path)
        known = [frame["trial"] for frame in self._shards.values() if "trial" in frame]
        self.done: set[str] = set(pd.concat(known)) if known else set()

    def append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add the rows of one or more whole trials (each row names its `trial`)."""
        self._buffer.extend(rows)
        self.done.update(str(row["trial"]) for row in rows)
        if len(self._buffer) >= FLUSH_ROWS or time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the buffered rows to disk."""
        if self._buffer:
            frame = pd.DataFrame(self._buffer)
            number = max((int(name.split("-")[1]) for name in self._shards), default=-1) + 1
            name = f"part-{number:06d}"
            write_atomically(self.path / "rows" / f"{name}.parquet", _parquet(frame))
            self._shards[name] = frame
            self._buffer = []
        self._flushed = time.monotonic()

    def rows(self) -> pd.DataFrame:
        """All rows so far, in a stable order, each trial once."""
        self.flush()
        if not self._shards:
            return pd.DataFrame()
        frame = pd.concat([self._shards[name] for name in sorted(self._shards)], ignore_index=True)
        frame = frame.drop_duplicates(["trial", "program"], keep="first")
        return frame.sort_values(["trial", "program"], ignore_index=True)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write rows.parquet, result.json and the finished manifest."""
        frame = self.rows()
        write_atomically(self.path / "rows.parquet", _parquet(frame))
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
    if old is None and path.is_dir() and any(entry.name != ".lock" for entry in path.iterdir()):
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


def read_run(path: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """The result and the rows of a finished run.

    Raises: RunError when there is none, or when it was interrupted before its end.
    """
    if not (path / "manifest.json").is_file():
        raise RunError(f"{path} holds no run: it has no manifest.json.")
    if not (path / "result.json").is_file() or not (path / "rows.parquet").is_file():
        raise RunError(f"{path} is not finished: go on with the same command and --resume.")
    try:
        return json.loads((path / "result.json").read_text("utf-8")), pd.read_parquet(path / "rows.parquet")
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is damaged: {error}. Run it again with --resume.") from None


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write `value` as readable JSON, atomically."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_atomically(path, f"{text}\n".encode())


def _parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _read_shards(path: Path) -> dict[str, pd.DataFrame]:
    shards: dict[str, pd.DataFrame] = {}
    for file in sorted((path / "rows").glob("part-*.parquet")):
        try:
            shards[file.stem] = pd.read_parquet(file)
        except (OSError, ValueError) as error:
            LOGGER.warning("%s is damaged (%s): its rows are computed again", file, str(error).splitlines()[0][:120])
            file.rename(file.with_suffix(".damaged"))
    return shards


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
