"""Fresh pairs: new programs of the training families, checked against every training item, shipped as a source.

    python -m training.fresh --items training/work/items --tokenizer src/steerlab/embedded/model

Writes src/steerlab/embedded/fresh.jsonl. The seed is none that training drew from, and a program that stands in any
training item is drawn again.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

from training.families import FAMILIES
from training.items import draw_sample

OUT = Path(__file__).parents[1] / "src" / "steerlab" / "embedded" / "fresh.jsonl"
SEED = 20_261_121
PAIRS_PER_CWE = 12


def training_texts(items: Path, tokenizer: Path) -> list[str]:
    """Each shard of training items as one decoded text."""
    import numpy as np
    from tokenizers import Tokenizer

    decoder = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    return [decoder.decode(np.load(file)["tokens"].tolist()) for file in sorted(items.glob("shard_*.npz"))]


def draw(seen: list[str]) -> list[dict[str, str]]:
    """Pairs as JSON-able rows, the same number per CWE, spread over its training families."""
    random_source = random.Random(SEED)
    rows = []
    for cwe in sorted({family.cwe for family in FAMILIES}, key=lambda name: int(name.partition("-")[2])):
        families = [family for family in FAMILIES if family.cwe == cwe and not family.held_out]
        number = 0
        while number < PAIRS_PER_CWE:
            family = families[number % len(families)]
            sample = draw_sample(family, random_source)
            sides = (sample.vulnerable.rstrip("\n"), sample.patched.rstrip("\n"))
            if any(side in text for side in sides for text in seen):
                continue
            row = {"id": f"{cwe.lower()}/{family.name}-{number}", "cwe": cwe, "language": family.language}
            rows.append(row | {"vulnerable": sample.vulnerable, "patched": sample.patched})
            number += 1
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    options = parser.parse_args()
    rows = draw(training_texts(options.items, options.tokenizer))
    OUT.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    print(f"{len(rows)} pairs in {OUT}")


if __name__ == "__main__":
    main()
