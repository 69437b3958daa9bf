"""Which coefficient: what each one did to the programs, and the rule that picks one with its reason in words."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from typing import Any

from steerlab.errors import OptionError
from steerlab.statistics import Estimate, wilson

GRID = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
GOLDEN = (math.sqrt(5) - 1) / 2
_LEXEME = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, kw_only=True)
class Written:
    """What was written for a problem without and with steering, and whether it passes (None: unscored)."""

    problem: str
    before: str
    after: str
    passed_before: bool | None
    passed_after: bool | None
    parses: bool

    @property
    def scored(self) -> bool:
        """Both sides are known to pass or to fail."""
        return self.passed_before is not None and self.passed_after is not None

    @property
    def corrected(self) -> bool:
        """From failing to passing."""
        return self.scored and bool(self.passed_after) and not self.passed_before

    @property
    def corrupted(self) -> bool:
        """From passing to failing."""
        return self.scored and bool(self.passed_before) and not self.passed_after


@dataclass(frozen=True, kw_only=True)
class Response:
    """What one coefficient did on `n` problems; rates are Wilson estimates, the rest means over problems.

    `flip_rate`: of all scored problems those that changed between passing and failing. `correction_rate`: of the
    failing ones those that pass now. `corruption_rate`: of the passing ones those that fail now. `net_benefit`:
    corrected minus corrupted, per scored problem (None where none is). `parse_rate`: programs that are Python.
    Similarities (1: the same) and the length ratio compare the bodies before and after; tokens are identifiers,
    numbers and single signs. The length ratio is in characters; None where nothing was written before.
    """

    coefficient: float
    n: int
    flip_rate: Estimate
    correction_rate: Estimate
    corruption_rate: Estimate
    parse_rate: Estimate
    net_benefit: float | None
    token_similarity: float
    character_similarity: float
    length_ratio: float | None

    def as_json(self) -> dict[str, Any]:
        """The response as JSON values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What a coefficient must hold to be picked: flip rate within `flips`, parse rate of at least `parse_floor`."""

    flips: tuple[float, float] = (0.2, 0.6)
    parse_floor: float = 0.8

    def __post_init__(self) -> None:
        low, high = self.flips
        if not 0 <= low <= high <= 1 or not 0 <= self.parse_floor <= 1:
            raise OptionError(f"flip rates {low}..{high} and parse floor {self.parse_floor} must lie within 0..1.")


@dataclass(frozen=True, kw_only=True)
class CoefficientChoice:
    """The picked coefficient, whether it holds the rule, and why it was picked, in words."""

    coefficient: float
    qualifies: bool
    reason: str


def character_similarity(before: str, after: str) -> float:
    """The ratio of difflib's SequenceMatcher over characters: 1 for equal texts, 0 for texts with nothing in common."""
    return SequenceMatcher(None, before, after, autojunk=False).ratio()


def token_similarity(before: str, after: str) -> float:
    """The same ratio over identifiers, numbers and single signs; white space does not count."""
    return SequenceMatcher(None, _LEXEME.findall(before), _LEXEME.findall(after), autojunk=False).ratio()


def response(coefficient: float, written: Sequence[Written], *, level: float = 0.95) -> Response:
    """What `coefficient` did to the problems. Raises: OptionError without any problem."""
    if not written:
        raise OptionError(f"coefficient {coefficient:g} has been tried on no problem: choose at least one.")
    scored = [w for w in written if w.scored]
    failing = [w for w in written if w.passed_before is False]
    passing = [w for w in written if w.passed_before is True]
    corrected, corrupted = sum(w.corrected for w in scored), sum(w.corrupted for w in scored)
    ratios = [len(w.after) / len(w.before) for w in written if w.before]

    def rate(part: Sequence[Written], hits: int) -> Estimate:
        known = sum(w.scored for w in part)
        return wilson(hits, known, n_unscored=len(part) - known, level=level)

    return Response(
        coefficient=coefficient,
        n=len(written),
        flip_rate=rate(written, corrected + corrupted),
        correction_rate=rate(failing, corrected),
        corruption_rate=rate(passing, corrupted),
        parse_rate=wilson(sum(w.parses for w in written), len(written), level=level),
        net_benefit=(corrected - corrupted) / len(scored) if scored else None,
        token_similarity=_mean([token_similarity(w.before, w.after) for w in written]),
        character_similarity=_mean([character_similarity(w.before, w.after) for w in written]),
        length_ratio=_mean(ratios) if ratios else None,
    )


