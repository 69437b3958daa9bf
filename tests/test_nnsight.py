"""The nnsight backend gives what our hooks give (promise P14)."""

from __future__ import annotations

import builtins
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

import steerlab.capturing as ours_capturing
import steerlab.generation as ours_generation
import steerlab.readout as ours_readout
from conftest import random_vector, save_tiny, tiny_model
from steerlab.backends import nnsight as backend
from steerlab.embedded import MODEL_NAME, model_directory
from steerlab.errors import InterventionError, LayerError, MissingExtraError, OptionError, PromptError, VectorError
from steerlab.generation import Decoding
from steerlab.hooks import hook_count
from steerlab.interventions import OPERATIONS, Intervention
from steerlab.models import Model, load_model
from steerlab.positions import POSITIONS
from steerlab.steering import steer

try:
    import nnsight  # noqa: F401
except ImportError as error:
    pytest.fail(f"nnsight is missing ({error}), and the dev extra installs it: pip install -e '.[dev]'", pytrace=False)

EMBEDDED = (model_directory() / "config.json").is_file()
MODELS = ("gpt_bigcode", "starcoder2", "qwen2", *((MODEL_NAME,) if EMBEDDED else ()))

# Of unequal length, so that a batch of them is padded on the left.
PROMPTS = (
    "def read(path):\n    return open(path).read()\n",
    "import os",
    "query = 'select * from users where name = ' + name\ncursor.execute(query)\nprint(",
    "x",
)
ANSWERS = (("yes", "no"), ("unsafe", "safe"), ("a", "bcd"), ("1", "22"))


@cache
def model_of(name: str) -> Model:
    return load_model(MODEL_NAME, device="cpu", dtype="float32") if name == MODEL_NAME else tiny_model(name)


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Model:
    return model_of(request.param)


@pytest.fixture
def qwen2() -> Model:
    return tiny_model("qwen2")


def one(model: Model, *, seed: int = 0, **options: object) -> Intervention:
    """An intervention at two layers, the last among them, as long as the residual at the first."""
    norm = float(ours_capturing.capture(model, PROMPTS, layers=[1])[1].norm(dim=-1).mean())
    vector = random_vector(model, 1, model.n_layers - 1, norm=norm, seed=seed)
    return Intervention(vector=vector, **{"coefficient": 1.0, **options})  # type: ignore[arg-type]


def hooked_likelihoods(model: Model, *interventions: Intervention) -> torch.Tensor:
    with steer(model, *interventions):
        return ours_readout.answer_log_likelihoods(model, PROMPTS, ANSWERS)


def hooked_tokens(model: Model, *interventions: Intervention, decoding: Decoding) -> Sequence[tuple[int, ...]]:
    with steer(model, *interventions):
        return [c.tokens for c in ours_generation.generate(model, PROMPTS, decoding=decoding)]


