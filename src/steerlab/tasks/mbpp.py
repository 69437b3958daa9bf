"""MBPP: 974 problems with three asserts each, and the 427 that were verified by hand; description, asserts, header."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from steerlab.errors import DataError
from steerlab.sources.reading import read_json_lines, read_text
from steerlab.tasks.problems import Problem, band, complexity, names_in, top_level

FULL, SANITIZED = "mbpp.jsonl", "sanitized-mbpp.json"


def load_mbpp(path: Path) -> tuple[Problem, ...]:
    """The problems of mbpp.jsonl: `path` is that file or a folder that holds it.

    Line ends are made newlines. `test_setup_code` (of 367 and 927) runs after the program: it uses its classes.
    Raises: DataError, naming file and line, for what is missing or malformed.
    """
    file = _file(path, FULL)
    entries = ((f"{file} line {number}", entry) for number, entry in read_json_lines(file))
    return _problems(entries, source="mbpp", description="text", setup="test_setup_code")


def load_mbpp_sanitized(path: Path) -> tuple[Problem, ...]:
    """The problems of sanitized-mbpp.json, as `load_mbpp`; `test_imports` run before the tests."""
    file = _file(path, SANITIZED)
    try:
        content = json.loads(read_text(file))
    except ValueError as error:
        raise DataError(f"{file} is not JSON ({error}). Fetch the data again.") from None
    if not isinstance(content, list):
        raise DataError(f"{file} holds no list of problems. Fetch the data again.")
    entries = ((f"{file} entry {number}", entry) for number, entry in enumerate(content, start=1))
    return _problems(entries, source="mbpp-sanitized", description="prompt", setup="test_imports")


def _file(path: Path, name: str) -> Path:
    file = path / name if path.is_dir() else path
    if not file.is_file():
        raise DataError(f"{path} holds no {name}. Get it: steerlab data fetch mbpp --out DIR")
    return file


def _problems(
    entries: Iterable[tuple[str, object]], *, source: str, description: str, setup: str
) -> tuple[Problem, ...]:
    found = tuple(_problem(entry, where, source, (description, setup)) for where, entry in entries)
    if not found:
        raise DataError(f"the file of {source} holds no problem. Get it again: steerlab data fetch mbpp --out DIR")
    return found


def _problem(entry: object, where: str, source: str, keys: tuple[str, str]) -> Problem:
    number, code, tests = _fields(entry, where, keys)
    assert isinstance(entry, Mapping)
    description, setup = _text(entry[keys[0]]), _setup(entry[keys[1]], where)
    bound = top_level(code, where=where)
    functions = [name for name, node in bound.items() if isinstance(node, ast.FunctionDef)]
    entry_name = next((name for name in names_in("\n".join(tests)) if name in functions), "")
    if not entry_name:
        raise DataError(f"{where}: no function of the code is called by the tests. Fetch the data again.")
    function = bound[entry_name]
    assert isinstance(function, ast.FunctionDef)
    shown = _shown(code, bound, [name for name in names_in("\n".join([setup, *tests])) if name != entry_name])
    cyclomatic = complexity(code)
    return Problem(
        id=f"{source}/{number}",
        source=source,
        prompt=docstring_prompt(description, examples=tests, above=shown, header=header_of(function)),
        entry=entry_name,
        tests=tests,
        setup=setup,
        reference=code + "\n",
        complexity=cyclomatic,
        band=band(cyclomatic),
    )


def _fields(entry: object, where: str, keys: tuple[str, str]) -> tuple[int, str, tuple[str, ...]]:
    """Number, code and tests of an entry. Raises: DataError."""
    wanted = {"task_id", "code", "test_list", *keys}
    if not isinstance(entry, Mapping) or (missing := sorted(wanted - entry.keys())):
        raise DataError(f"{where} lacks {', '.join(missing) if isinstance(entry, Mapping) else 'an object'}.")
    tests = entry["test_list"]
    if not isinstance(tests, list) or not tests or not all(isinstance(test, str) for test in tests):
        raise DataError(f"{where}: test_list must be a list of texts.")
    if not isinstance(entry["task_id"], int) or not all(isinstance(entry[key], str) for key in ("code", keys[0])):
        raise DataError(f"{where}: task_id must be a number, code and {keys[0]} texts.")
    return entry["task_id"], _text(entry["code"]), tuple(_text(test) for test in tests)


def _setup(value: Any, where: str) -> str:
    lines = value if isinstance(value, list) else [value]
    if not all(isinstance(line, str) for line in lines):
        raise DataError(f"{where}: what runs before the tests must be text.")
    return _text("\n".join(lines))


def _text(raw: str) -> str:
    """`raw` with newlines as line ends, without blank ends."""
    return raw.replace("\r\n", "\n").strip()


def _shown(code: str, bound: Mapping[str, ast.stmt], used: Sequence[str]) -> str:
    """The parts of the reference that the tests themselves use (a class Node): nobody could guess them."""
    wanted, queue = dict[int, ast.stmt](), list(used)
    while queue:
        node = bound.get(queue.pop())
        if node is not None and node.lineno not in wanted:
            wanted[node.lineno] = node
            queue += names_in(node)
    return "\n\n\n".join(ast.get_source_segment(code, wanted[line]) or "" for line in sorted(wanted))


def header_of(function: ast.FunctionDef) -> str:
    """The line "def name(parameters):" of a function, on one line and without decorators."""
    bare = ast.FunctionDef(
        name=function.name, args=function.args, body=[ast.Pass()], decorator_list=[], returns=function.returns, lineno=1
    )
    bare.type_params = []  # type: ignore[attr-defined]
    return ast.unparse(bare).removesuffix("pass").rstrip()


def docstring_prompt(description: str, *, examples: Sequence[str], above: str, header: str) -> str:
    """A docstring with the description and the asserts, then `above` (imports, classes), then the function's header."""
    quotes = "'''" if '"""' in description or any('"""' in line for line in examples) else '"""'
    lines = [description, "", *examples] if examples else [description]
    docstring = f"{quotes}\n" + "\n".join(lines) + f"\n{quotes}\n"
    return docstring + (f"{above}\n\n\n" if above else "") + header + "\n"
