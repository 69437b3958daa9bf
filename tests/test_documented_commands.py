"""Every command line of the README and the documentation: run as it is typed, or in a table with the reason why not."""

from __future__ import annotations

import contextlib
import io
import re
import runpy
import shlex
import shutil
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import typer.main

from steerlab.cli import app, main
from steerlab.commands.study_files import with_study_named
from steerlab.directions import METHODS
from steerlab.embedded import model_directory
from steerlab.tasks.problem_sets import PROBLEM_SETS

ROOT = Path(__file__).resolve().parents[1]
HISTORY = ("docs/log.md", "docs/decisions/")  # what was typed once, and what it gave
PROGRAMS = {
    *("steerlab", "make", "python", "python3.11", "pip", "ray", "apt-get"),
    *("vllm", "llama-cli", "text-generation-launcher"),
}

HUB = "needs a model from a hub; the tests run the study on tiny random models of the same architecture"
DATA = "needs a data set from its publisher; the tests of its reader and of the study run on ours and on small copies"
ELSEWHERE = "another program, which the tests do not install"
# Pattern of a command (as by fnmatch) -> why it is not run here. Those of steerlab are parsed all the same.
NOT_RUN = {
    "make quickstart": "makes an environment, then types `steerlab quickstart`, which is run here (slow)",
    "make test": "is the test suite itself",
    "make release": "makes an environment; tests/test_release.py builds the same wheel and source distribution",
    "python3.11 -m venv *": "makes an environment",
    "apt-get install *": "changes the machine",
    "pip install *": "changes the environment",
    "ray start *": "starts a cluster of machines; tests/test_ray.py runs Ray on this one",
    "vllm serve *": ELSEWHERE,
    "steerlab run * --engine vllm*": ELSEWHERE,
    "llama-cli *": ELSEWHERE,
    "text-generation-launcher *": ELSEWHERE,
    "python convert_hf_to_gguf.py *": ELSEWHERE,
    "steerlab * --workers ray*": "starts Ray; tests/test_ray.py runs studies with Ray workers",
    "steerlab data fetch *": "fetches from a publisher; tests/test_sources.py fetches from a local repository",
    "python tools/null_study.py *": "takes hours; tests/test_null_study.py runs a small one (slow)",
    "python tools/coverage_of_intervals.py *": "takes hours; tests/test_statistics.py runs a part (slow)",
    "steerlab studio *": "serves until it is ended; tests/test_studio.py and tests/test_studio_browser.py start it",
    "steerlab doctor --model DIR_OR_NAME": HUB,
    "steerlab run *bigcode/*": HUB,
    "steerlab run *Qwen/*": HUB,
    "steerlab run *google/*": HUB,
    "steerlab run *--preset *": HUB,
    "steerlab run my-study.toml --resume": HUB,
    "steerlab run *cyberseceval:PATH*": DATA,
    "steerlab run secure-code --model embedded --tasks starter --out runs/secure": "takes half an hour on one core; "
    "docs/how-to/secure-code.md has the same study in small, which is run (slow)",
    "steerlab run code-correctness * --out runs/correctness": "the README has the same command, which is run (slow)",
    "steerlab run code-correctness *mbpp:PATH*": HUB,
    "steerlab report runs/sc": "the run that it shows again needs a model from a hub",
    "steerlab data check secllmholmes:*": DATA,
    "steerlab data check analysers:secllmholmes:PATH": DATA,
    "steerlab latents train *": "trains for minutes to hours; tests/test_sae_training.py runs small trainings",
    "steerlab latents show DIR --json": "DIR is whatever was trained; the embedded ones are shown",
    "steerlab vector import *": "needs a file of another tool; tests/test_formats.py writes and imports them",
    "steerlab equivalence *vllm*": "vLLM has an environment of its own; the same line without it is run",
    "python docs/examples/own_benchmark.py run *": "needs a few dozen problems of somebody; its check is run on three",
}

# Minutes, not seconds: run with `-m slow`.
SLOW = (
    "steerlab quickstart",
    "steerlab run *",
    "steerlab report *",
    "steerlab select *",
    "steerlab data check --embedded",
    "steerlab data check analysers",
    "steerlab data check starter",
    "steerlab sandbox check*",
    "steerlab latents show embedded --layer 4 --model embedded",
    "python docs/examples/median_difference.py *",
)

# Pages whose Python is run behind their commands, in the same directory; other pages have tests of their own.
PYTHON = ("README.md", "docs/tutorial.md", "docs/reference/python.md")

DONE: set[str] = set()  # of the slow part: what two pages type is run once, unless the second page goes on with it

Commands = list[tuple[int, str]]


def pages() -> list[Path]:
    found = [ROOT / "README.md", *sorted(ROOT.joinpath("docs").rglob("*.md"))]
    return [page for page in found if not str(page.relative_to(ROOT)).startswith(HISTORY)]


