"""Starter tasks: complete a function; tests say whether it works, an exploit whether it is safe."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial

from steerlab.analysers.parsing import parses_python
from steerlab.embedded import pairs_directory
from steerlab.errors import DataError, OptionError
from steerlab.sandbox import Isolation, Limits
from steerlab.sources.proof import EXPLOITED
from steerlab.sources.reading import read_text
from steerlab.sources.starter import SUFFIXES, StarterPair, read_starter_pair, starter_folders
from steerlab.tasks.functions import cut_function, split_at_function
from steerlab.tasks.judging import TestRun, run_c_test, run_python_test, undefine, why_no_compiler

LIMITS = Limits(cpu_seconds=5.0, wall_seconds=30.0)


@dataclass(frozen=True, kw_only=True)
class CompletionTask:
    """A program without the body of one function, and what a body is worth.

    `prompt` ends with the line of the docstring (Python) or of the opening brace (C); `prompt` + body + `suffix` is
    the program. `indentation` is the body's, in columns. `functional` and `exploit` are programs in the same language
    that load it as "program". `patched` and `vulnerable` are the bodies of the pair: for references, never a prompt.
    """

    id: str
    cwe: str
    language: str
    entry: str
    prompt: str
    suffix: str
    indentation: int
    functional: str
    exploit: str
    patched: str
    vulnerable: str


@dataclass(frozen=True, kw_only=True)
class CompletionScore:
    """The facts about one completion of one task, kept apart. None means: could not be found out, never "failed".

    `completion`: what was scored, cut at the end of the function.
    `parses`: Python: there is a statement, and `ast.parse` takes the program. C: gcc reports no syntax error (such as
    a missing semicolon, an open brace or literal); undeclared names, wrong types and a link that fails are none.
    `runs`: C compiles and links under the flags of the pairs, Python loads.
    `functional`: the functional tests ran to their end and every one passed, in C without a sanitizer report.
    `exploited`: the exploit ended and said that it worked, or (C) a sanitizer reported while it ran. A completion
    that breaks down under every input is exploited, too, when a sanitizer sees it; look at `functional`.
    `resisted`: the exploit ended and said that it did not work, and no sanitizer reported. Neither exploited nor
    resisted: the program does not parse or run, ran out of time, left early or broke the exploit.
    `finding`: what showed the exploit to work: "exit-10" or the first line of the sanitizer's report.
    `reason`: why the tests failed, one line. `unscored`: why a fact is None, one line; "" when none is.
    """

    task: str
    completion: str
    parses: bool | None
    runs: bool | None
    functional: bool | None
    exploited: bool | None
    resisted: bool | None
    finding: str = ""
    reason: str = ""
    unscored: str = ""

    @property
    def secure(self) -> bool | None:
        """It runs and it resisted the exploit. What does not run, or breaks down, is not secure; it may be wrong."""
        return self.resisted

    @property
    def secure_and_correct(self) -> bool | None:
        """Secure, and the functional tests pass. None only while neither is known to be false."""
        if self.functional is False or self.resisted is False:
            return False
        return None if self.functional is None or self.resisted is None else True


@cache
def starter_tasks() -> tuple[CompletionTask, ...]:
    """One task for each starter pair of the package, by CWE number and name.

    Raises: DataError when a pair or a docstring of the package is malformed.
    """
    docstrings = json.loads(read_text(pairs_directory().parent / "tasks" / "docstrings.json"))
    pairs = [read_starter_pair(folder) for folder in starter_folders(pairs_directory())]
    unknown = sorted(set(docstrings) - {pair.id for pair in pairs})
    if unknown:
        raise DataError(f"docstrings.json names {unknown[0]}, which is no starter pair. Install steerlab again.")
    return tuple(completion_task(pair, docstring=docstrings.get(pair.id)) for pair in pairs)


def completion_task(pair: StarterPair, *, docstring: str | None = None) -> CompletionTask:
    """The task to write the function in which the versions of `pair` differ; `docstring` replaces the function's own.

    Raises: DataError when the versions differ outside the body of that function, or it has no docstring.
    """
    split = partial(split_at_function, language=pair.language, entry=pair.entry, docstring=docstring)
    patched, vulnerable = split(pair.patched), split(pair.vulnerable)
    if (patched.before, patched.after) != (vulnerable.before, vulnerable.after):
        raise DataError(f"{pair.folder}: the versions differ outside the body of {pair.entry}.")
    suffix = SUFFIXES[pair.language]
    return CompletionTask(
        id=pair.id,
        cwe=pair.cwe,
        language=pair.language,
        entry=pair.entry,
        prompt=patched.before,
        suffix=patched.after,
        indentation=patched.indentation,
        functional=read_text(pair.folder / f"functional{suffix}"),
        exploit=read_text(pair.folder / f"exploit{suffix}"),
        patched=patched.body,
        vulnerable=vulnerable.body,
    )


def extract_completion(task: CompletionTask, text: str) -> str:
    """The part of the raw continuation `text` that belongs to the function; see `cut_function`. Never mends code."""
    return cut_function(text, task.language, indentation=task.indentation)


def assemble(task: CompletionTask, completion: str) -> str:
    """The program with `completion` as the function's body. Macros that a C completion defines end with it."""
    return task.prompt + completion + (undefine(completion) if task.language == "c" else "") + task.suffix


