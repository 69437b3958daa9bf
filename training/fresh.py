"""Fresh pairs: new programs of the training families, checked against every training item, shipped as a source.

    python -m training.fresh --items training/work/items --tokenizer src/steerlab/embedded/model

Writes src/steerlab/embedded/fresh.jsonl. The seed is none that training drew from, and a program that stands in any
training item is drawn again.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path

from training.families import FAMILIES
from training.families.contract import Family
from training.items import draw_sample

OUT = Path(__file__).parents[1] / "src" / "steerlab" / "embedded" / "fresh.jsonl"
SEED = 20_261_121
PAIRS_PER_CWE = 12
MOST_DRAWS = 200  # of one pair; a family that gives nothing new by then is exhausted


def training_texts(items: Path, tokenizer: Path) -> list[str]:
    """Each shard of training items as one decoded text."""
    import numpy as np
    from tokenizers import Tokenizer

    shards = sorted(items.glob("shard_*.npz"))
    if not shards:
        raise SystemExit(f"{items} holds no shards (shard_*.npz) of training items.")
    decoder = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    return [decoder.decode(np.load(file)["tokens"].tolist()) for file in shards]


def draw(
    seen: Sequence[str], *, families: Sequence[Family], pairs_per_cwe: int, seed: int, longest: int | None = None
) -> list[dict[str, str]]:
    """Pairs as JSON-able rows, the same number per CWE, spread evenly over its families.

    No program stands in one of the `seen` texts, none occurs twice, and none is longer than `longest` characters.
    Raises: SystemExit when a family gives no such pair in 200 draws.
    """
    random_source = random.Random(seed)
    rows: list[dict[str, str]] = []
    drawn: set[str] = set()
    for cwe in sorted({family.cwe for family in families}, key=lambda name: int(name.partition("-")[2])):
        own = [family for family in families if family.cwe == cwe]
        for number in range(pairs_per_cwe):
            family = own[number % len(own)]
            for _ in range(MOST_DRAWS):
                sample = draw_sample(family, random_source)
                sides = (sample.vulnerable.rstrip("\n"), sample.patched.rstrip("\n"))
                if longest is not None and max(map(len, sides)) > longest:
                    continue
                if drawn.isdisjoint(sides) and not any(side in text for side in sides for text in seen):
                    break
            else:
                raise SystemExit(f"{cwe} {family.name} gave nothing new in {MOST_DRAWS} draws.")
            drawn.update(sides)
            row = {"id": f"{cwe.lower()}/{family.name}-{number}", "cwe": cwe, "language": family.language}
            row |= {"family": family.name, "vulnerable": sample.vulnerable, "patched": sample.patched}
            rows.append(row)
    return rows


def write_rows(rows: Sequence[object], path: Path) -> None:
    """Write one JSON object per line."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--pairs-per-cwe", type=int, default=PAIRS_PER_CWE)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    families = [family for family in FAMILIES if not family.held_out]
    seen = training_texts(options.items, options.tokenizer)
    rows = draw(seen, families=families, pairs_per_cwe=options.pairs_per_cwe, seed=SEED)
    write_rows(rows, options.out)
    print(f"{len(rows)} pairs in {options.out}")


if __name__ == "__main__":
    main()
