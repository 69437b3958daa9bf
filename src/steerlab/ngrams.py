"""What text statistics alone can do: a bag-of-n-grams classifier on the same folds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steerlab.contrast import Label
from steerlab.errors import DataError


def ngram_baseline(
    train_texts: Sequence[str], train_labels: Sequence[Label], test_texts: Sequence[str], *, seed: int
) -> NDArray[Any]:
    """Margins (log-odds of "vulnerable", float64, one per test text) of a classifier that has no model.

    Words and punctuation marks, single and in pairs, present or absent; logistic regression with
    scikit-learn's default penalty. The same texts, labels and seed give the same margins.
    Raises: DataError when the training texts have one label only, or no words.
    """
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    if len(train_texts) != len(train_labels):
        raise DataError(f"{len(train_texts)} training texts but {len(train_labels)} labels.")
    classes = set(train_labels)
    if classes != {"vulnerable", "patched"}:
        raise DataError(f"training labels are {sorted(classes)}: vulnerable and patched are both needed.")
    if not any(text.strip() for text in train_texts):
        raise DataError("all training texts are empty.")
    if not test_texts:
        return np.zeros(0)
    grams = CountVectorizer(
        token_pattern=r"\w+|[^\w\s]", ngram_range=(1, 2), binary=True, lowercase=False, dtype=np.float64
    )
    vulnerable = np.array([label == "vulnerable" for label in train_labels])
    classifier = LogisticRegression(max_iter=1000, random_state=seed)
    classifier.fit(grams.fit_transform(train_texts), vulnerable)
    return np.asarray(classifier.decision_function(grams.transform(test_texts)), dtype=np.float64)
