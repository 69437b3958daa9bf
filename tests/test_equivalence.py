"""The same steering on several engines: equal where it is, and never called equal where an engine is missing."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import pytest

from conftest import random_vector, tiny_model
from steerlab import equivalence
from steerlab.equivalence import compare_engines, ordinary_prompts
from steerlab.errors import OptionError
from steerlab.interventions import Intervention

TEXTS = (("def f(x):\n    return", " x + 1"), ("import os\n", "os.path"), ("char *p", " = 0;"))


def push(name: str, **changes: object) -> Intervention:
    return replace(Intervention(vector=random_vector(tiny_model(name), 1, 2), coefficient=2.0), **changes)


def by_name(found: equivalence.Equivalence) -> dict[str, equivalence.EngineResult]:
    return {result.engine: result for result in found.results}


@pytest.mark.parametrize("name", ["qwen2", "gpt2"])
def test_hooks_nnsight_and_folded_weights_are_equal(name):
    found = compare_engines(tiny_model(name), push(name), ["hooks", "nnsight", "folded"], texts=TEXTS, new_tokens=6)
    results = by_name(found)
    assert results["hooks"].status == "reference"
    for engine in ("nnsight", "folded"):
        assert results[engine].status == "equal" and results[engine].same_tokens == 3
        assert results[engine].largest_difference < 1e-3
    assert found.moved > 0.1 and found.tolerance == 1e-3  # steering does something


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed")
@pytest.mark.parametrize("engine", ["vllm", "folded-vllm"])
def test_an_engine_that_is_not_installed_is_not_equal(engine):
    found = by_name(compare_engines(tiny_model("gpt2"), push("gpt2"), [engine], texts=TEXTS, new_tokens=2))
    assert found[engine].status == "not available" and "pip install" in found[engine].reason
    assert found[engine].same_tokens is None and found[engine].largest_difference is None


def test_an_engine_that_can_not_do_it_says_why():
    found = by_name(
        compare_engines(
            tiny_model("gpt2"), push("gpt2", positions="completion"), ["folded", "nnsight"], texts=TEXTS, new_tokens=2
        )
    )
    assert found["folded"].status == "refused" and "every position" in found["folded"].reason
    assert found["nnsight"].status == "equal"


@pytest.mark.parametrize("wrong", ["tokens", "log_likelihoods"])
def test_an_engine_that_gives_something_else_differs(wrong, monkeypatch):
    def other(question):
        good = equivalence.ENGINES["hooks"](question)
        changed = {
            "tokens": ((9, 9), *good.tokens[1:]),
            "log_likelihoods": (good.log_likelihoods[0] + 0.01, *good.log_likelihoods[1:]),
        }
        return replace(good, **{wrong: changed[wrong]})

    monkeypatch.setattr(equivalence, "ENGINES", {**equivalence.ENGINES, "other": other})
    found = by_name(compare_engines(tiny_model("gpt2"), push("gpt2"), ["other"], texts=TEXTS, new_tokens=2))
    assert found["other"].status == "differs"


def test_an_unknown_engine_names_the_nearest():
    with pytest.raises(OptionError, match="Did you mean folded"):
        compare_engines(tiny_model("gpt2"), push("gpt2"), ["fold"], texts=TEXTS)


def test_there_are_twenty_prompts_with_a_continuation():
    pairs = ordinary_prompts()
    assert len(pairs) == len(set(pairs)) == 20 and all(prompt and answer for prompt, answer in pairs)
