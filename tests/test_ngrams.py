"""N-grams: text statistics are found where they exist, and the same twice."""

from __future__ import annotations

import numpy as np
import pytest

from steerlab.errors import DataError
from steerlab.ngrams import ngram_baseline

TEXTS = [f"strcpy(a{i}, b);" for i in range(8)] + [f"strncpy(a{i}, b, n);" for i in range(8)]
LABELS = ["vulnerable"] * 8 + ["patched"] * 8


def test_a_call_that_gives_the_label_away_is_found_in_new_texts() -> None:
    margins = ngram_baseline(TEXTS, LABELS, ["strcpy(x, y);", "strncpy(x, y, 3);"], seed=0)  # type: ignore[arg-type]
    assert margins[0] > 0 > margins[1]


def test_punctuation_alone_can_carry_the_label() -> None:
    texts = ["a + b", "c + d", "a - b", "c - d"]
    labels = ["vulnerable", "vulnerable", "patched", "patched"]
    margins = ngram_baseline(texts, labels, ["x + y", "x - y"], seed=0)  # type: ignore[arg-type]
    assert margins[0] > 0 > margins[1]


def test_the_same_arguments_give_the_same_margins_and_swapped_labels_the_opposite() -> None:
    first = ngram_baseline(TEXTS, LABELS, TEXTS, seed=1)  # type: ignore[arg-type]
    assert (first == ngram_baseline(TEXTS, LABELS, TEXTS, seed=1)).all()  # type: ignore[arg-type]
    swapped = ngram_baseline(TEXTS, LABELS[::-1], TEXTS, seed=1)  # type: ignore[arg-type]
    np.testing.assert_allclose(swapped, -first, atol=1e-4)


def test_one_label_or_unequal_lengths_are_errors_and_no_test_text_is_an_empty_answer() -> None:
    with pytest.raises(DataError, match="both needed"):
        ngram_baseline(["a", "b"], ["patched", "patched"], ["c"], seed=0)
    with pytest.raises(DataError, match="2 training texts but 1"):
        ngram_baseline(["a", "b"], ["patched"], ["c"], seed=0)
    with pytest.raises(DataError, match="empty"):
        ngram_baseline(["", " "], ["patched", "vulnerable"], ["c"], seed=0)
    assert ngram_baseline(["a", "b"], ["patched", "vulnerable"], [], seed=0).shape == (0,)
