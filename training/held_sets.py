"""Held-out sets that the package ships: exercises of held-out compositions and pairs of held-out families.

    python -m training.held_sets --items training/work/items --tokenizer src/steerlab/embedded/model

Writes exercises.jsonl and held_out_families.jsonl to src/steerlab/embedded. The seeds are none that training drew from.
With --items (and the tokenizer that encoded them) nothing is written that stands in a training item.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from training.exercises import BANDS, Exercise, band, complexity, draw_exercise, is_branching
from training.families import FAMILIES
from training.fresh import draw, training_texts, write_rows

FOLDER = Path(__file__).parents[1] / "src" / "steerlab" / "embedded"
EXERCISES = FOLDER / "exercises.jsonl"
HELD_OUT_FAMILIES = FOLDER / "held_out_families.jsonl"
SEED = 20_261_201
PAIRS_PER_CWE = 12
PER_BAND = 50
KIND_SHARE = 0.4  # of a band that may iterate over one kind of thing
MOST_OF_ONE = 2  # exercises of one composition
MOST_DRAWS = 200_000


def solved(exercise: Exercise) -> str:
    """The whole program: prompt and reference solution."""
    return exercise.prompt + exercise.solution


def tells_apart(exercise: Exercise) -> bool:
    """Whether its asserts differ in their calls and do not all want the same value, which a constant would give."""
    sides = [line.partition(" == ") for line in exercise.asserts]
    return len({call for call, _, _ in sides}) == len(sides) and len({value for _, _, value in sides}) > 1


def draw_exercises(seen: Sequence[str], *, per_band: int = PER_BAND, seed: int = SEED) -> list[dict[str, object]]:
    """Exercises as JSON-able rows, `per_band` in each complexity band, a composition twice at most, ordered by band.

    Complexity is the reference solution's. Asserts that a constant passes and exercises that stand, solved, in one of
    the `seen` texts are drawn again.
    Raises: SystemExit when a band stays short.
    """
    random_source = random.Random(seed)
    bands: dict[int, list[dict[str, object]]] = {number: [] for number in range(1, len(BANDS) + 2)}
    kinds: Counter[tuple[int, str]] = Counter()
    compositions: Counter[str] = Counter()
    for _ in range(MOST_DRAWS):
        exercise = draw_exercise(random_source, "held-out")
        found = complexity(solved(exercise))
        number, kind = band(found), exercise.composition.partition("/")[0]
        if not tells_apart(exercise):
            continue
        full = len(bands[number]) >= per_band or kinds[number, kind] >= KIND_SHARE * per_band
        if (
            full
            or compositions[exercise.composition] >= MOST_OF_ONE
            or any(solved(exercise).rstrip("\n") in text for text in seen)
        ):
            continue
        compositions[exercise.composition] += 1
        kinds[number, kind] += 1
        place = len(bands[number])
        bands[number].append(
            {
                "id": f"exercise/{number}-{place:02d}",
                "composition": exercise.composition,
                "prompt": exercise.prompt,
                "asserts": list(exercise.asserts),
                "entry": exercise.name,
                "solution": exercise.solution,
                "complexity": found,
                "band": number,
                "branching": is_branching(tuple(exercise.composition.split("/"))),
            }
        )
        if all(len(rows) == per_band for rows in bands.values()):
            return [row for rows in bands.values() for row in rows]
    raise SystemExit(f"the bands stay short: { {number: len(rows) for number, rows in bands.items()} }")


def draw_pairs(seen: Sequence[str], *, pairs_per_cwe: int = PAIRS_PER_CWE, seed: int = SEED) -> list[dict[str, str]]:
    """Pairs of the held-out families as rows of fresh.jsonl's form."""
    families = [family for family in FAMILIES if family.held_out]
    return draw(seen, families=families, pairs_per_cwe=pairs_per_cwe, seed=seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=Path, help="a folder of training items to check against")
    parser.add_argument("--tokenizer", type=Path, default=FOLDER / "model", help="what encoded the items")
    parser.add_argument("--pairs-per-cwe", type=int, default=PAIRS_PER_CWE)
    parser.add_argument("--per-band", type=int, default=PER_BAND)
    parser.add_argument("--out", type=Path, default=FOLDER)
    options = parser.parse_args()
    seen = training_texts(options.items, options.tokenizer) if options.items else []
    exercises = draw_exercises(seen, per_band=options.per_band)
    pairs = draw_pairs(seen, pairs_per_cwe=options.pairs_per_cwe)
    for rows, file in ((exercises, EXERCISES.name), (pairs, HELD_OUT_FAMILIES.name)):
        write_rows(rows, options.out / file)
        print(f"{len(rows)} rows in {options.out / file}")
    print("checked against the training items" if options.items else "not checked against any training items")


if __name__ == "__main__":
    main()
