"""A set of programming problems of one's own, used without changing steerlab."""

import json
import sys
from pathlib import Path

from steerlab.cli import main
from steerlab.tasks.problem_sets import PROBLEM_SETS, ProblemSet
from steerlab.tasks.problems import Problem, band, complexity


def load_mine(path: Path) -> tuple[Problem, ...]:
    """One JSON object per line: id, prompt (description and header), entry, tests, reference (a whole program)."""
    found = []
    for line in path.read_text("utf-8").splitlines():
        entry = json.loads(line)
        cyclomatic = complexity(entry["reference"])
        found.append(
            Problem(
                id=entry["id"],
                source="mine",
                prompt=entry["prompt"],
                entry=entry["entry"],
                tests=tuple(entry["tests"]),
                setup="",
                reference=entry["reference"],
                complexity=cyclomatic,
                band=band(cyclomatic),
            )
        )
    return tuple(found)


PROBLEM_SETS["mine"] = ProblemSet(  # type: ignore[index]
    what="my problems",
    licence="mine",
    counts="3 problems, Python",
    where="a file of mine",
    fetched_as="mine",
    new_tokens=96,
    load=load_mine,
)

if __name__ == "__main__":
    sys.exit(main())
