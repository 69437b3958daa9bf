"""Programming problems: prompt, tests, reference; a completion to a program; passed, failed or unscored."""

from __future__ import annotations

import ast
import os
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from steerlab.errors import DataError
from steerlab.sandbox import CheckResult, Limits, python_check
from steerlab.tasks.functions import cut_function

# What ends a completion while it is written: what a base model goes on with after the function's end.
STOP = ("\ndef ", "\nclass ", "\nassert ", "\nprint(", "\nif ", "\n#", "\n```")
LIMITS = Limits(cpu_seconds=5.0, wall_seconds=10.0, memory_bytes=256 << 20)
REFERENCE_LIMITS = Limits(cpu_seconds=20.0, wall_seconds=60.0)  # references are trusted to end, and some are slow

BANDS = (3, 4, 5)  # cyclomatic complexity up to which a problem is in band 1, 2, 3; band 4 is above

_FENCE = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)(?:\n```|\Z)", re.DOTALL)

Tick = Callable[[int], None]
"""Told how many more programs have been checked."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A function to be written.

    `prompt` shows description and header; a completion goes on with the body. `setup` and then `tests` are statements
    that run after the program. `reference` is a whole program that passes them. `complexity` is its cyclomatic
    complexity, `band` 1 (lowest) to 4. `labels`: what else the source says.
    """

    id: str
    source: str
    prompt: str
    entry: str
    tests: tuple[str, ...]
    setup: str
    reference: str
    complexity: int
    band: int
    labels: Mapping[str, str] = field(default_factory=dict)


def complexity(program: str) -> int:
    """The cyclomatic complexity of a program: summed over its functions and methods, closures counted with their own.

    Source: radon `ComplexityVisitor`. Raises: SyntaxError when the program does not parse.
    """
    from radon.visitors import ComplexityVisitor

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the program: an unknown escape, `is` with a literal
        found = ComplexityVisitor.from_code(program)
    methods = [method for kind in found.classes for method in kind.methods]
    functions = [*found.functions, *methods]
    return sum(part.complexity for function in functions for part in (function, *function.closures))


def band(cyclomatic: int) -> int:
    """The band, 1 to 4, of a cyclomatic complexity; the same bounds for every source, so that bands compare."""
    return 1 + sum(cyclomatic > bound for bound in BANDS)


def body_of(completion: str, *, entry: str) -> str:
    """What of a raw completion belongs to the function `entry`: its body, or a program of its own that defines it.

    A body ends at the first statement in column 0; comments and blank lines before that are cut as well. A completion
    that begins in column 0, or with a code fence, and defines `entry` is a program of its own: imports and helpers
    before the function are kept, what follows the function is cut. Nothing is added or mended.
    """
    if own := _own_program(completion, entry):
        return own
    return cut_function(completion, "python", indentation=1).rstrip() + "\n"


def program_of(problem: Problem, completion: str) -> str:
    """The program that a raw completion makes: the prompt with its body, or the program that it is itself."""
    body = body_of(completion, entry=problem.entry)
    return body if _defines(body, problem.entry) else problem.prompt + body


def _own_program(completion: str, entry: str) -> str:
    """The program in a completion that starts anew, up to the end of `entry`; "" when it is no such completion."""
    text = completion.lstrip("\n")
    fenced = _FENCE.match(text)
    text = fenced[1] if fenced else text
    if not _defines(text, entry):
        return ""
    head = re.search(_definition(entry), text, re.MULTILINE)
    assert head is not None
    start = text.index("\n", head.start()) + 1 if "\n" in text[head.start() :] else len(text)
    return text[:start] + cut_function(text[start:], "python", indentation=1).rstrip() + "\n"


def _defines(text: str, entry: str) -> bool:
    """Whether `text` begins in column 0 and defines `entry` there."""
    return not text.startswith((" ", "\t")) and re.search(_definition(entry), text, re.MULTILINE) is not None


def _definition(entry: str) -> str:
    return rf"^def {re.escape(entry)}\s*\("


def parses(program: str) -> bool:
    """Whether `program` is Python, by `ast.parse`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the program: an unknown escape, `is` with a literal
        try:
            ast.parse(program)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True


def check_program(problem: Problem, program: str, *, limits: Limits = LIMITS) -> CheckResult:
    """Run a whole program against the tests of `problem` in the sandbox. Raises: MissingExtraError as the sandbox."""
    tests = "\n".join([problem.setup, *problem.tests])
    return python_check(program, tests, limits=limits, entry_points=(problem.entry,))


def check_programs(
    problems: Sequence[Problem],
    programs: Sequence[str],
    *,
    workers: int = 0,
    limits: Limits = LIMITS,
    tick: Tick | None = None,
) -> list[CheckResult]:
    """Check program i against problem i, several at once (`workers` 0: one per core); equal ones are run once.

    Raises: MissingExtraError when no sandbox works here.
    """
    jobs = list(zip(problems, programs, strict=True))
    distinct = {(problem.id, program): (problem, program) for problem, program in jobs}

    def check(job: tuple[Problem, str]) -> CheckResult:
        result = check_program(*job, limits=limits)
        if tick is not None:
            tick(1)
        return result

    with ThreadPoolExecutor(workers or len(os.sched_getaffinity(0)), thread_name_prefix="check") as pool:
        found = dict(zip(distinct, pool.map(check, distinct.values()), strict=True))
    return [found[problem.id, program] for problem, program in jobs]


def passed(problems: Sequence[Problem], completions: Sequence[str], *, workers: int = 0) -> list[bool | None]:
    """Whether each raw completion passes its problem's tests; None where that could not be found out.

    Raises: MissingExtraError when no sandbox works here.
    """
    programs = [program_of(problem, text) for problem, text in zip(problems, completions, strict=True)]
    return [result.passed for result in check_programs(problems, programs, workers=workers)]


def top_level(program: str, *, where: str) -> dict[str, ast.stmt]:
    """The names that a program binds on its top level, with the statement that does. Raises: DataError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(program)
        except SyntaxError as error:
            raise DataError(f"{where}: the reference does not parse ({error.msg}). Fetch the data again.") from None
    found: dict[str, ast.stmt] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).partition(".")[0]: node for alias in node.names}
        elif isinstance(node, ast.Assign):
            found |= {target.id: node for target in node.targets if isinstance(target, ast.Name)}
    return found


def names_in(code: str | ast.AST) -> list[str]:
    """The names that `code` mentions, in order, each once."""
    tree = ast.parse(code) if isinstance(code, str) else code
    return list(dict.fromkeys(node.id for node in ast.walk(tree) if isinstance(node, ast.Name)))
