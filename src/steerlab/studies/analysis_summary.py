"""Transfer matrix, sample efficiency, side effects and screening: their rows to estimates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from steerlab.contrast import cwe_number
from steerlab.controls import CONTROL_METHODS
from steerlab.screening import rank_agreement
from steerlab.selection import balanced_accuracy, split_by
from steerlab.statistics import cluster_bootstrap
from steerlab.studies.detection_material import Material
from steerlab.tasks.detection import estimates

if TYPE_CHECKING:
    from steerlab.studies.detection_summary import Choices

FEWEST_CELLS = 3  # that ranks are compared over
KINDS: Mapping[str, str] = {method: arm for arm, method in CONTROL_METHODS.items()}


def analysed(material: Material, rows: pd.DataFrame, choices: Choices) -> dict[str, Any]:
    """What the analyses that were run have to show, by name."""
    s = material.settings
    found: dict[str, Any] = {}
    unsteered = _unsteered(material, rows, choices)
    for name, table in (("transfer", _transfer), ("samples", _samples)):
        own = rows[rows["arm"] == name]
        if len(own):
            found[name] = table(own, unsteered, s.level, s.seed)
    effects = rows[rows["arm"] == "side_effects"]
    if len(effects):
        found["side_effects"] = _side_effects(effects, choices, s.level, s.seed)
    screened = rows[rows["arm"] == "screening"]
    if len(screened):
        found["screening"] = _screening(
            screened, rows[rows["arm"] == "grid"], unsteered=_plain(rows), level=s.level, seed=s.seed
        )
    return found


def _plain(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[(rows["arm"] == "unsteered") & (rows["train"] == "none")]


def _unsteered(material: Material, rows: pd.DataFrame, choices: Choices) -> pd.DataFrame:
    """The unsteered rows of each fold's test programs under the fold's template."""
    plain = _plain(rows)
    parts = [
        plain[plain["group"].isin(fold.test) & (plain["template"] == choices[fold.number][0].name)]
        for fold in material.folds
    ]
    return pd.concat(parts, ignore_index=True)


def _transfer(rows: pd.DataFrame, unsteered: pd.DataFrame, level: float, seed: int) -> list[dict[str, Any]]:
    """Per (CWE of the vector, CWE of the programs): balanced accuracy, and what it is more than unsteered."""
    built = rows["train"].str.extract(r"(CWE-\d+)$")[0]
    base = {cwe: balanced_accuracy(part) for (cwe,), part in split_by(unsteered, "cwe")}
    table = []
    for (vector, cwe), part in split_by(rows.assign(vector=built), "vector", "cwe"):
        estimate = estimates(part, level=level, seed=seed)["balanced_accuracy"]
        gain = None if estimate.value is None else estimate.value - base[cwe]
        table.append({"vector": vector, "cwe": cwe, "balanced_accuracy": asdict(estimate), "gain": gain})
    return sorted(table, key=lambda entry: (cwe_number(entry["vector"]), cwe_number(entry["cwe"])))


def _samples(rows: pd.DataFrame, unsteered: pd.DataFrame, level: float, seed: int) -> list[dict[str, Any]]:
    """Per number of pairs and kind of vector: balanced accuracy over programs and draws, intervals over groups."""
    numbered = rows.assign(
        n_pairs=rows["train"].str.extract(r", (\d+) pairs$")[0].astype(int),
        kind=rows["method"].map(lambda method: KINDS.get(method, "real")),
    )
    most = numbered.groupby("test")["n_pairs"].transform("max")
    numbered.loc[numbered["n_pairs"] == most, "n_pairs"] = int(
        numbered["n_pairs"].max()
    )  # folds differ by a pair or two
    table = []
    for (kind, n_pairs), part in split_by(numbered, "kind", "n_pairs"):
        estimate = estimates(part, level=level, seed=seed)["balanced_accuracy"]
        table.append({"kind": kind, "n_pairs": int(n_pairs), "balanced_accuracy": asdict(estimate)})
    table.append({"kind": "unsteered", "n_pairs": 0} | {"balanced_accuracy": _balanced(unsteered, level, seed)})
    return table


def _balanced(rows: pd.DataFrame, level: float, seed: int) -> dict[str, Any]:
    return asdict(estimates(rows, level=level, seed=seed)["balanced_accuracy"])


def side_effect(rows: pd.DataFrame, *, level: float, seed: int) -> dict[str, Any]:
    """Token-weighted means over texts, with an interval over texts: KL in nats per token, and perplexities."""
    values = rows[["kl", "unsteered_loss", "loss", "n_tokens"]].to_numpy(dtype=float)

    def mean_kl(drawn: np.ndarray, weights: np.ndarray) -> np.ndarray:
        tokens = weights @ drawn[:, 3]
        return np.asarray((weights @ (drawn[:, 0] * drawn[:, 3])) / tokens)

    kl = cluster_bootstrap(
        values, clusters=rows["program"].to_numpy(), level=level, seed=seed, statistic=mean_kl, statistic_on="weights"
    )
    weights = values[:, 3] / values[:, 3].sum()
    return {
        "kl": asdict(kl),
        "perplexity_unsteered": float(np.exp(weights @ values[:, 1])),
        "perplexity_steered": float(np.exp(weights @ values[:, 2])),
        "n_texts": len(rows),
        "n_tokens": int(values[:, 3].sum()),
    }


def _side_effects(rows: pd.DataFrame, choices: Choices, level: float, seed: int) -> list[dict[str, Any]]:
    """Of each fold's chosen cells."""
    table = []
    for number, (_, chosen) in sorted(choices.items()):
        for choice in chosen:
            cell = choice.cell
            own = rows[
                (rows["train"] == f"fold {number}")
                & (rows["method"] == cell.method)
                & (rows["layers"] == cell.layer_set)
                & (rows["operation"] == cell.operation)
                & (rows["coefficient"] == cell.coefficient)
            ].drop_duplicates("program")
            if len(own):
                table.append(
                    {"fold": number, "cwe": choice.cwe, "layers": cell.layer_set, "coefficient": cell.coefficient}
                    | side_effect(own, level=level, seed=seed)
                )
    return table


