"""The rows of a code-correctness study to its summary: every rate with interval, n and n_unscored, and its tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from steerlab.statistics import Estimate, cluster_bootstrap, holm, mcnemar_exact, paired_difference, wilson
from steerlab.studies.coefficient_choice import Written, character_similarity
from steerlab.studies.correctness_effect import ARMS
from steerlab.studies.correctness_material import Bench
from steerlab.studies.correctness_writing import before_and_after
from steerlab.studies.selected_coefficients import read_selected

N_EXAMPLES = 6
RATES = ("pass_rate", "correction", "corruption", "preservation", "parse_rate")


def summarise_correctness(bench: Bench, arms: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """Everything that the table and the report show, as JSON-able values (see docs/reference/results.md)."""
    settings, out = bench.material.settings, bench.opened.path
    plain = arms["unsteered"]
    written = {name: before_and_after(plain, rows) for name, rows in arms.items()}
    measured = {name: _arm(pairs, settings.level, settings.seed) for name, pairs in written.items()}
    differences = {
        name: _difference(pairs, settings.level, settings.seed)
        for name, pairs in written.items()
        if name != "unsteered"
    }
    tested = [name for name in ("steered", "gated", "away", "away_gated") if name in differences]
    adjusted = holm({name: differences[name]["mcnemar_p"] for name in tested})
    for name in tested:
        differences[name]["mcnemar_p_holm"] = adjusted[name]
        control = "away_random_direction" if name.startswith("away") else "random_direction"
        differences[name]["binomial_p"] = _binomial(measured[name], measured.get(control))
    found = json.loads((out / "latents.json").read_text("utf-8"))
    selected = read_selected(out)
    coefficients = json.loads((out / "summary.json").read_text("utf-8"))["directions"]
    return {
        "study": "code-correctness",
        "model": bench.material.model.name,
        "sae": settings.sae,
        "problems": settings.problems,
        "n_problems": len(bench.material.problems) + len(bench.material.too_long),
        "n_analysis": len(plain),
        "n_too_long": len(bench.material.too_long),
        "baseline": json.loads((out / "baseline.json").read_text("utf-8")),
        "latents": {key: found[key] for key in ("sae", "counts", "chosen", "gates", "mean_difference")},
        "gate_fires": _gate_fires(bench, found, plain),
        "selected": selected,
        "primary": primary_arm(selected, coefficients),
        "coefficients": coefficients,
        "arms": measured,
        "arm_meanings": dict(ARMS),
        "differences": differences,
        "gated_minus_constant": _gated_minus_constant(arms, settings.level, settings.seed),
        "by_band": _by_band(written, arms, settings.level),
        "attention": _attention(out),
        "examples": _examples(bench, written["steered"]),
        "manifest": dict(bench.opened.manifest),
        "notes": [*bench.material.notes, *_notes(arms)],
    }


def primary_arm(selected: Mapping[str, Any], coefficients: Mapping[str, Any]) -> dict[str, str]:
    """Which arm the verdict is about, and why: chosen before the analysis split is looked at.

    The target whose coefficient a person chose (the correct-predicting one if both); else the one with the larger net
    benefit on the tuning split. Only the constant arm: the gated one follows from it and stands beside.
    """
    arms = {"correct": "steered", "incorrect": "away"}
    by_hand = [target for target in arms if selected.get(target, {}).get("chosen_by") == "hand"]
    if by_hand:
        return {"arm": arms[by_hand[0]], "reason": "its coefficient was chosen by hand"}
    benefits = {
        target: float(one["net_benefit"])
        for target in arms
        for one in coefficients.get(target, {}).get("coefficients", ())
        if one["coefficient"] == selected.get(target, {}).get("value") and one.get("net_benefit") is not None
    }
    best = max(benefits, key=lambda target: benefits[target], default="correct")
    told = " against ".join(f"{benefits[target]:+.2f} ({target})" for target in benefits)
    return {"arm": arms[best], "reason": f"net benefit on the tuning split {told}" if told else "no other was tried"}


def _arm(pairs: list[Written], level: float, seed: int) -> dict[str, Any]:
    """The rates of one arm. Several draws of a problem belong together: then intervals are over problems."""
    failing = [w for w in pairs if w.passed_before is False]
    passing = [w for w in pairs if w.passed_before is True]
    rates = {
        "pass_rate": _rate([(w.problem, w.passed_after) for w in pairs], level, seed),
        "correction": _rate([(w.problem, w.passed_after) for w in failing], level, seed),
        "corruption": _rate([(w.problem, _not(w.passed_after)) for w in passing], level, seed),
        "preservation": _rate([(w.problem, w.passed_after) for w in passing], level, seed),
        "parse_rate": _rate([(w.problem, w.parses) for w in pairs], level, seed),
    }
    return {
        **{name: asdict(rate) for name, rate in rates.items()},
        "n_corrected": sum(w.corrected for w in pairs),
        "n_corrupted": sum(w.corrupted for w in pairs),
        "character_similarity": float(np.mean([character_similarity(w.before, w.after) for w in pairs])),
    }


def _rate(outcomes: list[tuple[str, bool | None]], level: float, seed: int) -> Estimate:
    known = [(problem, bool(outcome)) for problem, outcome in outcomes if outcome is not None]
    unscored = len(outcomes) - len(known)
    names = [problem for problem, _ in known]
    if len(set(names)) == len(names):
        return wilson(sum(outcome for _, outcome in known), len(known), n_unscored=unscored, level=level)
    if len({outcome for _, outcome in known}) == 1:  # a bootstrap would give width 0, which says nothing of the rate
        n = len(set(names))
        return replace(wilson(n * known[0][1], n, n_unscored=unscored, level=level), n=len(known))
    values = [float(outcome) for _, outcome in known]
    return cluster_bootstrap(values, names, level=level, seed=seed, n_unscored=unscored)


def _not(outcome: bool | None) -> bool | None:
    return None if outcome is None else not outcome


def _difference(pairs: list[Written], level: float, seed: int) -> dict[str, Any]:
    """Pass rate of the arm minus unsteered on the same problems; exact McNemar where there is one row per problem."""
    before = [np.nan if w.passed_before is None else float(w.passed_before) for w in pairs]
    after = [np.nan if w.passed_after is None else float(w.passed_after) for w in pairs]
    names = [w.problem for w in pairs]
    once = len(set(names)) == len(names)
    corrected, corrupted = sum(w.corrected for w in pairs), sum(w.corrupted for w in pairs)
    return {
        "pass_rate": asdict(paired_difference(before, after, clusters=names, level=level, seed=seed)),
        "mcnemar_p": mcnemar_exact(corrupted, corrected) if once else None,
    }


def _binomial(arm: Mapping[str, Any], control: Mapping[str, Any] | None) -> float | None:
    """Exact one-sided p that the arm corrects no more failing problems than random directions do.

    Their rate is taken as (corrected + 1) / (n + 2), so that a control that corrected nothing does not make any single
    correction certain. None where no failing problem was scored.
    """
    from scipy.stats import binomtest

    n = arm["correction"]["n"]
    if control is None or not n or not control["correction"]["n"]:
        return None
    chance = (control["n_corrected"] + 1) / (control["correction"]["n"] + 2)
    return float(binomtest(arm["n_corrected"], n, chance, alternative="greater").pvalue)


def _gated_minus_constant(arms: Mapping[str, pd.DataFrame], level: float, seed: int) -> dict[str, Any]:
    """Gated against constant steering on the same problems."""
    pairs = before_and_after(arms["steered"], arms["gated"])
    return _difference(pairs, level, seed)


def _gate_fires(bench: Bench, found: Mapping[str, Any], plain: pd.DataFrame) -> dict[str, Any]:
    """On how many failing and passing problems of the analysis split each gate fires."""
    level = bench.material.settings.level
    counted = {}
    for target, fires in found["fires"].items():
        sides = {
            name: [
                fires[program]
                for program, passed in zip(plain["program"], plain["passed"], strict=True)
                if passed is outcome
            ]
            for name, outcome in (("failing", False), ("passing", True))
        }
        counted[target] = {name: asdict(wilson(sum(own), len(own), level=level)) for name, own in sides.items()}
    return counted


def _by_band(
    written: Mapping[str, list[Written]], arms: Mapping[str, pd.DataFrame], level: float
) -> dict[str, dict[str, Any]]:
    """Correction and corruption of steered and gated per band of complexity."""
    band_of = dict(zip(arms["unsteered"]["program"], arms["unsteered"]["band"], strict=True))
    found: dict[str, dict[str, Any]] = {}
    for band in sorted(set(band_of.values())):
        found[str(band)] = {
            name: {
                key: value
                for key, value in _arm([w for w in written[name] if band_of[w.problem] == band], level, 0).items()
                if key in RATES
            }
            for name in ("unsteered", "steered", "gated")
        }
    return found


def _attention(out: Path) -> dict[str, Any] | None:
    file = out / "attention.json"
    return json.loads(file.read_text("utf-8")) if file.is_file() else None


def _examples(bench: Bench, pairs: list[Written]) -> list[dict[str, Any]]:
    """Programs that steering changed between passing and failing, corrected ones first."""
    prompts = {problem.id: problem.prompt for problem in bench.material.problems}
    flipped = sorted((w for w in pairs if w.corrected or w.corrupted), key=lambda w: (not w.corrected, w.problem))
    return [
        {
            "problem": w.problem,
            "flip": "corrected" if w.corrected else "corrupted",
            "prompt": prompts[w.problem],
            "unsteered": w.before,
            "steered": w.after,
        }
        for w in flipped[:N_EXAMPLES]
    ]


def _notes(arms: Mapping[str, pd.DataFrame]) -> list[str]:
    ways = sorted({str(way) for name in arms if name != "unsteered" for way in arms[name]["way"]})
    return [
        f"Steered programs were written by the wave ({', '.join(ways)}).",
        "Ablation removes the direction after every layer at all positions. Orthogonalised weights, the permanent "
        "form, also remove it from what the first layer and each layer's second half read.",
    ]
