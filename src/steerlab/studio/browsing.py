"""Browse a finished run: heat maps of its cells, and of one cell the rows with their completions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from steerlab.errors import OptionError
from steerlab.report.figures import layer_order
from steerlab.report.secure_tables import joint_name
from steerlab.results import read_run
from steerlab.sweep import layer_set_name

SHOWN_ARMS = ("grid", "written", "steered")
KIND = ("arm", "readout", "target", "method", "operation", "positions", "contrast", "template", "latent")
SAID_WITH_NAME = ("target", "contrast", "template", "latent")
MOST_ROWS = 200


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What a cell's mean is called, and what a row with 1 and one with 0 are (empty: the number itself is shown)."""

    mean: str
    one: str = ""
    zero: str = ""


MEASURES: Mapping[str, Measure] = {
    "margin": Measure(mean="mean margin, nats"),
    "correct": Measure(mean="share answered right", one="right", zero="wrong"),
    "passed": Measure(mean="share that passes its tests", one="passes its tests", zero="fails its tests"),
}


def run_page(path: Path) -> dict[str, Any]:
    """The run's verdict and its heat maps, those with completions first; each cell has an id within the run.

    A cell's value is the mean over its scored rows; `n_unscored` counts the others. Raises: RunError.
    """
    summary, _ = _read(path)
    maps = [_heat_map(summary, kind, part) for kind, part in _kinds(path)]
    maps.sort(key=lambda entry: (not entry["n_completions"], SHOWN_ARMS.index(entry["arm"])))
    return {
        "name": path.name,
        "study": str(summary.get("study", "")),
        "model": str(summary.get("model", "")),
        "verdict": str(summary.get("verdict", "")),
        "maps": maps,
    }


def cell_page(path: Path, cell: str) -> dict[str, Any]:
    """The rows of a cell, each beside the unsteered completion of the same program. Raises: RunError, OptionError."""
    for kind, part in _kinds(path):
        for layers, coefficient, rows in _cells(part):
            if cell == _cell_id(kind, layers, coefficient):
                measure = _measure(_read(path)[0], str(rows["measure"].iloc[0]))
                plain = _unsteered(path, rows)
                shown = [_row(entry, plain, measure) for _, entry in rows.head(MOST_ROWS).iterrows()]
                return {"n": len(rows), "rows": shown}
    raise OptionError(f"cell {cell[:80]!r} does not exist in this run: open the run again.")


