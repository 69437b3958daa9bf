"""Summary to words and tables: the verdict, the table in the terminal, tables in HTML."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

ARM_NAMES: Mapping[str, str] = {
    "steered": "steered",
    "gated": "gated steering",
    "unsteered": "unsteered",
    "prompt_only": "prompt only",
    "recalibrated": "recalibrated threshold",
    "random": "random direction",
    "shuffled_labels": "shuffled labels",
    "flipped_sign": "flipped sign",
    "ngrams": "n-grams",
}
IN_A_SENTENCE: Mapping[str, str] = {
    "prompt_only": "a prompt alone",
    "recalibrated": "a recalibrated threshold alone",
    "random": "a random direction of the same norm",
    "shuffled_labels": "a vector from shuffled labels",
    "flipped_sign": "the vector with its sign flipped",
    "ngrams": "an n-gram classifier without any language model",
}
METRIC_NAMES: Mapping[str, str] = {
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
    "f1": "F1",
    "mcc": "MCC",
    "auroc": "AUROC of the margin",
    "pair_order": "pairs in the right order",
    "yes_rate": "says vulnerable",
    "yes_rate_patched": "says vulnerable of patched",
    "parsed_share": "answered",
}
MAIN = "balanced_accuracy"
NOTHING = "–"

CHANCE = 0.5  # balanced accuracy of guessing


def number(value: object, *, signed: bool = False) -> str:
    """Two decimals, or a dash where there is no finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return NOTHING
    text = f"{value:+.2f}" if signed else f"{value:.2f}"
    return text.replace("-0.00", "0.00").replace("+0.00", "0.00")


def interval(estimate: Mapping[str, Any] | None) -> str:
    """ "[0.04, 0.28]", or a dash where there is no interval."""
    if not estimate or number(estimate.get("low")) == NOTHING or number(estimate.get("high")) == NOTHING:
        return NOTHING
    return f"[{number(estimate['low'])}, {number(estimate['high'])}]"


def p_value(value: object) -> str:
    """Three decimals, "< 0.001", or a dash."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return NOTHING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def estimate_of(summary: Mapping[str, Any], arm: str, metric: str = MAIN) -> Mapping[str, Any]:
    """The estimate of an arm as a mapping; empty where there is none."""
    return _mapping(_mapping(_mapping(summary.get("arms")).get(arm)).get(metric))


def difference_of(summary: Mapping[str, Any], arm: str, metric: str = MAIN) -> Mapping[str, Any]:
    """Steered minus an arm in a metric; empty where there is none."""
    return _mapping(_mapping(_mapping(summary.get("differences")).get(arm)).get(metric))


def arm_name(arm: str) -> str:
    """An arm as a person reads it."""
    return ARM_NAMES.get(arm, arm.replace("_", " "))


def in_order(arms: Iterable[str]) -> list[str]:
    """Steered and unsteered first, then the controls."""
    names = list(arms)
    return [arm for arm in ARM_NAMES if arm in names] + [arm for arm in names if arm not in ARM_NAMES]


def verdict(summary: Mapping[str, Any]) -> str:
    """One plain sentence on balanced accuracy: the gain, its interval, and the best control.

    "no gain" where the interval of steered minus unsteered includes 0 (or there is none), or where too few answers
    changed for McNemar's exact test to tell. The control with the highest value is named where it does as well: steered
    minus control not above 0. A second sentence says when the unsteered model is not above chance.
    """
    steered = estimate_of(summary, "steered").get("value")
    gain = difference_of(summary, "unsteered")
    if number(steered) == NOTHING or number(gain.get("value")) == NOTHING:
        return "No verdict: steered and unsteered answers were not both scored."
    change = f"{number(gain['value'], signed=True)} over unsteered {in_brackets(gain)}"
    if is_unclear(gain, p := mcnemar_p(summary, "unsteered")):
        head, is_gain = f"no gain: steered {number(steered)}, {change}{doubt(gain, p)}", False
    elif not is_above(gain):
        head, is_gain = f"steering hurts: steered {number(steered)}, {change}", False
    else:
        head, is_gain = f"steered {number(steered)}, {change}", True
    return f"{head}{_control_clause(summary, is_gain=is_gain)} (balanced accuracy).{_chance_clause(summary)}"


def _chance_clause(summary: Mapping[str, Any]) -> str:
    """Says plainly when the model does not do the task at all without steering."""
    plain = estimate_of(summary, "unsteered")
    low = plain.get("low")
    if low is None or low > CHANCE:
        return ""
    return f" Unsteered, the model is not above chance here: {number(plain.get('value'))} {in_brackets(plain)}."


def in_brackets(estimate: Mapping[str, Any]) -> str:
    """The interval, or words where there is none."""
    found = interval(estimate)
    return "(no interval)" if found == NOTHING else found


def _control_clause(summary: Mapping[str, Any], *, is_gain: bool) -> str:
    controls = [arm for arm in _mapping(summary.get("arms")) if arm not in ("steered", "gated", "unsteered")]
    valued = [arm for arm in controls if number(estimate_of(summary, arm).get("value")) != NOTHING]
    if not valued:
        return ", without any control to compare with"
    as_good = [arm for arm in valued if not is_above(difference_of(summary, arm))]
    best = max(as_good or valued, key=lambda arm: float(estimate_of(summary, arm)["value"]))
    name, value = IN_A_SENTENCE.get(best, arm_name(best)), number(estimate_of(summary, best)["value"])
    if as_good:
        return f", {'but' if is_gain else 'and'} {name} reaches {value}"
    if is_gain:
        return f", above every control (the best, {name}, reaches {value})"
    return f"; the best control, {name}, reaches {value}"


def mcnemar_p(summary: Mapping[str, Any], arm: str) -> float | None:
    """McNemar's exact p of steered against an arm; None where there is none."""
    found = _mapping(_mapping(summary.get("differences")).get(arm)).get("mcnemar_p")
    return found if isinstance(found, float) else None


