"""A second opinion on labels: gcc's static analyser on the two sides of pairs.

    python -m training.label_check --per-family 6

It finds only some flaws and has false alarms; a family whose patched side it flags more often than the vulnerable one
is to be looked at.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from training.families import FAMILIES
from training.families.contract import Family
from training.items import draw_sample

# What gcc 12 can find, by CWE.
WARNINGS: dict[str, tuple[str, ...]] = {
    "CWE-416": ("analyzer-use-after-free", "analyzer-double-free"),
    "CWE-476": (
        "analyzer-null-dereference",
        "analyzer-possible-null-dereference",
        "analyzer-null-argument",
        "analyzer-possible-null-argument",
    ),
}


def flagged(code: str, cwe: str, folder: Path) -> bool:
    """Whether gcc -fanalyzer gives a warning of the CWE's kind. Raises: ValueError when it does not compile."""
    path = folder / "program.c"
    path.write_text(code, encoding="utf-8")
    kinds = [f"-W{name}" for name in WARNINGS[cwe]]
    command = ["gcc", "-std=gnu11", "-fanalyzer", *kinds, "-c", "-o", "/dev/null", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ValueError(done.stderr[:500])
    return any(f"[-W{name}]" in done.stderr for name in WARNINGS[cwe])


def opinions(families: Sequence[Family], per_family: int, seed: int) -> dict[str, tuple[int, int]]:
    """By family: how many vulnerable and how many patched programs of `per_family` draws are flagged."""
    found: dict[str, tuple[int, int]] = {}
    random_source = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        for family in families:
            samples = [draw_sample(family, random_source) for _ in range(per_family)]
            counts = [
                sum(flagged(code, family.cwe, Path(folder)) for code in side)
                for side in ([s.vulnerable for s in samples], [s.patched for s in samples])
            ]
            found[f"{family.cwe} {family.name}"] = counts[0], counts[1]
    return found


def analysed_families() -> list[Family]:
    """The C families of the CWEs that gcc's analyser knows."""
    return [family for family in FAMILIES if family.cwe in WARNINGS and family.language == "c"]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-family", type=int, default=6)
    parser.add_argument("--seed", type=int, default=31)
    options = parser.parse_args(arguments)
    found = opinions(analysed_families(), options.per_family, options.seed)
    for name, (vulnerable, patched) in found.items():
        print(f"{name}: vulnerable {vulnerable}, patched {patched} of {options.per_family}")
    total = options.per_family * len(found)
    sums = [sum(pair[side] for pair in found.values()) for side in (0, 1)]
    print(f"all: vulnerable {sums[0]}, patched {sums[1]} of {total}")


if __name__ == "__main__":
    main()
