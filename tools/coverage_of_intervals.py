"""How often the intervals hold the truth, and how often the tests cry wolf: simulated studies of known truth.

    python tools/coverage_of_intervals.py [--repeats 2000] [--write]

Each row is one estimator on one kind of study, at the numbers of pairs that the studies have. The estimators are the
product's own; the studies are drawn: pairs whose two programs are answered alike, changes by steering on few programs,
margins with heavy tails. Wilson's interval and McNemar's p are summed over all outcomes instead of drawn. --write
renders the table of docs/explanation/intervals.md.
"""

from __future__ import annotations

import argparse
import functools
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from scipy import stats

from steerlab import statistics
from steerlab.statistics import Estimate, cluster_bootstrap, holm, mcnemar_exact, paired_difference, wilson
from steerlab.studies.detection_summary import _balanced
from steerlab.tasks.detection import _auroc

PAGE = Path(__file__).resolve().parents[1] / "docs" / "explanation" / "intervals.md"
BEGIN, END = "<!-- coverage: begin -->", "<!-- coverage: end -->"
PAIRS = (12, 24, 48, 96, 288)
HELD, AT_MOST = (0.93, 0.97), (0.0, 0.05)
SEEDS = 10  # of the bootstrap: its draws are kept for repetitions with the same seed
TRUTH = 0.65
ALIKE = 0.6  # share of pairs whose two programs get the same answer whatever it is
CHANGED = 0.15  # share of programs whose answer steering changes


@dataclass(frozen=True, kw_only=True)
class Found:
    """A rate by number of pairs; `wanted` says between which bounds it is good."""

    name: str
    wanted: tuple[float, float]
    rates: Mapping[int, float]


def answers(rng: np.random.Generator, n: int, truth: float) -> np.ndarray:
    """Right or not [pair, (vulnerable, patched)] with mean `truth`; ALIKE of the pairs get one answer for both.

    One answer for both programs is right on exactly one of them: balanced accuracy 0.5 there.
    """
    apart = (truth - ALIKE / 2) / (1 - ALIKE)
    right = (rng.random((n, 2)) < apart).astype(float)
    alike = rng.random(n) < ALIKE
    first = rng.random(n) < 0.7  # it says "vulnerable" more often
    right[alike] = np.stack([first, ~first], axis=1)[alike]
    return right


