"""Settings of a study from a preset, a TOML file and options, the later ones overruling the earlier."""

from __future__ import annotations

import importlib
import itertools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from steerlab.errors import OptionError, RunError, nearest
from steerlab.presets import preset_file
from steerlab.studies import STUDIES

LOADING = ("dtype", "device", "revision")
AROUND = ("out", "workers", *LOADING)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a run was asked for: settings of the study, how to load the model, where it writes, who works."""

    settings: dict[str, Any]
    load: dict[str, Any]
    out: str
    workers: str


def asked_for(
    study: str,
    given: Mapping[str, Any],
    *,
    preset: str,
    file: str,
    trust_remote_code: bool,
    needed: Mapping[str, str],
) -> Asked:
    """Put together what `preset`, `file` and the options `given` say; options that are empty or 0 say nothing.

    `given` may hold out, workers, dtype, device and revision beside the study's own settings. `needed` are the
    settings that somebody must give, each with an example. Raises: OptionError.
    """
    found: dict[str, Any] = {}
    for source, path in ((f"preset {preset!r}", preset and preset_file(preset)), (file, file)):
        if path:
            named, settings = read_study_file(Path(path))
            if named != study:
                raise OptionError(f"{source} is for the study {named}, not for {study}.")
            found |= settings
    found |= {key: value for key, value in given.items() if value}
    for key, example in needed.items():
        if not found.get(key):
            raise OptionError(f"--{key} is missing: name one, for example {example}.")
    load = {key: found[key] for key in LOADING if key in found} | {"trust_remote_code": trust_remote_code}
    return Asked(
        settings={key: value for key, value in found.items() if key not in AROUND},
        load=load,
        out=str(found.get("out", "")),
        workers=str(found.get("workers", "")),
    )


def read_study_file(path: Path) -> tuple[str, dict[str, Any]]:
    """The study that a TOML file names, and its other keys as settings.

    Raises: OptionError for a file that can't be read, an unknown study or key.
    """
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise OptionError(f"{path} cannot be read as TOML: {error}") from None
    study = found.pop("study", "")
    if study not in STUDIES:
        raise OptionError(f"{path}: study {study!r} does not exist. {nearest(str(study), STUDIES)}")
    known = dict.fromkeys(AROUND, str) | get_type_hints(settings_class(study))
    for key, value in found.items():
        if key not in known:
            raise OptionError(f"{path}: key {key!r} does not exist. {nearest(key, known)}")
        if not _fits(value, known[key]):
            raise OptionError(f"{path}: {key} must be {_in_words(known[key])}, not {value!r}.")
    return study, {key: tuple(value) if isinstance(value, list) else value for key, value in found.items()}


def _fits(value: object, form: Any) -> bool:
    """Whether a value of a TOML file has the form of a setting."""
    if get_origin(form) is tuple:
        parts = get_args(form)
        parts = parts[:1] if parts[-1] is Ellipsis else parts
        if not isinstance(value, list) or (len(parts) > 1 and len(parts) != len(value)):
            return False
        return all(_fits(entry, parts[at % len(parts)]) for at, entry in enumerate(value))
    if get_origin(form) is UnionType:
        return any(_fits(value, part) for part in get_args(form))
    kinds = (int, float) if form is float else str if get_origin(form) is Literal else form
    return isinstance(value, kinds) and (form is bool or not isinstance(value, bool))


def _in_words(form: Any) -> str:
    """What a setting takes, for an error."""
    if get_origin(form) is tuple:
        return f"a list, each entry {_in_words(get_args(form)[0])}"
    if get_origin(form) is UnionType:
        return " or ".join(_in_words(part) for part in get_args(form) if part is not NoneType)
    words = {int: "a whole number", float: "a number", bool: "true or false"}
    return words.get(form, "a text")


def settings_class(study: str) -> type:
    """The frozen dataclass of a study's settings."""
    module, _, name = STUDIES[study].partition(":")
    found: type = getattr(importlib.import_module(module), name)
    return found


def make_settings(study: str, settings: Mapping[str, Any]) -> Any:
    """The study's settings as its dataclass. Raises: OptionError when one has the wrong form."""
    try:
        return settings_class(study)(**settings)
    except TypeError as error:
        raise OptionError(f"a setting has the wrong form: {error}") from None


def run_directory(study: str, out: str, *, resume: bool, now: str) -> Path:
    """Where a run writes: `out`, or a new directory below runs/ named by study and time `now`.

    A name that is taken (two runs in one second, a clock that was set back) gets a number behind it.
    """
    if resume and not out:
        raise RunError("--resume needs --out: say which run goes on.")
    if out:
        return Path(out)
    names = itertools.chain([f"{study}-{now}"], (f"{study}-{now}-{number}" for number in itertools.count(2)))
    return next(path for name in names if not (path := Path("runs") / name).exists())


def with_study_named(arguments: Sequence[str]) -> list[str]:
    """`steerlab run my-study.toml ...` as `steerlab run STUDY --settings my-study.toml ...`.

    Raises: OptionError for a study that does not exist.
    """
    if len(arguments) < 2 or arguments[0] != "run" or arguments[1].startswith("-"):
        return list(arguments)
    name = arguments[1]
    if name.endswith(".toml"):
        return ["run", read_study_file(Path(name))[0], "--settings", *arguments[1:]]
    if name not in STUDIES:
        raise OptionError(f"study {name!r} does not exist. {nearest(name, STUDIES)}")
    return list(arguments)
