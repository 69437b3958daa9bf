"""HumanEval: 164 problems with hidden tests; docstrings moved above the header, the form that MBPP has."""

from __future__ import annotations

import ast
import gzip
import inspect
import json
from collections.abc import Mapping
from pathlib import Path

from steerlab.errors import DataError
from steerlab.tasks.mbpp import docstring_prompt, header_of
from steerlab.tasks.problems import Problem, band, complexity

FILE = "HumanEval.jsonl.gz"
_KEYS = ("task_id", "prompt", "entry_point", "canonical_solution", "test")


def load_humaneval(path: Path) -> tuple[Problem, ...]:
    """The problems of HumanEval.jsonl.gz: `path` is that file or a folder that holds it (also in "data").

    The docstring with its examples comes first, then what the prompt has before the function (imports, helpers), then
    the header. The hidden tests are not shown. Raises: DataError, naming file and line.
    """
    places = (path / FILE, path / "data" / FILE) if path.is_dir() else (path,)
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise DataError(f"{path} holds no {FILE}. Get it: steerlab data fetch humaneval --out DIR")
    try:
        raw = file.read_bytes()
        lines = (gzip.decompress(raw) if file.suffix == ".gz" else raw).decode("utf-8").splitlines()
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{file} cannot be read ({error}). Fetch the data again.") from None
    found = tuple(
        _problem(line, where=f"{file} line {number}") for number, line in enumerate(lines, start=1) if line.strip()
    )
    if not found:
        raise DataError(f"{file} holds no problem. Get it again: steerlab data fetch humaneval --out DIR")
    return found


def _problem(line: str, *, where: str) -> Problem:
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise DataError(f"{where} is not JSON ({error}). Fetch the data again.") from None
    if not isinstance(entry, Mapping) or not all(isinstance(entry.get(key), str) for key in _KEYS):
        raise DataError(f"{where} must be an object with the texts {', '.join(_KEYS)}.")
    reference = entry["prompt"] + entry["canonical_solution"]
    cyclomatic = complexity(reference)
    return Problem(
        id=entry["task_id"],
        source="humaneval",
        prompt=_prompt(entry["prompt"], entry["entry_point"], where=where),
        entry=entry["entry_point"],
        tests=(entry["test"], f"check({entry['entry_point']})"),
        setup="",
        reference=reference,
        complexity=cyclomatic,
        band=band(cyclomatic),
    )


def _prompt(text: str, entry: str, *, where: str) -> str:
    """The prompt with its docstring first."""
    tree = ast.parse(text.rstrip() + "\n    pass\n")
    function = tree.body[-1]
    if not isinstance(function, ast.FunctionDef) or function.name != entry:
        raise DataError(f"{where}: the prompt does not end with the function {entry}. Fetch the data again.")
    stated = next(
        (
            node.value.value
            for node in function.body
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        ),
        None,
    )
    if stated is None:
        raise DataError(f"{where}: the function {entry} has no docstring. Fetch the data again.")
    # HumanEval/115 imports above its docstring, inside the function: what it imports is said above the function, too.
    inside = [ast.unparse(node) for node in function.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    above = "\n".join([*text.splitlines()[: function.lineno - 1], *inside]).strip("\n")
    description = inspect.cleandoc(stated).replace("\\", "\\\\")
    return docstring_prompt(description, examples=(), above=above, header=header_of(function))
