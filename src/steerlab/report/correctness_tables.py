"""Summary of a code-correctness study to words and tables: the verdict, the tables in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from steerlab.report.tables import NOTHING, count, doubt, interval, is_above, is_unclear, number, p_value

if TYPE_CHECKING:
    from rich.table import Table

ARM_NAMES: Mapping[str, str] = {
    "unsteered": "unsteered",
    "steered": "correct latent added",
    "gated": "the same, gated",
    "away": "incorrect latent subtracted",
    "away_gated": "the same, gated ",
    "mean_difference": "mean difference",
    "flipped_sign": "flipped sign",
    "random_latent": "random latents",
    "random_direction": "random directions",
    "away_random_latent": "random latents subtracted",
    "away_random_direction": "random directions, dose of subtracted",
    "ablated": "correct latent removed",
    "away_ablated": "incorrect latent removed",
}
CONTROLS = {
    "steered": ("flipped_sign", "random_latent", "random_direction"),
    "away": ("away_random_latent", "away_random_direction"),
}
TRIED = ("steered", "gated", "away", "away_gated")

ARM_COLUMNS = (
    "arm",
    "passes",
    "interval",
    "minus unsteered",
    "interval of it",
    "McNemar p",
    "corrects",
    "interval",
    "corrupts",
    "interval",
    "n",
    "unscored",
)
COEFFICIENT_COLUMNS = (
    "coefficient",
    "flips",
    "corrects",
    "of failing",
    "corrupts",
    "of passing",
    "net benefit",
    "parses",
    "characters alike",
    "length ratio",
)
LATENT_COLUMNS = (
    "predicts",
    "layer",
    "latent",
    "active: passing",
    "active: failing",
    "separation",
    "t",
    "p (BH)",
    "AUROC, tuning",
    "interval",
    "F1, tuning",
)

Summary = Mapping[str, Any]


def verdict(summary: Summary) -> str:
    """One plain sentence on the pass rate: the arm that was chosen on the tuning split, unsteered, the best control.

    The other steered arms were looked at as well, so they count only with their p adjusted for all of them (Holm).
    A gain needs an interval of the difference above 0, enough changed programs for McNemar's test to tell, and a
    control below it; null is said as null.
    """
    arms = summary.get("arms") or {}
    arm = str((summary.get("primary") or {}).get("arm", "steered"))
    change = _difference(summary, arm)
    if change.get("value") is None:
        return "No verdict: steered and unsteered programs were not both scored."
    p = ((summary.get("differences") or {}).get(arm) or {}).get("mcnemar_p")
    rate = f"{_name(arm)}: {number(_rate(arms, arm, 'pass_rate').get('value'))} of programs pass"
    against = f"{number(change['value'], signed=True)} over unsteered {interval(change)}{doubt(change, p)}"
    counts = f"corrects {_fraction(arms, arm, 'correction')}, corrupts {_fraction(arms, arm, 'corruption')}"
    start = "no gain" if is_unclear(change, p) else "a gain" if is_above(change) else "steering hurts"
    control = _control_clause(summary, arm, gained=start == "a gain")
    return f"{start}: {rate}, {against}; {counts}{control}.{_others(summary, arm)}"


def _others(summary: Summary, primary: str) -> str:
    """The other steered arms that differ from unsteered after Holm's adjustment over all of them."""
    clear = []
    for arm in TRIED:
        p = ((summary.get("differences") or {}).get(arm) or {}).get("mcnemar_p_holm")
        change = _difference(summary, arm)
        if arm != primary and p is not None and p < 0.05 and change.get("value") is not None:
            clear.append(f"{_name(arm)} {number(change['value'], signed=True)} {interval(change)}, p {p_value(p)}")
    return f" Of the other arms, adjusted for {len(TRIED)}: {'; '.join(clear)}." if clear else ""


def terminal_table(summary: Summary) -> list[Table]:
    """The tables at the end of a run: latents, coefficients of each, arms. Print them with a rich console."""
    tables = []
    if rows := latent_rows(summary):
        tables.append(_table("Latents that predict the outcome", LATENT_COLUMNS, rows))
    for target, entry in (summary.get("coefficients") or {}).items():
        if rows := coefficient_rows(entry):
            title = f"Coefficients of the {target}-predicting latent {entry.get('latent')} (tuning split)"
            tables.append(_table(title, COEFFICIENT_COLUMNS, rows))
    if rows := arm_rows(summary):
        tables.append(_table("Programs that pass, on the analysis split", ARM_COLUMNS, rows))
    return tables