def is_unclear(difference: Mapping[str, Any], p: float | None) -> bool:
    """Whether a difference can't be told from none: by its interval, or by the exact p of the same answers.

    Where few answers changed and all to one side, every bootstrap draw lies on that side: four of four leave 0 out, and
    have p 0.125. Why both are asked: docs/explanation/null-study.md.
    """
    return _includes_none(difference) or (p is not None and p > 1 - float(difference.get("level") or 0.95))


def doubt(difference: Mapping[str, Any], p: float | None) -> str:
    """The clause that says why a difference whose interval leaves 0 out is none all the same."""
    if _includes_none(difference) or not is_unclear(difference, p):
        return ""
    return f" (too few answers changed to tell: McNemar p {p_value(p)})"


def _includes_none(difference: Mapping[str, Any]) -> bool:
    low, high = difference.get("low"), difference.get("high")
    return low is None or high is None or low <= 0 <= high


def is_above(difference: Mapping[str, Any]) -> bool:
    """Whether the whole interval lies above 0."""
    low = difference.get("low")
    return low is not None and low > 0


def terminal_table(summary: Mapping[str, Any]) -> list[Table]:
    """The tables at the end of a run: the arms, and the CWEs. Print them with a rich console."""
    tables = []
    if arms := arm_rows(summary):
        tables.append(plain_table("Balanced accuracy on held-out programs", ARM_COLUMNS, arms))
    if by_cwe := cwe_rows(summary):
        tables.append(plain_table("By CWE", CWE_COLUMNS, by_cwe))
    return tables


