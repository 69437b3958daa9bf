"""What the figures of a study of secure code show: trade-off, dose, fewer pairs, completions side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from steerlab.controls import CONTROL_METHODS
from steerlab.selection import Choice, split_by
from steerlab.statistics import cluster_bootstrap
from steerlab.studies.secure_choice import KEYS, Key, cell_key
from steerlab.studies.secure_material import SecureMaterial

FACTS = ("joint", "secure", "functional", "parses")
KINDS: Mapping[str, str] = {method: arm for arm, method in CONTROL_METHODS.items()}
N_EXAMPLES = 6


def written(rows: pd.DataFrame, changes: Mapping[Key, float]) -> list[dict[str, Any]]:
    """Per cell that was written out: shares over the training sides, margin change and KL; `front` marks Pareto's.

    Coefficient 0 is the unsteered model. A cell is on the front when no other is at least as secure and as correct
    (functional where any completion works, else parsing), and better in one.
    """
    own = rows[rows["arm"] == "written"]
    table = [_point(part, key) | {"margin_change": changes.get(key)} for key, part in split_by(own, *KEYS)]
    kl = _kl(rows)
    for entry in table:
        entry["kl"] = kl.get(tuple(entry[name] for name in KEYS))
    plain = _unsteered(rows, own)
    table.append(_point(plain, ("", "", "", "", "", 0.0)) | {"margin_change": 0.0, "kl": 0.0})
    correct = "functional" if any(entry["functional"] for entry in table) else "parses"
    for entry in table:
        entry["correct_by"] = correct
        entry["front"] = not any(_beats(other, entry, correct) for other in table)
    return table


def _point(part: pd.DataFrame, key: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(KEYS, key, strict=True)) | {name: _mean(part[name]) for name in FACTS} | {"n": len(part)}


def _beats(other: Mapping[str, Any], entry: Mapping[str, Any], correct: str) -> bool:
    if any(value is None for value in (other["secure"], other[correct], entry["secure"], entry[correct])):
        return False
    no_worse = other["secure"] >= entry["secure"] and other[correct] >= entry[correct]
    return bool(no_worse and (other["secure"] > entry["secure"] or other[correct] > entry[correct]))


def _unsteered(rows: pd.DataFrame, beside: pd.DataFrame) -> pd.DataFrame:
    """The unsteered completions of the tasks and samples that `beside` has."""
    plain = rows[(rows["arm"] == "unsteered") & (rows["readout"] == "completion") & (rows["sample"] == 0)]
    return plain[plain["program"].isin(beside["program"])]


def _kl(rows: pd.DataFrame) -> dict[tuple[Any, ...], float]:
    """KL on ordinary code per cell, mean over folds, in nats per token."""
    effects = rows[rows["arm"] == "side_effects"]
    return {
        key: float((part["kl"] * part["n_tokens"]).sum() / part["n_tokens"].sum())
        for key, part in split_by(effects, *KEYS)
    }


def _mean(values: pd.Series) -> float | None:
    known = values.dropna()
    return float(known.mean()) if len(known) else None


def dose(rows: pd.DataFrame, choices: Mapping[int, Choice], changes: Mapping[Key, float]) -> list[dict[str, Any]]:
    """Shares, margin change and KL by coefficient at the set-up chosen most often; on training sides; 0: unsteered."""
    setups = [cell_key(choice.cell)[:-1] for choice in choices.values()]
    most = max(sorted(set(setups)), key=setups.count)
    points = [entry for entry in written(rows, changes) if tuple(entry[name] for name in KEYS[:-1]) == most]
    here = rows[(rows["arm"] == "written")]
    plain = _point(_unsteered(rows, here), ("", "", "", "", "", 0.0)) | {"margin_change": 0.0, "kl": 0.0}
    return sorted([plain, *points], key=lambda entry: entry["coefficient"])


def curve(material: SecureMaterial, rows: pd.DataFrame, *, level: float, seed: int) -> list[dict[str, Any]]:
    """Per number of pairs and kind of vector: the change of the margin, or the share of joint completions."""
    if rows.empty:
        return []
    by_margin = material.settings.curve == "margin"
    numbered = rows.assign(
        n_pairs=rows["train"].str.extract(r", (\d+) pairs$")[0].astype(int),
        kind=rows["method"].map(lambda method: KINDS.get(method, "real")),
        value=rows["margin_change"] if by_margin else rows["joint"],
    )
    most = numbered.groupby("test")["n_pairs"].transform("max")
    numbered.loc[numbered["n_pairs"] == most, "n_pairs"] = int(numbered["n_pairs"].max())  # folds differ by a few
    table = []
    for (kind, n_pairs), part in split_by(numbered, "kind", "n_pairs"):
        known = part[part["value"].notna()]
        estimate = cluster_bootstrap(
            known["value"].to_numpy(dtype=float),
            known["group"].to_numpy(),
            level=level,
            seed=seed,
            n_unscored=len(part) - len(known),
        )
        table.append({"kind": kind, "n_pairs": int(n_pairs), "value": asdict(estimate)})
    return table


def examples(material: SecureMaterial, completions: pd.DataFrame) -> list[dict[str, Any]]:
    """Completions side by side: those whose facts changed first, then those whose text did, spread over families."""
    sides = [
        completions[(completions["arm"] == arm) & (completions["sample"] == 0)].set_index("program")
        for arm in ("unsteered", "steered")
    ]
    before, after = sides
    tasks = [task for task in material.tasks if task.id in before.index and task.id in after.index]

    def change(name: str) -> int:
        old, new = before.loc[name], after.loc[name]
        if any(old[fact] != new[fact] and not (pd.isna(old[fact]) and pd.isna(new[fact])) for fact in FACTS):
            return 0
        return 1 if old["completion"] != new["completion"] else 2

    tasks.sort(key=lambda task: (change(task.id), task.id))
    first_of_family = {task.cwe: task for task in reversed(tasks)}
    chosen = [*sorted(first_of_family.values(), key=tasks.index), *tasks]
    return [
        {"task": task.id, "cwe": task.cwe, "language": task.language, "prompt": task.prompt}
        | {
            name: _shown(side.loc[[task.id]].iloc[0])
            for name, side in zip(("unsteered", "steered"), sides, strict=True)
        }
        for task in list(dict.fromkeys(chosen))[:N_EXAMPLES]
    ]


def _shown(row: pd.Series) -> dict[str, Any]:
    facts = {name: None if pd.isna(row[name]) else bool(row[name]) for name in (*FACTS, "exploited")}
    words = {name: str(row[name]) if isinstance(row[name], str) else "" for name in ("finding", "reason", "unscored")}
    judged = str(row["completion"])[: int(np.nan_to_num(row["judged_characters"]))]
    return facts | words | {"completion": judged}