def choose_coefficient(responses: Sequence[Response], rule: Rule) -> CoefficientChoice:
    """The coefficient that holds the rule and has the highest net benefit; the smaller dose on a tie.

    When none holds it, the reason says so, and the one with the highest net benefit among those that still parse is
    taken (among all when none parses). Raises: OptionError without any response.
    """
    if not responses:
        raise OptionError("no coefficient has been tried: give at least one.")
    held = [one for one in responses if _holds(one, rule)]
    low, high = rule.flips
    wanted = f"a flip rate of {low:.0%} to {high:.0%} and a parse rate of at least {rule.parse_floor:.0%}"
    if held:
        best = min(held, key=_rank)
        others = f"{len(held)} of {len(responses)} coefficients have" if len(held) > 1 else "the only coefficient with"
        highest = "; the highest net benefit among them" if len(held) > 1 else ""
        return CoefficientChoice(
            coefficient=best.coefficient, qualifies=True, reason=f"{others} {wanted}{highest}: {_facts(best)}"
        )
    parsing = [one for one in responses if _value(one.parse_rate) >= rule.parse_floor]
    best = min(parsing or list(responses), key=_rank)
    among = "those that parse often enough" if parsing else "all, as none parses often enough"
    return CoefficientChoice(
        coefficient=best.coefficient,
        qualifies=False,
        reason=f"no coefficient of {len(responses)} has {wanted}; instead the highest net benefit among {among}, the "
        f"smallest dose on a tie: {_facts(best)}",
    )


def refine(
    around: float, tried: Sequence[float], measure: Callable[[float], Response], *, rule: Rule, steps: int
) -> list[Response]:
    """Golden-section search for the highest net benefit between the neighbours of `around` in `tried`; what it tried.

    The search is over the logarithm of the coefficient (all must have one sign) and makes `steps` measurements. On few
    problems net benefit is a staircase: on equal steps it goes on toward the smaller dose.
    Raises: OptionError when `around` is not in `tried`, has no neighbour, or the signs differ.
    """
    sizes = sorted({abs(one) for one in tried})
    signs = {math.copysign(1, one) for one in tried}
    if around not in tried or len(sizes) < 2 or len(signs) != 1 or 0 in sizes:
        raise OptionError("refinement needs at least two coefficients of one sign around the chosen one.")
    at, sign = sizes.index(abs(around)), signs.pop()
    low, high = math.log(sizes[max(0, at - 1)]), math.log(sizes[min(len(sizes) - 1, at + 1)])
    found: list[Response] = []

    def score(place: float) -> tuple[int, float, float]:
        found.append(measure(sign * float(f"{math.exp(place):.4g}")))
        return _score(found[-1], rule)

    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    scores: dict[float, tuple[int, float, float]] = {}
    for _ in range(steps):
        place = left if left not in scores else right
        scores[place] = score(place)
        if left not in scores or right not in scores:
            continue
        if scores[left] >= scores[right]:
            high, right = right, left
            left = high - GOLDEN * (high - low)
        else:
            low, left = left, right
            right = low + GOLDEN * (high - low)
    return found


def _holds(one: Response, rule: Rule) -> bool:
    low, high = rule.flips
    flips = one.flip_rate.value
    return flips is not None and low <= flips <= high and _value(one.parse_rate) >= rule.parse_floor


def _score(one: Response, rule: Rule) -> tuple[int, float, float]:
    """What refinement maximises: first that the rule holds, then net benefit, then the smaller dose."""
    return int(_holds(one, rule)), _benefit(one), -abs(one.coefficient)


def _rank(one: Response) -> tuple[float, float]:
    return -_benefit(one), abs(one.coefficient)


def _benefit(one: Response) -> float:
    return -math.inf if one.net_benefit is None else one.net_benefit


def _value(estimate: Estimate) -> float:
    return 0.0 if estimate.value is None else estimate.value


def _facts(one: Response) -> str:
    """The numbers behind a choice, as a clause."""

    def share(estimate: Estimate) -> str:
        return "unknown" if estimate.value is None else f"{estimate.value:.0%} of {estimate.n}"

    benefit = "unknown" if one.net_benefit is None else f"{one.net_benefit:+.2f}"
    return (
        f"net benefit {benefit} at {one.coefficient:g} (flips {share(one.flip_rate)}, corrects "
        f"{share(one.correction_rate)} failing, corrupts {share(one.corruption_rate)} passing, "
        f"{share(one.parse_rate)} parse)"
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