def plain_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table for the terminal without lines; the row of the steered arm is bold."""
    from rich.table import Table
    from rich.text import Text

    built = Table(title=Text(title), title_justify="left", box=None, pad_edge=False, header_style="bold")
    for place, column in enumerate(columns):
        built.add_column(Text(column), justify="left" if place == 0 else "right")
    for row in rows:
        style = "bold" if row[0] == "steered" else ""
        built.add_row(*(Text(cell) for cell in row), style=style)
    return built


ARM_COLUMNS = (
    "arm",
    "value",
    "interval",
    "steered minus arm",
    "interval of it",
    "McNemar p",
    "patched called vulnerable",
    "n",
    "unscored",
)
CWE_COLUMNS = ("CWE", "unsteered", "interval", "steered", "interval", "recalibrated", "interval", "n", "p (Holm)")


def arm_rows(summary: Mapping[str, Any]) -> list[list[str]]:
    """One row per arm, cells in the order of ARM_COLUMNS."""
    rows = []
    for arm in in_order(_mapping(summary.get("arms"))):
        estimate, difference = estimate_of(summary, arm), difference_of(summary, arm)
        rows.append(
            [
                arm_name(arm),
                number(estimate.get("value")),
                interval(estimate),
                number(difference.get("value"), signed=True),
                interval(difference),
                p_value(_mapping(_mapping(summary.get("differences")).get(arm)).get("mcnemar_p")),
                number(estimate_of(summary, arm, "yes_rate_patched").get("value")),
                count(estimate.get("n")),
                count(estimate.get("n_unscored")),
            ]
        )
    return rows


def cwe_rows(summary: Mapping[str, Any]) -> list[list[str]]:
    """One row per CWE, cells in the order of CWE_COLUMNS."""
    rows = []
    for cwe, arms in _mapping(summary.get("by_cwe")).items():
        found = [
            _mapping(_mapping(_mapping(arms).get(arm)).get(MAIN)) for arm in ("unsteered", "steered", "recalibrated")
        ]
        cells = [part for estimate in found for part in (number(estimate.get("value")), interval(estimate))]
        p = _mapping(summary.get("holm_by_cwe")).get(cwe)
        rows.append([cwe, *cells, count(found[1].get("n")), p_value(p)])
    return rows


def metric_rows(arms: Mapping[str, Any], named: Mapping[str, str] = METRIC_NAMES) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of all metrics of all arms; each cell "value [low, high]" with n and unscored.

    `named` are the metrics as a person reads them, in their order.
    """
    columns = ["metric", *(arm_name(arm) for arm in in_order(arms))]
    names = [m for m in named if any(m in _mapping(arm) for arm in arms.values())]
    names += sorted({m for arm in arms.values() for m in _mapping(arm)} - set(names))
    rows = []
    for metric in names:
        cells = [named.get(metric, metric.replace("_", " "))]
        for arm in in_order(arms):
            found = _mapping(_mapping(arms[arm]).get(metric))
            size = f" n {count(found.get('n'))}" + (
                f", {found['n_unscored']} unscored" if found.get("n_unscored") else ""
            )
            cells.append(f"{number(found.get('value'))} {interval(found)}{size}" if found else NOTHING)
        rows.append(cells)
    return columns, rows


def html_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, kind: str = "", marked: str | None = None
) -> str:
    """A table with all texts escaped; `kind` is its class ("stacked", "sortable"); the row `marked` is bold."""
    heads = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = []
    for row in rows:
        cells = [
            f'<td data-label="{escape(column)}"{" class=none" if cell == NOTHING else ""}>{unbroken(escape(cell))}</td>'
            for column, cell in zip(columns, row, strict=True)
        ]
        cells[0] = f'<th scope="row">{escape(row[0])}</th>'
        body.append(f"<tr{' class=marked' if row[0] == marked else ''}>{''.join(cells)}</tr>")
    table = f'<table class="{escape(kind)}"><thead><tr>{heads}</tr></thead><tbody>{"".join(body)}</tbody></table>'
    return f'<div class="scroll" tabindex="0">{table}</div>'


def unbroken(html: str) -> str:
    """Intervals stay on one line."""
    return re.sub(r"\[([-\d.]+), ([-\d.]+)\]", "[\\1,\u00a0\\2]", html)


def count(value: object) -> str:
    """A whole number, or a dash."""
    return str(int(value)) if isinstance(value, (int, float)) and math.isfinite(value) else NOTHING


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
