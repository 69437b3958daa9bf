"""Tokens: nothing is cut, nothing is empty, padding is on the left and never read."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tokenizers.processors import TemplateProcessing

from conftest import byte_tokenizer, tiny_model
from steerlab.errors import PromptError
from steerlab.models import Model
from steerlab.tokens import encode, left_padded, shared_prefix

BOS = 257


def with_bos() -> Model:
    tokenizer = byte_tokenizer()
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", BOS)])
    return replace(tiny_model("llama"), tokenizer=tokenizer)


def test_a_bos_token_comes_first_where_the_tokenizer_has_one():
    plain, added = encode(tiny_model("llama"), ["ab"]), encode(with_bos(), ["ab"])
    assert len(plain[0]) == 2
    assert added == [[BOS, *plain[0]]]


def test_an_empty_prompt_is_counted_and_named_unless_a_bos_token_stands_for_it():
    with pytest.raises(PromptError, match="2 of 3 prompts have no token, the first is number 1"):
        encode(tiny_model("llama"), ["a", "", ""])
    assert encode(with_bos(), [""]) == [[BOS]]
    assert encode(tiny_model("llama"), []) == []


def test_prompts_beyond_the_context_are_counted_and_named_not_cut():
    model = tiny_model("llama")
    assert [len(row) for row in encode(model, ["x" * 512])] == [512]
    with pytest.raises(PromptError, match=r"2 of 3 prompts exceed the context of 512 tokens.*number 1 has 513"):
        encode(model, ["a", "x" * 513, "x" * 600])
    with pytest.raises(PromptError, match="number 0 has 500 tokens, and 13 are to be generated"):
        encode(model, ["x" * 500], new_tokens=13)
    assert encode(replace(model, context=None), ["x" * 600])


def test_rows_are_padded_on_the_left_and_positions_start_at_the_first_real_token():
    batch = left_padded(tiny_model("llama"), [[5, 6, 7], [8]])
    assert batch["input_ids"].tolist() == [[5, 6, 7], [259, 259, 8]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [0, 0, 1]]
    assert batch["position_ids"].tolist() == [[0, 1, 2], [0, 0, 0]]
    assert "position_ids" not in left_padded(replace(tiny_model("llama"), accepts_position_ids=False), [[5]])


def test_what_stands_on_the_pads_does_not_matter():
    model = tiny_model("llama")
    batch = left_padded(model, [[5, 6, 7], [8]])
    other = {**batch, "input_ids": batch["input_ids"].masked_fill(batch["attention_mask"] == 0, 11)}
    with torch.inference_mode():
        one, two = (model.network(**given).logits for given in (batch, other))
    assert torch.equal(one[batch["attention_mask"] == 1], two[batch["attention_mask"] == 1])


@pytest.mark.parametrize("prompt", ["", "de", "def f(x):"])
def test_the_prompt_of_a_text_is_its_own_tokens_and_the_bos_token(prompt):
    (row,) = encode(tiny_model("llama"), ["def f(x): return"])
    assert shared_prefix(tiny_model("llama"), prompt, row) == len(prompt)
    assert shared_prefix(with_bos(), prompt, [BOS, *row]) == len(prompt) + 1


def test_a_prompt_that_the_text_leaves_ends_where_they_part():
    (row,) = encode(tiny_model("llama"), ["def f(y)"])
    assert shared_prefix(tiny_model("llama"), "def f(x)", row) == 6