@pytest.mark.parametrize("positions", POSITIONS)
def test_capture_equals_ours_for_every_kind_of_positions(model: Model, positions: str) -> None:
    texts = [prompt + "return 1" for prompt in PROMPTS]
    layers = [0, model.n_layers - 1]
    theirs = backend.capture(model, texts, layers=layers, positions=positions, prompts=PROMPTS)
    ours = ours_capturing.capture(model, texts, layers=layers, positions=positions, prompts=PROMPTS)
    for layer in layers:
        torch.testing.assert_close(theirs[layer], ours[layer], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(theirs[0], theirs[model.n_layers - 1], atol=1e-2)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("positions", POSITIONS)
def test_steered_log_likelihoods_equal_hooks(model: Model, positions: str, operation: str) -> None:
    steered = one(model, positions=positions, operation=operation)
    theirs = backend.answer_log_likelihoods(model, PROMPTS, ANSWERS, interventions=[steered])
    assert (theirs - hooked_likelihoods(model, steered)).abs().max() < 1e-5


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("positions", POSITIONS)
def test_steering_through_nnsight_moves_the_log_likelihoods(model: Model, positions: str, operation: str) -> None:
    plain = backend.answer_log_likelihoods(model, PROMPTS, ANSWERS)
    moved = backend.answer_log_likelihoods(
        model, PROMPTS, ANSWERS, interventions=[one(model, positions=positions, operation=operation)]
    )
    assert (moved - plain).abs().amax(dim=1).min() > 1e-4  # in every row of the batch


@pytest.mark.parametrize("operation", ["add", "ablate"])
@pytest.mark.parametrize("positions", POSITIONS)
def test_steered_greedy_tokens_equal_hooks(model: Model, positions: str, operation: str) -> None:
    steered, decoding = one(model, positions=positions, operation=operation), Decoding(max_new_tokens=10)
    theirs = backend.generate(model, PROMPTS, decoding=decoding, interventions=[steered])
    assert [c.tokens for c in theirs] == hooked_tokens(model, steered, decoding=decoding)


@pytest.mark.parametrize("positions", POSITIONS)
def test_steering_through_nnsight_changes_what_is_written(model: Model, positions: str) -> None:
    decoding = Decoding(max_new_tokens=10)
    steered = one(model, positions=positions, coefficient=3.0)
    moved = backend.generate(model, PROMPTS, decoding=decoding, interventions=[steered])
    assert [c.tokens for c in moved] != [c.tokens for c in backend.generate(model, PROMPTS, decoding=decoding)]


def test_every_step_is_steered_and_not_the_prefill_only(model: Model) -> None:
    steered, decoding = one(model, positions="completion", coefficient=3.0), Decoding(max_new_tokens=10)
    plain = backend.generate(model, PROMPTS, decoding=decoding)
    moved = backend.generate(model, PROMPTS, decoding=decoding, interventions=[steered])
    assert [c.tokens[0] for c in moved] == [c.tokens[0] for c in plain]
    assert [c.tokens for c in moved] != [c.tokens for c in plain]


def test_every_row_has_its_own_interventions_after_those_of_all(model: Model) -> None:
    shared = one(model, seed=5, coefficient=0.5)
    rows = [
        (one(model, positions="completion", operation="ablate"),),
        (),
        (one(model, seed=1), one(model, seed=2, operation="clamp", positions="last_prompt_token")),
        (one(model, seed=3, coefficient=0.0), one(model, seed=4, coefficient=-1.0)),
    ]
    decoding = Decoding(max_new_tokens=8)
    likelihoods = backend.answer_log_likelihoods(model, PROMPTS, ANSWERS, rows=rows, interventions=[shared])
    written = backend.generate(model, PROMPTS, decoding=decoding, rows=rows, interventions=[shared])
    for i, row in enumerate(rows):
        with steer(model, shared, *row):
            alone = ours_readout.answer_log_likelihoods(model, [PROMPTS[i]], [ANSWERS[i]])
            completion = ours_generation.generate(model, [PROMPTS[i]], decoding=decoding)
        torch.testing.assert_close(likelihoods[i], alone[0], atol=1e-5, rtol=0)
        assert written[i] == completion[0]


def test_one_token_answers_share_a_forward_and_equal_ours(model: Model) -> None:
    answers = [["a", "b", "a"]] * len(PROMPTS)
    steered = one(model)
    with steer(model, steered):
        ours = ours_readout.answer_log_likelihoods(model, PROMPTS, answers)
    theirs = backend.answer_log_likelihoods(model, PROMPTS, answers, interventions=[steered])
    assert (theirs - ours).abs().max() < 1e-5


def test_rows_that_end_early_end_as_ours_do(qwen2: Model) -> None:
    steered, decoding = one(qwen2), Decoding(max_new_tokens=12)
    written = hooked_tokens(qwen2, steered, decoding=decoding)
    for eos in (
        (written[0][2],),
        tuple(row[1] for row in written),
    ):  # one row ends early; all do
        ending = replace(qwen2, eos_token_ids=tuple(sorted(set(eos))))
        theirs = backend.generate(ending, PROMPTS, decoding=decoding, interventions=[steered])
        with steer(ending, steered):
            assert theirs == ours_generation.generate(ending, PROMPTS, decoding=decoding)
        assert "eos" in {c.ended for c in theirs}


def test_stop_strings_cut_as_ours_do(qwen2: Model) -> None:
    text = ours_generation.generate(qwen2, PROMPTS, decoding=Decoding(max_new_tokens=8))[0].text
    decoding = Decoding(max_new_tokens=8, stop=(text[2:4],))
    theirs = backend.generate(qwen2, PROMPTS, decoding=decoding)
    assert theirs == ours_generation.generate(qwen2, PROMPTS, decoding=decoding)
    assert theirs[0].ended == "stop"


def test_a_generation_config_of_the_checkpoint_changes_nothing(qwen2: Model) -> None:
    decoding, given = Decoding(max_new_tokens=8), qwen2.network.generation_config
    plain = backend.generate(qwen2, PROMPTS, decoding=decoding)
    before = given.repetition_penalty  # type: ignore[union-attr]
    given.repetition_penalty = 5.0  # type: ignore[union-attr]
    try:
        assert backend.generate(qwen2, PROMPTS, decoding=decoding) == plain
    finally:
        given.repetition_penalty = before  # type: ignore[union-attr]


def test_the_rest_of_a_tuple_from_a_block_is_kept() -> None:
    """As under transformers 4, where a block's output is a tuple."""
    edit = backend._Edit(
        operation="add",
        positions="all",
        rows=torch.tensor([1]),
        directions=torch.ones(1, 1, 3),
        coefficients=torch.full((1, 1, 1), 2.0),
    )
    output = (torch.zeros(2, 2, 3), "rest")
    residual, rest = backend._steered(output, [edit], {"all": torch.tensor([[True, True], [True, False]])})
    assert rest == "rest"
    assert residual.sum(dim=-1).tolist() == [[0.0, 0.0], [6.0, 0.0]]


def state(model: Model) -> list[tuple[str, tuple[str, ...], object]]:
    return [(n, tuple(vars(m)), vars(m).get("forward")) for n, m in model.network.named_modules()]


def test_nothing_is_left_on_the_network(model: Model) -> None:
    hooks, before = hook_count(model.network), state(model)
    side = model.tokenizer.padding_side
    assert all("forward" not in names for _, names, _ in before)
    backend.capture(model, PROMPTS, layers=[0])
    backend.answer_log_likelihoods(model, PROMPTS, ANSWERS, interventions=[one(model)])
    backend.generate(model, PROMPTS, decoding=Decoding(max_new_tokens=2), interventions=[one(model)])
    assert hook_count(model.network) == hooks
    assert state(model) == before
    assert model.tokenizer.padding_side == side


def test_nothing_is_left_on_the_network_after_an_error(qwen2: Model) -> None:
    hooks, before = hook_count(qwen2.network), state(qwen2)
    with pytest.raises(InterventionError, match="select no token"):
        backend.capture(qwen2, PROMPTS, layers=[0], positions="completion")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "_steered", lambda *_: 1 / 0)
        with contextlib.suppress(ZeroDivisionError):
            backend.generate(qwen2, PROMPTS, interventions=[one(qwen2)])
    assert hook_count(qwen2.network) == hooks
    assert state(qwen2) == before
    backend.capture(qwen2, PROMPTS, layers=[0])


