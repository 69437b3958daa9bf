"""The rows of a detection study to its summary: every number with interval, n and n_unscored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from steerlab.contrast import cwe_number
from steerlab.controls import ARMS, CONTROL_METHODS
from steerlab.selection import CELL_COLUMNS, Choice, balanced_accuracy, split_by
from steerlab.statistics import holm, mcnemar_exact, paired_difference
from steerlab.studies.analysis_summary import analysed, side_effect
from steerlab.studies.detection_material import Material
from steerlab.studies.detection_trials import pooled
from steerlab.tasks.detection import answers_from_margins, estimates, reasoning_quality
from steerlab.tasks.templates import Template, render

Choices = Mapping[int, tuple[Template, tuple[Choice, ...]]]
N_EXAMPLES = 6


def summarise(
    material: Material, rows: pd.DataFrame, choices: Choices, *, manifest: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything that the table and the report show, as JSON-able values (see docs/reference/results.md)."""
    s = material.settings
    tested = test_rows(material, rows, choices)
    likelihood = tested[tested["readout"] == "likelihood"]
    layers = _layers(rows[rows["arm"] == "reading"], s.level, s.seed)
    arms = {arm: _arm(likelihood[likelihood["arm"] == arm], s.level, s.seed) for arm in _present(likelihood)}
    return {
        "study": "vulnerability-detection",
        "model": material.model.name,
        "pairs": s.pairs,
        "n_programs": len(material.programs),
        "n_groups": len({program.group for program in material.programs}),
        "n_pairs": len(material.pairs),
        "n_too_long": len(material.too_long),
        "arms": arms,
        "arm_meanings": dict(ARMS),
        "by_cwe": _by_cwe(likelihood, s.level, s.seed),
        "differences": _differences(likelihood, s.level, s.seed),
        "holm_by_cwe": _holm_by_cwe(likelihood),
        "selection": [
            {"fold": number, "template": template.name, **choice.describe()}
            for number, (template, chosen) in sorted(choices.items())
            for choice in chosen
        ],
        "grid": _grid(rows),
        "layers": layers,
        "dose": _dose(rows, choices, level=s.level, seed=s.seed),
        **analysed(material, rows, choices),
        "generated": {
            arm: _arm(part, s.level, s.seed)
            for (arm,), part in split_by(tested[tested["readout"] == "generated"], "arm")
        },
        "explanations": _explanations(material, tested[tested["readout"] == "generated"]),
        "examples": _examples(material, tested, choices),
        "notes": [*material.notes, *_reading_notes(layers)],
        "manifest": dict(manifest),
    }


def test_rows(material: Material, rows: pd.DataFrame, choices: Choices) -> pd.DataFrame:
    """The rows on programs that played no part in the choice of their setting.

    Programs that do not fit the context are in every arm, unanswered, so that each number counts them as unscored.
    """
    named = rows[rows["arm"].isin(ARMS)]
    parts = [named[(named["arm"] != "unsteered") | (named["train"] != "none")]]
    plain = named[(named["arm"] == "unsteered") & (named["train"] == "none")]
    for fold in material.folds:
        template = choices[fold.number][0].name
        parts.append(plain[plain["group"].isin(fold.test) & (plain["template"] == template)])
    tested = pd.concat(parts, ignore_index=True)
    if not material.too_long:
        return tested
    kinds = tested[["arm", "readout"]].drop_duplicates().to_dict("records")
    unscored = [
        {
            **kind,
            "program": program.id,
            "group": program.group,
            "cwe": program.cwe,
            "label": program.label,
            "answer": None,
            "margin": float("nan"),
            "completion": "",
            "completion_tokens": 0,
            "unscored": "longer than the context",
        }
        for kind in kinds
        for program in material.too_long
    ]
    return pd.concat([tested, pd.DataFrame(unscored)], ignore_index=True)


def _present(rows: pd.DataFrame) -> list[str]:
    """The arms that have rows, in the order of ARMS."""
    found = set(rows["arm"])
    return [arm for arm in ARMS if arm in found]


def _arm(rows: pd.DataFrame, level: float, seed: int) -> dict[str, Any]:
    found = estimates(rows, level=level, seed=seed)
    return {name: asdict(estimate) for name, estimate in found.items()}


def _by_cwe(rows: pd.DataFrame, level: float, seed: int) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for cwe in sorted(rows["cwe"].unique(), key=cwe_number):
        part = rows[rows["cwe"] == cwe]
        table[cwe] = {arm: _arm(part[part["arm"] == arm], level, seed) for arm in _present(rows)}
    return table


