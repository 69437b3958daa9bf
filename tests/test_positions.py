"""Positions: which tokens each kind means, whatever the padding, the cache and the company."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from steerlab.errors import InterventionError
from steerlab.positions import POSITIONS, PositionTracker, check_positions, select

LENGTHS = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 5)), min_size=1, max_size=5)  # prompt, completion


def mask_of(lengths: list[int]) -> torch.Tensor:
    width = max(lengths)
    return torch.tensor([[0] * (width - n) + [1] * n for n in lengths])


def entered(tracker: PositionTracker, mask: torch.Tensor | None, past: int, shape: tuple[int, int]) -> PositionTracker:
    tracker.enter_forward(mask=mask, past=past, shape=shape, device=torch.device("cpu"))
    return tracker


def prefill(mask: torch.Tensor, lengths: list[int] | None = None) -> PositionTracker:
    tracker = PositionTracker()
    tracker.expect_prompt_lengths(lengths)
    return entered(tracker, mask, 0, (mask.shape[0], mask.shape[1]))


def test_each_kind_selects_what_its_name_says():
    index, lengths = torch.tensor([[-1, 0, 1, 2, 3]]), torch.tensor([3])
    expected = {
        "all": [0, 1, 1, 1, 1],
        "prompt": [0, 1, 1, 1, 0],
        "completion": [0, 0, 0, 0, 1],
        "last_prompt_token": [0, 0, 0, 1, 0],
        "from_last_prompt_token": [0, 0, 0, 1, 1],
    }
    assert {kind: select(kind, index, lengths)[0].int().tolist() for kind in POSITIONS} == expected


def test_an_unknown_kind_names_the_nearest_one():
    with pytest.raises(InterventionError, match="Did you mean completion"):
        check_positions("completions")


@given(LENGTHS)
def test_prompt_and_completion_share_no_token_and_make_up_all(rows):
    tracker = prefill(mask_of([p + c for p, c in rows]), [p for p, _ in rows])
    prompt, completion = tracker.select("prompt"), tracker.select("completion")
    assert not (prompt & completion).any()
    assert torch.equal(prompt | completion, tracker.select("all"))
    assert completion.sum(dim=1).tolist() == [c for _, c in rows]


@given(LENGTHS)
def test_the_last_prompt_token_is_one_and_in_the_prompt_and_starts_the_rest(rows):
    tracker = prefill(mask_of([p + c for p, c in rows]), [p for p, _ in rows])
    last = tracker.select("last_prompt_token")
    assert last.sum(dim=1).tolist() == [1] * len(rows)
    assert not (last & ~tracker.select("prompt")).any()
    assert torch.equal(tracker.select("from_last_prompt_token"), last | tracker.select("completion"))


@given(LENGTHS, st.sampled_from(POSITIONS))
def test_padding_is_never_selected_and_moves_nothing(rows, kind):
    mask = mask_of([p + c for p, c in rows])
    chosen = prefill(mask, [p for p, _ in rows]).select(kind)
    assert not (chosen & (mask == 0)).any()
    for at, (p, c) in enumerate(rows):
        alone = prefill(torch.ones(1, p + c, dtype=torch.long), [p]).select(kind)
        assert torch.equal(chosen[at, -(p + c) :], alone[0])


@given(LENGTHS, st.integers(1, 4), st.sampled_from(POSITIONS))
def test_decoding_with_a_cache_selects_what_one_full_forward_selects(rows, n_new, kind):
    prompts = [p for p, _ in rows]
    full = prefill(mask_of([p + n_new for p in prompts]), prompts).select(kind)
    mask = mask_of(prompts)
    tracker = prefill(mask)
    parts = [tracker.select(kind)]
    for _ in range(n_new):
        past, mask = mask.shape[1], torch.cat([mask, torch.ones(len(rows), 1, dtype=torch.long)], dim=1)
        parts.append(entered(tracker, mask, past, (len(rows), 1)).select(kind))
    assert torch.equal(torch.cat(parts, dim=1), full)


@given(LENGTHS, st.data())
def test_rows_that_stay_keep_their_positions(rows, data):
    prompts = [p for p, _ in rows]
    kept = torch.tensor(data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, unique=True)))
    mask = mask_of(prompts)
    tracker = prefill(mask)
    tracker.keep(kept)
    grown = torch.cat([mask[kept], torch.ones(len(kept), 1, dtype=torch.long)], dim=1)
    entered(tracker, grown, mask.shape[1], (len(kept), 1))
    assert tracker.index is not None and tracker.index[:, 0].tolist() == [prompts[i] for i in kept.tolist()]
    assert tracker.select("completion").all() and not tracker.select("prompt").any()


def test_without_a_mask_every_token_is_real():
    tracker = entered(PositionTracker(), None, 0, (2, 3))
    assert tracker.select("prompt").all()
    assert entered(tracker, None, 3, (2, 1)).select("completion").all()


def test_a_mask_of_the_new_tokens_only_goes_on_counting():
    tracker = prefill(mask_of([2, 4]))
    entered(tracker, torch.ones(2, 1, dtype=torch.long), 4, (2, 1))
    assert tracker.index is not None and tracker.index[:, 0].tolist() == [2, 4]


def test_a_new_prefill_starts_afresh():
    tracker = prefill(mask_of([3, 5]))
    entered(tracker, mask_of([2]), 0, (1, 2))
    assert tracker.select("last_prompt_token").tolist() == [[False, True]]


def test_one_prompt_length_serves_all_rows_and_a_wrong_number_is_an_error():
    assert prefill(mask_of([3, 3]), [1]).select("completion").sum() == 4
    with pytest.raises(InterventionError, match="2 prompt lengths were given for 3 rows"):
        prefill(mask_of([1, 2, 3]), [1, 2])


def test_a_cache_whose_prefill_was_not_seen_allows_only_all():
    tracker = entered(PositionTracker(), None, 5, (2, 1))
    assert tracker.select("all").all()
    with pytest.raises(InterventionError, match="prefill was not seen"):
        tracker.select("completion")


def test_several_tokens_after_a_filled_cache_allow_only_all_until_lengths_are_given():
    tracker = entered(prefill(torch.ones(1, 4, dtype=torch.long)), None, 4, (1, 3))
    assert tracker.select("all").all()
    with pytest.raises(InterventionError, match="3 tokens are added"):
        tracker.select("prompt")
    told = entered(prefill(torch.ones(1, 4, dtype=torch.long), [6]), None, 4, (1, 3))
    assert told.select("prompt").tolist() == [[True, True, False]]