def rows(right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows [right, is vulnerable] and their pairs."""
    n = len(right)
    return np.column_stack([right.ravel(), np.tile([1.0, 0.0], n)]), np.repeat(np.arange(n), 2)


def shares(rng: np.random.Generator, n: int, seed: int) -> tuple[Estimate, float]:
    """The share of right answers; a pair is easy or hard as a whole."""
    chance = rng.beta(10 * TRUTH, 10 * (1 - TRUTH), size=n)
    values = (rng.random((n, 2)) < chance[:, None]).astype(float)
    return cluster_bootstrap(values.ravel(), np.repeat(np.arange(n), 2), seed=seed), TRUTH


def balanced(rng: np.random.Generator, n: int, seed: int) -> tuple[Estimate, float]:
    """Balanced accuracy of `answers`."""
    values, pairs = rows(answers(rng, n, TRUTH))
    return cluster_bootstrap(values, pairs, _balanced, seed=seed, statistic_on="weights"), TRUTH


def difference(
    rng: np.random.Generator, n: int, seed: int, *, gain: float, share: float = CHANGED
) -> tuple[Estimate, float]:
    """Balanced accuracy after steering less that before, on the same programs."""
    before = answers(rng, n, TRUTH)
    changed = rng.random((n, 2)) < share
    up = rng.random((n, 2)) < 0.5 + gain / share / 2  # the share of the changed ones that become right
    after = np.where(changed, up, before)
    before = np.where(changed, ~up, before)
    pairs = rows(before)[1]
    found = paired_difference(
        rows(before)[0], rows(after)[0], clusters=pairs, statistic=_balanced, seed=seed, statistic_on="weights"
    )
    return found, gain


def auroc(rng: np.random.Generator, n: int, seed: int) -> tuple[Estimate, float]:
    """AUROC of margins to which both programs of a pair add the same."""
    shared = rng.normal(size=(n, 1)) * 2  # a program's look moves both of its versions
    margins = shared + rng.normal(size=(n, 2)) + np.array([0.8, 0.0])
    label = np.tile([1.0, 0.0], n)
    values = np.column_stack([label, label, margins.ravel()])
    truth = float(stats.norm.cdf(0.8 / np.sqrt(2 * (2**2 + 1))))
    return cluster_bootstrap(values, np.repeat(np.arange(n), 2), _auroc, seed=seed, statistic_on="weights"), truth


def heavy(rng: np.random.Generator, n: int, seed: int) -> tuple[Estimate, float]:
    """The mean of values with heavy tails, one a pair."""
    return cluster_bootstrap(rng.standard_t(3, size=n) + 1.0, np.arange(n), seed=seed), 1.0


def skewed(rng: np.random.Generator, n: int, seed: int) -> tuple[Estimate, float]:
    """The mean of skewed values, one a pair."""
    return cluster_bootstrap(rng.exponential(size=n), np.arange(n), seed=seed), 1.0


STUDIES: Mapping[str, Callable[[np.random.Generator, int, int], tuple[Estimate, float]]] = {
    "share of programs, both of a pair alike (bootstrap over pairs)": shares,
    "balanced accuracy 0.65 (bootstrap over pairs)": balanced,
    "difference of balanced accuracy, none": functools.partial(difference, gain=0.0),
    "difference of balanced accuracy, +0.10": functools.partial(difference, gain=0.10),
    "difference of balanced accuracy, none, only 4 % of the answers change": functools.partial(
        difference, gain=0.0, share=0.04
    ),
    "difference of balanced accuracy, +0.03, only 4 % of the answers change": functools.partial(
        difference, gain=0.03, share=0.04
    ),
    "AUROC of the margin": auroc,
    "mean change of a margin, heavy tails (Student, 3 degrees of freedom)": heavy,
    "mean change of a margin, skewed (exponential)": skewed,
}


FEW_NONE, FEW_SOME = (name for name in STUDIES if "only 4 %" in name)
BOUNDS: Mapping[tuple[str, int], tuple[float, float]] = {  # where an interval is known to be off, and by how much
    (FEW_NONE, 12): (0.97, 1.0),
    (FEW_NONE, 24): (0.97, 1.0),
    (FEW_SOME, 12): (0.45, 0.97),
    (FEW_SOME, 24): (0.78, 0.97),
    ("mean change of a margin, skewed (exponential)", 12): (0.90, 0.97),
    ("AUROC of the margin", 24): (0.93, 0.98),
    **{("McNemar's p, both programs of a pair change together", n): (0.0, 0.16) for n in PAIRS},
}


def coverage(study: str, n: int, *, repeats: int) -> float:
    """Share of `repeats` drawn studies of `n` pairs whose 95 % interval holds the truth."""
    rng = np.random.default_rng([n, zlib.crc32(study.encode())])
    held = 0
    for repeat in range(repeats):
        found, truth = STUDIES[study](rng, n, repeat % SEEDS)
        held += found.low is not None and found.high is not None and found.low <= truth <= found.high
    return held / repeats


def wilson_coverage(n: int, p: float) -> float:
    """The exact share: over all numbers of successes."""
    chances = stats.binom.pmf(np.arange(n + 1), n, p)
    intervals = [wilson(k, n) for k in range(n + 1)]
    held = [bool(i.low <= p <= i.high) for i in intervals]  # type: ignore[operator]
    return float(chances[held].sum())


@functools.cache
def _p(b: int, c: int) -> float:
    return mcnemar_exact(b, c)


def mcnemar_rate(rng: np.random.Generator, n: int, *, repeats: int, alike: float) -> float:
    """Share of studies without an effect whose p is at most 0.05; `alike` of the pairs change with both programs."""
    hits = 0
    for _ in range(repeats):
        changed = rng.random((n, 2)) < CHANGED
        up = rng.random((n, 2)) < 0.5
        both = rng.random(n) < alike
        changed[both, 1], up[both, 1] = changed[both, 0], up[both, 0]
        hits += _p(int((changed & ~up).sum()), int((changed & up).sum())) <= 0.05
    return hits / repeats


def holm_rate(rng: np.random.Generator, n: int, *, repeats: int) -> float:
    """Share of studies without an effect in which some of eight CWEs has an adjusted p of at most 0.05."""
    hits = 0
    for _ in range(repeats):
        changed = rng.binomial(2 * max(1, n // 8), 0.4, size=8)
        up = rng.binomial(changed, 0.5)
        raw = {str(i): _p(int(c - u), int(u)) for i, (c, u) in enumerate(zip(changed, up, strict=True))}
        hits += min(raw.values()) <= 0.05 and min(holm(raw).values()) <= 0.05  # Holm only raises
    return hits / repeats


def table(*, repeats: int, sizes: Sequence[int] = PAIRS, studies: Sequence[str] = tuple(STUDIES)) -> list[Found]:
    """All rows, or those of some studies."""
    draw = statistics.cluster_weights

    @functools.cache
    def weights(clusters: tuple[int, ...], seed: int, draws: int) -> np.ndarray:
        return draw(clusters, seed=seed, draws=draws).astype(np.float64)

    def kept(clusters: Any, *, seed: int, draws: int = 2000) -> np.ndarray:
        return weights(tuple(np.asarray(clusters).tolist()), seed, draws)

    found = [
        Found(
            name=f"share {p} of independent programs (Wilson, exact)",
            wanted=HELD,
            rates={n: wilson_coverage(n, p) for n in sizes},
        )
        for p in (0.5, 0.65, 0.9)
    ]
    for study in studies:
        rates = {}
        for n in sizes:
            weights.cache_clear()
            with patch.object(statistics, "cluster_weights", kept):
                rates[n] = coverage(study, n, repeats=repeats)
        found.append(Found(name=study, wanted=HELD, rates=rates))
        print(study, rates, flush=True)
    rng = np.random.default_rng(0)
    for name, alike in (("programs change one by one", 0.0), ("both programs of a pair change together", 1.0)):
        rates = {n: mcnemar_rate(rng, n, repeats=4 * repeats, alike=alike) for n in sizes}
        found.append(Found(name=f"McNemar's p, {name}", wanted=AT_MOST, rates=rates))
    rates = {n: holm_rate(rng, n, repeats=repeats) for n in sizes}
    found.append(Found(name="Holm over eight CWEs (McNemar's p, one by one)", wanted=AT_MOST, rates=rates))
    return found


def markdown(found: Sequence[Found], *, repeats: int) -> str:
    """The table of the page; what is not as wanted is bold."""
    lines = [
        f"{repeats:,} studies in each cell (standard error of a coverage 0.95: {np.sqrt(0.95 * 0.05 / repeats):.3f}).",
        "",
        "| | wanted | " + " | ".join(f"{n} pairs" for n in found[0].rates) + " |",
        "| --- | --- | " + " | ".join("---:" for _ in found[0].rates) + " |",
    ]
    for row in found:
        low, high = row.wanted
        cells = [f"{rate:.3f}" if low <= rate <= high else f"**{rate:.3f}**" for rate in row.rates.values()]
        lines.append(f"| {row.name} | {low:g} to {high:g} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the rows, and with --write render the page's table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=2000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true", help=f"render the table of {PAGE.name}")
    given = parser.parse_args()
    found = table(repeats=given.repeats)
    text = markdown(found, repeats=given.repeats)
    if given.write:
        page = PAGE.read_text("utf-8")
        PAGE.write_text(f"{page.partition(BEGIN)[0]}{BEGIN}\n{text}\n{END}{page.partition(END)[2]}", "utf-8")
    print(json.dumps([{"name": f.name, "rates": f.rates} for f in found]) if given.json else text)


if __name__ == "__main__":
    main()
