"""Readout: the log-likelihood of a whole answer is the sum over its tokens."""

from __future__ import annotations

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from conftest import byte_tokenizer, random_network, random_vector, tiny_model
from steerlab.errors import InterventionError, PromptError
from steerlab.interventions import Intervention
from steerlab.models import Model, inspect_model
from steerlab.readout import answer_log_likelihoods
from steerlab.steering import steer
from steerlab.tokens import encode

PROMPTS = ["Is this code safe?", "def f(x):", "char *p = q; Answer:"]
WORDS = (" vulnerable", " safe")


def by_hand(model: Model, prompt: str, answer: str) -> float:
    """The chain rule, one forward per token, without batch, padding or cache."""
    (row,), total = encode(model, [prompt]), 0.0
    for token in model.tokenizer(answer, add_special_tokens=False)["input_ids"]:
        with torch.inference_mode():
            logits = model.network(input_ids=torch.tensor([row])).logits[0, -1]
        total += float(logits.log_softmax(dim=-1)[token])
        row = [*row, token]
    return total


@pytest.mark.parametrize("answers", [WORDS, ("Y", "N"), ("yes", "n", " it is not safe")])
def test_each_answer_has_the_sum_of_its_tokens_log_probabilities(model, answers):
    found = answer_log_likelihoods(model, PROMPTS, [answers] * 3)
    expected = torch.tensor([[by_hand(model, prompt, answer) for answer in answers] for prompt in PROMPTS])
    assert found.shape == (3, len(answers)) and found.dtype == torch.float32
    assert torch.allclose(found, expected, atol=1e-3)


def test_the_path_of_single_tokens_equals_the_path_that_spells(model):
    single = answer_log_likelihoods(model, PROMPTS, [("Y", "N")] * 3)
    spelled = answer_log_likelihoods(model, PROMPTS, [("Y", "N", "spelled")] * 3)
    assert torch.allclose(single, spelled[:, :2], atol=1e-4)


@pytest.mark.parametrize("positions", ["all", "completion", "last_prompt_token", "from_last_prompt_token"])
def test_both_paths_agree_on_what_is_prompt(positions):
    model = tiny_model("llama")
    push = Intervention(vector=random_vector(model, 1), coefficient=1.0, positions=positions)
    plain = answer_log_likelihoods(model, PROMPTS, [("Y", "N")] * 3)
    with steer(model, push):
        single = answer_log_likelihoods(model, PROMPTS, [("Y", "N")] * 3)
        spelled = answer_log_likelihoods(model, PROMPTS, [("Y", "N", "spelled")] * 3)
    assert torch.allclose(single, spelled[:, :2], atol=1e-4)
    assert torch.allclose(single, plain, atol=1e-3) == (positions == "completion")


def test_every_prompt_may_have_answers_of_its_own():
    model = tiny_model("llama")
    own = [("a", "bc"), ("def", "g"), ("h", "ij")]
    found = answer_log_likelihoods(model, PROMPTS, own)
    for at, (prompt, answers) in enumerate(zip(PROMPTS, own, strict=True)):
        assert torch.allclose(answer_log_likelihoods(model, [prompt], [answers])[0], found[at], atol=1e-4)


def test_many_prompts_keep_their_order():
    model = tiny_model("llama")
    prompts = ["x" * (at % 9 + 1) + str(at) for at in range(90)]
    found = answer_log_likelihoods(model, prompts, [WORDS] * 90)
    backwards = answer_log_likelihoods(model, prompts[::-1], [WORDS] * 90)
    assert torch.allclose(found, backwards.flip(0), atol=1e-4)
    assert not torch.allclose(found, backwards, atol=1e-1)


def test_a_tokenizer_that_merges_over_the_border_still_reads_the_answer():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*alphabet, "ab", "<unk>", "<eos>", "<pad>"]
    core = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=[("a", "b")], unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>", eos_token="<eos>", pad_token="<pad>")
    model = inspect_model(random_network("llama"), tokenizer, name="merging")
    found = answer_log_likelihoods(model, ["xa"], [("b", "c")])
    assert found[0].tolist() == pytest.approx([by_hand(model, "xa", "b"), by_hand(model, "xa", "c")], abs=1e-3)


def test_no_prompts_give_no_rows():
    assert answer_log_likelihoods(tiny_model("llama"), [], []).shape[0] == 0


def test_what_cannot_be_read_is_one_line():
    model = tiny_model("llama")
    with pytest.raises(PromptError, match="the answer '' has no token of its own"):
        answer_log_likelihoods(model, PROMPTS, [("", "a")] * 3)
    with pytest.raises(PromptError, match=r"prompts with \[1, 2\] answers"):
        answer_log_likelihoods(model, PROMPTS[:2], [("a",), ("a", "b")])
    with pytest.raises(PromptError, match="2 sets of answers were given for 3 prompts"):
        answer_log_likelihoods(model, PROMPTS, [("a", "b")] * 2)
    with pytest.raises(PromptError, match="at least 1"):
        answer_log_likelihoods(model, PROMPTS, [()] * 3)
    with pytest.raises(InterventionError, match="1 sets of interventions were given for 3 prompts"):
        answer_log_likelihoods(model, PROMPTS, [("a", "b")] * 3, rows=[()])


@pytest.mark.parametrize("answers", [("Y", "N"), WORDS])
def test_a_prompt_without_room_for_its_answer_is_one_line(answers):
    with pytest.raises(PromptError, match="context of 512"):
        answer_log_likelihoods(tiny_model("llama"), ["x" * 512], [answers])


def test_the_byte_tokenizer_of_these_tests_spells_a_word_with_several_tokens():
    assert len(byte_tokenizer()(WORDS[0])["input_ids"]) == 11
