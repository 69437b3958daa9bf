"""Whether a text is a Python program at all."""

from __future__ import annotations

import ast
import warnings


def parses_python(program: str) -> bool:
    """Whether `program` has no syntax error, nor is too deep or too large to parse.

    The parser's warnings are ignored by changing the filters of the process: not for threads.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