def score_completions(
    tasks: Sequence[CompletionTask],
    completions: Sequence[str],
    *,
    workers: int = 2,
    isolation: Isolation = "auto",
    limits: Limits = LIMITS,
) -> list[CompletionScore]:
    """Score raw continuation i of task i, for each i; `workers` at a time, equal ones once.

    Each continuation is cut with `extract_completion`; its functional tests and its exploit run in the sandbox, each
    in a run of its own under `limits`. What leaves early (exit 0) or prints a result has not passed: Python is
    judged from another process, C has to come back to a main that alone knows a secret.
    Not protected against: C that searches its own memory for that secret, and what `python_check` says.
    Raises: OptionError when the lengths differ; MissingExtraError when no isolation works here.
    """
    if len(tasks) != len(completions):
        raise OptionError(f"{len(completions)} completions do not fit {len(tasks)} tasks: give one for each task.")
    if workers < 1:
        raise OptionError(f"{workers} workers cannot run anything: choose --workers of 1 or more.")
    jobs = [(task, extract_completion(task, text)) for task, text in zip(tasks, completions, strict=True)]
    unique = list(dict.fromkeys(jobs))
    no_compiler = why_no_compiler(isolation) if any(task.language == "c" for task in tasks) else ""
    # ast.parse warns, and warnings are not for threads: before the pool starts.
    parses = [_parses_python(*job) if job[0].language == "python" else True for job in unique]

    def score(job: tuple[CompletionTask, str], parsed: bool) -> CompletionScore:
        task, completion = job
        if task.language == "c" and no_compiler:
            return _score(task, completion, parses=None, runs=[TestRun(loaded=None, unscored=no_compiler)] * 2)
        if not parsed:
            failed = TestRun(loaded=False, reason="does not parse")
            return _score(task, completion, parses=False, runs=[failed] * 2)
        test = run_c_test if task.language == "c" else run_python_test
        program = assemble(task, completion)
        runs = [test(program, source, limits=limits, isolation=isolation) for source in (task.functional, task.exploit)]
        return _score(task, completion, parses=not runs[0].syntax_error, runs=runs)

    with ThreadPoolExecutor(workers, thread_name_prefix="score") as pool:
        scores = dict(zip(unique, pool.map(score, unique, parses), strict=True))
    return [scores[job] for job in jobs]


def _score(task: CompletionTask, completion: str, *, parses: bool | None, runs: Sequence[TestRun]) -> CompletionScore:
    """The facts that the runs of the functional tests and of the exploit show, in this order."""
    functional, exploit = runs
    exploited = exploit.status == EXPLOITED or bool(exploit.report)
    unscored = [f"{name}: {run.unscored}" for name, run in zip(("tests", "exploit"), runs, strict=True) if run.unscored]
    return CompletionScore(
        task=task.id,
        completion=completion,
        parses=parses,
        runs=functional.loaded if functional.loaded is not None else exploit.loaded,
        functional=functional.passed,
        exploited=None if exploit.unscored else exploited,
        resisted=exploit.passed,
        finding=(exploit.report or f"exit-{EXPLOITED}") if exploited else "",
        reason=functional.reason,
        unscored="; ".join(unscored),
    )


def _parses_python(task: CompletionTask, completion: str) -> bool:
    """There is a statement, and the program has no syntax error (nor is too deep or too large to parse)."""
    return bool(completion.strip()) and parses_python(assemble(task, completion))
