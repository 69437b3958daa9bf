"""Tasks of secure code generation, with tests or judged by analysers, and what a completion of one is worth."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from steerlab.analysers import ANALYSERS, installed_analysers
from steerlab.contrast import ContrastPair
from steerlab.errors import DataError, MissingExtraError, OptionError, nearest
from steerlab.tasks.completion import CompletionScore, CompletionTask, assemble, score_completions, starter_tasks
from steerlab.tasks.quality import cyclomatic_complexity, repetition
from steerlab.tasks.scenario_scoring import ScenarioScore, score_scenarios
from steerlab.tasks.scenario_sets import SCENARIO_SETS, load_scenarios
from steerlab.tasks.scenarios import Scenario
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
    origin: CompletionTask | Scenario


@dataclass(frozen=True, kw_only=True)
class CodingTasks:
    """A set of tasks and who judges their completions: functional tests with an exploit, or `analysers`."""

    name: str
    judge: Judge
    tasks: tuple[CodingTask, ...]
    sha256: str
    analysers: tuple[str, ...] = ()


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


def load_tasks(
    spec: str, *, language: str = "", cwes: Sequence[str] = (), limit: int = 0, analysers: Sequence[str] = ()
) -> CodingTasks:
    """The tasks of "starter", or the scenarios of "cyberseceval:PATH" or "sven-scenarios:PATH" that code goes on from.

    Of `language` and `cwes`, unless empty; `limit` takes so many, the CWEs in turn (0: all). `analysers` judge what has
    no tests; empty means those that are installed and read a language of the tasks.
    Raises: DataError for an unknown set, and when no task is left; OptionError; MissingExtraError without an analyser.
    """
    tasks = _all_tasks(spec)
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
    sha = digest([[task.id, task.prompt, task.cwe, _tests(task)] for task in kept])
    if spec == STARTER:
        return CodingTasks(name=spec, judge="tests", tasks=tuple(kept), sha256=sha)
    chosen = _analysers(analysers, {task.language for task in kept})
    return CodingTasks(name=spec, judge="analysers", tasks=tuple(kept), sha256=sha, analysers=chosen)


def _all_tasks(spec: str) -> list[CodingTask]:
    if spec != STARTER and spec.partition(":")[0] not in SCENARIO_SETS:
        raise DataError(
            f"tasks {spec!r} do not exist. {nearest(spec, [STARTER, *(f'{n}:PATH' for n in SCENARIO_SETS)])}"
        )
    found: Sequence[CompletionTask | Scenario] = starter_tasks() if spec == STARTER else load_scenarios(spec)
    return [
        CodingTask(id=task.id, group=task.id, cwe=task.cwe, language=task.language, prompt=task.prompt, origin=task)
        for task in found
        if isinstance(task, CompletionTask) or task.form == "completion"
    ]


def _tests(task: CodingTask) -> list[str]:
    return [task.origin.functional, task.origin.exploit] if isinstance(task.origin, CompletionTask) else []


def _analysers(wanted: Sequence[str], languages: set[str]) -> tuple[str, ...]:
    """The analysers that were asked for, or all that are installed and read one of the languages."""
    for name in wanted:
        if name not in ANALYSERS:
            raise OptionError(f"analyser {name!r} does not exist. {nearest(name, ANALYSERS)}")
    if wanted:
        return tuple(wanted)
    chosen = tuple(name for name in installed_analysers() if languages & set(ANALYSERS[name].languages))
    if not chosen:
        raise MissingExtraError(
            f"no analyser that is installed here reads {', '.join(sorted(languages))}: choose another --language."
        )
    return chosen


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
        if isinstance(task.origin, CompletionTask)
    ]


def judge_completions(
    tasks: Sequence[CodingTask], texts: Sequence[str], *, analysers: Sequence[str] = (), workers: int = 0
) -> list[Judgement]:
    """Judge raw completion i of task i, for each i; `workers` at a time (0: one per core), equal ones once.

    Tasks with tests are run, the others are read by `analysers`.
    Raises: OptionError when the lengths differ; MissingExtraError when no isolation works here.
    """
    n = workers or len(os.sched_getaffinity(0))
    if len(tasks) != len(texts):
        raise OptionError(f"{len(texts)} completions do not fit {len(tasks)} tasks: give one for each task.")
    judged: list[Judgement | None] = [None] * len(tasks)
    tested = [(at, task.origin) for at, task in enumerate(tasks) if isinstance(task.origin, CompletionTask)]
    read = [(at, task.origin) for at, task in enumerate(tasks) if isinstance(task.origin, Scenario)]
    if tested:
        scores = score_completions([own for _, own in tested], [texts[at] for at, _ in tested], workers=n)
        for (at, own), score in zip(tested, scores, strict=True):
            judged[at] = _by_tests(own, score)
    if read:
        found = score_scenarios([own for _, own in read], [texts[at] for at, _ in read], analysers=analysers, workers=n)
        for (at, scenario), reading in zip(read, found, strict=True):
            judged[at] = _by_analysers(scenario, reading)
    return [judgement for judgement in judged if judgement is not None]


def _by_tests(task: CompletionTask, score: CompletionScore) -> Judgement:
    program = assemble(task, score.completion)
    complexity = cyclomatic_complexity(program, task.language, entry=task.entry) if score.parses else None
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


def _by_analysers(task: Scenario, score: ScenarioScore) -> Judgement:
    joint = False if score.parses is False else score.secure if score.parses else None
    complexity = cyclomatic_complexity(task.prompt + score.completion, task.language, entry="")
    named = "; ".join(
        dict.fromkeys(f"{finding.cwe} line {finding.line}: {finding.rule}" for finding in score.findings or ())
    )
    return Judgement(
        completion=score.completion,
        parses=score.parses,
        runs=None,
        functional=None,
        exploited=None,
        secure=score.secure,
        joint=joint,
        complexity=complexity if score.parses else None,
        repetition=repetition(score.completion),
        finding=named,
        unscored=score.unscored,
    )
