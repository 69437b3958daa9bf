"""Settings of published set-ups as TOML files that a user can copy."""

from __future__ import annotations

from pathlib import Path

from steerlab.errors import OptionError, nearest

_FOLDER = Path(__file__).parent


def preset_names() -> list[str]:
    """The names of the presets."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def preset_file(name: str) -> Path:
    """The TOML file of a preset. Raises: OptionError when there is none of this name."""
    path = _FOLDER / f"{name}.toml"
    if name not in preset_names():
        raise OptionError(f"preset {name!r} does not exist. {nearest(name, preset_names())}")
    return path
