"""The built documentation as dist/steerlab-VERSION-docs.zip: one archive per release, opened without a server."""

from __future__ import annotations

import shutil
from pathlib import Path

from docs_version import version

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Pack site/ and say how large the archive is."""
    if not (ROOT / "site" / "index.html").is_file():
        raise SystemExit("site/ holds no pages: run `make docs` first.")
    name = ROOT / "dist" / f"steerlab-{version()}-docs"
    name.parent.mkdir(exist_ok=True)
    packed = Path(shutil.make_archive(str(name), "zip", ROOT / "site"))
    print(f"{packed.relative_to(ROOT)}: {packed.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
