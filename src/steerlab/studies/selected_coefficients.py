"""selected_coefficients.json: what the rule picked, what a person chose instead, and what the next stage uses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from steerlab.errors import OptionError, RunError, nearest
from steerlab.results import write_json

FILE = "selected_coefficients.json"
TARGETS = ("correct", "incorrect")

# Both latents are steered toward passing: the correct-predicting one is added, the incorrect-predicting one subtracted.
SIGNS: Mapping[str, int] = {"correct": 1, "incorrect": -1}


def read_selected(run: Path) -> dict[str, Any]:
    """The selection of a run by target. Raises: RunError when the stage `coefficients` has not been done there."""
    try:
        found = json.loads((run / FILE).read_text("utf-8"))
        return dict(found["selected"])
    except FileNotFoundError:
        raise RunError(f"{run} has no {FILE}: run the stage coefficients there first.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{run / FILE} is damaged ({error}): run the stage coefficients again.") from None


def write_by_rule(run: Path, run_id: str, choices: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Write the rule's choices (direction, layer, latent, sign, value, reason, qualifies); a person's choice stays.

    A person's choice is dropped where the latent is another one now. Returns the selection by target.
    """
    before = read_selected(run) if (run / FILE).is_file() else {}
    selected = {}
    for target, choice in choices.items():
        rule = {**choice, "chosen_by": "rule", "timestamp": _now(), "run": run_id}
        old = before.get(target, {})
        if _same(old.get("rule", {}), rule):
            rule["timestamp"] = old["rule"]["timestamp"]
        hand = old.get("hand")
        hand = hand if hand and all(hand[key] == rule[key] for key in ("layer", "latent")) else None
        selected[target] = {**(hand or rule), "rule": rule, "hand": hand}
    write_json(run / FILE, {"schema": 1, "run": run_id, "selected": selected})
    return selected


def select_by_hand(run: Path, coefficient: float, *, reason: str, target: str = "correct") -> dict[str, Any]:
    """Record a person's choice beside the rule's; the stage `effect` uses it. Returns the entry of the target.

    Raises: OptionError for an unknown target, a coefficient that is 0 or not finite, an empty reason; RunError.
    """
    if target not in TARGETS:
        raise OptionError(f"direction {target!r} does not exist. {nearest(target, TARGETS)}")
    if not coefficient or coefficient != coefficient or coefficient in (float("inf"), float("-inf")):  # noqa: PLR0124
        raise OptionError(f"coefficient {coefficient:g} would steer nothing or cannot be: give another number.")
    if not reason.strip():
        raise OptionError('a choice by hand needs a reason: --reason "what you saw".')
    selected = read_selected(run)
    if target not in selected:
        raise RunError(f"{run} has no {target}-predicting latent selected: run the stage coefficients again.")
    entry = selected[target]
    rule = entry["rule"]
    hand = {
        **{key: rule[key] for key in ("direction", "layer", "latent", "sign", "run")},
        "value": coefficient,
        "reason": reason.strip(),
        "qualifies": None,
        "chosen_by": "hand",
        "timestamp": _now(),
    }
    selected[target] = {**hand, "rule": rule, "hand": hand}
    write_json(run / FILE, {"schema": 1, "run": rule["run"], "selected": selected})
    return dict(selected[target])


def _same(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return {**old, "timestamp": ""} == {**new, "timestamp": ""}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
