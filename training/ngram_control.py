"""A control: how far a linear classifier on hashed 1-3-grams gets on the pair families."""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import SGDClassifier

from training.families import FAMILIES
from training.families.contract import Family
from training.items import draw_sample
from training.overlap import WORD


def drawn_texts(families: Sequence[Family], pairs: int, seed: int) -> list[str]:
    """Vulnerable and patched in turn, `pairs` pairs per family, the CWE's name in front."""
    random_source = random.Random(seed)
    texts = []
    for family in families:
        for _ in range(pairs):
            sample = draw_sample(family, random_source)
            texts += [f"{family.cwe} {sample.vulnerable}", f"{family.cwe} {sample.patched}"]
    return texts


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=480, help="training pairs per family")
    options = parser.parse_args(arguments)
    vectorizer = HashingVectorizer(
        token_pattern=WORD.pattern, ngram_range=(1, 3), n_features=2**18, lowercase=False, alternate_sign=False
    )
    training = [family for family in FAMILIES if not family.held_out]
    texts = drawn_texts(training, options.pairs, 1)
    classifier = SGDClassifier(loss="log_loss", alpha=1e-6, max_iter=12, tol=None, random_state=0)
    classifier.fit(vectorizer.transform(texts), np.tile([1, 0], len(texts) // 2))
    for name, families, pairs in (
        ("training families", training, 12),
        ("held-out families", [family for family in FAMILIES if family.held_out], 40),
    ):
        margins = classifier.decision_function(vectorizer.transform(drawn_texts(families, pairs, 99)))
        vulnerable, patched = margins[0::2], margins[1::2]
        balanced = ((vulnerable > 0).mean() + (patched <= 0).mean()) / 2
        print(f"{name}: {len(vulnerable)} pairs, balanced {balanced:.2f}, order {(vulnerable > patched).mean():.2f}")


if __name__ == "__main__":
    main()
