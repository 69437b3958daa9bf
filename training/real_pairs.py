"""SVEN's training split as pairs: real functions before and after the commit that mended them."""

from __future__ import annotations

import difflib
import json
import random
from collections.abc import Collection
from pathlib import Path

from training.families.contract import CWE_NAMES, Family, Language, Sample

LONGEST_FUNCTION = 2200  # characters
# SVEN's numbers for what the families call otherwise; its CWE-125 (reads out of bounds) is none of the eight.
CWES = {"CWE-078": "CWE-77", "CWE-022": "CWE-22", "CWE-079": "CWE-79", "CWE-089": "CWE-89"}


def _changed_lines(before: str, after: str) -> tuple[str, str]:
    """The first line that goes and the first that comes, stripped; empty when there is none."""
    gone, come = "", ""
    for line in difflib.ndiff(before.split("\n"), after.split("\n")):
        text = line[2:].strip()
        if len(text) > 3:
            gone = gone or (text if line.startswith("- ") else "")
            come = come or (text if line.startswith("+ ") else "")
    return gone, come


def _no_draw(random_source: random.Random) -> Sample:
    raise IndexError("a real pair is read, not drawn")


def real_pairs(train_folder: Path, kept: Collection[str]) -> list[tuple[Family, Sample]]:
    """Pairs of the eight CWEs whose two sides are both in `kept`, the corpus' texts apart from the held-out sets.

    Raises: ValueError for a folder that is not named `train`.
    """
    if train_folder.name != "train":
        raise ValueError(f"{train_folder.name!r} is not SVEN's training split: give the folder named 'train'.")
    found = []
    for path in sorted(train_folder.glob("*.jsonl")):
        name = path.stem.upper()
        cwe = CWES.get(name, name)
        if cwe not in CWE_NAMES:
            continue
        for line in path.read_text(encoding="utf-8").strip("\n").split("\n"):
            row = json.loads(line)
            before, after = row["func_src_before"], row["func_src_after"]
            if before not in kept or after not in kept or len(before) > LONGEST_FUNCTION or before == after:
                continue
            language: Language = "python" if row["file_name"].endswith(".py") else "c"
            flaw, fix = _changed_lines(before, after)
            sample = Sample(
                vulnerable=before,
                patched=after,
                flaw=flaw,
                fix=fix,
                reason=f"the function was changed because of {CWE_NAMES[cwe]}",
                reason_patched=f"the function is as it was after the change against {CWE_NAMES[cwe]}",
            )
            family = Family(cwe=cwe, name=f"sven-{path.stem}", language=language, held_out=False, make=_no_draw)
            found.append((family, sample))
    return found
