"""Vulnerability detection: the numbers that judge answers and margins."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from steerlab.contrast import CWE_NAMES, Label, Program
from steerlab.errors import DataError, nearest
from steerlab.statistics import Estimate, cluster_bootstrap, wilson

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[Any]

FIELDS = ("code", "cwe_name", "cwe", "language")
_FIELD = re.compile(r"\{([A-Za-z_]\w*)\}")


def answers_from_margins(margins: Sequence[float | None] | Array, *, bias: float = 0.0) -> list[Label | None]:
    """The answer that each margin stands for: "vulnerable" above -bias, "patched" below; None at it, NaN or None.

    A margin is the log-likelihood of the vulnerable answer minus that of the patched one (nats).
    """
    moved = _margins(margins) + bias
    return ["vulnerable" if margin > 0 else "patched" if margin < 0 else None for margin in moved]


def metrics(
    labels: Sequence[Label], answers: Sequence[Label | None], margins: Sequence[float | None] | Array | None = None
) -> dict[str, float | None]:
    """The numbers of one set of rows; "vulnerable" is the positive class; None where undefined.

    Keys: accuracy, balanced_accuracy, f1, mcc, yes_rate, yes_rate_patched (share of the patched programs
    called vulnerable), auroc (of the margin; larger is more vulnerable), parsed_share, n (answered),
    n_unscored. A row without an answer is left out and counted, never wrong. With one class only,
    balanced_accuracy, mcc and auroc are None.
    Raises: DataError when the lengths differ or a value is unknown.
    """
    from sklearn.metrics import balanced_accuracy_score, f1_score, matthews_corrcoef, roc_auc_score

    truth, said, margin = _columns(labels, answers, margins)
    scored = np.isfinite(said)
    y, z = truth[scored], said[scored]
    n = len(y)
    both = 0 < y.sum() < n
    patched = z[y == 0]
    reads = np.isfinite(margin)
    read_both = 0 < truth[reads].sum() < reads.sum()
    return {
        "accuracy": float((y == z).mean()) if n else None,
        "balanced_accuracy": float(balanced_accuracy_score(y, z)) if both else None,
        "f1": float(f1_score(y, z)) if y.sum() + z.sum() > 0 else None,
        "mcc": float(matthews_corrcoef(y, z)) if both else None,
        "yes_rate": float(z.mean()) if n else None,
        "yes_rate_patched": float(patched.mean()) if len(patched) else None,
        "auroc": float(roc_auc_score(truth[reads], margin[reads])) if read_both else None,
        "parsed_share": n / len(truth) if len(truth) else None,
        "n": float(n),
        "n_unscored": float(len(truth) - n),
    }


def pair_order(
    labels: Sequence[Label], margins: Sequence[float | None] | Array, groups: Sequence[Hashable]
) -> float | None:
    """Share of pairs in which the vulnerable program has the larger margin; ties count one half.

    A pair is a vulnerable and a patched program of one group. None where there is no pair with two margins.
    Raises: DataError when the lengths differ.
    """
    truth, _, margin = _columns(labels, [None] * len(labels), margins)
    _same_length(labels=labels, groups=groups)
    scored = np.isfinite(margin)
    values = np.column_stack([truth, truth, margin, _numbers(groups)])[scored]
    if not len(values):
        return None
    value = float(_pair_order(values, np.ones((1, len(values)), dtype=np.int64))[0])
    return value if math.isfinite(value) else None


def estimates(rows: pd.DataFrame, *, level: float = 0.95, seed: int = 0, draws: int = 2000) -> dict[str, Estimate]:
    """All numbers of `metrics` and `pair_order` with intervals from a bootstrap over groups.

    `rows` has the columns label, answer (None: no answer), group, and may have margin. `n` counts the
    rows that enter a number (for yes_rate_patched the patched ones), `n_unscored` those left out for
    want of an answer or margin. Where a number between 0 and 1 is at its end in every draw, the
    bootstrap has no width; then the interval is Wilson's with the groups as trials.
    Raises: DataError when a column is missing.
    """
    table = _table(rows)
    result: dict[str, Estimate] = {}
    for metric in ESTIMATED:
        usable, column = _usable(table, metric), table[:, _COLUMN_OF.get(metric, 1)]
        scored = usable & np.isfinite(column) if metric != "parsed_share" else usable
        estimate = cluster_bootstrap(
            table[scored],
            table[scored, 3],
            _WEIGHTED[metric],
            level=level,
            seed=seed,
            draws=draws,
            n_unscored=int(usable.sum() - scored.sum()),
            statistic_on="weights",
        )
        result[metric] = _with_width(estimate, n_groups=len(np.unique(table[scored, 3])), metric=metric)
    return result


def best_bias(margins: Sequence[float | None] | Array, labels: Sequence[Label]) -> float:
    """The number to add to every margin (nats) so that "vulnerable where above 0" has the best balanced accuracy.

    Candidates are 0, minus the midpoints between neighbouring margins, and one nat beyond both ends; of
    equally good ones the nearest to 0, then the smaller. For training rows only; rows without a margin
    are left out.
    Raises: DataError when not both labels occur.
    """
    truth, _, margin = _columns(labels, [None] * len(labels), margins)
    truth, margin = truth[np.isfinite(margin)], margin[np.isfinite(margin)]
    if not 0 < truth.sum() < len(truth):
        raise DataError("a threshold needs vulnerable and patched programs with a margin; one of them is missing.")
    levels = np.unique(margin)
    candidates = np.concatenate([[0.0], -(levels[:-1] + levels[1:]) / 2, [-levels[-1] - 1.0, 1.0 - levels[0]]])
    moved = margin[None, :] + candidates[:, None]
    right = (moved > 0)[:, truth == 1].mean(axis=1) + (moved < 0)[:, truth == 0].mean(axis=1)
    best = candidates[right >= right.max() - 1e-12]
    return float(min(best, key=lambda bias: (abs(bias), bias)))


_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_CITED = re.compile(r"`([^`\n]{1,80})`|\b([A-Za-z_]\w*)(?=\()|\b(\w*[A-Za-z]_\w+|[a-z]+[A-Z]\w*)\b")


def reasoning_quality(completion: str, reasoning: str, program: Program) -> dict[str, float | None]:
    """How an explanation compares with the ground truth and the code; None where there is nothing to compare.

    rouge1_precision: share of the words of `completion` that occur in `reasoning` (rouge-score, without
    stemming). names_cwe: 1.0 where the completion names the CWE of the program by number or name.
    cited_in_code: of the identifiers that the completion cites (in backticks, called, snake_case or
    camelCase) the share that occurs in the code. n_cited: how many it cites.
    """
    from rouge_score.rouge_scorer import RougeScorer

    rouge = None
    if reasoning.strip() and completion.strip():
        rouge = float(RougeScorer(["rouge1"]).score(reasoning, completion)["rouge1"].precision)
    words = re.sub(r"[\s_-]+", " ", completion.lower())
    number = program.cwe.rpartition("-")[2]
    name = re.sub(r"[\s_-]+", " ", CWE_NAMES.get(program.cwe, program.cwe).lower())
    named = name in words or re.search(rf"\bcwe ?{re.escape(number)}\b", words) is not None
    cited: set[str] = set()
    for match in _CITED.finditer(completion):
        cited.update(_IDENTIFIER.findall(next(part for part in match.groups() if part)))
    in_code = cited & set(_IDENTIFIER.findall(program.code))
    return {
        "rouge1_precision": rouge,
        "names_cwe": float(named),
        "cited_in_code": len(in_code) / len(cited) if cited else None,
        "n_cited": float(len(cited)),
    }


# Weighted forms of the numbers, for all bootstrap draws at once: values [row, 4] are label (1 vulnerable),
# answer, margin, group; weights [draw, row]; NaN where undefined. tests hold them to scikit-learn's.


def _counts(values: Array, weights: Array) -> tuple[Array, Array, Array, Array]:
    """True positives, false positives, false negatives, true negatives per draw."""
    y, z = values[:, 0] == 1, values[:, 1] == 1
    kinds = np.stack([y & z, ~y & z, y & ~z, ~y & ~z], axis=1).astype(np.float64)
    tp, fp, fn, tn = (weights @ kinds).T
    return tp, fp, fn, tn


def _share(part: Array, whole: Array) -> Array:
    return np.asarray(np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0))


def _accuracy(values: Array, weights: Array) -> Array:
    tp, fp, fn, tn = _counts(values, weights)
    return _share(tp + tn, tp + fp + fn + tn)


def _balanced_accuracy(values: Array, weights: Array) -> Array:
    tp, fp, fn, tn = _counts(values, weights)
    return (_share(tp, tp + fn) + _share(tn, tn + fp)) / 2


def _f1(values: Array, weights: Array) -> Array:
    tp, fp, fn, _ = _counts(values, weights)
    return _share(2 * tp, 2 * tp + fp + fn)


def _mcc(values: Array, weights: Array) -> Array:
    tp, fp, fn, tn = _counts(values, weights)
    square = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    value = np.divide(tp * tn - fp * fn, np.sqrt(square), out=np.zeros(len(tp)), where=square > 0)
    return np.where((tp + fn > 0) & (tn + fp > 0), value, np.nan)


def _yes_rate(values: Array, weights: Array) -> Array:
    tp, fp, fn, tn = _counts(values, weights)
    return _share(tp + fp, tp + fp + fn + tn)


def _yes_rate_patched(values: Array, weights: Array) -> Array:
    _, fp, _, tn = _counts(values, weights)
    return _share(fp, fp + tn)


def _rate(values: Array, weights: Array) -> Array:
    return _share(weights @ values[:, 1], weights.sum(axis=1).astype(np.float64))


def _parsed_share(values: Array, weights: Array) -> Array:
    return _share(weights @ np.isfinite(values[:, 1]).astype(np.float64), weights.sum(axis=1).astype(np.float64))


def _auroc(values: Array, weights: Array) -> Array:
    y = values[:, 0] == 1
    high, low = values[y, 2], values[~y, 2]
    wins = (high[:, None] > low[None, :]) + 0.5 * (high[:, None] == low[None, :])
    positive, negative = weights[:, y].astype(np.float64), weights[:, ~y].astype(np.float64)
    return _share(((positive @ wins) * negative).sum(axis=1), positive.sum(axis=1) * negative.sum(axis=1))


def _pair_order(values: Array, weights: Array) -> Array:
    wins = np.zeros(len(weights))
    pairs = np.zeros(len(weights))
    for group in np.unique(values[:, 3]):
        rows = np.flatnonzero(values[:, 3] == group)
        y = values[rows, 0] == 1
        high, low = values[rows[y], 2], values[rows[~y], 2]
        drawn = weights[:, rows[0]]  # all rows of a group carry the same weight
        wins += drawn * ((high[:, None] > low[None, :]) + 0.5 * (high[:, None] == low[None, :])).sum()
        pairs += drawn * (len(high) * len(low))
    return _share(wins, pairs)


_WEIGHTED: Mapping[str, Callable[[Array, Array], Array]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "f1": _f1,
    "mcc": _mcc,
    "auroc": _auroc,
    "pair_order": _pair_order,
    "yes_rate": _yes_rate,
    "yes_rate_patched": _yes_rate_patched,
    "parsed_share": _parsed_share,
}
ESTIMATED = tuple(_WEIGHTED)
_COLUMN_OF: Mapping[str, int] = {"auroc": 2, "pair_order": 2}  # the others read column 1, the answer


def _with_width(estimate: Estimate, *, n_groups: int, metric: str) -> Estimate:
    """Wilson's interval over groups where a share is 0 or 1 in every draw."""
    if metric == "mcc" or estimate.value not in (0.0, 1.0) or estimate.low != estimate.high:
        return estimate
    wide = wilson(round(estimate.value) * n_groups, n_groups, level=estimate.level)
    return replace(estimate, low=wide.low, high=wide.high, method="wilson over groups")


