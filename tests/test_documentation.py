"""The documentation as a site: complete, of this version, and loading nothing from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import steerlab

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


def test_every_public_name_has_its_docstring_in_the_reference() -> None:
    page = DOCS.joinpath("reference", "python.md").read_text("utf-8")
    shown = {line.removeprefix("::: ") for line in page.splitlines() if line.startswith("::: ")}
    homes = steerlab._HOMES
    assert shown == {f"steerlab.{homes[name]}.{name}" for name in steerlab.__all__}


def test_every_page_is_in_the_navigation_and_on_the_first_page() -> None:
    navigation = ROOT.joinpath("mkdocs.yml").read_text("utf-8")
    first = DOCS.joinpath("README.md").read_text("utf-8")
    for page in DOCS.rglob("*.md"):
        name = str(page.relative_to(DOCS))
        assert name in navigation, f"{name} is missing in the nav of mkdocs.yml"
        assert name in first or name.startswith("decisions/") or name == "README.md", (
            f"{name} is missing in docs/README"
        )


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text("utf-8"))["project"]
    citation = ROOT.joinpath("CITATION.cff").read_text("utf-8")
    cited = re.search(r"^version: (.+)$", citation, re.MULTILINE)
    assert cited is not None and cited[1] == project["version"] == steerlab.__version__
    assert f"## {steerlab.__version__} " in ROOT.joinpath("CHANGELOG.md").read_text("utf-8")


def test_the_page_of_commands_is_what_help_says() -> None:
    checked = subprocess.run([sys.executable, "tools/command_page.py", "--check"], cwd=ROOT, check=False)
    assert checked.returncode == 0, "run `make format`"


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_loads_nothing_from_another_host(tmp_path: Path) -> None:
    pytest.importorskip("material", reason="the extra docs is not installed")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) >= len(list(DOCS.rglob("*.md")))
    sources = r'<(?:script|img|iframe)[^>]+src="(?:https?:)?//'
    links = r'<link[^>]+rel="(?:stylesheet|preconnect)"[^>]+href="(?:https?:)?//'
    for page in pages:
        text = page.read_text("utf-8")
        assert not re.search(f"{sources}|{links}", text), page
        assert f"steerlab {steerlab.__version__}" in text
    for sheet in (tmp_path / "site").rglob("*.css"):
        assert not re.search(r"@import|url\(\s*[\"']?(?:https?:)?//", sheet.read_text("utf-8")), sheet
