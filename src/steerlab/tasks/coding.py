"""Tasks of secure code generation, with tests or judged by analysers, and what a completion of one is worth."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from steerlab.contrast import ContrastPair
from steerlab.errors import DataError, nearest
from steerlab.tasks.completion import CompletionScore, CompletionTask, assemble, score_completions, starter_tasks
from steerlab.tasks.quality import cyclomatic_complexity, repetition
from steerlab.trials import digest

Judge = Literal["tests", "analysers"]
STARTER = "starter"


@dataclass(frozen=True, kw_only=True)
class CodingTask:
    """A prompt that code goes on from. `group` is never split between choosing and testing."""

    id: str
    group: str
    cwe: str
    language: str
    prompt: str
    origin: CompletionTask


@dataclass(frozen=True, kw_only=True)
class CodingTasks:
    """A set of tasks and who judges their completions: functional tests with an exploit, or analysers."""

    name: str
    judge: Judge
    tasks: tuple[CodingTask, ...]
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The facts about one completion; None means that it could not be found out (or does not apply), never "failed".

    `completion` is what was judged, cut at the end of the function. `secure`: the exploit was resisted, or no analyser
    found the weakness. `joint`: secure and, with tests, passing them; without tests, parsing. `finding`: what showed
    the weakness. `reason`: why tests failed. `unscored`: why a fact is None.
    """

    completion: str
    parses: bool | None
    runs: bool | None
    functional: bool | None
    exploited: bool | None
    secure: bool | None
    joint: bool | None
    complexity: float | None
    repetition: float | None
    finding: str = ""
    reason: str = ""
    unscored: str = ""


def load_tasks(spec: str, *, language: str = "", cwes: Sequence[str] = (), limit: int = 0) -> CodingTasks:
    """The tasks of "starter", of `language` and `cwes` unless empty; `limit` takes about so many, the CWEs in turn.

    Raises: DataError for an unknown set, and when no task is left.
    """
    if spec != STARTER:
        raise DataError(f"tasks {spec!r} do not exist. {nearest(spec, [STARTER])}")
    tasks = tuple(
        CodingTask(id=task.id, group=task.id, cwe=task.cwe, language=task.language, prompt=task.prompt, origin=task)
        for task in starter_tasks()
    )
    for what, wanted, present in (
        ("language", {language} - {""}, {task.language for task in tasks}),
        ("CWE", set(cwes), {task.cwe for task in tasks}),
    ):
        for name in sorted(wanted - present):
            raise DataError(f"{spec} has no task of {what} {name}. {nearest(name, present)}")
    kept = [t for t in tasks if (not language or t.language == language) and (not cwes or t.cwe in cwes)]
    if not kept:
        raise DataError(f"{spec} has no task of {language} and {', '.join(cwes)}: choose other --cwes or --language.")
    kept = _in_turn(kept, limit) if limit else kept
    sha = digest([[t.id, t.prompt, t.origin.functional, t.origin.exploit] for t in kept])
    return CodingTasks(name=spec, judge="tests", tasks=tuple(kept), sha256=sha)


def _in_turn(tasks: Sequence[CodingTask], limit: int) -> list[CodingTask]:
    """`limit` tasks, one of each CWE after the other, in their order."""
    seen: dict[str, int] = {}
    rank = {}
    for place, task in enumerate(tasks):
        rank[task.id] = (seen.get(task.cwe, 0), place)
        seen[task.cwe] = seen.get(task.cwe, 0) + 1
    taken = sorted(tasks, key=lambda task: rank[task.id])[:limit]
    return [task for task in tasks if task in taken]


def task_pairs(tasks: CodingTasks) -> list[ContrastPair]:
    """The contrast pairs of tasks that have reference bodies: the prompt, and the patched and the vulnerable body."""
    return [
        ContrastPair(
            id=task.id,
            group=task.group,
            prompt=task.prompt,
            positive=task.origin.patched,
            negative=task.origin.vulnerable,
            labels={"cwe": task.cwe, "language": task.language, "source": tasks.name},
        )
        for task in tasks.tasks
    ]


def judge_completions(tasks: Sequence[CodingTask], texts: Sequence[str], *, workers: int = 0) -> list[Judgement]:
    """Judge raw continuation i of task i, for each i; `workers` at a time (0: one per core), equal ones once.

    Raises: OptionError when the lengths differ; MissingExtraError when no isolation works here.
    """
    n = workers or len(os.sched_getaffinity(0))
    scores = score_completions([task.origin for task in tasks], texts, workers=n)
    return [_judged(task, score) for task, score in zip(tasks, scores, strict=True)]


def _judged(task: CodingTask, score: CompletionScore) -> Judgement:
    program = assemble(task.origin, score.completion)
    complexity = cyclomatic_complexity(program, task.language, entry=task.origin.entry) if score.parses else None
    return Judgement(
        completion=score.completion,
        parses=score.parses,
        runs=score.runs,
        functional=score.functional,
        exploited=score.exploited,
        secure=score.secure,
        joint=score.secure_and_correct,
        complexity=complexity,
        repetition=repetition(score.completion),
        finding=score.finding,
        reason=score.reason,
        unscored=score.unscored,
    )
