"""The same steering on several engines: are the tokens the same, and how far apart are the log-probabilities?"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from steerlab.bake import fold
from steerlab.embedded import MODEL_NAME, model_directory
from steerlab.errors import MissingExtraError, OptionError, SteerlabError, nearest
from steerlab.generation import Decoding, generate
from steerlab.interventions import Intervention
from steerlab.models import Model, load_model
from steerlab.ordinary import ordinary_code
from steerlab.readout import answer_tokens, read_whole_answers
from steerlab.tokens import encode

N_PROMPTS, PROMPT_CHARACTERS, ANSWER_CHARACTERS = 20, 120, 30
TOLERANCE, TOLERANCE_HALF = 1e-3, 0.1  # natural-log units per continuation, in float32 and in 16 bits


@dataclass(frozen=True, kw_only=True)
class Question:
    """What every engine is asked: greedy completions of `prompts`, and how likely `answers[i]` is after each."""

    model: Model
    intervention: Intervention
    prompts: tuple[str, ...]
    answers: tuple[str, ...]
    new_tokens: int


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What an engine gave: token ids of each completion, and the log-likelihood of each answer (summed)."""

    tokens: tuple[tuple[int, ...], ...]
    log_likelihoods: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class EngineResult:
    """One engine against hooks. Numbers are None where it gave none, and `reason` says why.

    `status`: reference (hooks), equal, differs, not available (not installed), refused (it can't do this steering).
    `largest_difference` is over the answers' log-likelihoods, `same_tokens` counts completions.
    """

    engine: str
    status: Literal["reference", "equal", "differs", "not available", "refused"]
    n_prompts: int
    same_tokens: int | None = None
    largest_difference: float | None = None
    seconds: float | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Equivalence:
    """The engines' results, the tolerance, and how much the steering does: without that, equality means nothing.

    `moved_completions` of the prompts are completed otherwise than unsteered; `moved` is the largest change of an
    answer's log-likelihood by steering.
    """

    results: tuple[EngineResult, ...]
    tolerance: float
    moved_completions: int
    moved: float


def ordinary_prompts() -> tuple[tuple[str, str], ...]:
    """Twenty pieces of ordinary code: a prompt and how it goes on."""
    found = []
    for start in (0, 300):
        for stretch in ordinary_code():
            cut = start + PROMPT_CHARACTERS
            found.append((stretch.text[start:cut], stretch.text[cut : cut + ANSWER_CHARACTERS]))
    return tuple(found[:N_PROMPTS])


def compare_engines(
    model: Model,
    intervention: Intervention,
    engines: Sequence[str],
    *,
    texts: Sequence[tuple[str, str]] | None = None,
    new_tokens: int = 16,
    progress: Callable[[str, int, int], None] | None = None,
) -> Equivalence:
    """Ask every engine of `engines` the same and hold the replies against those of hooks, which are always asked.

    `texts` are prompts with the continuation whose log-likelihood is compared; by default `ordinary_prompts()`.
    Raises: OptionError for an unknown engine; whatever hooks raise.
    """
    for name in engines:
        if name not in ENGINES:
            raise OptionError(f"engine {name!r} does not exist. {nearest(name, ENGINES)}")
    pairs = tuple(texts if texts is not None else ordinary_prompts())
    question = Question(
        model=model,
        intervention=intervention,
        prompts=tuple(prompt for prompt, _ in pairs),
        answers=tuple(answer for _, answer in pairs),
        new_tokens=new_tokens,
    )
    tolerance = TOLERANCE if model.dtype == torch.float32 else TOLERANCE_HALF
    plain, results = _hooks(question, rows=None), []
    others = [name for name in dict.fromkeys(engines) if name != "hooks"]
    reference: Reply | None = None
    for number, name in enumerate(("hooks", *others)):
        if progress is not None:
            progress(f"asking {name}", number, len(others) + 1)
        began = time.perf_counter()
        try:
            reply = ENGINES[name](question)
        except SteerlabError as error:
            if reference is None:
                raise
            status: Literal["not available", "refused"] = (
                "not available" if isinstance(error, MissingExtraError) else "refused"
            )
            results.append(EngineResult(engine=name, status=status, n_prompts=len(pairs), reason=str(error)))
            continue
        seconds = time.perf_counter() - began
        results.append(_judged(name, reply, reference, tolerance=tolerance, seconds=seconds))
        reference = reference or reply
    assert reference is not None
    return Equivalence(
        results=tuple(results),
        tolerance=tolerance,
        moved_completions=sum(a != b for a, b in zip(plain.tokens, reference.tokens, strict=True)),
        moved=_largest(plain, reference),
    )


