"""Makes the embedded model: corpus, tokenizer, items, train, export, evaluate; each stage can be run alone."""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
STAGES = ("corpus", "tokenizer", "items", "train", "export", "evaluate")
MODEL = HERE.parent / "src/steerlab/embedded/model"
SHORT_SHARDS = {0: 700, 1: 900, 2: 900}  # shard -> longest program in characters
FIRST_FAMILIES = {0: 3}  # shard -> families per CWE
LONGEST_PROGRAM = 3000  # characters
PAIRS_PER_SHARD = 5000
PROBE_PAIRS = {"seen": 200, "heldout": 120}


def read_corpus(work: Path) -> list[str]:
    with (work / "corpus/texts.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def make_tokenizer(work: Path) -> None:
    """The BPE learns from 6,000 pairs with their share of exercises, 1,200 files of real code and all of SVEN's."""
    from training.families import FAMILIES
    from training.items import Mixture, shard_texts
    from training.tokenizer import save_tokenizer, train_tokenizer

    corpus = read_corpus(work)
    random_source = random.Random(5)
    trained = [family for family in FAMILIES if not family.held_out]
    texts = [text.text for text in shard_texts(Mixture(families=trained, corpus=corpus), random_source, 6000)]
    texts += [random_source.choice(corpus)[:6000] for _ in range(1200)]
    texts += corpus[-1500:]
    save_tokenizer(train_tokenizer(texts), work / "tokenizer")


def make_probes(work: Path) -> None:
    """The small sets that the loop scores while it trains, and the ids of the two answers."""
    from training.families import FAMILIES
    from training.items import Piece, Text, draw_sample, question, templates, write_shard
    from training.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(work / "tokenizer")
    items = work / "items"
    items.mkdir(parents=True, exist_ok=True)
    answers = {word: tokenizer.encode(f" {word}").ids[0] for word in ("yes", "no")}
    (items / "answers.json").write_text(json.dumps(answers) + "\n", encoding="utf-8")
    random_source = random.Random(987654)
    for which, pairs in PROBE_PAIRS.items():
        by_cwe: dict[str, list] = {}
        for family in FAMILIES:
            if family.held_out == (which == "heldout"):
                by_cwe.setdefault(family.cwe, []).append(family)
        texts: list[Text] = []
        for number in range(pairs):
            own = by_cwe[sorted(by_cwe)[number % len(by_cwe)]]
            family = own[(number // len(by_cwe)) % len(own)]
            sample = draw_sample(family, random_source)
            if len(sample.vulnerable) > 1500:
                continue
            before, after = question(templates()[random_source.randrange(3)], family.cwe, family.language)
            for code, answer in ((sample.vulnerable, " yes"), (sample.patched, " no")):
                piece = Piece()
                piece.add(before + code.rstrip("\n") + after, 0.0)
                piece.answer_at = len(piece.text)
                piece.add(answer, 1.0)
                texts.append(piece.done("detect"))
        write_shard(items / f"probe_{which}.npz", texts, tokenizer)


def make_shards(work: Path, first: int, stop: int, *, sven: Path | None, shares: str) -> None:
    """Shards `first` to `stop` - 1, the curriculum being in their order: few families and short programs, then all."""
    from training.families import CWE_NAMES, FAMILIES
    from training.items import SHARES, Mixture, shard_texts, write_shard
    from training.real_pairs import real_pairs
    from training.tokenizer import load_tokenizer

    tokenizer, corpus = load_tokenizer(work / "tokenizer"), read_corpus(work)
    real = real_pairs(sven, set(corpus)) if sven else []
    for number in range(first, stop):
        families = [family for family in FAMILIES if not family.held_out]
        if number in FIRST_FAMILIES:
            own = {cwe: [family for family in families if family.cwe == cwe] for cwe in CWE_NAMES}
            families = [family for some in own.values() for family in some[: FIRST_FAMILIES[number]]]
        longest = SHORT_SHARDS.get(number, LONGEST_PROGRAM)
        mixture = Mixture(families=families, corpus=corpus, real_pairs=real, longest=longest, shares=SHARES[shares])
        texts = shard_texts(mixture, random.Random(1000 + number), PAIRS_PER_SHARD)
        counts = write_shard(work / f"items/shard_{number:04d}.npz", texts, tokenizer)
        print(f"shard {number}: {len(families)} families, {counts}", flush=True)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m training.make", description=__doc__)
    made.add_argument(
        "stages", nargs="*", choices=[*STAGES, []], help="stages to run, in this order; all when none is named"
    )
    made.add_argument("--sven", type=Path, help="the folder 'train' of SVEN's data; without it no SVEN text is used")
    made.add_argument(
        "--held-out", type=Path, help="the folder of benchmark data; corpus texts that share much with it are left out"
    )
    made.add_argument("--c-sources", type=Path, help="the folder that training.c_sources filled; none: no C but SVEN's")
    made.add_argument("--work", type=Path, default=HERE / "work", help="where corpus, items and checkpoints go")
    made.add_argument("--model", type=Path, default=MODEL, help="where the model is exported to")
    made.add_argument("--shards", default="0:22", help="shards to write, FIRST:STOP")
    made.add_argument("--mixture", default="answering", choices=("answering", "writing"), help="what shards hold most")
    made.add_argument("--seconds", type=float, default=4500.0, help="wall time of the training")
    made.add_argument("--layers", type=int, default=6)
    made.add_argument(
        "--start", type=Path, help="an exported model whose weights (and tokenizer) training goes on from"
    )
    made.add_argument("--rate", type=float, default=8e-4, help="peak learning rate")
    made.add_argument("--hold", type=float, default=0.55, help="share of the time before the rate falls")
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser().parse_args(arguments)
    wanted = [stage for stage in STAGES if stage in options.stages] or list(STAGES)
    work: Path = options.work
    if "corpus" in wanted:
        from training.c_sources import c_texts
        from training.corpus import NGRAM, python_texts, sven_texts, write_corpus
        from training.overlap import all_ngrams, held_out_texts

        sets = held_out_texts(options.held_out).values() if options.held_out else []
        avoided = all_ngrams((text for texts in sets for text in texts), NGRAM)
        found = [*python_texts(), *(c_texts(options.c_sources) if options.c_sources else [])]
        found += sven_texts(options.sven) if options.sven else []
        print(f"corpus: {len(write_corpus(work / 'corpus', found, avoided))} texts of {len(found)}")
    if "tokenizer" in wanted and options.start:
        from training.tokenizer import product_tokenizer, save_tokenizer

        save_tokenizer(product_tokenizer(options.start), work / "tokenizer")
    elif "tokenizer" in wanted:
        make_tokenizer(work)
    if "items" in wanted:
        make_probes(work)
        first, stop = map(int, options.shards.split(":"))
        make_shards(work, first, stop, sven=options.sven, shares=options.mixture)
    if "train" in wanted:
        settings = ["--seconds", str(options.seconds), "--layers", str(options.layers), "--rate", str(options.rate)]
        settings += ["--hold", str(options.hold)]
        settings += ["--start", str(options.start)] if options.start else []
        command = [
            sys.executable,
            "-m",
            "training.train",
            "--work",
            str(work / "run"),
            "--items",
            str(work / "items"),
            *settings,
        ]
        subprocess.run(command, check=True, cwd=HERE.parent, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if "export" in wanted:
        from training.export import export

        print(f"export: {export(work / 'run/checkpoint.pt', work / 'tokenizer', options.model)}")
    if "evaluate" in wanted:
        from training.evaluate import evaluate, table

        scores = evaluate(options.model, 96, 200)
        (work / "scores.json").write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
        print(table(scores))


if __name__ == "__main__":
    main()
