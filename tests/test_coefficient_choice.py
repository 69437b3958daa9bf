"""What a coefficient did, in numbers that can be counted by hand; the rule that picks one; refinement."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steerlab.errors import OptionError
from steerlab.studies.coefficient_choice import (
    Response,
    Rule,
    Written,
    character_similarity,
    choose_coefficient,
    refine,
    response,
    token_similarity,
)

RULE = Rule()


def written(before: bool | None, after: bool | None, *, n: int = 1, parses: bool = True) -> list[Written]:
    text = "    return x + 1\n"
    one = Written(problem="p", before=text, after=text, passed_before=before, passed_after=after, parses=parses)
    return [one] * n


def made(coefficient: float, *, corrected: int, corrupted: int, parsing: int = 10) -> Response:
    """Ten problems, five of which fail without steering."""
    rows = [
        *written(False, True, n=corrected),
        *written(False, False, n=5 - corrected),
        *written(True, False, n=corrupted),
        *written(True, True, n=5 - corrupted),
    ]
    rows = [
        Written(**{**vars(row), "parses": number < parsing})  # type: ignore[arg-type]
        for number, row in enumerate(rows)
    ]
    return response(coefficient, rows)


def test_rates_are_counts_over_their_own_problems_and_unscored_is_in_none() -> None:
    rows = [*written(False, True, n=2), *written(False, False, n=2), *written(True, False), *written(True, True, n=3)]
    rows += [*written(True, None), *written(None, True)]
    found = response(3.0, rows)
    assert (found.flip_rate.value, found.flip_rate.n, found.flip_rate.n_unscored) == (3 / 8, 8, 2)
    assert (found.correction_rate.value, found.correction_rate.n) == (0.5, 4)
    assert (found.corruption_rate.value, found.corruption_rate.n, found.corruption_rate.n_unscored) == (0.25, 4, 1)
    assert found.net_benefit == (2 - 1) / 8 and found.n == 10
    assert (found.token_similarity, found.character_similarity, found.length_ratio) == (1.0, 1.0, 1.0)


def test_without_a_scored_problem_rates_are_none_and_not_zero() -> None:
    found = response(3.0, written(None, None, n=3))
    assert (found.flip_rate.value, found.correction_rate.value, found.net_benefit) == (None, None, None)
    with pytest.raises(OptionError, match="on no problem"):
        response(3.0, [])


def test_token_similarity_is_blind_to_white_space_and_character_similarity_is_not() -> None:
    assert token_similarity("a = b + 1", "a=b+1") == 1.0 and character_similarity("a = b + 1", "a=b+1") < 1.0
    assert token_similarity("a = 1", "b = 1") == pytest.approx(2 / 3)
    assert character_similarity("", "") == token_similarity("", "") == 1.0


@given(st.text("ab =+1\n", max_size=30), st.text("ab =+1\n", max_size=30))
def test_similarities_lie_between_0_and_1_and_are_1_for_equal_texts(one: str, two: str) -> None:
    for similarity in (token_similarity, character_similarity):
        assert 0 <= similarity(one, two) <= 1 and similarity(one, one) == 1


def test_the_rule_takes_the_highest_net_benefit_within_its_bounds() -> None:
    tried = [
        made(1, corrected=1, corrupted=0),  # flips 10 %
        made(3, corrected=2, corrupted=0),
        made(10, corrected=3, corrupted=0),
        made(30, corrected=4, corrupted=3),  # flips 70 %
        made(100, corrected=5, corrupted=0, parsing=7),
    ]
    choice = choose_coefficient(tried, RULE)
    assert (choice.coefficient, choice.qualifies) == (10, True)
    assert choice.reason.startswith("2 of 5 coefficients have a flip rate of 20% to 60%") and "+0.30" in choice.reason
    assert "corrects 60% of 5 failing, corrupts 0% of 5 passing, 100% of 10 parse" in choice.reason


def test_the_bounds_of_the_rule_belong_to_it() -> None:
    assert choose_coefficient([made(1, corrected=2, corrupted=0, parsing=8)], RULE).qualifies
    assert choose_coefficient([made(1, corrected=5, corrupted=1)], RULE).qualifies
    assert not choose_coefficient([made(1, corrected=2, corrupted=0, parsing=7)], RULE).qualifies


def test_on_a_tie_the_smaller_dose_is_taken_also_among_negative_ones() -> None:
    tried = [made(30, corrected=3, corrupted=0), made(10, corrected=3, corrupted=0)]
    assert choose_coefficient(tried, RULE).coefficient == 10
    assert choose_coefficient([made(-3, corrected=3, corrupted=0), *tried], RULE).coefficient == -3


def test_when_none_qualifies_it_says_so_and_what_it_took_instead() -> None:
    tried = [made(1, corrected=1, corrupted=0), made(3, corrected=0, corrupted=1), made(9, corrected=5, corrupted=5)]
    choice = choose_coefficient(tried, RULE)
    assert (choice.coefficient, choice.qualifies) == (1, False)
    assert choice.reason.startswith("no coefficient of 3 has a flip rate of 20% to 60%")
    assert "instead the highest net benefit among those that parse often enough" in choice.reason
    broken = choose_coefficient([made(1, corrected=0, corrupted=5, parsing=0)], RULE)
    assert not broken.qualifies and "as none parses often enough" in broken.reason
    with pytest.raises(OptionError, match="no coefficient has been tried"):
        choose_coefficient([], RULE)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_golden_section_closes_in_on_a_planted_optimum(sign: float) -> None:
    best = sign * 20.0

    def measure(coefficient: float) -> Response:
        distance = abs(math.log(coefficient / best))
        corrected = 50 if distance < 0.05 else 40 if distance < 0.15 else 30 if distance < 0.6 else 20
        rows = [*written(False, True, n=corrected), *written(False, False, n=100 - corrected)]
        return response(coefficient, rows)

    tried = [sign * size for size in (3.0, 10.0, 30.0, 100.0)]
    assert abs(math.log(tried[2] / best)) > 0.15  # the grid has no point near the optimum
    found = refine(tried[2], tried, measure, rule=RULE, steps=8)
    assert len(found) == 8 and all(10 <= abs(one.coefficient) <= 100 for one in found)
    every = [*(measure(coefficient) for coefficient in tried), *found]
    choice = choose_coefficient(every, RULE)
    assert abs(math.log(choice.coefficient / best)) < 0.15


def test_refinement_needs_neighbours_of_one_sign() -> None:
    def measure(coefficient: float) -> Response:
        raise AssertionError

    for around, tried in ((10.0, [10.0]), (10.0, [-1.0, 10.0]), (7.0, [1.0, 10.0])):
        with pytest.raises(OptionError, match="at least two coefficients of one sign"):
            refine(around, tried, measure, rule=RULE, steps=3)


def test_impossible_bounds_are_refused() -> None:
    for changes in ({"flips": (0.6, 0.2)}, {"flips": (-0.1, 0.2)}, {"parse_floor": 1.2}):
        with pytest.raises(OptionError, match=r"within 0\.\.1"):
            Rule(**changes)  # type: ignore[arg-type]
