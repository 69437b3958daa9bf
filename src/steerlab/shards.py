"""The Parquet shards of a run: written as rows come, read a part at a time in a stable order."""

from __future__ import annotations

import io
import logging
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from steerlab.files import atomic_file, write_atomically
from steerlab.trial_ids import TrialIds

LOGGER = logging.getLogger("steerlab")
KEYS = ("trial", "program")
PART_ROWS = 400_000  # about as many rows are in memory at once while a run is merged
GROUP_ROWS = 100_000  # rows in a row group of the merged file
SAMPLE = 64  # trial ids of each shard that decide where parts begin

Where = Mapping[str, Collection[str]]
"""Which rows: for each column the values that are wanted."""


def known_shards(folder: Path) -> tuple[list[Path], TrialIds]:
    """The shards of a run directory's `folder` that can be read whole, and the trials in them.

    A shard that cannot be read, or of which a byte has changed, is set aside with a warning; its trials are computed
    again.
    """
    files, done = [], TrialIds()
    for file in sorted(folder.glob("part-*.parquet")):
        try:
            table = _read(pa.BufferReader(_content(file)))
        except (OSError, ValueError) as error:
            LOGGER.warning("%s is damaged (%s): its rows are computed again", file, str(error).splitlines()[0][:120])
            file.rename(file.with_suffix(".damaged"))
            continue
        files.append(file)
        if "trial" in table.column_names:
            done.update(pc.unique(table["trial"]).to_pylist())
    return files, done


def write_shard(folder: Path, number: int, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write `rows` as the shard of this number; its name ends in the CRC-32 of its content.

    Raises: RunError when the disk is full or cannot be written.
    """
    buffer = io.BytesIO()
    pd.DataFrame(list(rows)).to_parquet(buffer, index=False)
    content = buffer.getvalue()
    file = folder / f"part-{number:06d}-{zlib.crc32(content):08x}.parquet"
    write_atomically(file, content)
    return file


def _content(file: Path) -> bytes:
    """The bytes of a shard. Raises: ValueError when they are not those that its name was made from."""
    content = file.read_bytes()
    _, _, *crc = file.stem.split("-")
    if crc and crc != [f"{zlib.crc32(content):08x}"]:
        raise ValueError("its bytes have changed since it was written")
    return content


def read_shards(files: Sequence[Path], where: Where | None = None) -> pd.DataFrame:
    """The rows of the shards (those that `where` asks for), each trial and program once, in their order."""
    parts = list(_sorted_parts(files, where or {}))
    if not parts:
        return pd.DataFrame()
    table = pa.concat_tables(parts)
    del parts
    frame: pd.DataFrame = table.to_pandas(split_blocks=True, self_destruct=True)
    return frame


def merge_shards(files: Sequence[Path], target: Path) -> None:
    """Write all rows of the shards to `target`, atomically, in the order of `read_shards`, a part at a time."""
    with atomic_file(target) as out:
        if not files:
            pd.DataFrame().to_parquet(out, index=False)
            return
        with pq.ParquetWriter(out, _schema(files), write_page_checksum=True) as writer:
            for part in _sorted_parts(files, {}):
                writer.write_table(part, row_group_size=GROUP_ROWS)


def _read(file: Path | pa.BufferReader) -> pa.Table:
    """The rows of a shard without the columns that hold nothing: their type is an accident of the shard."""
    with pq.ParquetFile(file) as opened:
        table = opened.read().replace_schema_metadata(None)
    return table.select([name for name in table.column_names if table[name].null_count < table.num_rows])


def _types(file: Path) -> pa.Schema:
    """The columns of a shard; those that hold nothing have the type null."""
    with pq.ParquetFile(file) as opened:
        groups = [opened.metadata.row_group(i) for i in range(opened.metadata.num_row_groups)]
        n_rows, fields = opened.metadata.num_rows, []
        for place, field in enumerate(opened.schema_arrow):
            found = [group.column(place).statistics for group in groups]
            empty = all(f is not None and f.has_null_count for f in found) and n_rows == sum(
                f.null_count for f in found
            )
            fields.append(pa.field(field.name, pa.null()) if empty else field)
    return pa.schema(fields)


def _schema(files: Sequence[Path]) -> pa.Schema:
    """The columns of all shards, keys first and then by name: the order in which jobs end plays no part."""
    found = pa.unify_schemas([_types(file) for file in files], promote_options="permissive")
    return pa.schema([found.field(name) for name in sorted(found.names, key=lambda n: (n not in KEYS, n))])


def _sorted_parts(files: Sequence[Path], where: Where) -> Iterator[pa.Table]:
    """The rows by trial and program, each pair once (the first that was written), in parts of about PART_ROWS.

    Every part is one pass over all shards: trial ids are hashes, so a part of their order is spread over all of them.
    What `where` asks for comes in one part.
    """
    if not files:
        return
    schema = _schema(files)
    bounds = [] if where else _bounds(files)
    for low, high in zip([None, *bounds], [*bounds, None], strict=True):
        tables = [schema.empty_table()]
        for file in files:
            table = _wanted(_read(file), where, low, high)
            if table.num_rows:
                tables.append(table)
        rows = pa.concat_tables(tables, promote_options="permissive")
        del tables
        keys = rows.select(list(KEYS)).to_pandas().drop_duplicates(keep="first").sort_values(list(KEYS))
        yield rows.take(pa.array(keys.index.to_numpy()))


def _wanted(table: pa.Table, where: Where, low: str | None, high: str | None) -> pa.Table:
    """The rows with the values of `where` and with low <= trial < high."""
    masks = []
    for column, values in where.items():
        if column not in table.column_names:
            return table.slice(0, 0)
        wanted = pa.array(sorted(values), type=table.schema.field(column).type)
        masks.append(pc.is_in(table[column], value_set=wanted))
    if low is not None:
        masks.append(pc.greater_equal(table["trial"], low))
    if high is not None:
        masks.append(pc.less(table["trial"], high))
    for mask in masks[1:]:
        masks[0] = pc.and_(masks[0], mask)
    return table.filter(masks[0]) if masks else table


def _bounds(files: Sequence[Path]) -> list[str]:
    """Trial ids that cut the rows into parts of about PART_ROWS, from a sample of every shard."""
    total = sum(pq.read_metadata(file).num_rows for file in files)
    n_parts = -(-total // PART_ROWS)
    if n_parts < 2:
        return []
    sample: list[str] = []
    for file in files:
        with pq.ParquetFile(file) as opened:
            trials = sorted(opened.read(columns=["trial"])["trial"].to_pylist())
        sample += [trials[i] for i in np.linspace(0, len(trials) - 1, num=min(SAMPLE, len(trials)), dtype=int)]
    sample.sort()
    cuts = [sample[len(sample) * i // n_parts] for i in range(1, n_parts)]
    return sorted(set(cuts))
