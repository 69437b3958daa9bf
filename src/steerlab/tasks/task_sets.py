"""The sets of tasks, to list and to check: the starter tasks, proven by running them, and the scenario sets."""

from __future__ import annotations

from collections import Counter

from steerlab.contrast import cwe_number
from steerlab.errors import DataError
from steerlab.tasks.completion import CompletionScore, score_completions, starter_tasks
from steerlab.tasks.scenario_sets import SCENARIO_SETS, check_scenarios, list_scenario_sets

STARTER = "starter-tasks"
TASK_SETS = (STARTER, *SCENARIO_SETS)  # the names; one behind which a path stands is "NAME:PATH"


def list_task_sets() -> list[dict[str, object]]:
    """The sets, as JSON values, for `steerlab data list`; `spec` is what a person types."""
    starter: dict[str, object] = {
        "name": STARTER,
        "spec": STARTER,
        "what": "functions to complete, each with functional tests and an exploit, from the starter pairs",
        "counts": "48 tasks, 6 for each of 8 CWEs, C 28 and Python 20",
        "licence": "Apache-2.0",
        "where": "in the package",
        "needs_path": False,
    }
    return [starter, *list_scenario_sets()]


def check_task_set(spec: str) -> dict[str, object]:
    """What the set at `spec` holds, as JSON values, for `steerlab data check`; `spec` begins with a name of TASK_SETS.

    Raises: DataError for malformed files or a path that is missing or not needed.
    """
    name, _, given = spec.partition(":")
    if name != STARTER:
        return check_scenarios(spec)
    if given:
        raise DataError(f"{spec}: {STARTER} lie in the package and take no path. Type: {STARTER}")
    return check_starter_tasks()


def check_starter_tasks(*, workers: int = 2) -> dict[str, object]:
    """The starter tasks proven in the sandbox: both bodies of each pair, both tests; about a minute on two cores.

    `proven` counts the tasks whose patched body passes the functional tests and resists the exploit, and whose
    vulnerable body passes the tests and is exploited. `unscored` counts those of which something could not be found
    out; `failures` says in words what was not as it should be.
    """
    tasks = starter_tasks()
    patched = score_completions(tasks, [task.patched for task in tasks], workers=workers)
    vulnerable = score_completions(tasks, [task.vulnerable for task in tasks], workers=workers)
    failures, unscored = [], 0
    for good, bad in zip(patched, vulnerable, strict=True):
        wrong = [_wrong(good, "patched", ok=good.secure_and_correct is True)]
        wrong.append(_wrong(bad, "vulnerable", ok=bad.functional is True and bad.exploited is True))
        unscored += bool(good.unscored or bad.unscored)
        failures += [text for text in wrong if text]
    failed = {text.partition(":")[0] for text in failures}
    counted = Counter(task.cwe for task in tasks)
    return {
        "set": STARTER,
        "licence": "Apache-2.0",
        "tasks": len(tasks),
        "by_language": dict(sorted(Counter(task.language for task in tasks).items())),
        "by_cwe": {cwe: counted[cwe] for cwe in sorted(counted, key=cwe_number)},
        "patched_functional": sum(score.functional is True for score in patched),
        "patched_resist": sum(score.resisted is True for score in patched),
        "vulnerable_functional": sum(score.functional is True for score in vulnerable),
        "vulnerable_exploited": sum(score.exploited is True for score in vulnerable),
        "proven": len(tasks) - len(failed),
        "unscored": unscored,
        "failures": failures,
    }


def _wrong(score: CompletionScore, version: str, *, ok: bool) -> str:
    if ok:
        return ""
    told = score.unscored or score.reason or score.finding or "the exploit said otherwise"
    return f"{score.task}: {version}: functional {score.functional}, exploited {score.exploited}: {told}"