def _usable(table: Array, metric: str) -> Array:
    """The rows that a metric is about."""
    return table[:, 0] == 0 if metric == "yes_rate_patched" else np.ones(len(table), dtype=bool)


def _table(rows: pd.DataFrame) -> Array:
    """Label, answer, margin, group as float64 [row, 4]; NaN where there is none."""
    for column in ("label", "answer", "group"):
        if column not in rows.columns:
            raise DataError(f"the rows have no column {column}: label, answer, group and margin are needed.")
    margins = list(rows["margin"]) if "margin" in rows.columns else None
    truth, said, margin = _columns(list(rows["label"]), list(rows["answer"]), margins)
    return np.column_stack([truth, said, margin, _numbers(list(rows["group"]))])


def _columns(
    labels: Sequence[Any], answers: Sequence[Any], margins: Sequence[Any] | Array | None
) -> tuple[Array, Array, Array]:
    margin = np.full(len(labels), np.nan) if margins is None else _margins(margins)
    _same_length(labels=labels, answers=answers, margins=margin)
    codes = {"vulnerable": 1.0, "patched": 0.0}
    answers = [None if isinstance(answer, float) and math.isnan(answer) else answer for answer in answers]
    for value in {*labels, *answers} - {None}:
        if value not in codes:
            raise DataError(f"label or answer {value!r} is not known. {nearest(str(value), codes)}")
    if None in labels:
        raise DataError("a row has no label.")
    truth = np.array([codes[label] for label in labels], dtype=np.float64)
    said = np.array([math.nan if answer is None else codes[answer] for answer in answers], dtype=np.float64)
    return truth, said, margin


def _margins(margins: Sequence[Any] | Array) -> Array:
    return np.array([math.nan if margin is None else float(margin) for margin in margins], dtype=np.float64)


def _numbers(groups: Sequence[Hashable]) -> Array:
    """Groups as 0, 1, 2, ... in order of first occurrence."""
    names: dict[Hashable, int] = {}
    return np.array([names.setdefault(group, len(names)) for group in groups], dtype=np.float64)


def _same_length(**columns: Any) -> None:
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"columns of different lengths: {lengths}. Give one entry per row.")
