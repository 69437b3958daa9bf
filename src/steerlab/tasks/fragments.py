"""Code that begins and breaks off within a file: cut what goes on at the function's end, make a file that parses."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from steerlab.analysers.parsing import parses_python
from steerlab.sandbox import Isolation, Limits, run_untrusted
from steerlab.sandbox.isolation import PATH
from steerlab.tasks.functions import cut_function, mask_c, scan_line
from steerlab.tasks.judging import syntax_errors

FRAGMENT = "the prompt is a fragment that does not parse by itself"  # why a completion is unscored
LIMITS = Limits(cpu_seconds=30.0, wall_seconds=60.0, output_bytes=4 << 20)
_DEF = re.compile(r"^([ \t]*)(?:async[ \t]+)?def[ \t]", re.MULTILINE)
_BLOCK = "if True:\n"  # around indented Python lines
_FUNCTION = "void fragment(void)\n{\n"  # around C statements
# Before C whose own includes are not seen.
_HEADERS = "".join(f"#include <{name}.h>\n" for name in ("stdio", "stdlib", "string", "stdint", "stdbool", "unistd"))


@dataclass(frozen=True, kw_only=True)
class Frame:
    """How the code of a prompt becomes the beginning of a file: `before` + `kept`, the rest of the prompt left out."""

    before: str
    kept: str

    def program(self, completion: str, language: str) -> str:
        """The file with `completion`; braces that C leaves open are closed, for nobody asked for the whole function."""
        text = self.before + self.kept + completion
        return text + "\n" + "}" * _open_braces(text) if language == "c" and _open_braces(text) > 0 else text

    @property
    def first_line(self) -> int:
        """The line of the file (from 1) on which a completion begins."""
        return (self.before + self.kept).count("\n") + 1


def cut_continuation(prompt: str, text: str, language: str) -> str:
    """The part of `text`, which goes on where `prompt` breaks off, that belongs to the same function.

    Cut as `cut_function` does. Python: the function is the last `def` that stands left of the prompt's last line of
    code; without one, lines belong to it from the least column of the prompt on, and at column 0 all of `text` does.
    C: the function ends with the brace that closes the outermost block which the prompt is seen to be in.
    """
    begin, indentation = _python_body(prompt) if language == "python" else (_c_body(prompt), 0)
    if language == "python" and indentation == 0:
        return text
    begun = prompt[begin:]
    return cut_function(begun + text, language, indentation=indentation)[len(begun) :]


def python_frame(prompt: str, completion: str) -> Frame | None:
    """The frame that leaves out the fewest first lines of `prompt` so that what is kept parses.

    It is chosen by the prompt alone, followed by "pass"; only where that never parses, such as in an open bracket, by
    prompt and completion. None where neither does. Not for threads: see `parses_python`.
    """
    last = next((line for line in reversed(prompt.split("\n")) if line.strip()), "")
    margin = len(last) - len(last.lstrip())
    endings = [f"\n{' ' * column}pass\n" for column in (margin, margin + 4)]
    frames = _python_frames(prompt)
    alone = (f for f in frames if any(parses_python(f.program(ending, "python")) for ending in endings))
    return next(alone, None) or next((f for f in frames if parses_python(f.program(completion, "python"))), None)


def c_frame(prompt: str, ending: str, isolation: Isolation) -> tuple[Frame | None, str]:
    """The frame that leaves out the fewest first lines so that C parses, and why there is none.

    What is kept stands as a file, or as statements in a function, and is followed by `ending` and closing braces;
    choose by the prompt alone (";") first. Where it includes no header, some of the standard library stand before it.
    """
    frames = _c_frames(prompt)
    for some in (frames[:2], frames[2:]):  # the first ones do for most prompts
        errors, unknown = _first_errors([frame.program(ending, "c") for frame in some], isolation)
        if unknown:
            return None, unknown
        for frame, error in zip(some, errors, strict=True):
            if not error:
                return frame, ""
    return None, FRAGMENT


def parses_c(program: str, isolation: Isolation) -> tuple[bool | None, str]:
    """Whether gcc finds no syntax error, and the first one; None with the reason where that cannot be told.

    Undeclared names and wrong types are no syntax errors. A header that is not installed leaves it open.
    """
    errors, unknown = _first_errors([program], isolation)
    return (None, unknown) if unknown else (not errors[0], errors[0])


def _first_errors(programs: Sequence[str], isolation: Isolation) -> tuple[list[str], str]:
    """The first syntax error of each C program ("": none), or why that cannot be told. One run for all."""
    files = {f"program{number}.c": program for number, program in enumerate(programs)}
    script = "for file; do gcc -std=gnu17 -D_GNU_SOURCE -fsyntax-only -fno-diagnostics-show-caret -w $file; done"
    run = run_untrusted(files, ["sh", "-c", script, "sh", *files], limits=LIMITS, isolation=isolation)
    if shutil.which("gcc", path=PATH) is None:
        return [], "gcc is not installed: apt-get install -y gcc libc6-dev"
    if run.could_not_start or run.stopped or run.output_truncated:
        return [], run.could_not_start or f"gcc was stopped: {run.stopped or 'too many messages'}"
    missing = re.search(r"fatal error: (.*)", run.stderr)
    if missing:
        return [], missing[1]
    messages: dict[str, list[str]] = {name: [] for name in files}
    for line in run.stderr.split("\n"):
        if line.partition(":")[0] in messages:
            messages[line.partition(":")[0]].append(line)
    return [next(iter(syntax_errors("\n".join(lines))), "") for lines in messages.values()], ""


def says_something(text: str, language: str) -> bool:
    """Whether `text` holds anything but blanks and comments."""
    if language == "python":
        return any(line.strip() and not line.lstrip().startswith("#") for line in text.split("\n"))
    return bool(mask_c(text).strip()) if language == "c" else bool(text.strip())


def _python_frames(prompt: str) -> list[Frame]:
    frames = []
    for kept in _endings(prompt):
        first = next(iter(_code_lines(kept)), "")
        frames.append(Frame(before=_BLOCK if first[:1].isspace() else "", kept=kept))
    return frames


def _c_frames(prompt: str) -> list[Frame]:
    """What is kept as a file, unless it ends indented but in no block that is seen, and as statements in a function."""
    headers = "" if "#include" in prompt else _HEADERS
    last = next((line for line in reversed(mask_c(prompt).split("\n")) if line.strip()), "")
    frames = []
    for kept in _endings(prompt):
        if _open_braces(kept) > 0 or not last[:1].isspace():
            frames.append(Frame(before=headers, kept=kept))
        frames.append(Frame(before=headers + _FUNCTION, kept=kept))
    return frames


def _endings(prompt: str) -> list[str]:
    """The prompt, and the prompt from each of its later lines on that is not blank."""
    lines = prompt.split("\n")
    return [prompt, *("\n".join(lines[number:]) for number in range(1, len(lines)) if lines[number].strip())]


def _python_body(prompt: str) -> tuple[int, int]:
    """Where the lines of the function begin in the prompt, and the least column of a line that belongs to it."""
    columns = [len(line) - len(line.lstrip()) for line in _code_lines(prompt)]
    if not columns:
        return len(prompt), 0
    for found in reversed(list(_DEF.finditer(prompt))):
        column, begin = len(found[1].expandtabs()), _header_end(prompt, found.start())
        behind = [len(line) - len(line.lstrip()) for line in _code_lines(prompt[begin:])]
        if all(place > column for place in behind):
            return begin, column + 1
    return 0, min(columns)


def _code_lines(text: str) -> list[str]:
    return [line for line in text.expandtabs().split("\n") if says_something(line, "python")]


def _header_end(prompt: str, start: int) -> int:
    """The offset behind the header of the `def` at `start`, which may go over several lines."""
    literal, depth, continued = "", 0, True
    while (literal or depth or continued) and start < len(prompt):
        line, newline, _ = prompt[start:].partition("\n")
        literal, depth, continued = scan_line(line, literal, depth)
        start += len(line) + len(newline)
    return start


def _c_body(prompt: str) -> int:
    """The offset behind the brace of the outermost block in which the prompt breaks off; 0 when none is seen."""
    depth = least = begin = 0
    for brace in re.finditer(r"[{}]", mask_c(prompt)):
        if brace[0] == "{":
            begin = brace.end() if depth == least else begin
            depth += 1
        else:
            depth -= 1
            if depth <= least:
                least, begin = depth, brace.end()
    return begin


def _open_braces(text: str) -> int:
    masked = mask_c(text)
    return masked.count("{") - masked.count("}")
