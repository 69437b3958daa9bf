"""What the sanitizers saw while a completion was tested, as an analysis beside those of the static analysers."""

from __future__ import annotations

from steerlab.analysers import Analysis, unscored
from steerlab.analysers.sanitizers import NAME, REPORTS, report_finding
from steerlab.tasks.completion import CompletionScore, CompletionTask


def sanitizer_analysis(task: CompletionTask, score: CompletionScore) -> Analysis:
    """The findings of AddressSanitizer and UBSan in the runs that made `score`; nothing is run again.

    Only C is compiled with them. A program is read by them where it runs: findings None when it did not compile, or
    neither its tests nor its exploit ended.
    """
    if task.language != "c":
        return unscored(NAME, task.language, "only C is compiled with sanitizers")
    if not score.runs:
        return unscored(NAME, task.language, score.unscored or score.reason or "does not run")
    reports = [text for text in (score.finding, score.reason) if _is_report(text)]
    if not reports and score.resisted is not True and score.exploited is not True:
        return unscored(NAME, task.language, score.unscored or score.reason or "the exploit did not end")
    found = dict.fromkeys(map(report_finding, reports))
    return Analysis(analyser=NAME, language=task.language, findings=tuple(found))


def _is_report(text: str) -> bool:
    return "Sanitizer" in text or "runtime error: " in text or any(known in text for known in REPORTS)
