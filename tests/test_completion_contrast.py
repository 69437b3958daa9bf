"""Contrasts of completions: which tokens are read, and that a planted direction is found at them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from conftest import byte_tokenizer, random_network, tiny_model
from steerlab.capturing import capture_at_tokens
from steerlab.completion_contrast import (
    as_completion,
    build_completion_vector,
    completion_residuals,
    differing_tokens,
)
from steerlab.contrast import ContrastPair
from steerlab.errors import DataError, OptionError, PromptError
from steerlab.models import inspect_model
from steerlab.vectors import Recipe


def pair(positive: str, negative: str, prompt: str = "int f(char *p)\n{\n") -> ContrastPair:
    return ContrastPair(id=positive, group=positive, prompt=prompt, positive=positive, negative=negative)


def test_tokens_that_differ_are_those_that_the_other_side_lacks() -> None:
    assert differing_tokens([1, 2, 3, 4], [1, 9, 3, 4]) == ([1], [1])
    assert differing_tokens([1, 2, 3, 4], [1, 2, 3, 4]) == ([], [])
    assert differing_tokens([1, 2, 7, 8, 3], [1, 2, 3]) == ([2, 3], [2]), "the token where the other goes its own way"
    assert differing_tokens([1, 2, 7], [1, 2]) == ([2], [1]), "a gap at the end is represented by the last token"


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20), st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_differing_tokens_lie_in_their_rows_and_swap_with_the_sides(here: list[int], there: list[int]) -> None:
    ours, theirs = differing_tokens(here, there)
    assert all(0 <= i < len(here) for i in ours) and all(0 <= i < len(there) for i in theirs)
    assert bool(ours) == bool(theirs) == (here != there)


def test_whole_lines_in_common_become_the_prompt() -> None:
    split = as_completion(pair("a\nb\nsafe\n", "a\nb\nrisky\n", prompt="p\n"))
    assert (split.prompt, split.positive, split.negative) == ("p\na\nb\n", "safe\n", "risky\n")
    whole = pair("x", "y")
    assert as_completion(whole) is whole
    assert as_completion(pair("a\nb\n", "a\n")).negative == "a\n", "no side is left empty"


def test_residuals_are_means_over_the_chosen_tokens() -> None:
    model = tiny_model("qwen2")
    pairs = [pair("if (p) g(p); }", "g(p); }"), pair("h(1); }", "k(22); }")]
    for contrast in ("differing", "whole"):
        found = completion_residuals(model, pairs, layers=[1, 2], contrast=contrast)
        for at, own in enumerate(pairs):
            texts = [own.prompt + own.positive, own.prompt + own.negative]
            rows = [model.tokenizer(text)["input_ids"] for text in texts]
            head = len(model.tokenizer(own.prompt)["input_ids"])
            both = differing_tokens(*rows) if contrast == "differing" else [range(head, len(row)) for row in rows]
            for row, chosen, side in zip(rows, both, (found.positive, found.negative), strict=True):
                with torch.no_grad():
                    states = model.network(torch.tensor([row]), output_hidden_states=True).hidden_states
                for layer in (1, 2):
                    expected = states[layer + 1][0, list(chosen)].mean(dim=0).numpy()
                    np.testing.assert_allclose(side[layer][at], expected, atol=1e-5)


@pytest.mark.parametrize("contrast", ["differing", "whole"])
def test_a_planted_direction_is_recovered_and_points_to_the_positive_side(contrast: str) -> None:
    network = random_network("qwen2")
    planted = torch.randn(32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():  # the token "s" is the token "v" with the planted direction on top
        table = network.get_input_embeddings().weight
        table[ord_of("s")] = table[ord_of("v")] + 40 * planted / planted.norm()
    model = inspect_model(network, byte_tokenizer(), name="planted")
    pairs = [pair(f"{i}ss;", f"{i}vv;", prompt=f"f{i}(") for i in range(8)]
    recipe = Recipe(method="mean_difference", layers=(0,), positions=contrast, seed=0)
    vector = build_completion_vector(model, pairs, recipe)
    found = torch.tensor(vector.directions[0])
    assert float(torch.cosine_similarity(found, planted, dim=0)) > 0.9
    assert vector.agreement[0] == 1.0 and vector.recipe.n_pairs == 8 and vector.recipe.pairs_sha256
    turned = [pair(own.negative, own.positive, prompt=own.prompt) for own in pairs]
    opposite = build_completion_vector(model, turned, recipe)
    np.testing.assert_allclose(opposite.directions[0], -vector.directions[0], atol=1e-4)


def ord_of(sign: str) -> int:
    return int(byte_tokenizer()(sign)["input_ids"][0])


def test_unknown_contrasts_and_equal_tokens_are_refused() -> None:
    model = tiny_model("qwen2")
    with pytest.raises(OptionError, match="differing"):
        completion_residuals(model, [pair("a", "b")], layers=[1], contrast="difering")
    with pytest.raises(DataError, match="no contrast pairs"):
        build_completion_vector(model, [], Recipe(method="mean_difference", layers=(1,), positions="whole", seed=0))


def test_tokens_beyond_a_row_are_refused() -> None:
    model = tiny_model("qwen2")
    with pytest.raises(PromptError, match=r"0\.\.2"):
        capture_at_tokens(model, [[1, 2, 3]], [[3]], layers=[0])
    with pytest.raises(PromptError, match="one per row"):
        capture_at_tokens(model, [[1, 2, 3]], [], layers=[0])


def test_capture_at_tokens_does_not_depend_on_the_batch() -> None:
    model = tiny_model("llama")
    rows, tokens = [[5, 6, 7, 8, 9], [5, 6]], [[0, 3], [1]]
    both = capture_at_tokens(model, rows, tokens, layers=[2])[2]
    alone = [capture_at_tokens(model, [row], [own], layers=[2])[2] for row, own in zip(rows, tokens, strict=True)]
    torch.testing.assert_close(both, torch.cat(alone), atol=1e-5, rtol=1e-5)