def arm_rows(summary: Summary) -> list[list[str]]:
    """One row per arm, cells in the order of ARM_COLUMNS."""
    arms = summary.get("arms") or {}
    rows = []
    for arm in ARM_NAMES:
        if arm not in arms:
            continue
        change, rate = _difference(summary, arm), _rate(arms, arm, "pass_rate")
        correction, corruption = _rate(arms, arm, "correction"), _rate(arms, arm, "corruption")
        flips = [
            number(correction.get("value")),
            interval(correction),
            number(corruption.get("value")),
            interval(corruption),
        ]
        rows.append(
            [
                ARM_NAMES[arm],
                number(rate.get("value")),
                interval(rate),
                number(change.get("value"), signed=True),
                interval(change),
                p_value((summary.get("differences") or {}).get(arm, {}).get("mcnemar_p")),
                *([NOTHING] * 4 if arm == "unsteered" else flips),
                count(rate.get("n")),
                count(rate.get("n_unscored")),
            ]
        )
    return rows


def coefficient_rows(entry: Mapping[str, Any]) -> list[list[str]]:
    """One row per coefficient of a latent, cells in the order of COEFFICIENT_COLUMNS."""
    return [
        [
            f"{one['coefficient']:g}",
            number(one["flip_rate"].get("value")),
            number(one["correction_rate"].get("value")),
            count(one["correction_rate"].get("n")),
            number(one["corruption_rate"].get("value")),
            count(one["corruption_rate"].get("n")),
            number(one.get("net_benefit"), signed=True),
            number(one["parse_rate"].get("value")),
            number(one.get("character_similarity")),
            number(one.get("length_ratio")),
        ]
        for one in entry.get("coefficients") or []
    ]


def latent_rows(summary: Summary) -> list[list[str]]:
    """One row per chosen latent, cells in the order of LATENT_COLUMNS."""
    rows = []
    for target, one in ((summary.get("latents") or {}).get("chosen") or {}).items():
        tuning = one.get("tuning") or {}
        rows.append(
            [
                "passing" if target == "correct" else "failing",
                count(one.get("layer")),
                count(one.get("latent")),
                number(one.get("frequency_passing")),
                number(one.get("frequency_failing")),
                number(one.get("separation"), signed=True),
                number(one.get("t"), signed=True),
                p_value(one.get("p_adjusted")),
                number((tuning.get("auroc") or {}).get("value")),
                interval(tuning.get("auroc")),
                number((tuning.get("f1") or {}).get("value")),
            ]
        )
    return rows


def selected_rows(summary: Summary) -> list[list[str]]:
    """Per latent what coefficient was taken, by whom, and why; a person's choice with the rule's beside it."""
    rows = []
    for target, one in (summary.get("selected") or {}).items():
        rows.append([target, f"{one['value']:g}", one["chosen_by"], one["reason"]])
        if one["chosen_by"] == "hand":
            rows.append([target, f"{one['rule']['value']:g}", "rule (not used)", one["rule"]["reason"]])
    return rows


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    built = Table(title=Text(title), title_justify="left", box=None, pad_edge=False, header_style="bold")
    for place, column in enumerate(columns):
        built.add_column(Text(column), justify="left" if place == 0 else "right")
    for row in rows:
        built.add_row(*(Text(text) for text in row))
    return built


def _name(arm: str) -> str:
    names = {
        "gated": "correct latent added where the gate fires",
        "away_gated": "incorrect latent subtracted where it fires",
    }
    return names.get(arm, ARM_NAMES[arm])


def _rate(arms: Mapping[str, Any], arm: str, key: str) -> Mapping[str, Any]:
    return (arms.get(arm) or {}).get(key) or {}


def _difference(summary: Summary, arm: str) -> Mapping[str, Any]:
    return ((summary.get("differences") or {}).get(arm) or {}).get("pass_rate") or {}


def _fraction(arms: Mapping[str, Any], arm: str, key: str) -> str:
    """ "2 of 12 failing"."""
    name = {"correction": ("n_corrected", "failing"), "corruption": ("n_corrupted", "passing")}[key]
    return f"{count((arms.get(arm) or {}).get(name[0]))} of {count(_rate(arms, arm, key).get('n'))} {name[1]}"


def _control_clause(summary: Summary, best: str, *, gained: bool) -> str:
    """The control at the dose of `best` with the highest pass rate, and whether it does as well."""
    arms = summary.get("arms") or {}
    controls = CONTROLS["away" if best.startswith("away") else "steered"]
    valued = [arm for arm in controls if _rate(arms, arm, "pass_rate").get("value") is not None]
    if not valued:
        return ", without any control to compare with"
    top = max(valued, key=lambda arm: float(_rate(arms, arm, "pass_rate")["value"]))
    value = float(_rate(arms, top, "pass_rate")["value"])
    as_good = value >= float(_rate(arms, best, "pass_rate")["value"])
    link = "but" if gained and as_good else "and"
    return f"; {link} {ARM_NAMES[top]} alone reach{'' if 'random' in top else 'es'} {number(value)}"
