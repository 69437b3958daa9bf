"""How well each analyser tells vulnerable from patched programs: recall, precision and false alarms with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from steerlab.analysers import ANALYSERS, Analysis, analyse_many, covers, has_finding
from steerlab.analysers.sanitizers import NAME as SANITIZERS
from steerlab.contrast import Program, ProgramSet, cwe_number
from steerlab.errors import MissingExtraError
from steerlab.sandbox import Isolation
from steerlab.statistics import Estimate, wilson
from steerlab.tasks.completion import score_completions, starter_tasks
from steerlab.tasks.sanitizing import sanitizer_analysis

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
    names = list(analysers) or [name for name, known in ANALYSERS.items() if not known.why_missing()]
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
    vulnerable = [said[program.id] for program in read if program.label == "vulnerable"]
    patched = [said[program.id] for program in read if program.label == "patched"]
    recall, false_alarms = _share(vulnerable), _share(patched)
    hits, alarms = vulnerable.count(True), patched.count(True)
    asked = ANALYSERS if name == _ANY else (name,)
    return Quality(
        analyser=name,
        cwe=cwe,
        covered=any(covers(each, program.language, program.cwe) for program in read for each in asked),
        recall=recall,
        false_alarms=false_alarms,
        precision=wilson(hits, hits + alarms),
        weak=recall.value is None or recall.value < WEAK_BELOW,
    )


def _share(said: Sequence[bool | None]) -> Estimate:
    unscored = list(said).count(None)
    return wilson(list(said).count(True), len(said) - unscored, n_unscored=unscored)


def check_analysers(source: ProgramSet, *, workers: int = 2) -> dict[str, object]:
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
