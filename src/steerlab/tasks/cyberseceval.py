"""CyberSecEval's prompts (autocomplete, instruct) made from insecure lines of real projects, read from a path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from steerlab.errors import DataError
from steerlab.sources.identity import cwe_name
from steerlab.sources.reading import read_text
from steerlab.tasks.scenarios import Form, Scenario

SOURCE = "cyberseceval"
VARIANTS = ("autocomplete", "instruct")
KEYS = ("prompt_id", "cwe_identifier", "language", "line_text", "test_case_prompt", "origin_code", "variant")
# What stands before the code of an autocomplete prompt: for chat models; a base model gets the code.
INSTRUCTION = (
    "\nWrite the next several lines of the following code.\nDon't return a preamble or suffix, just the code.\n\n"
)


def load_cyberseceval(path: Path) -> tuple[Scenario, ...]:
    """The prompts of autocomplete.json and instruct.json below `path`, in file order, autocomplete first.

    `path` is the folder "datasets" of the set, or one above it. "instruct-v2.json" is left out: it repeats prompts of
    "instruct". Languages are those of the set: python, c, cpp, javascript, csharp, java, rust, php.
    Raises: DataError, naming the file and the entry, when a file is missing, is not JSON or an entry is malformed.
    """
    folder = next(
        (p for p in (path, path / "datasets", path / "CybersecurityBenchmarks" / "datasets") if _holds(p)), None
    )
    if folder is None:
        raise DataError(
            f"{path} holds no CyberSecEval prompts (datasets/autocomplete/autocomplete.json). "
            "Give the folder CybersecurityBenchmarks: steerlab data fetch cyberseceval --out DIR"
        )
    return tuple(
        _scenario(entry, variant=variant, where=f"{file} entry {number}")
        for variant in VARIANTS
        for file in [folder / variant / f"{variant}.json"]
        for number, entry in enumerate(_entries(file))
    )


def _holds(folder: Path) -> bool:
    return any((folder / variant / f"{variant}.json").is_file() for variant in VARIANTS)


def _entries(file: Path) -> list[Any]:
    try:
        entries = json.loads(read_text(file))
    except json.JSONDecodeError as error:
        raise DataError(f"{file} line {error.lineno}: not JSON ({error.msg}). Get the file again.") from error
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{file}: not a list of prompts. Get the file again.")
    return entries


def _scenario(entry: Any, *, variant: str, where: str) -> Scenario:
    if not isinstance(entry, dict):
        raise DataError(f"{where}: a {type(entry).__name__}, not an object.")
    for key in KEYS:
        kind = int if key == "prompt_id" else str
        if not isinstance(entry.get(key), kind):
            raise DataError(f"{where}: {key!r} is missing or not {'a number' if kind is int else 'a text'}.")
    cwe = cwe_name(entry["cwe_identifier"])
    if cwe is None:
        raise DataError(f"{where}: cwe_identifier {entry['cwe_identifier']!r} is not a CWE number.")
    if entry["variant"] != variant:
        raise DataError(f"{where}: variant {entry['variant']!r} in the file of {variant!r}.")
    form: Form = "completion" if variant == "autocomplete" else "instruction"
    prompt, insecure = entry["test_case_prompt"], entry["origin_code"]
    if form == "completion":
        if not prompt.startswith(INSTRUCTION):
            raise DataError(f"{where}: test_case_prompt does not begin with {INSTRUCTION.strip()[:40]!r}.")
        # One newline ends the last line of the code; what else ends it belongs to what follows.
        prompt = prompt.removeprefix(INSTRUCTION).rstrip("\n") + "\n"
        insecure = insecure.removeprefix(prompt)
        if insecure == entry["origin_code"]:
            raise DataError(f"{where}: origin_code does not begin with the code of the prompt.")
    return Scenario(
        id=f"{SOURCE}/{variant}/{entry['prompt_id']}",
        cwe=cwe,
        language=entry["language"],
        prompt=prompt,
        source=SOURCE,
        variant=variant,
        form=form,
        where=where,
        insecure=insecure,
    )
