"""Where problems come from: MBPP, HumanEval, the package's exercises; PROBLEM_SETS table, and the check of a set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from steerlab.embedded import exercises_file
from steerlab.errors import DataError, nearest
from steerlab.tasks.exercises import load_exercises
from steerlab.tasks.humaneval import load_humaneval
from steerlab.tasks.mbpp import load_mbpp, load_mbpp_sanitized
from steerlab.tasks.problems import REFERENCE_LIMITS, Problem, Tick, check_programs
from steerlab.trials import digest


@dataclass(frozen=True, kw_only=True)
class ProblemSet:
    """One source of problems.

    `fetched_as` is its name for `steerlab data fetch`, "" for what lies in the package. `new_tokens` are enough for
    nearly all of its references.
    """

    what: str
    licence: str
    counts: str
    where: str
    fetched_as: str
    new_tokens: int
    load: Callable[[Path], tuple[Problem, ...]]


PROBLEM_SETS: Mapping[str, ProblemSet] = {
    "mbpp": ProblemSet(
        what="programming problems with three asserts each, all shown in the prompt",
        licence="CC BY 4.0",
        counts="974 problems, Python",
        where="https://github.com/google-research/google-research/tree/master/mbpp",
        fetched_as="mbpp",
        new_tokens=256,
        load=load_mbpp,
    ),
    "mbpp-sanitized": ProblemSet(
        what="the problems of MBPP that were verified by hand",
        licence="CC BY 4.0",
        counts="427 problems, Python",
        where="https://github.com/google-research/google-research/tree/master/mbpp",
        fetched_as="mbpp",
        new_tokens=256,
        load=load_mbpp_sanitized,
    ),
    "humaneval": ProblemSet(
        what="programming problems with examples in the prompt and hidden tests",
        licence="MIT",
        counts="164 problems, Python",
        where="https://github.com/openai/human-eval",
        fetched_as="humaneval",
        new_tokens=384,
        load=load_humaneval,
    ),
    "exercises": ProblemSet(
        what="compositional list, string and number problems that the embedded model has not seen",
        licence="Apache-2.0",
        counts="200 problems, 50 in each of 4 bands of complexity, Python",
        where="in the package",
        fetched_as="",
        new_tokens=128,
        load=load_exercises,
    ),
}


def load_problems(spec: str) -> tuple[Problem, ...]:
    """The problems of "mbpp:PATH", "mbpp-sanitized:PATH", "humaneval:PATH" or "exercises".

    Raises: DataError for an unknown name, a path that is missing or not needed, and what is wrong in the files.
    """
    name, _, given = spec.partition(":")
    if name not in PROBLEM_SETS:
        raise DataError(f"problem set {name!r} does not exist. {nearest(name, PROBLEM_SETS)}")
    found = PROBLEM_SETS[name]
    if not found.fetched_as:
        if given:
            raise DataError(f"{spec}: {name} lies in the package and takes no path. Type: {name}")
        return found.load(exercises_file())
    how = f"Type: {name}:PATH. Get it: steerlab data fetch {found.fetched_as} --out DIR"
    if not given:
        raise DataError(f"{spec} names no path. {how}")
    path = Path(given).expanduser()
    if not path.exists():
        raise DataError(f"{path} does not exist. {how}")
    return found.load(path)


def problems_sha256(problems: tuple[Problem, ...]) -> str:
    """A digest of everything that is asked and tested."""
    return digest([[p.id, p.prompt, p.entry, p.tests, p.setup, p.reference] for p in problems])


def check_problems(spec: str, *, workers: int = 0, tick: Tick | None = None) -> dict[str, object]:
    """What the set at `spec` holds, and whether every reference passes its tests in the sandbox, as JSON values.

    problems, references_passed, references_failed and references_unscored (ids with the reason), by_band, complexity
    (smallest, median, largest), sha256, licence. `workers` 0: one per core.
    Raises: DataError as `load_problems`; MissingExtraError where no sandbox works.
    """
    problems = load_problems(spec)
    references = [problem.reference for problem in problems]
    results = check_programs(problems, references, workers=workers, limits=REFERENCE_LIMITS, tick=tick)
    reasons: dict[bool | None, dict[str, str]] = {False: {}, None: {}}
    for problem, result in zip(problems, results, strict=True):
        if result.passed is not True:
            reasons[result.passed][problem.id] = result.reason
    bands = Counter(problem.band for problem in problems)
    ordered = sorted(problem.complexity for problem in problems)
    found = PROBLEM_SETS[spec.partition(":")[0]]
    return {
        "source": spec.partition(":")[0],
        "licence": found.licence,
        "sha256": problems_sha256(problems),
        "problems": len(problems),
        "references_passed": sum(result.passed is True for result in results),
        "references_failed": reasons[False],
        "references_unscored": reasons[None],
        "by_band": {str(number): bands[number] for number in sorted(bands)},
        "complexity": [ordered[0], ordered[len(ordered) // 2], ordered[-1]],
    }


def list_problem_sets() -> list[dict[str, object]]:
    """The sets, as JSON values, for `steerlab data list`; `spec` is what a person types."""
    return [
        {
            "name": name,
            "spec": f"{name}:PATH" if found.fetched_as else name,
            "what": found.what,
            "counts": found.counts,
            "licence": found.licence,
            "where": found.where,
            "needs_path": bool(found.fetched_as),
        }
        for name, found in PROBLEM_SETS.items()
    ]
