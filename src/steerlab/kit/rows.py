"""One line of the kit's table: a number with its interval, the bar it is held to, and the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from steerlab.statistics import Estimate

if TYPE_CHECKING:
    from rich.table import Table

Verdict = Literal["met", "not met", "printed only", "not given", "not measured"]


@dataclass(frozen=True, kw_only=True)
class Bar:
    """What a number is held to: `low` <= number <= `high` (None: no bound).

    `of` says which number: the value, or the lower end of its interval, which then must lie above `low`.
    """

    text: str
    low: float | None = None
    high: float | None = None
    of: Literal["value", "lower end"] = "value"

    def holds(self, value: float | None, lower_end: float | None) -> bool:
        """Whether the bar is met; a number that is missing meets none."""
        if self.of == "lower end":
            return lower_end is not None and self.low is not None and lower_end > self.low
        if value is None:
            return False
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


def at_least(low: float, *, aim: float | None = None) -> Bar:
    """The value is at least `low`."""
    return Bar(text=f">= {low:.2f}" + ("" if aim is None else f" (aim {aim:.2f})"), low=low)


def at_most(high: float, *, unit: str = "") -> Bar:
    """The value is at most `high`."""
    return Bar(text=f"<= {high:g}{unit and ' ' + unit}", high=high)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line. `low` and `high` bound a 95 % interval; `n` counts what was scored, in the words of `note`.

    `value` is None where nothing was measured. A bar that could not be measured is not met.
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    n_unscored: int = 0
    unit: str = ""
    bar: str = ""
    verdict: Verdict = "printed only"
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """The row as JSON values."""
        return asdict(self)


def judged(name: str, estimate: Estimate, bar: Bar | None = None, *, n: int | None = None, note: str = "") -> Row:
    """A row of an estimate; `n` replaces the estimate's where rows are not what a person counts."""
    return Row(
        name=name,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        n=estimate.n if n is None else n,
        n_unscored=estimate.n_unscored,
        bar="" if bar is None else bar.text,
        verdict=_verdict(bar, estimate.value, estimate.low),
        note=note or estimate.method,
    )


def measured(name: str, value: float | None, bar: Bar | None = None, *, n: int = 0, unit: str = "", note: str) -> Row:
    """A row of a number without an interval; `note` says how it was measured."""
    text = "" if bar is None else bar.text
    return Row(name=name, value=value, n=n, unit=unit, bar=text, verdict=_verdict(bar, value, None), note=note)


def absent(name: str, *, verdict: Verdict, note: str, bar: Bar | None = None) -> Row:
    """A row of what was not measured, with the reason."""
    return Row(name=name, value=None, bar="" if bar is None else bar.text, verdict=verdict, note=note)


def _verdict(bar: Bar | None, value: float | None, lower_end: float | None) -> Verdict:
    if bar is None:
        return "printed only"
    return "met" if bar.holds(value, lower_end) else "not met"


def terminal_table(rows: Sequence[Row], *, title: str) -> Table:
    """The rows as a table for a terminal of 100 columns or more; how each was measured is in its `note` only."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("what", "value", "95 %", "n", "unscored", "bar", "verdict"):
        table.add_column(column, justify="right" if column in ("value", "n", "unscored") else "left", max_width=56)
    for row in rows:
        table.add_row(*map(Text, cells(row)))
    return table


def cells(row: Row) -> tuple[str, ...]:
    """What, value, interval, n, unscored, bar and verdict as texts."""
    value = "–" if row.value is None else f"{row.value:.2f}{row.unit and ' ' + row.unit}"
    interval = "" if row.low is None or row.high is None else f"{row.low:.2f} to {row.high:.2f}"
    counts = (str(row.n), str(row.n_unscored)) if row.n or row.n_unscored else ("", "")
    return (row.name, value, interval, *counts, row.bar, row.verdict)