def _right_by_program(rows: pd.DataFrame) -> pd.DataFrame:
    """Per program the share of right answers (over draws) of one arm; NaN where nothing was answered."""
    right = (rows["answer"] == rows["label"]).astype(float).where(rows["answer"].notna())
    frame = rows.assign(right=right).groupby("program", sort=True)
    return frame.agg(right=("right", "mean"), label=("label", "first"), group=("group", "first"))


def _balanced(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Balanced accuracy of rows [right, is vulnerable] in each bootstrap draw."""
    right, vulnerable = values[:, 0], values[:, 1]
    sides = []
    for side in (vulnerable == 1, vulnerable == 0):
        total = weights[:, side].sum(axis=1)
        sides.append(np.divide(weights[:, side] @ right[side], total, out=np.full(len(total), np.nan), where=total > 0))
    return np.asarray((sides[0] + sides[1]) / 2)


def _differences(rows: pd.DataFrame, level: float, seed: int) -> dict[str, Any]:
    steered = _right_by_program(rows[rows["arm"] == "steered"])
    table: dict[str, Any] = {}
    for arm in _present(rows):
        if arm == "steered":
            continue
        other = _right_by_program(rows[rows["arm"] == arm]).reindex(steered.index)
        vulnerable = (steered["label"] == "vulnerable").astype(float)
        estimate = paired_difference(
            np.column_stack([other["right"], vulnerable]),
            np.column_stack([steered["right"], vulnerable]),
            clusters=steered["group"].to_numpy(),
            level=level,
            seed=seed,
            statistic=_balanced,
            statistic_on="weights",
        )
        p = None if arm in CONTROL_METHODS else _mcnemar(other["right"], steered["right"])
        table[arm] = {"balanced_accuracy": asdict(estimate), "mcnemar_p": p}
    return table


def _mcnemar(before: pd.Series, after: pd.Series) -> float:
    """Exact McNemar on the programs that were answered on both sides, once each."""
    both = before.notna() & after.notna()
    return mcnemar_exact(
        int(((before == 1) & (after == 0))[both].sum()), int(((before == 0) & (after == 1))[both].sum())
    )


def _holm_by_cwe(rows: pd.DataFrame) -> dict[str, float]:
    found: dict[str, float] = {}
    for cwe in sorted(rows["cwe"].unique(), key=cwe_number):
        part = rows[rows["cwe"] == cwe]
        steered = _right_by_program(part[part["arm"] == "steered"])
        plain = _right_by_program(part[part["arm"] == "unsteered"]).reindex(steered.index)
        found[cwe] = _mcnemar(plain["right"], steered["right"])
    return dict(holm(found))


def _grid(rows: pd.DataFrame) -> list[dict[str, Any]]:
    grid = rows[rows["arm"] == "grid"]
    return [
        dict(zip(("template", *CELL_COLUMNS), key, strict=True)) | _curve_point(part)
        for key, part in split_by(grid, "template", *CELL_COLUMNS)
    ]


def _curve_point(part: pd.DataFrame) -> dict[str, Any]:
    return {
        "balanced_accuracy": _finite(balanced_accuracy(part)),
        "auroc": _auroc(part),
        "yes_rate": _finite(float((part["answer"] == "vulnerable").mean())),
        "n": len(part),
    }


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _auroc(rows: pd.DataFrame) -> float | None:
    from sklearn.metrics import roc_auc_score

    vulnerable = rows["label"] == "vulnerable"
    return float(roc_auc_score(vulnerable, rows["margin"])) if vulnerable.nunique() == 2 else None


def _layers(readings: pd.DataFrame, level: float, seed: int) -> list[dict[str, Any]]:
    table = []
    if readings.empty:
        return []
    for (layer,), part in split_by(readings.assign(layer=readings["layers"].astype(int)), "layer"):
        answered = part.assign(answer=pd.Series(answers_from_margins(part["margin"].to_numpy()), index=part.index))
        estimate = estimates(answered, level=level, seed=seed)["auroc"]
        agreement = float(part["agreement"].mean())
        table.append(
            {
                "layer": int(layer),
                "reading_auroc": asdict(estimate),
                "agreement": agreement,
                "sign_ok": agreement > 0.5,
            }
        )
    return table


def _reading_notes(layers: list[dict[str, Any]]) -> list[str]:
    """Says so when no layer's held-out projection tells the programs apart."""
    lows = [entry["reading_auroc"]["low"] for entry in layers]
    if any(low is not None and low > 0.5 for low in lows):
        return []
    return [
        "Reading is not above chance at any of these layers: along such directions there is nothing to steer with. "
        "(Cross-validation pushes the AUROC of directions without signal somewhat below 0.5.)"
    ]


def _dose(rows: pd.DataFrame, choices: Choices, *, level: float, seed: int) -> list[dict[str, Any]]:
    """Dose-response on the training sides at the cell chosen most often; coefficient 0 is the unsteered model.

    `kl` is the side effect on ordinary code of the first fold's vector, where it was measured.
    """
    cells = [pooled(chosen) for _, chosen in choices.values()]
    names = [(cell.method, cell.layer_set, cell.operation, cell.positions) for cell in cells]
    most = max(sorted(set(names)), key=names.count)
    templates = {template.name for template, _ in choices.values()}
    at = (rows["method"] == most[0]) & (rows["layers"] == most[1]) & (rows["operation"] == most[2])
    grid = rows[(rows["arm"] == "grid") & at & (rows["positions"] == most[3])]
    plain = rows[(rows["arm"] == "unsteered") & (rows["train"] == "none") & rows["template"].isin(templates)]
    measured = (rows["arm"] == "side_effects") & (rows["train"] == f"fold {min(choices)}")
    effects = {
        float(c): side_effect(part, level=level, seed=seed)["kl"]
        for (c,), part in split_by(rows[measured & at], "coefficient")
    }
    parts = [(0.0, plain), *((float(c), part) for (c,), part in split_by(grid, "coefficient"))]
    return [
        {"layers": most[1], "coefficient": coefficient, **_curve_point(part), "kl": effects.get(coefficient)}
        for coefficient, part in sorted(parts, key=lambda pair: pair[0])
    ]


def _explanations(material: Material, generated: pd.DataFrame) -> dict[str, Any]:
    """Mean quality of the generated explanations of vulnerable programs that have a ground-truth text."""
    programs = {program.id: program for program in material.programs if program.reasoning}
    written = generated[generated["program"].isin({program.id for program in material.programs})]
    table: dict[str, Any] = {}
    for (arm,), rows in split_by(written, "arm"):
        vulnerable = rows[(rows["label"] == "vulnerable") & rows["program"].isin(programs)]
        texts = dict(zip(vulnerable["program"].astype(str), vulnerable["completion"].astype(str), strict=True))
        judged = [reasoning_quality(text, programs[name].reasoning, programs[name]) for name, text in texts.items()]
        names = sorted({name for entry in judged for name in entry})
        table[str(arm)] = {"n": len(judged), "mean_tokens": _finite(float(rows["completion_tokens"].mean()))} | {
            name: _finite(float(np.mean([entry[name] for entry in judged if entry[name] is not None] or [np.nan])))
            for name in names
        }
    return table


def _examples(material: Material, tested: pd.DataFrame, choices: Choices) -> list[dict[str, Any]]:
    """Generated answers side by side: first those that changed, spread over the CWEs."""
    generated = tested[tested["readout"] == "generated"]
    before, after = (_written(generated[generated["arm"] == arm]) for arm in ("unsteered", "steered"))
    fold_of = {group: fold.number for fold in material.folds for group in fold.test}
    programs = [program for program in material.programs if program.id in before and program.id in after]
    programs.sort(key=lambda program: (before[program.id][0] == after[program.id][0], program.id))
    first_of_cwe = {program.cwe: program for program in reversed(programs)}
    chosen = [*sorted(first_of_cwe.values(), key=programs.index), *programs]
    return [
        {
            "program": program.id,
            "cwe": program.cwe,
            "label": program.label,
            "prompt": render(choices[fold_of[program.group]][0], program),
            "unsteered": before[program.id][0],
            "steered": after[program.id][0],
            "answer_unsteered": before[program.id][1],
            "answer_steered": after[program.id][1],
        }
        for program in list(dict.fromkeys(chosen))[:N_EXAMPLES]
    ]


def _written(rows: pd.DataFrame) -> dict[str, tuple[str, str | None]]:
    """By program: the completion and the answer that was read in it."""
    columns = (rows["program"], rows["completion"], rows["answer"])
    return {str(name): (str(text), _answer(answer)) for name, text, answer in zip(*columns, strict=True)}


def _answer(value: object) -> str | None:
    return value if isinstance(value, str) else None  # pandas turns None into NaN