def code_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines of shell blocks and of indented blocks, with their numbers; other fenced blocks are no commands."""
    fence = None
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            fence = None if fence is not None else line.strip("`").strip()
        elif fence in ("sh", "bash", "shell") or (fence is None and line.startswith("    ")):
            yield number, line.strip().removeprefix("$ ")


def commands(page: Path) -> Commands:
    """The command lines of a page, without comments, paths to the environment and settings of variables."""
    found = []
    for number, line in code_lines(page.read_text("utf-8")):
        words = re.sub(r"\s+#\s.*$", "", line).split()
        while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
            words = words[1:]
        if words and (program := words[0].rpartition("/")[2]) in PROGRAMS and not words[0].endswith(":"):
            found.append((number, " ".join([program, *words[1:]])))
    return found


def why_not(command: str) -> str | None:
    """Why a command is not run, or None when it is."""
    return next((reason for pattern, reason in NOT_RUN.items() if fnmatchcase(command, pattern)), None)


def is_slow(command: str) -> bool:
    return any(fnmatchcase(command, pattern) for pattern in SLOW)


def is_used(command: str, *, by: list[str]) -> bool:
    """Whether later commands of the page name the file or directory that a command writes."""
    words = command.split()
    written = words[words.index("--out") + 1] if "--out" in words else None
    return written is not None and any(written in later.split() for later in by)


def arguments_of(command: str) -> tuple[list[str], Path | None]:
    """The words of a command, and the file that `>` sends its output to."""
    line, _, target = command.partition(" > ")
    return shlex.split(line), Path(target.strip()) if target else None


def run(command: str) -> None:
    """Run a command in this process, in the current directory."""
    words, target = arguments_of(command)
    script = words[1] if words[0] == "python" else ""
    sys.argv = [script, *words[2:]] if script else words
    said, told = io.StringIO(), io.StringIO()
    with pytest.raises(SystemExit) as end, contextlib.redirect_stdout(said), contextlib.redirect_stderr(told):
        runpy.run_path(script, run_name="__main__") if script else main()
    assert not end.value.code, f"{command}\nended with {end.value.code}\n{said.getvalue()}{told.getvalue()}"
    assert said.getvalue().strip(), f"{command}\nprinted nothing"
    if target is not None:
        target.write_text(said.getvalue(), "utf-8")


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory to type in, with the documentation's examples, as in a clone."""
    shutil.copytree(ROOT / "docs" / "examples", tmp_path / "docs" / "examples")
    for side in ("vulnerable", "patched"):
        file = tmp_path / "mine" / "one" / f"{side}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"print({side!r})\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [])
    for table in (METHODS, PROBLEM_SETS):  # the examples add to them
        for name in ("median_difference", "mine"):
            monkeypatch.setitem(table, name, None)  # type: ignore[arg-type]
            monkeypatch.delitem(table, name)  # type: ignore[arg-type]
    return tmp_path


def selected(*, slow: bool) -> list[Any]:
    """The pages that have something to run in the fast or in the slow part."""
    found = []
    for page in pages():
        runs = [command for _, command in commands(page) if why_not(command) is None]
        name = str(page.relative_to(ROOT))
        if any(is_slow(command) == slow for command in runs) or (not slow and name in PYTHON):
            found.append(pytest.param(page, id=name))
    return found


needs_embedded = pytest.mark.skipif(
    not (model_directory() / "config.json").is_file(), reason="the embedded model is not in this checkout"
)


@needs_embedded
@pytest.mark.parametrize("page", selected(slow=False))
def test_the_quick_commands_of_a_page_work_as_they_are_typed(page: Path, clone: Path) -> None:
    for _, command in commands(page):
        if why_not(command) is None and not is_slow(command):
            run(command)
    if str(page.relative_to(ROOT)) in PYTHON:
        blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
        assert blocks
        with contextlib.redirect_stdout(io.StringIO()):
            exec("\n".join(blocks), {"__name__": "documentation"})


@needs_embedded
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", selected(slow=True))
def test_all_commands_of_a_page_work_in_the_order_of_the_page(page: Path, clone: Path) -> None:
    runs = [command for _, command in commands(page) if why_not(command) is None]
    for number, command in enumerate(runs):
        if command not in DONE or is_used(command, by=runs[number + 1 :]):
            run(command)
            DONE.add(command)


def test_the_commands_that_are_not_run_are_at_least_spelled_right() -> None:
    for page in pages():
        for number, command in commands(page):
            if why_not(command) is None or not command.startswith("steerlab "):
                continue
            words = arguments_of(command)[0][1:]
            words = words if words[1].endswith(".toml") else with_study_named(words)
            found: Any = typer.main.get_command(app)
            while hasattr(found, "commands"):
                name = words.pop(0)
                assert name in found.commands or name.endswith(".toml"), f"{page}:{number}: {name} is no command"
                if name.endswith(".toml"):
                    break
                found = found.commands[name]
            else:
                found.make_context(found.name, words)  # raises for an unknown option or a missing one


def test_every_reason_has_its_command_and_every_page_is_read() -> None:
    every = [command for page in pages() for _, command in commands(page)]
    for pattern in (*NOT_RUN, *SLOW):
        assert any(fnmatchcase(command, pattern) for command in every), f"no page types {pattern}: strike it out"
    assert len(every) > 80


def test_commands_are_found_where_people_write_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "Type `steerlab nothing`:\n\n    .venv/bin/steerlab report RUN   # again\n    A=1 steerlab data list\n\n"
        "```sh\n$ make docs\n```\n\n```text\nsteerlab said this\n```\n\nsteerlab is a word\n"
    )
    assert commands(page) == [(3, "steerlab report RUN"), (4, "steerlab data list"), (7, "make docs")]


def test_what_a_page_goes_on_with_is_run_again() -> None:
    build = "steerlab vector build --model embedded --out v.safetensors"
    assert is_used(build, by=["steerlab vector show v.safetensors"])
    assert not is_used(build, by=["steerlab presets"])
    assert not is_used("steerlab data check starter", by=["steerlab presets"])
