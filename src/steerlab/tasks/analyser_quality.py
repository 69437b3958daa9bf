"""How well each analyser tells vulnerable from patched programs: recall, precision and false alarms with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from steerlab.analysers import ANALYSERS, Analysis, analyse_many, covers, has_finding, installed_analysers
from steerlab.analysers.sanitizers import NAME as SANITIZERS
from steerlab.contrast import Program, ProgramSet, cwe_number
from steerlab.errors import MissingExtraError
from steerlab.sandbox import Isolation
from steerlab.statistics import Estimate, cluster_bootstrap, wilson
from steerlab.tasks.completion import score_completions, starter_tasks
from steerlab.tasks.sanitizing import sanitizer_analysis

if TYPE_CHECKING:
    from rich.table import Table

WEAK_BELOW = 0.8  # recall; an analyser that misses more is no judge of this CWE by itself
ALL = "all"
_ANY = "any"


@dataclass(frozen=True, kw_only=True)
class Quality:
    """What one analyser does on the programs of one CWE (or "all"), in a language that it reads.

    `recall`: share of vulnerable programs with a finding of their CWE or its family. `false_alarms`: the same of the
    patched programs. `precision`: share of the vulnerable among the programs with such a finding; it belongs to sets
    that hold as many patched as vulnerable programs. Programs are counted unscored where the analyser could not read
    them or has no rule; `covered` False: it has no rule for any of them. `weak`: recall below 0.8, or none to be had.
    Intervals: Wilson; where the set holds copies of a program, a bootstrap over groups. `low` may then be None.
    """

    analyser: str
    cwe: str
    covered: bool
    recall: Estimate
    false_alarms: Estimate
    precision: Estimate
    weak: bool


def measure_analysers(
    source: ProgramSet, *, analysers: Sequence[str] = (), workers: int = 2, isolation: Isolation = "auto"
) -> list[Quality]:
    """The quality of `analysers` (default: those installed) on the evaluated programs of `source`, per CWE and in all.

    "any" is what `has_finding` says with all of them together. On the starter pairs "sanitizers" is added: C under
    AddressSanitizer and UBSan with the exploit of the pair, which no static analyser has.
    Raises: what `analyse_many` raises.
    """
    names = list(analysers or installed_analysers())
    programs = source.evaluated()
    analysed = analyse_many(
        [program.code for program in programs],
        language=[program.language for program in programs],
        analysers=names,
        workers=workers,
        isolation=isolation,
    )
    said: dict[str, dict[str, bool | None]] = {name: {} for name in [*names, _ANY]}
    for program, analyses in zip(programs, analysed, strict=True):
        for analysis in analyses:
            said[analysis.analyser][program.id] = has_finding([analysis], program.cwe)
        if analyses:
            said[_ANY][program.id] = has_finding(analyses, program.cwe)
    if source.name == "starter":
        said[SANITIZERS] = {
            name: has_finding([analysis], cwe)
            for name, cwe, analysis in _sanitized(workers=workers, isolation=isolation)
        }
    return [
        _quality(name, cwe, said[name], programs=[p for p in programs if cwe in (ALL, p.cwe)])
        for name in said
        for cwe in [*sorted({p.cwe for p in programs if p.id in said[name]}, key=cwe_number), ALL]
        if said[name]
    ]


def _sanitized(*, workers: int, isolation: Isolation) -> list[tuple[str, str, Analysis]]:
    """Program id, CWE and analysis of the two versions of each C starter task."""
    jobs = [(task, side) for task in starter_tasks() if task.language == "c" for side in ("vulnerable", "patched")]
    bodies = [task.vulnerable if side == "vulnerable" else task.patched for task, side in jobs]
    scores = score_completions([task for task, _ in jobs], bodies, workers=workers, isolation=isolation)
    return [
        (f"{task.id}/{side}", task.cwe, sanitizer_analysis(task, score))
        for (task, side), score in zip(jobs, scores, strict=True)
    ]


def _quality(name: str, cwe: str, said: Mapping[str, bool | None], *, programs: Sequence[Program]) -> Quality:
    read = [program for program in programs if program.id in said]
    by_label = {label: [p for p in read if p.label == label] for label in ("vulnerable", "patched")}
    # Copies and augmentations of a program share its group and are no independent trials.
    copies = any(len({p.group for p in side}) < len(side) for side in by_label.values())
    method = "cluster bootstrap" if copies else "wilson"
    recall, false_alarms = (
        _share([said[p.id] for p in side], groups=[p.group for p in side], method=method) for side in by_label.values()
    )
    found = [program for program in read if said[program.id]]
    labels = [program.label == "vulnerable" for program in found]
    asked = ANALYSERS if name == _ANY else (name,)
    return Quality(
        analyser=name,
        cwe=cwe,
        covered=any(covers(each, program.language, program.cwe) for program in read for each in asked),
        recall=recall,
        false_alarms=false_alarms,
        precision=_share(labels, groups=[program.group for program in found], method=method),
        weak=recall.value is None or recall.value < WEAK_BELOW,
    )


def _share(said: Sequence[bool | None], *, groups: Sequence[str], method: str) -> Estimate:
    unscored = list(said).count(None)
    if method == "wilson":
        return wilson(list(said).count(True), len(said) - unscored, n_unscored=unscored)
    told = [(float(value), group) for value, group in zip(said, groups, strict=True) if value is not None]
    return cluster_bootstrap([value for value, _ in told], [group for _, group in told], n_unscored=unscored)


def check_analysers(source: ProgramSet, *, workers: int = 2) -> dict[str, Any]:
    """The quality of the analysers that are installed, as JSON values, for `steerlab data check analysers`."""
    missing = {name: known.why_missing() for name, known in ANALYSERS.items() if known.why_missing()}
    if len(missing) == len(ANALYSERS):
        raise MissingExtraError("; ".join(missing.values()))
    rows = measure_analysers(source, workers=workers)
    return {
        "source": source.name,
        "programs": len(source.evaluated()),
        "missing": missing,
        "weak_below": WEAK_BELOW,
        "weak": {
            name: [row.cwe for row in rows if row.analyser == name and row.weak and row.cwe != ALL]
            for name in dict.fromkeys(row.analyser for row in rows)
        },
        "rows": [asdict(row) for row in rows],
    }


def terminal_table(facts: Mapping[str, Any]) -> Table:
    """What `check_analysers` found, to print."""
    from rich.table import Table

    title = f"Analysers on {facts['programs']} programs of {facts['source']} (weak: recall below {WEAK_BELOW})"
    table = Table("analyser", "CWE", "recall", "false alarms", "precision", "", title=title)
    for row in facts["rows"]:
        shares = [_written(row[key]) for key in ("recall", "false_alarms", "precision")]
        said = "" if not row["weak"] else "weak" if row["covered"] else "no rule"
        table.add_row(row["analyser"], row["cwe"], *shares, said)
    return table


def _written(share: Mapping[str, Any]) -> str:
    unread = f", {share['n_unscored']} unscored" if share["n_unscored"] else ""
    if share["value"] is None:
        return f"- (n = 0{unread})"
    interval = "" if share["low"] is None else f" [{share['low']:.2f}, {share['high']:.2f}]"
    return f"{share['value']:.2f}{interval} (n = {share['n']}{unread})"
