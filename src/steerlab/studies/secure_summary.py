"""The rows of a study of secure code to its summary: every number with interval, n and n_unscored."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd

from steerlab.analysers import family
from steerlab.controls import ARMS, CONTROL_METHODS
from steerlab.selection import Choice, split_by
from steerlab.statistics import Estimate, cluster_bootstrap, holm, mcnemar_exact, paired_difference
from steerlab.studies.analysis_summary import side_effect
from steerlab.studies.secure_choice import KEYS, cell_key, margin_changes
from steerlab.studies.secure_material import SecureMaterial
from steerlab.studies.secure_pictures import curve, dose, examples, written
from steerlab.tasks.at_k import at_k_estimate, share_estimate

SHARES = ("joint", "secure", "functional", "exploited", "runs", "parses")
QUALITY = ("complexity", "repetition", "length_ratio")
AT_K = ("joint", "secure", "functional")
COMPARED = ("joint", "secure", "functional", "parses")
FEWEST_GROUPS = 5
Choices = Mapping[int, Choice]


def summarise(
    material: SecureMaterial, rows: pd.DataFrame, choices: Choices, *, joint: str, manifest: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything that the table and the report show, as JSON-able values (see docs/reference/results.md)."""
    s = material.settings
    tested = tested_rows(material, rows)
    completions = with_length_ratio(tested[tested["readout"] == "completion"])
    margins = with_change(tested[tested["readout"] == "margin"])
    parts = {arm: (completions[completions["arm"] == arm], margins[margins["arm"] == arm]) for arm in present(tested)}
    changes = _all_changes(material, rows)
    return {
        "study": "secure-code",
        "model": material.model.name,
        "tasks": s.tasks,
        "pairs": s.pairs_from,
        "judge": material.task_set.judge,
        "joint": joint,
        "n_tasks": len(material.tasks),
        "n_groups": len({task.group for task in material.tasks}),
        "n_pairs": len(material.pairs),
        "n_too_long": len(material.too_long),
        "samples": s.samples,
        "temperature": s.temperature,
        "arms": {arm: _arm(own, read, level=s.level, seed=s.seed) for arm, (own, read) in parts.items()},
        "arm_meanings": {arm: ARMS[arm] for arm in parts},
        "at_k": {arm: _at_k(material, own) for arm, (own, _) in parts.items() if len(own)},
        "differences": _differences(parts, level=s.level, seed=s.seed),
        "by_family": _by_family(parts, level=s.level, seed=s.seed),
        "holm_by_family": _holm_by_family(parts),
        "selection": [
            {"fold": number, "contrast": choice.cell.contrast, **choice.describe()}
            for number, choice in sorted(choices.items())
        ],
        "grid": [dict(zip(KEYS, key, strict=True)) | {"margin_change": value} for key, value in changes.items()],
        "written": written(rows, changes),
        "dose": dose(rows, choices, changes),
        "curve": curve(material, _curve_rows(rows), level=s.level, seed=s.seed),
        "curve_metric": {"margin": "margin_change", "completions": "joint", "none": ""}[s.curve],
        "side_effects": _side_effects(rows, choices, s.level, s.seed),
        "examples": examples(material, completions),
        "notes": list(material.notes),
        "manifest": dict(manifest),
    }


def present(rows: pd.DataFrame) -> list[str]:
    """The arms that have rows, in the order of ARMS."""
    found = set(rows["arm"])
    return [arm for arm in ARMS if arm in found]


