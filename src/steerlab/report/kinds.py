"""What the report of each study is made of: REPORTS is the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from steerlab.report import correctness_page, correctness_tables, detection_page, secure_page, secure_tables, tables

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

Summary = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class StudyReport:
    """How a study is reported: one sentence, the tables in the terminal, what the head counts, the page's sections.

    `sizes` are (label, key of the summary).
    """

    verdict: Callable[[Summary], str]
    terminal_table: Callable[[Summary], list[Table]]
    sizes: Sequence[tuple[str, str]]
    body: Callable[[Summary, pd.DataFrame], str]


DETECTION = StudyReport(
    verdict=tables.verdict, terminal_table=tables.terminal_table, sizes=detection_page.SIZES, body=detection_page.body
)
REPORTS: Mapping[str, StudyReport] = {
    "vulnerability-detection": DETECTION,
    "code-correctness": StudyReport(
        verdict=correctness_tables.verdict,
        terminal_table=correctness_tables.terminal_table,
        sizes=correctness_page.SIZES,
        body=correctness_page.body,
    ),
    "secure-code": StudyReport(
        verdict=secure_tables.verdict,
        terminal_table=secure_tables.terminal_table,
        sizes=secure_page.SIZES,
        body=secure_page.body,
    ),
}


def report_of(summary: Summary) -> StudyReport:
    """The report of the summary's study; that of detection where it names none."""
    return REPORTS.get(str(summary.get("study")), DETECTION)


def verdict(summary: Summary) -> str:
    """One plain sentence on the study's question."""
    return report_of(summary).verdict(summary)


def terminal_table(summary: Summary) -> list[Table]:
    """The tables at the end of a run. Print them with a rich console."""
    return report_of(summary).terminal_table(summary)