def _read(path: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """The run's result and rows, read again when it was written again."""
    result = path / "result.json"
    return _read_once(path, result.stat().st_mtime_ns if result.is_file() else 0)


@lru_cache(maxsize=2)
def _read_once(path: Path, written: int) -> tuple[dict[str, Any], pd.DataFrame]:
    return read_run(path)


def _kinds(path: Path) -> list[tuple[dict[str, str], pd.DataFrame]]:
    """The rows that steer, in parts that share everything but layers and coefficient."""
    _, rows = _read(path)
    rows = _scored(rows)
    rows = rows[rows["arm"].isin(SHOWN_ARMS) & (rows["layer_set"] != "")]
    columns = [name for name in KIND if name in rows]
    parts = rows.groupby(columns, sort=False, dropna=False) if columns else ()
    return [({name: _word(value) for name, value in zip(columns, key, strict=True)}, part) for key, part in parts]


def _said(name: str, value: str) -> str:
    words = value.replace("_", " ")
    return f"{name} {words}" if name in SAID_WITH_NAME else words


def _cells(part: pd.DataFrame) -> list[tuple[str, float, pd.DataFrame]]:
    """Layer set, coefficient and rows of each cell."""
    return [
        (str(layers), float(str(coefficient)), rows)
        for (layers, coefficient), rows in part.groupby(["layer_set", "coefficient"])
    ]


def _scored(rows: pd.DataFrame) -> pd.DataFrame:
    """With the layer set as a name, and a value per row: what the row's readout is about."""
    rows = rows.copy()
    if "layers" in rows:
        rows["layer_set"] = rows["layers"].fillna("").astype(str)
    else:
        rows["layer_set"] = [layer_set_name([layer]) if layer >= 0 else "" for layer in rows["layer"]]
    readout = rows["readout"] if "readout" in rows else pd.Series("completion", index=rows.index)
    if "passed" in rows:
        rows["measure"], rows["value"] = "passed", rows["passed"].astype("float64")
    elif "joint" in rows:
        written = readout == "completion"
        rows["measure"] = written.map({True: "joint", False: "margin"})
        rows["value"] = rows["joint"].astype("float64").where(written, rows["margin"])
    else:
        answered = rows["answer"].notna()
        rows["measure"] = "correct"
        rows["value"] = (rows["answer"] == rows["label"]).astype("float64").where(answered)
    return rows


def _measure(summary: Mapping[str, Any], name: str) -> Measure:
    if name == "joint":
        joint = joint_name(summary)
        return Measure(mean=f"share {joint}", one=joint, zero=f"not {joint}")
    return MEASURES[name]


def _heat_map(summary: Mapping[str, Any], kind: dict[str, str], part: pd.DataFrame) -> dict[str, Any]:
    cells = []
    for layers, coefficient, rows in _cells(part):
        value = float(rows["value"].mean())
        cells.append(
            {
                "id": _cell_id(kind, layers, coefficient),
                "layers": layers,
                "coefficient": coefficient,
                "value": value if math.isfinite(value) else None,
                "n": int(rows["value"].notna().sum()),
                "n_unscored": int(rows["value"].isna().sum()),
            }
        )
    measure = str(part["measure"].iloc[0])
    return {
        "arm": kind["arm"],
        "title": ", ".join(_said(name, value) for name, value in kind.items() if value),
        "measure": _measure(summary, measure).mean,
        "share": measure != "margin",
        "layers": sorted({str(cell["layers"]) for cell in cells}, key=layer_order),
        "coefficients": sorted({cell["coefficient"] for cell in cells}),
        "cells": cells,
        "n_completions": int(_written(part).sum()),
    }


def _written(rows: pd.DataFrame) -> pd.Series[bool]:
    return rows["completion"].fillna("").astype(str) != ""


def _cell_id(kind: Mapping[str, str], layers: str, coefficient: float) -> str:
    return "|".join([*kind.values(), layers, repr(coefficient)])


def _word(value: object) -> str:
    return "" if value is None or value != value else str(value)  # noqa: PLR0124 - NaN


def _unsteered(path: Path, rows: pd.DataFrame) -> dict[tuple[str, ...], str]:
    """Unsteered completions of the same readout, by program (and sample and template, where rows have them)."""
    _, everything = _read(path)
    plain = everything[(everything["arm"] == "unsteered") & _written(everything)]
    if "readout" in plain:
        plain = plain[plain["readout"] == rows["readout"].iloc[0]]
    return {_key(entry): str(entry["completion"]) for _, entry in plain.iterrows()}


def _key(entry: pd.Series[Any]) -> tuple[str, ...]:
    return tuple(_word(entry[name]) for name in ("program", "sample", "template") if name in entry)


def _row(entry: pd.Series[Any], plain: Mapping[tuple[str, ...], str], measure: Measure) -> dict[str, Any]:
    facts = ("cwe", "label", "test", "ended", "finding", "reason", "unscored")
    return {
        "program": str(entry["program"]),
        "facts": {name: word for name in facts if name in entry and (word := _word(entry[name]))},
        "answer": _word(entry["answer"]) if "answer" in entry else "",
        "outcome": _outcome(measure, float(entry["value"])),
        "steered": _word(entry["completion"]),
        "unsteered": plain.get(_key(entry), ""),
    }


def _outcome(measure: Measure, value: float) -> str:
    if not math.isfinite(value):
        return "unscored"
    words = measure.one if value else measure.zero
    return words or f"{value:.2f} nats"
