"""What is released: a wheel that holds what the package needs, and no more."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LARGEST = 40_000_000  # bytes
NEEDED = (
    "py.typed",
    "embedded/model/model.safetensors",
    "embedded/model/tokenizer.json",
    "embedded/model/config.json",
    "embedded/sae/layer-2/sae_weights.safetensors",
    "embedded/sae/layer-4/sae_weights.safetensors",
    "presets/starcoder-secllmholmes.toml",
    "rules/python.yaml",
    "rules/c.yaml",
    "sources/checksums.json",
    "tasks/detection_templates.json",
)


def tracked() -> list[str]:
    """The files that git knows and that are there."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is no git checkout")
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


@pytest.mark.slow
def test_wheel_and_source_distribution_hold_all_of_the_package(tmp_path: Path) -> None:
    pytest.importorskip("build", reason="the package build is not installed")
    source = tmp_path / "source"
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, source / name)
    made = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path / "dist"), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    (sdist,) = (tmp_path / "dist").glob("*.tar.gz")
    assert wheel.stat().st_size < LARGEST and sdist.stat().st_size < LARGEST
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"steerlab/{name}" for name in NEEDED} <= names
    known = {name.removeprefix("src/") for name in tracked() if name.startswith("src/steerlab/")}
    assert known <= names, sorted(known - names)[:10]
    assert not [name for name in names if "__pycache__" in name or name.startswith(("tests/", "training/", "docs/"))]
    with tarfile.open(sdist) as opened:
        inside = {name.partition("/")[2] for name in opened.getnames()}
    assert {"README.md", "LICENSE", "pyproject.toml", "src/steerlab/py.typed"} <= inside