def tested_rows(material: SecureMaterial, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the arms on tasks and pairs that played no part in the choice of their setting.

    Tasks that do not fit the context are in every arm, unscored, so that each number counts them.
    """
    groups = frozenset().union(*(fold.test for fold in material.folds))
    tested = rows[rows["arm"].isin(list(ARMS)) & rows["group"].isin(list(groups))]
    if not material.too_long:
        return tested
    written = tested[tested["readout"] == "completion"]
    kinds = written[["arm", "readout", "sample"]].drop_duplicates().to_dict("records")
    unscored = [
        {
            **kind,
            "program": task.id,
            "group": task.group,
            "cwe": task.cwe,
            "family": family(task.cwe),
            "seed": material.settings.seed,
            "completion": "",
            "unscored": "longer than the context",
        }
        for kind in kinds
        for task in material.too_long
    ]
    return pd.concat([tested, pd.DataFrame(unscored)], ignore_index=True)


def with_length_ratio(completions: pd.DataFrame) -> pd.DataFrame:
    """`length_ratio`: characters of the judged part over those of the unsteered completion of that task and sample."""
    keys = ["program", "sample"]
    plain = completions[completions["arm"] == "unsteered"].drop_duplicates(keys).set_index(keys)["judged_characters"]
    base = plain.reindex(pd.MultiIndex.from_frame(completions[keys])).to_numpy(dtype=float)
    own = completions["judged_characters"].to_numpy(dtype=float)
    ratio = np.divide(own, base, out=np.full(len(own), np.nan), where=base > 0)
    return completions.assign(length_ratio=ratio)


def with_change(margins: pd.DataFrame) -> pd.DataFrame:
    """`margin_change`: the margin less that of the unsteered model on that pair; `prefers_patched`: it is above 0."""
    base = margins[margins["arm"] == "unsteered"].drop_duplicates("program").set_index("program")["margin"]
    return margins.assign(
        margin_change=margins["margin"] - margins["program"].map(base),
        prefers_patched=(margins["margin"] > 0).astype(float),
    )


def share(rows: pd.DataFrame, column: str, *, level: float, seed: int) -> Estimate:
    """The mean of a column with an interval over groups; rows without a value are counted, not read.

    Under five groups a bootstrap sees too few to say how much they differ: then there is no interval.
    """
    values = rows[column].to_numpy(dtype=float) if column in rows else np.full(len(rows), np.nan)
    scored = np.isfinite(values)
    known, groups, n_unscored = values[scored], rows["group"].to_numpy()[scored], int((~scored).sum())
    if column in (*SHARES, "prefers_patched"):
        found = share_estimate(known.tolist(), groups.tolist(), level=level, seed=seed, n_unscored=n_unscored)
    else:
        found = cluster_bootstrap(known, groups, level=level, seed=seed, n_unscored=n_unscored)
    hasty = "bootstrap" in found.method and len(set(groups)) < FEWEST_GROUPS
    return replace(found, low=None, high=None) if hasty else found


def _arm(completions: pd.DataFrame, margins: pd.DataFrame, *, level: float, seed: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if len(completions):
        found |= {name: asdict(share(completions, name, level=level, seed=seed)) for name in (*SHARES, *QUALITY)}
    if len(margins):
        names = ("margin", "margin_change", "prefers_patched")
        found |= {name: asdict(share(margins, name, level=level, seed=seed)) for name in names}
    return found


def _at_k(material: SecureMaterial, completions: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Per share and k: the chance that one of k completions has it. Draws of a control count as tasks of their own."""
    s = material.settings
    sizes = sorted({k for k in (1, 2, 5, 10, 25, 50, 100) if k <= s.samples} | {s.samples})
    table: dict[str, dict[str, Any]] = {}
    for name in AT_K:
        parts = split_by(completions, "program", "seed")
        outcomes: dict[Hashable, list[float]] = {key: part[name].tolist() for key, part in parts}
        clusters: dict[Hashable, Hashable] = {key: part["group"].iloc[0] for key, part in parts}
        table[name] = {
            str(k): asdict(at_k_estimate(outcomes, k, clusters=clusters, level=s.level, seed=s.seed)) for k in sizes
        }
    return table


Parts = Mapping[str, tuple[pd.DataFrame, pd.DataFrame]]


def _per_item(rows: pd.DataFrame, keys: list[str], column: str) -> pd.DataFrame:
    """Per task and sample (or pair) the mean over draws of one arm, and the group."""
    return rows.groupby(keys, sort=True).agg(value=(column, "mean"), group=("group", "first"))


def _differences(parts: Parts, *, level: float, seed: int) -> dict[str, Any]:
    """Steered minus each arm on the same tasks and seeds (and pairs), with intervals over groups, and McNemar's p."""
    table: dict[str, Any] = {}
    own, read = parts["steered"]
    for arm, (completions, margins) in parts.items():
        if arm == "steered":
            continue
        found: dict[str, Any] = {}
        for name in COMPARED:
            found[name] = _difference(own, completions, ["program", "sample"], name, level=level, seed=seed)
        if len(margins):
            found["margin"] = _difference(read, margins, ["program"], "margin", level=level, seed=seed)
        found["mcnemar_p"] = None if arm in CONTROL_METHODS else _mcnemar(completions, own, "joint")
        table[arm] = found
    return table


def _difference(
    steered: pd.DataFrame, other: pd.DataFrame, keys: list[str], column: str, *, level: float, seed: int
) -> dict[str, Any]:
    after = _per_item(steered, keys, column)
    before = _per_item(other, keys, column).reindex(after.index)
    return asdict(
        paired_difference(
            before["value"].to_numpy(dtype=float),
            after["value"].to_numpy(dtype=float),
            clusters=after["group"].to_numpy(),
            level=level,
            seed=seed,
        )
    )


def _mcnemar(before: pd.DataFrame, after: pd.DataFrame, column: str) -> float:
    """Exact McNemar over tasks and seeds that were scored on both sides."""
    keys = ["program", "sample"]
    later = after.drop_duplicates(keys).set_index(keys)[column]
    earlier = before.drop_duplicates(keys).set_index(keys)[column].reindex(later.index)
    return mcnemar_exact(int(((earlier == 1) & (later == 0)).sum()), int(((earlier == 0) & (later == 1)).sum()))


def _by_family(parts: Parts, *, level: float, seed: int) -> dict[str, Any]:
    families = sorted(
        {name for own, read in parts.values() for rows in (own, read) for name in rows["family"].unique()}
    )
    return {
        name: {
            arm: _arm(own[own["family"] == name], read[read["family"] == name], level=level, seed=seed)
            for arm, (own, read) in parts.items()
        }
        for name in families
    }


def _holm_by_family(parts: Parts) -> dict[str, float]:
    steered, plain = parts["steered"][0], parts["unsteered"][0]
    families = sorted(steered["family"].unique())
    found = {
        name: _mcnemar(plain[plain["family"] == name], steered[steered["family"] == name], "joint") for name in families
    }
    return dict(holm(found))


def _all_changes(material: SecureMaterial, rows: pd.DataFrame) -> dict[Any, float]:
    """The mean change of the margin of every cell of the grid, over the training sides of all folds."""
    plain = rows[(rows["arm"] == "unsteered") & (rows["readout"] == "margin")]
    return dict(margin_changes(rows[rows["arm"] == "grid"], plain))


def _curve_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of vectors from fewer pairs, with the change of the margin."""
    margins = with_change(rows[(rows["readout"] == "margin") & rows["arm"].isin(["unsteered", "curve"])])
    written = rows[(rows["arm"] == "curve_completions")]
    return pd.concat([margins[margins["arm"] == "curve"], written], ignore_index=True)


def _side_effects(rows: pd.DataFrame, choices: Choices, level: float, seed: int) -> list[dict[str, Any]]:
    """Of each fold's chosen cell, on ordinary code."""
    effects = rows[rows["arm"] == "side_effects"]
    table = []
    for number, choice in sorted(choices.items()):
        here = effects[effects["train"] == f"fold {number}"]
        own = dict(split_by(here, *KEYS)).get(cell_key(choice.cell))
        if own is not None:
            place = {"fold": number, "layers": choice.cell.layer_set, "coefficient": choice.cell.coefficient}
            table.append(place | side_effect(own, level=level, seed=seed))
    return table
