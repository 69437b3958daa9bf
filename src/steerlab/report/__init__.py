"""The report of a study: one HTML page, tables for the terminal, one sentence of verdict."""

from __future__ import annotations

from steerlab.report.kinds import terminal_table, verdict
from steerlab.report.page import page, write_report

__all__ = ["page", "terminal_table", "verdict", "write_report"]