def test_it_refuses_to_run_inside_steer(qwen2: Model) -> None:
    with steer(qwen2, one(qwen2)), pytest.raises(InterventionError, match="inside steer"):
        backend.capture(qwen2, PROMPTS, layers=[0])


def test_mistakes_are_errors_that_say_what_to_do(qwen2: Model) -> None:
    with pytest.raises(LayerError, match=r"layers 0\.\.3"):
        backend.capture(qwen2, PROMPTS, layers=[4])
    with pytest.raises(InterventionError, match="Did you mean"):
        backend.capture(qwen2, PROMPTS, layers=[0], positions="promt")
    with pytest.raises(VectorError):
        backend.generate(qwen2, PROMPTS, interventions=[one(tiny_model("gpt_bigcode"))])
    with pytest.raises(InterventionError, match="1 sets of interventions were given for 4 prompts"):
        backend.generate(qwen2, PROMPTS, rows=[[]])
    with pytest.raises(PromptError, match="one per text"):
        backend.capture(qwen2, PROMPTS, layers=[0], prompts=["x"])
    with pytest.raises(PromptError, match="one per prompt"):
        backend.answer_log_likelihoods(qwen2, PROMPTS, [["yes"]])
    with pytest.raises(OptionError, match="greedily"):
        backend.generate(qwen2, PROMPTS, decoding=Decoding(temperature=0.5))
    with pytest.raises(PromptError, match="context"):
        backend.answer_log_likelihoods(qwen2, ["x" * 510], [["yes", "n"]])


def test_without_nnsight_the_error_names_the_extra(qwen2: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    found = builtins.__import__

    def missing(name: str, *args: object, **kwargs: object) -> object:
        if name == "nnsight":
            raise ImportError("No module named 'nnsight'")
        return found(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", missing)
    for call in (
        lambda: backend.capture(qwen2, PROMPTS, layers=[0]),
        lambda: backend.answer_log_likelihoods(qwen2, PROMPTS, ANSWERS),
        lambda: backend.generate(qwen2, PROMPTS),
    ):
        with pytest.raises(MissingExtraError, match=r"pip install 'steerlab\[nnsight\]'"):
            call()


def test_a_trace_that_was_packed_for_a_server_gives_the_same(tmp_path: Path) -> None:
    """remote="local" packs each trace as for NDIF and runs it on a model loaded by its name."""
    model = load_model(str(save_tiny("qwen2", tmp_path / "tiny")), device="cpu")
    steered, decoding = one(model, positions="from_last_prompt_token"), Decoding(max_new_tokens=6)
    theirs = backend.capture(model, PROMPTS, layers=[1], remote="local")
    torch.testing.assert_close(theirs[1], ours_capturing.capture(model, PROMPTS, layers=[1])[1], atol=1e-5, rtol=1e-5)
    likelihoods = backend.answer_log_likelihoods(model, PROMPTS, ANSWERS, interventions=[steered], remote="local")
    assert (likelihoods - hooked_likelihoods(model, steered)).abs().max() < 1e-5
    written = backend.generate(model, PROMPTS, decoding=decoding, interventions=[steered], remote="local")
    assert [c.tokens for c in written] == hooked_tokens(model, steered, decoding=decoding)
