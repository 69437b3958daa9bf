"""The sets of scenarios, by name and path: SCENARIO_SETS table, filters and counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from steerlab.contrast import cwe_number
from steerlab.errors import DataError, OptionError, nearest
from steerlab.sources.identity import cwe_name
from steerlab.tasks.cyberseceval import load_cyberseceval
from steerlab.tasks.scenarios import Scenario
from steerlab.tasks.sven_scenarios import load_sven_scenarios


@dataclass(frozen=True, kw_only=True)
class ScenarioSet:
    """One set of scenarios that is read from a path; `counts` says in words how much it holds, `n` in number.

    `name` is what a person types before the path, `fetch` the name under which `steerlab data fetch` gets the files.
    """

    name: str
    what: str
    licence: str
    counts: str
    n: int
    where: str
    fetch: str
    load: Callable[[Path], tuple[Scenario, ...]]


SCENARIO_SETS: dict[str, ScenarioSet] = {
    "cyberseceval": ScenarioSet(
        name="cyberseceval",
        what="prompts made from insecure lines of real projects: code to go on from, and instructions; no tests",
        licence="MIT",
        counts="1916 autocomplete and 1916 instruct prompts, 8 languages (python 351, c 227), 50 CWEs",
        n=3832,
        where="https://github.com/meta-llama/PurpleLlama",
        fetch="cyberseceval",
        load=load_cyberseceval,
    ),
    "sven-scenarios": ScenarioSet(
        name="sven-scenarios",
        what="beginnings of functions that invite a weakness; no tests",
        licence="MIT",
        counts="70 scenarios: 24 trained, 12 gen_1, 17 gen_2, 17 prompts; Python and C",
        n=70,
        where="https://github.com/eth-sri/sven",
        fetch="sven",
        load=load_sven_scenarios,
    ),
}


def load_scenarios(
    spec: str,
    *,
    language: str = "",
    cwes: Sequence[str] = (),
    variants: Sequence[str] = (),
    limit: int | None = None,
) -> tuple[Scenario, ...]:
    """The scenarios of "cyberseceval:PATH" or "sven-scenarios:PATH" that pass the filters, in the order of the set.

    An empty filter lets everything pass. `cwes` are exact numbers (CWE-78 is not CWE-77). `limit` keeps so many at
    most, evenly spread over what passed: a set is ordered by CWE.
    Raises: DataError for an unknown set, a missing path or malformed files; OptionError for a filter that names what
    the set does not hold, and for a limit below 1.
    """
    loaded = _parse(spec)
    wanted = {cwe_name(cwe) or cwe for cwe in cwes}
    _check({language} - {""}, {s.language for s in loaded}, what="language", spec=spec)
    _check(wanted, {s.cwe for s in loaded}, what="CWE", spec=spec)
    _check(set(variants), {s.variant for s in loaded}, what="variant", spec=spec)
    passed = [
        scenario
        for scenario in loaded
        if (not language or scenario.language == language)
        and (not wanted or scenario.cwe in wanted)
        and (not variants or scenario.variant in variants)
    ]
    if limit is None or limit >= len(passed):
        return tuple(passed)
    if limit < 1:
        raise OptionError(f"a limit of {limit} scenarios leaves none: choose 1 or more.")
    return tuple(passed[number * len(passed) // limit] for number in range(limit))


def check_scenarios(spec: str) -> dict[str, object]:
    """What the set at `spec` holds, as JSON values, for `steerlab data check`.

    `complete` says whether it is the number that the set is known to hold. Raises: DataError as `load_scenarios`.
    """
    loaded = _parse(spec)
    known = SCENARIO_SETS[spec.partition(":")[0]]
    counted = Counter(scenario.cwe for scenario in loaded)
    return {
        "set": known.name,
        "licence": known.licence,
        "scenarios": len(loaded),
        "expected": known.n,
        "complete": len(loaded) == known.n,
        "by_variant": dict(Counter(scenario.variant for scenario in loaded)),
        "by_language": dict(sorted(Counter(scenario.language for scenario in loaded).items())),
        "by_cwe": {cwe: counted[cwe] for cwe in sorted(counted, key=cwe_number)},
        "with_insecure_code": sum(bool(scenario.insecure) for scenario in loaded),
    }


def list_scenario_sets() -> list[dict[str, object]]:
    """The sets, as JSON values, for `steerlab data list`; `spec` is what a person types."""
    return [
        {
            "name": known.name,
            "spec": f"{known.name}:PATH",
            "what": known.what,
            "counts": known.counts,
            "licence": known.licence,
            "where": known.where,
            "needs_path": True,
        }
        for known in SCENARIO_SETS.values()
    ]


def _check(wanted: set[str], held: set[str], *, what: str, spec: str) -> None:
    for name in sorted(wanted - held):
        raise OptionError(f"{spec} holds no scenario of {what} {name!r}. {nearest(name, held)}")


def _parse(spec: str) -> tuple[Scenario, ...]:
    """The scenarios that `spec` names. Raises: DataError."""
    name, _, given = spec.partition(":")
    if name not in SCENARIO_SETS:
        raise DataError(f"scenario set {name!r} does not exist. {nearest(name, SCENARIO_SETS)}")
    known = SCENARIO_SETS[name]
    path = Path(given).expanduser()
    if not given or not path.exists():
        problem = f"{path} does not exist" if given else f"{spec} names no path"
        raise DataError(
            f"{problem}. Type: {name}:PATH. Get it from {known.where}: steerlab data fetch {known.fetch} --out DIR"
        )
    loaded = known.load(path)
    first: dict[str, Scenario] = {}
    for scenario in loaded:
        if first.setdefault(scenario.id, scenario) is not scenario:
            raise DataError(f"{scenario.where}: id {scenario.id} is already used by {first[scenario.id].where}.")
    return loaded