def _judged(name: str, reply: Reply, reference: Reply | None, *, tolerance: float, seconds: float) -> EngineResult:
    n_prompts = len(reply.tokens)
    if reference is None:
        return EngineResult(engine=name, status="reference", n_prompts=n_prompts, seconds=seconds)
    same = sum(ours == theirs for ours, theirs in zip(reply.tokens, reference.tokens, strict=True))
    difference = _largest(reply, reference)
    return EngineResult(
        engine=name,
        status="equal" if same == n_prompts and difference <= tolerance else "differs",
        n_prompts=n_prompts,
        same_tokens=same,
        largest_difference=difference,
        seconds=seconds,
    )


def _largest(one: Reply, other: Reply) -> float:
    return max(abs(a - b) for a, b in zip(one.log_likelihoods, other.log_likelihoods, strict=True))


def _token_rows(question: Question) -> tuple[list[list[int]], list[list[list[int]]]]:
    heads = encode(question.model, question.prompts)
    return heads, answer_tokens(question.model, question.prompts, heads, [[answer] for answer in question.answers])


def _hooks(question: Question, *, rows: Sequence[Sequence[Intervention]] | None, model: Model | None = None) -> Reply:
    """The reply of our own engine on `model`, by default the question's."""
    asked = model or question.model
    how = Decoding(max_new_tokens=question.new_tokens)
    completions = generate(asked, question.prompts, decoding=how, rows=rows)
    heads, tails = _token_rows(question)
    flat = [(i, 0) for i in range(len(heads))]
    values = read_whole_answers(asked, heads, tails, flat, rows=rows, progress=None)
    return Reply(tokens=tuple(completion.tokens for completion in completions), log_likelihoods=tuple(values))


def _steered_by_hooks(question: Question) -> Reply:
    return _hooks(question, rows=[(question.intervention,)] * len(question.prompts))


def _nnsight(question: Question) -> Reply:
    from steerlab.backends import nnsight

    model, how, own = question.model, Decoding(max_new_tokens=question.new_tokens), (question.intervention,)
    completions = nnsight.generate(model, question.prompts, decoding=how, interventions=own)
    answers = [[answer] for answer in question.answers]
    values = nnsight.answer_log_likelihoods(model, question.prompts, answers, interventions=own)
    return Reply(
        tokens=tuple(completion.tokens for completion in completions), log_likelihoods=tuple(values[:, 0].tolist())
    )


def _folded(question: Question) -> Reply:
    with tempfile.TemporaryDirectory() as folder:
        loaded = _fold_into(question, Path(folder) / "folded")
        return _hooks(question, rows=None, model=loaded)


def _fold_into(question: Question, out: Path) -> Model:
    fold(question.model, question.intervention, out)
    return load_model(str(out), dtype=_dtype(question.model), device=str(question.model.device))


def _vllm(question: Question) -> Reply:
    name = str(model_directory()) if question.model.name == MODEL_NAME else question.model.name
    return _served(question, name, interventions=(question.intervention,))


def _folded_vllm(question: Question) -> Reply:
    from steerlab.backends.vllm import check_installed

    check_installed()
    with tempfile.TemporaryDirectory() as folder:
        _fold_into(question, Path(folder) / "folded")
        return _served(question, str(Path(folder) / "folded"), interventions=())


def _served(question: Question, name: str, *, interventions: Sequence[Intervention]) -> Reply:
    from steerlab.backends import vllm

    heads, tails = _token_rows(question)
    longest = max(len(h) + max(len(t[0]), question.new_tokens) for h, t in zip(heads, tails, strict=True)) + 2
    how = Decoding(max_new_tokens=question.new_tokens)
    with vllm.serving(name, dtype=_dtype(question.model), context=longest, rows=len(heads)) as server:
        completions = vllm.generate(server, question.prompts, decoding=how, interventions=interventions)
        own = [tail[0] for tail in tails]
        values = vllm.token_log_likelihoods(server, heads, own, interventions=interventions)
    return Reply(tokens=tuple(completion.tokens for completion in completions), log_likelihoods=tuple(values))


def _dtype(model: Model) -> str:
    return str(model.dtype).removeprefix("torch.")


ENGINES: Mapping[str, Callable[[Question], Reply]] = {
    "hooks": _steered_by_hooks,
    "nnsight": _nnsight,
    "folded": _folded,
    "vllm": _vllm,
    "folded-vllm": _folded_vllm,
}
