"""The summary of a study of secure code to words and tables: the verdict, the tables in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from steerlab.report.tables import (
    IN_A_SENTENCE,
    NOTHING,
    arm_name,
    count,
    difference_of,
    doubt,
    estimate_of,
    in_brackets,
    in_order,
    interval,
    is_above,
    is_unclear,
    mcnemar_p,
    number,
    p_value,
    plain_table,
)

if TYPE_CHECKING:
    from rich.table import Table

MARGIN_COLUMNS = (
    "arm",
    "margin, nats",
    "interval",
    "change by the arm",
    "interval of it",
    "steered minus arm",
    "interval of that",
    "prefers patched",
    "n",
)
FAMILY_COLUMNS = (
    "family",
    "unsteered",
    "steered",
    "interval",
    "secure, unsteered",
    "secure, steered",
    "margin change",
    "interval of it",
    "n",
    "p (Holm)",
)
METRICS: Mapping[str, str] = {
    "secure": "secure",
    "functional": "passes the tests",
    "exploited": "exploited",
    "runs": "compiles or loads",
    "parses": "parses",
    "complexity": "cyclomatic complexity",
    "repetition": "repetition",
    "length_ratio": "length over unsteered",
    "margin": "margin, nats",
    "margin_change": "margin change, nats",
    "prefers_patched": "prefers the patched body",
}


def joint_name(summary: Mapping[str, Any]) -> str:
    """What the joint number is called: secure and correct, or without a finding and parsed."""
    return str(summary.get("joint") or "secure and correct")


def arm_columns(summary: Mapping[str, Any]) -> tuple[str, ...]:
    """The heads of `arm_rows`."""
    fixed = ("arm", joint_name(summary), "interval", "steered minus arm", "interval of it", "McNemar p")
    tests = ("passes tests",) if summary.get("judge") != "analysers" else ()
    return (*fixed, "secure", *tests, "parses", "n", "unscored")


def arm_rows(summary: Mapping[str, Any]) -> list[list[str]]:
    """One row per arm whose completions were judged."""
    rows = []
    for arm in in_order(summary.get("arms") or {}):
        estimate = estimate_of(summary, arm, "joint")
        if not estimate:
            continue
        difference = difference_of(summary, arm, "joint")
        names = [name for name in ("secure", "functional", "parses") if name != "functional" or _tests(summary)]
        rows.append(
            [
                arm_name(arm),
                number(estimate.get("value")),
                interval(estimate),
                number(difference.get("value"), signed=True),
                interval(difference),
                p_value(((summary.get("differences") or {}).get(arm) or {}).get("mcnemar_p")),
                *(number(estimate_of(summary, arm, name).get("value")) for name in names),
                count(estimate.get("n")),
                count(estimate.get("n_unscored")),
            ]
        )
    return rows


def _tests(summary: Mapping[str, Any]) -> bool:
    return summary.get("judge") != "analysers"


def margin_rows(summary: Mapping[str, Any]) -> list[list[str]]:
    """One row per arm whose margins were read, cells in the order of MARGIN_COLUMNS."""
    rows = []
    for arm in in_order(summary.get("arms") or {}):
        estimate, change = estimate_of(summary, arm, "margin"), estimate_of(summary, arm, "margin_change")
        if not estimate:
            continue
        difference = difference_of(summary, arm, "margin")
        rows.append(
            [
                arm_name(arm),
                number(estimate.get("value")),
                interval(estimate),
                NOTHING if arm == "unsteered" else number(change.get("value"), signed=True),
                NOTHING if arm == "unsteered" else interval(change),
                number(difference.get("value"), signed=True),
                interval(difference),
                number(estimate_of(summary, arm, "prefers_patched").get("value")),
                count(estimate.get("n")),
            ]
        )
    return rows


def family_rows(summary: Mapping[str, Any]) -> list[list[str]]:
    """One row per family of CWEs, cells in the order of FAMILY_COLUMNS."""
    rows = []
    for name, arms in (summary.get("by_family") or {}).items():
        plain, steered = arms.get("unsteered") or {}, arms.get("steered") or {}
        joint, change = steered.get("joint") or {}, steered.get("margin_change") or {}
        rows.append(
            [
                name,
                number((plain.get("joint") or {}).get("value")),
                number(joint.get("value")),
                interval(joint),
                number((plain.get("secure") or {}).get("value")),
                number((steered.get("secure") or {}).get("value")),
                number(change.get("value"), signed=True),
                interval(change),
                count(joint.get("n")),
                p_value((summary.get("holm_by_family") or {}).get(name)),
            ]
        )
    return rows


def terminal_table(summary: Mapping[str, Any]) -> list[Table]:
    """The tables at the end of a run: completions, margins, families."""
    joint = joint_name(summary)
    titled = (
        (f"Completions of held-out tasks: {joint}", arm_columns(summary), arm_rows(summary)),
        ("Held-out pairs: log P(patched body) - log P(vulnerable body)", MARGIN_COLUMNS, margin_rows(summary)),
        (f"By family: {joint}, secure, and the change of the margin", FAMILY_COLUMNS, family_rows(summary)),
    )
    return [plain_table(title, columns, rows) for title, columns, rows in titled if rows]


def verdict(summary: Mapping[str, Any]) -> str:
    """One plain sentence on the joint number and its best control; on the margin where no completion has it.

    "no gain" where the interval of steered minus unsteered includes 0 (or there is none), or too few changed.
    """
    joint, margin = joint_name(summary), _margin_sentence(summary)
    steered, plain = (estimate_of(summary, arm, "joint") for arm in ("steered", "unsteered"))
    gain = difference_of(summary, "unsteered", "joint")
    if number(steered.get("value")) == NOTHING or number(gain.get("value")) == NOTHING:
        return f"No verdict on completions: steered and unsteered ones were not both scored. {margin}".strip()
    if not _any(summary, "joint"):
        parsed = estimate_of(summary, "unsteered", "parses").get("value")
        return (
            f"no gain: no completion of any arm is {joint} (of {count(plain.get('n'))} unsteered ones {number(parsed)} "
            f"parse), so completions cannot tell whether steering helps. {margin}"
        ).strip()
    change = f"{number(gain['value'], signed=True)} over unsteered {in_brackets(gain)}"
    if is_unclear(gain, p := mcnemar_p(summary, "unsteered")):
        head, is_gain = f"no gain: steered {number(steered['value'])}, {change}{doubt(gain, p)}", False
    elif not is_above(gain):
        head, is_gain = f"steering hurts: steered {number(steered['value'])}, {change}", False
    else:
        head, is_gain = f"steered {number(steered['value'])}, {change}", True
    return f"{head}{_control_clause(summary, 'joint', is_gain=is_gain)} ({joint}).{_cost(summary)} {margin}".strip()


def _any(summary: Mapping[str, Any], metric: str) -> bool:
    return any((estimate_of(summary, arm, metric).get("value") or 0) > 0 for arm in summary.get("arms") or {})


def _control_clause(summary: Mapping[str, Any], metric: str, *, is_gain: bool) -> str:
    controls = [arm for arm in summary.get("arms") or {} if arm not in ("steered", "unsteered")]
    valued = [arm for arm in controls if number(estimate_of(summary, arm, metric).get("value")) != NOTHING]
    if not valued:
        return ", without any control to compare with"
    as_good = [arm for arm in valued if not is_above(difference_of(summary, arm, metric))]
    best = max(as_good or valued, key=lambda arm: float(estimate_of(summary, arm, metric)["value"]))
    name, value = IN_A_SENTENCE.get(best, arm_name(best)), number(estimate_of(summary, best, metric)["value"])
    if as_good:
        return f", {'but' if is_gain else 'and'} {name} reaches {value}"
    return f"{', above every control (the best, ' if is_gain else '; the best control ('}{name}, reaches {value})"


def _cost(summary: Mapping[str, Any]) -> str:
    """Says when steering takes away from what works."""
    lost = difference_of(summary, "unsteered", "functional")
    high = lost.get("high")
    if high is None or high >= 0:
        return ""
    return f" It costs correctness: {number(lost['value'], signed=True)} of the completions pass their tests."


def _margin_sentence(summary: Mapping[str, Any]) -> str:
    change = estimate_of(summary, "steered", "margin_change")
    if number(change.get("value")) == NOTHING:
        return ""
    moved = f"{number(change['value'], signed=True)} nats {in_brackets(change)}"
    low, high = change.get("low"), change.get("high")
    head = f"On held-out pairs steering moves the log-odds of the patched body by {moved}"
    if low is None or high is None or low <= 0 <= high:
        return f"{head}: no change that can be told from none."
    if high < 0:
        return f"{head}: toward the vulnerable body."
    controls = [arm for arm in summary.get("arms") or {} if arm not in ("steered", "unsteered")]
    valued = [arm for arm in controls if number(estimate_of(summary, arm, "margin_change").get("value")) != NOTHING]
    as_good = [arm for arm in valued if not is_above(difference_of(summary, arm, "margin"))]
    if not as_good:
        return f"{head}, more than every control."
    best = max(as_good, key=lambda arm: float(estimate_of(summary, arm, "margin_change")["value"]))
    value = number(estimate_of(summary, best, "margin_change")["value"], signed=True)
    return f"{head}, but {IN_A_SENTENCE.get(best, arm_name(best))} does as well ({value})."
