"""Where a function begins and ends in a C or a Python file: cut a continuation at its end."""

from __future__ import annotations

import ast
import re
import textwrap
from dataclasses import dataclass

from steerlab.errors import DataError

DOCSTRING_COLUMNS = 100  # of a docstring that is written anew

# A comment, text or character literal, or a preprocessor line: nothing in it opens or closes a block. A literal that
# is not closed ends with its line, a comment that is not closed ends with the file.
_C_OPAQUE = re.compile(
    r"/\*.*?(?:\*/|\Z)"
    r"|//(?:\\\n|[^\n])*"
    r'|"(?:\\.|[^"\\\n])*"?'
    r"|'(?:\\.|[^'\\\n])*'?"
    r"|^[ \t]*\#(?:\\\n|/\*.*?\*/|[^\n])*",
    re.DOTALL | re.MULTILINE,
)
_PYTHON_TOKEN = re.compile(r"#.*|\"\"\"|'''|\"(?:\\.|[^\"\\])*\"?|'(?:\\.|[^'\\])*'?|\\$|[(\[{]|[)\]}]|.", re.DOTALL)
_PYTHON_ENDS = {quotes: re.compile(rf"(?:\\.|[^\\])*?{quotes}", re.DOTALL) for quotes in ('"""', "'''")}


@dataclass(frozen=True, kw_only=True)
class FunctionParts:
    """A program around the body of one function: `before` + `body` + `after` is the program.

    `before` ends with the line of the docstring (Python) or of the opening brace (C); `body` ends with its last
    character, in C the closing brace. `indentation` is that of the body's first line in columns.
    """

    before: str
    body: str
    after: str
    indentation: int


def split_at_function(program: str, language: str, *, entry: str, docstring: str | None = None) -> FunctionParts:
    """Split `program` around the body of `entry` ("name", in Python also "Class.name"), which has a docstring.

    `docstring` replaces the function's docstring, in C the comment before it.
    Raises: DataError when there is no such function or it has no docstring.
    """
    if language == "python":
        return _split_python(program, entry, docstring)
    return _split_c(program, entry, docstring)


def cut_function(text: str, language: str, *, indentation: int) -> str:
    """The part of `text`, which goes on where a function's body begins, that belongs to the function.

    C: up to the brace that closes the function; braces in comments, literals and preprocessor lines do not count.
    Python: up to the first statement that starts before column `indentation`; lines inside brackets and literals
    and after a backslash start none, and blank lines and comments that only stand before such a statement are cut
    with it. All of `text` when the function does not end in it. Nothing is added or changed.
    """
    return _cut_python(text, indentation) if language == "python" else _cut_c(text)


# --- C ---------------------------------------------------------------------------------------------------------------


def mask_c(text: str) -> str:
    """`text` with comments, literals and preprocessor lines as blanks; newlines and positions stay."""
    return _C_OPAQUE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def _cut_c(text: str) -> str:
    depth = 1
    for brace in re.finditer(r"[{}]", mask_c(text)):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return text[: brace.end()]
    return text


def _split_c(program: str, entry: str, docstring: str | None) -> FunctionParts:
    masked = mask_c(program)
    found = re.search(rf"^\w[\w \t*]*\b{re.escape(entry)}\s*\([^;{{}}]*\)\s*\{{[ \t]*\n", masked, re.MULTILINE)
    if found is None:
        raise DataError(f"the program has no C function {entry}: name the function in which the versions differ.")
    above, signature = program[: found.start()], program[found.start() : found.end()]
    comment = above.rfind("/*")
    if not above.endswith("*/\n") or comment < 0:
        raise DataError(f"the C function {entry} has no comment before it: write one that states its job.")
    if docstring is not None:
        lines = textwrap.wrap(f"/* {docstring} */", DOCSTRING_COLUMNS, subsequent_indent="   ", break_on_hyphens=False)
        above = above[:comment] + "\n".join(lines) + "\n"
    rest = program[found.end() :]
    body = _cut_c(rest)
    indentation = len(body) - len(body.lstrip(" "))
    return FunctionParts(before=above + signature, body=body, after=rest[len(body) :], indentation=indentation)


# --- Python ----------------------------------------------------------------------------------------------------------


def _cut_python(text: str, indentation: int) -> str:
    lines = text.split("\n")
    kept, literal, depth, continued = 0, "", 0, False
    for number, line in enumerate(lines, start=1):
        fresh = not literal and not depth and not continued
        if fresh and (not line.strip() or line.lstrip().startswith("#")):
            continue
        expanded = line.expandtabs()
        if fresh and len(expanded) - len(expanded.lstrip()) < indentation:
            return "\n".join(lines[:kept])
        literal, depth, continued = scan_line(line, literal, depth)
        kept = number
    return "\n".join(lines[:kept])


def scan_line(line: str, literal: str, depth: int) -> tuple[str, int, bool]:
    """The open triple quotes, the open brackets, and whether a backslash goes on, after `line`."""
    place = 0
    while place < len(line):
        if literal:
            end = _PYTHON_ENDS[literal].match(line, place)
            if end is None:
                return literal, depth, False
            literal, place = "", end.end()
            continue
        token = _PYTHON_TOKEN.match(line, place)
        assert token is not None
        place = token.end()
        if token[0] in _PYTHON_ENDS:
            literal = token[0]
        elif token[0] == "\\":
            return "", depth, True
        elif token[0] in "([{":
            depth += 1
        elif token[0] in ")]}":
            depth = max(0, depth - 1)
    return literal, depth, False


def _split_python(program: str, entry: str, docstring: str | None) -> FunctionParts:
    function = _python_function(program, entry)
    first = function.body[0]
    stated = ast.get_docstring(function)
    if stated is None or len(function.body) < 2 or first.end_lineno is None or function.end_lineno is None:
        raise DataError(
            f"the Python function {entry} has no docstring and body: write a docstring that states its job."
        )
    lines = program.splitlines(keepends=True)
    margin = " " * first.col_offset
    written = lines[first.lineno - 1 : first.end_lineno]
    if docstring is not None:
        wrapped = textwrap.wrap(
            f'"""{docstring}"""',
            DOCSTRING_COLUMNS,
            initial_indent=margin,
            subsequent_indent=margin,
            break_on_hyphens=False,
        )
        written = [line + "\n" for line in wrapped]
    before = "".join(lines[: first.lineno - 1] + written)
    rest = "".join(lines[first.end_lineno :])
    body = "".join(lines[first.end_lineno : function.end_lineno]).removesuffix("\n")
    return FunctionParts(before=before, body=body, after=rest[len(body) :], indentation=first.col_offset)


def _python_function(program: str, entry: str) -> ast.FunctionDef:
    found: list[ast.stmt] = ast.parse(program).body
    node: ast.stmt | None = None
    for name in entry.split("."):
        node = next((n for n in found if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name == name), None)
        found = node.body if isinstance(node, ast.FunctionDef | ast.ClassDef) else []
    if not isinstance(node, ast.FunctionDef):
        raise DataError(f"the program has no Python function {entry}: name the function in which the versions differ.")
    return node
