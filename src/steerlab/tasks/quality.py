"""Quality of a completion beside its tests: cyclomatic complexity and repetition."""

from __future__ import annotations

import re
import warnings

WINDOW = 4  # tokens in a row that are compared
_TOKEN = re.compile(r"\w+|[^\w\s]")


def cyclomatic_complexity(program: str, language: str, *, entry: str) -> float | None:
    """McCabe complexity of the function `entry` ("name" or "Class.name") of a Python program; None for what is not.

    Where `entry` is empty, that of the most complex function. Source: radon.
    """
    if language != "python":
        return None
    from radon.complexity import cc_visit
    from radon.visitors import Function

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            blocks = cc_visit(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    functions = [block for block in blocks if isinstance(block, Function)]
    own = [block for block in functions if not entry or block.name == entry.rpartition(".")[2]]
    return max((float(block.complexity) for block in own), default=None)


def repetition(text: str) -> float | None:
    """Share of the runs of four tokens that stood in `text` before: 0 says nothing repeats. None for less than one run.

    Tokens are words and single signs.
    """
    tokens = _TOKEN.findall(text)
    runs = [tuple(tokens[at : at + WINDOW]) for at in range(len(tokens) - WINDOW + 1)]
    return 1.0 - len(set(runs)) / len(runs) if runs else None
