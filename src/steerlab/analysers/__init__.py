"""Findings of security analysers as values: Bandit, gcc and semgrep, in the sandbox; ANALYSERS table."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from steerlab.analysers import bandit, gcc, semgrep
from steerlab.analysers.parsing import parses_python
from steerlab.analysers.values import Analyser, Analysis, Finding, unscored
from steerlab.analysers.weaknesses import COVERS, FAMILIES, covers, family, has_finding, related
from steerlab.errors import MissingExtraError, OptionError, nearest
from steerlab.sandbox import Isolation

__all__ = [
    "ANALYSERS",
    "COVERS",
    "FAMILIES",
    "Analyser",
    "Analysis",
    "Finding",
    "analyse",
    "analyse_many",
    "covers",
    "family",
    "has_finding",
    "installed_analysers",
    "related",
    "unscored",
]

ANALYSERS: dict[str, Analyser] = {
    "bandit": Analyser(
        name="bandit",
        what="patterns in the syntax tree of Python",
        languages=("python",),
        batch=bandit.BATCH,
        run=bandit.run_bandit,
        why_missing=bandit.why_missing,
    ),
    "gcc": Analyser(
        name="gcc",
        what="warnings and the static analyser of a C compilation",
        languages=("c",),
        batch=1,
        run=gcc.run_gcc,
        why_missing=gcc.why_missing,
    ),
    "semgrep": Analyser(
        name="semgrep",
        what="our own rules on Python and C, patterns and data flow within a function",
        languages=("python", "c"),
        batch=semgrep.BATCH,
        run=semgrep.run_semgrep,
        why_missing=semgrep.why_missing,
    ),
}


def analyse(
    program: str, *, language: str, analysers: Sequence[str], isolation: Isolation = "auto"
) -> tuple[Analysis, ...]:
    """What each analyser that reads `language` says of `program`; see `analyse_many`."""
    return analyse_many([program], language=[language], analysers=analysers, workers=1, isolation=isolation)[0]


def analyse_many(
    programs: Sequence[str],
    *,
    language: Sequence[str],
    analysers: Sequence[str],
    workers: int,
    isolation: Isolation = "auto",
) -> list[tuple[Analysis, ...]]:
    """What the analysers say of each program; `language[i]` ("python", "c", ...) is that of program i.

    A program gets one Analysis from each analyser of `analysers` that reads its language, in that order: none where
    none does. Python that does not parse is unscored. Equal programs are analysed once; `workers` runs at a time, all
    in the sandbox, and none executes the program.
    Raises: OptionError for unknown analysers and lengths that differ; MissingExtraError when an analyser that is
    needed is not installed, or no isolation works here.
    """
    if len(programs) != len(language):
        raise OptionError(f"{len(language)} languages do not fit {len(programs)} programs: give one for each.")
    if workers < 1:
        raise OptionError(f"{workers} workers cannot run anything: choose --workers of 1 or more.")
    for name in analysers:
        if name not in ANALYSERS:
            raise OptionError(f"analyser {name!r} does not exist. {nearest(name, ANALYSERS)}")
    chosen = [ANALYSERS[name] for name in dict.fromkeys(analysers)]
    keys = list(dict.fromkeys(zip(programs, language, strict=True)))
    # Analysers differ in what they make of broken Python (semgrep reads some of it): none is asked.
    broken = {key for key in keys if key[1] == "python" and not parses_python(key[0])}
    batches = _batches(chosen, [key for key in keys if key not in broken], workers=workers)
    with ThreadPoolExecutor(workers, thread_name_prefix="analyse") as pool:
        results = list(pool.map(lambda batch: batch[0].run(batch[2], batch[1], isolation), batches))
    found = {
        (analyser.name, spoken, text): analysis
        for (analyser, spoken, texts), analyses in zip(batches, results, strict=True)
        for text, analysis in zip(texts, analyses, strict=True)
    }
    for program, spoken in broken:
        found |= {(a.name, spoken, program): unscored(a.name, spoken, "does not parse") for a in chosen}
    return [
        tuple(found[analyser.name, spoken, program] for analyser in chosen if spoken in analyser.languages)
        for program, spoken in zip(programs, language, strict=True)
    ]


def _batches(
    chosen: Sequence[Analyser], keys: Sequence[tuple[str, str]], *, workers: int
) -> list[tuple[Analyser, str, list[str]]]:
    """The runs to make: analyser, language, programs. Raises: MissingExtraError when one is not installed."""
    batches = []
    for analyser in chosen:
        for spoken in analyser.languages:
            texts = [program for program, language in keys if language == spoken]
            missing = analyser.why_missing() if texts else ""
            if missing:
                raise MissingExtraError(missing)
            size = min(analyser.batch, max(1, -(-len(texts) // workers)))
            batches += [(analyser, spoken, texts[start : start + size]) for start in range(0, len(texts), size)]
    return batches


def installed_analysers() -> tuple[str, ...]:
    """The names of the analysers that can be used here."""
    return tuple(name for name, analyser in ANALYSERS.items() if not analyser.why_missing())
