"""mkdocs hook: the version of the package stands in the header of every page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

INIT = Path(__file__).resolve().parents[1] / "src" / "steerlab" / "__init__.py"


def version() -> str:
    """The version that the package's source states."""
    found = re.search(r'^__version__ = "(.+)"$', INIT.read_text("utf-8"), re.MULTILINE)
    if found is None:
        raise SystemExit(f"{INIT} states no __version__.")
    return found[1]


def on_config(config: Any) -> Any:
    """Put the version behind the site's name."""
    config.site_name = f"{config.site_name} {version()}"
    return config
