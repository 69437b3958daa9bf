"""Generation: what transformers writes, seeded, stopped where it should be, independent of company."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch
import transformers

from conftest import random_vector, tiny_model
from steerlab import batches
from steerlab.errors import OptionError, PromptError
from steerlab.generation import Decoding, _choose, complete_rows, generate
from steerlab.hooks import hook_count
from steerlab.interventions import Intervention
from steerlab.models import Model
from steerlab.tokens import encode, left_padded

PROMPTS = ["def f(x):\n    return", "x", "import os; os.system(", "for i in"]
SAMPLED = Decoding(max_new_tokens=12, temperature=1.0, seed=3)


def test_greedy_completions_equal_those_of_transformers(model):
    batch = left_padded(model, encode(model, PROMPTS))
    how = transformers.GenerationConfig(max_new_tokens=12, do_sample=False, pad_token_id=model.pad_token_id)
    with torch.inference_mode():
        theirs = model.network.generate(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], generation_config=how
        )[:, batch["input_ids"].shape[1] :].tolist()
    for done, row in zip(generate(model, PROMPTS, decoding=Decoding(max_new_tokens=12)), theirs, strict=True):
        assert list(done.tokens) == row[: len(done.tokens)]
        assert set(row[len(done.tokens) :]) <= {model.pad_token_id}


def test_sampling_depends_on_the_seed_and_the_number_of_the_prompt_only(model, monkeypatch):
    together = generate(model, PROMPTS, decoding=SAMPLED)
    assert generate(model, PROMPTS, decoding=SAMPLED) == together
    torch.manual_seed(77)
    monkeypatch.setattr(batches, "MAXIMAL_ROWS", 1)
    assert generate(model, PROMPTS, decoding=SAMPLED) == together
    assert generate(model, PROMPTS[:2], decoding=SAMPLED) == together[:2]
    assert generate(model, PROMPTS, decoding=replace(SAMPLED, seed=4)) != together


def test_equal_prompts_are_sampled_differently():
    done = generate(tiny_model("llama"), ["x"] * 8, decoding=SAMPLED)
    assert len({completion.tokens for completion in done}) == 8


def test_the_global_random_state_is_left_alone():
    before = torch.random.get_rng_state()
    generate(tiny_model("llama"), PROMPTS, decoding=SAMPLED)
    assert torch.equal(torch.random.get_rng_state(), before)


def chosen(logits: list[float], how: Decoding, n: int = 2000) -> Counter[int]:
    generator = torch.Generator().manual_seed(0)
    return Counter(_choose(torch.tensor([logits] * n), how, [generator] * n))


def test_sampled_tokens_follow_the_tempered_probabilities():
    logits = torch.tensor([0.5, 0.3, 0.2]).log()
    found = chosen(logits.tolist(), Decoding(temperature=1.0))
    assert [found[token] / 2000 for token in range(3)] == pytest.approx([0.5, 0.3, 0.2], abs=0.04)
    cold = (logits / 0.5).softmax(dim=0)
    found = chosen(logits.tolist(), Decoding(temperature=0.5))
    assert [found[token] / 2000 for token in range(3)] == pytest.approx(cold.tolist(), abs=0.04)


@pytest.mark.parametrize(
    ("top_p", "expected"), [(0.4, {1}), (0.5, {1}), (0.51, {1, 2}), (0.8, {1, 2}), (1.0, {0, 1, 2})]
)
def test_top_p_keeps_the_smallest_set_with_that_probability(top_p, expected):
    logits = torch.tensor([0.2, 0.5, 0.3]).log().tolist()
    assert set(chosen(logits, Decoding(temperature=1.0, top_p=top_p))) == expected


def free(model: Model) -> list[tuple[int, ...]]:
    endless = replace(model, eos_token_ids=())
    return [done.tokens for done in generate(endless, PROMPTS, decoding=SAMPLED)]


def test_an_eos_token_ends_its_row_and_is_not_in_the_text(model):
    tokens = free(model)
    eos = tokens[0][3]
    done = generate(replace(model, eos_token_ids=(eos,)), PROMPTS, decoding=SAMPLED)
    for completion, row in zip(done, tokens, strict=True):
        end = row.index(eos) + 1 if eos in row else len(row)
        assert completion.tokens == row[:end]
        assert completion.ended == ("eos" if eos in row else "length")
    assert done[0].text == model.tokenizer.decode(done[0].tokens[:-1], skip_special_tokens=True)


def test_a_stop_string_ends_its_row_and_is_cut_off(model):
    tokens = free(model)
    texts = [model.tokenizer.decode(row, skip_special_tokens=True) for row in tokens]
    stop = texts[0][2:4]
    done = generate(
        replace(model, eos_token_ids=()), PROMPTS, decoding=replace(SAMPLED, stop=(stop, "never to be seen"))
    )
    assert done[0].ended == "stop" and done[0].text == texts[0][: texts[0].index(stop)]
    assert len(done[0].tokens) < len(tokens[0])
    for completion, text in zip(done, texts, strict=True):
        assert completion.text == text.split(stop)[0]
        assert (completion.ended == "stop") == (stop in text)


def test_the_earliest_of_several_stop_strings_counts():
    model = tiny_model("llama")
    text = generate(replace(model, eos_token_ids=()), PROMPTS[:1], decoding=SAMPLED)[0].text
    done = generate(
        replace(model, eos_token_ids=()), PROMPTS[:1], decoding=replace(SAMPLED, stop=(text[6:8], text[3:5]))
    )
    assert done[0].text == text[: min(text.index(text[6:8]), text.index(text[3:5]))]


def test_completions_say_how_long_prompt_and_text_are():
    done = generate(tiny_model("llama"), PROMPTS, decoding=Decoding(max_new_tokens=3))
    assert [completion.prompt_tokens for completion in done] == [len(prompt) for prompt in PROMPTS]
    assert all(len(completion.tokens) <= 3 for completion in done)


def test_no_prompts_give_no_completions_and_progress_counts_rows():
    counted: list[int] = []
    assert generate(tiny_model("llama"), []) == []
    generate(tiny_model("llama"), PROMPTS * 20, decoding=Decoding(max_new_tokens=1), progress=counted.append)
    assert sum(counted) == 80


def test_a_prompt_without_room_is_one_line_before_anything_runs():
    with pytest.raises(PromptError, match="1 of 2 prompts exceed the context"):
        generate(tiny_model("llama"), ["a", "x" * 500], decoding=Decoding(max_new_tokens=13))


@pytest.mark.parametrize(
    "settings",
    [{"max_new_tokens": 0}, {"temperature": -1.0}, {"temperature": float("nan")}, {"top_p": 0.0}, {"top_p": 1.5}],
)
def test_impossible_decoding_is_refused(settings):
    with pytest.raises(OptionError):
        Decoding(**settings)


def test_an_empty_stop_string_is_refused():
    with pytest.raises(OptionError, match="empty"):
        Decoding(stop=("",))


def test_what_is_told_as_it_is_written_is_what_is_completed(model):
    steering = Intervention(vector=random_vector(model, 1), coefficient=2.0)
    heads = encode(model, [PROMPTS[0], PROMPTS[0], PROMPTS[1]])
    told: dict[int, list[int]] = {0: [], 1: [], 2: []}

    def wrote(step):
        for row, token in step.items():
            told[row].append(token)

    options = {"numbers": [0, 0, 2], "how": SAMPLED, "rows": [(), (steering,), ()]}
    done = complete_rows(model, heads, **options, wrote=wrote)
    assert [tuple(told[row]) for row in range(3)] == [completion.tokens for completion in done]
    assert done == complete_rows(model, heads, **options)
    assert done[0].tokens != done[1].tokens


def test_writing_that_is_ended_from_outside_leaves_nothing_attached(model):
    before = hook_count(model.network)
    plain = generate(model, PROMPTS[:1], decoding=SAMPLED)
    steering = Intervention(vector=random_vector(model, 1), coefficient=2.0)

    def wrote(step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        complete_rows(model, encode(model, PROMPTS[:1]), numbers=[0], how=SAMPLED, rows=[(steering,)], wrote=wrote)
    assert hook_count(model.network) == before
    assert generate(model, PROMPTS[:1], decoding=SAMPLED) == plain
