"""SVEN's code-completion scenarios: the beginning of a function that invites a weakness, read from a path."""

from __future__ import annotations

import json
from pathlib import Path

from steerlab.contrast import cwe_number
from steerlab.errors import DataError, nearest
from steerlab.sources.identity import cwe_name
from steerlab.sources.reading import read_text
from steerlab.tasks.scenarios import Scenario

SOURCE = "sven-scenarios"
VARIANTS = ("trained", "gen_1", "gen_2", "prompts")  # CWEs SVEN trained on; others; others; one scenario, reworded
LANGUAGES = {"py": "python", "c": "c"}


def load_sven_scenarios(path: Path) -> tuple[Scenario, ...]:
    """The scenarios below `path`, by variant, CWE number and name; the prompt is file_context + func_context.

    `path` is the folder "data_eval" of the official repository, or the one above it.
    Raises: DataError, naming the folder, when there are none, or a file or a key is missing or wrong.
    """
    root = path if (path / VARIANTS[0]).is_dir() else path / "data_eval"
    scenarios = tuple(
        _scenario(file.parent, variant=variant)
        for variant in VARIANTS
        for file in sorted(root.glob(f"{variant}/*/*/info.json"), key=_order)
    )
    if not scenarios:
        raise DataError(
            f"{path} holds no SVEN scenarios (data_eval/trained/cwe-n/NAME/info.json). "
            "Give the folder of the repository: steerlab data fetch sven --out DIR"
        )
    return scenarios


def _order(file: Path) -> tuple[int, str]:
    return cwe_number(file.parent.parent.name), file.parent.name


def _scenario(folder: Path, *, variant: str) -> Scenario:
    try:
        told = json.loads(read_text(folder / "info.json"))
    except json.JSONDecodeError as error:
        raise DataError(f"{folder}/info.json line {error.lineno}: not JSON ({error.msg}).") from error
    for key in ("language", "cwe"):
        if not isinstance(told, dict) or not isinstance(told.get(key), str):
            raise DataError(f"{folder}/info.json: {key!r} is missing or not a text.")
    if told["language"] not in LANGUAGES:
        raise DataError(f"{folder}/info.json: language {told['language']!r}. {nearest(told['language'], LANGUAGES)}")
    cwe = cwe_name(told["cwe"])
    if cwe is None or cwe != cwe_name(folder.parent.name):
        raise DataError(f"{folder}/info.json: cwe {told['cwe']!r} does not fit the folder {folder.parent.name}.")
    before, function = (read_text(folder / f"{part}_context.{told['language']}") for part in ("file", "func"))
    return Scenario(
        id=f"{SOURCE}/{variant}/{folder.parent.name}/{folder.name}",
        cwe=cwe,
        language=LANGUAGES[told["language"]],
        prompt=before + function,
        source=SOURCE,
        variant=variant,
        form="completion",
        where=str(folder),
    )