def _screening(
    rows: pd.DataFrame, grid: pd.DataFrame, *, unsteered: pd.DataFrame, level: float, seed: int
) -> dict[str, Any]:
    """Rank correlation of predicted and exact mean changes of the margin over the cells that were screened and run.

    Predicted: coefficient times the first-order effect. Programs are those of the inner folds that were screened.
    """
    keys = ["train", "template", "method", "layers", "program"]
    base = unsteered.set_index(["template", "program"])["margin"]
    exact = grid[grid["operation"] == "add"]
    both = exact.merge(rows[[*keys, "margin"]], on=keys, suffixes=("", "_effect"))
    index = pd.MultiIndex.from_frame(both[["template", "program"]])
    both = both.assign(
        predicted=both["coefficient"] * both["margin_effect"], change=both["margin"] - base.reindex(index).to_numpy()
    )
    names = ["method", "layers", "positions", "coefficient"]
    means = both.groupby(names)[["predicted", "change"]].mean().reset_index()
    found = {
        "rank_correlation": None,
        "cells": [{str(key): value for key, value in row.items()} for row in means.to_dict("records")],
        "n_programs": int(both["program"].nunique()),
    }
    if len(means) < FEWEST_CELLS:
        return found
    wide = both.pivot_table(index="program", columns=names, values=["predicted", "change"], dropna=False)
    groups = both.drop_duplicates("program").set_index("program")["group"].reindex(wide.index)
    agreement = rank_agreement(
        wide["predicted"].to_numpy(), wide["change"].to_numpy(), clusters=groups.tolist(), level=level, seed=seed
    )
    return found | {"rank_correlation": asdict(agreement)}
