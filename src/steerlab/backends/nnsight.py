"""Capture, steered log-likelihoods and steered greedy generation through nnsight traces, here or on NDIF.

The blocks of `with envoy.trace(...)` do not run where they stand: nnsight compiles them and runs them beside the
forward, and only what is saved comes back. `docs/decisions/0003-nnsight.md` says why this module looks as it does.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from steerlab.batches import run_batched
from steerlab.capturing import mean_at_positions
from steerlab.errors import InterventionError, MissingExtraError, OptionError, PromptError
from steerlab.generation import Completion, Decoding, completion_if_ended
from steerlab.hooks import stream_of
from steerlab.interventions import OPERATIONS, Intervention
from steerlab.models import Model, check_layers
from steerlab.positions import check_positions, select
from steerlab.readout import answer_tokens, check_answers
from steerlab.steering import Rows, check, check_row_count
from steerlab.tokens import encode, left_padded, shared_prefix

Remote = bool | str


def capture(
    model: Model,
    texts: Sequence[str],
    *,
    layers: Sequence[int],
    positions: str = "last_prompt_token",
    prompts: Sequence[str] | None = None,
    remote: Remote = False,
) -> dict[int, Float[Tensor, "text d_model"]]:
    """The residual of each text at `layers`, averaged over `positions`, as `steerlab.capture` gives it.

    `remote=True` sends each batch to NDIF, where `model.name` must be deployed; it is handed to nnsight as it is and
    has never been tried against the service. nnsight's `remote="local"`, which packs a trace and runs it here, works.
    Raises: MissingExtraError without nnsight, else as `steerlab.capture`.
    """
    nnsight = _nnsight()
    check_positions(positions)
    check_layers(model, layers)
    if prompts is not None and len(prompts) != len(texts):
        raise PromptError(f"{len(prompts)} prompts were given for {len(texts)} texts: give one per text.")
    wanted = sorted(set(layers))
    tokens = encode(model, texts)
    lengths = [len(row) for row in tokens]
    heads = lengths if prompts is None else [shared_prefix(model, p, r) for p, r in zip(prompts, tokens, strict=True)]

    with _wrapped(model, remote) as (envoy, extra):
        blocks = _blocks(model, envoy, wanted)

        def run(batch: list[int]) -> list[dict[int, Tensor]]:
            inputs = left_padded(model, [tokens[i] for i in batch])
            prompt = _lengths(inputs, [heads[i] for i in batch])
            selected = select(positions, _index(inputs["attention_mask"]), prompt)
            with torch.inference_mode(), envoy.trace(**inputs, use_cache=False, **extra) as tracer:
                seen = nnsight.save({})
                for layer, block in blocks.items():
                    seen[layer] = mean_at_positions(_residual(block.output), selected)
                tracer.stop()
            return [{layer: seen[layer][at] for layer in wanted} for at in range(len(batch))]

        found = run_batched(model, lengths, run)
    return {layer: torch.stack([row[layer] for row in found]) for layer in wanted}


def answer_log_likelihoods(
    model: Model,
    prompts: Sequence[str],
    answers: Sequence[Sequence[str]],
    *,
    rows: Rows | None = None,
    interventions: Sequence[Intervention] = (),
    remote: Remote = False,
) -> Float[Tensor, "prompt answer"]:
    """Natural-log probability of each whole answer after its prompt, as `steerlab.answer_log_likelihoods` gives it.

    `interventions` steer every prompt; `rows[i]` steer prompt i after them. `remote` is as in `capture`.
    Raises: MissingExtraError without nnsight, else as `steerlab.answer_log_likelihoods` and `steerlab.steer`.
    """
    nnsight = _nnsight()
    own = _own(model, rows, interventions, n_prompts=len(prompts))
    check_answers(prompts, answers)
    if not prompts:
        return torch.zeros(0, 0)
    heads = encode(model, prompts)
    tails = answer_tokens(model, prompts, heads, answers)
    for prompt, given in zip(prompts, tails, strict=True):
        encode(model, [prompt], new_tokens=max(map(len, given)))
    # An answer's last token is read, never fed: so all one-token answers of a prompt share one text.
    texts = sorted({(i, tuple(tail[:-1])) for i, given in enumerate(tails) for tail in given})
    width = max(len(fed) for _, fed in texts) + 1

    with _wrapped(model, remote) as (envoy, extra):

        def run(batch: list[int]) -> list[Tensor]:
            some = [texts[k] for k in batch]
            inputs = left_padded(model, [[*heads[i], *fed] for i, fed in some])
            plan = _plan(model, [own[i] for i, _ in some])
            prompt = _lengths(inputs, [len(heads[i]) for i, _ in some])
            masks = _masks(plan, _index(inputs["attention_mask"]), prompt)
            blocks = _blocks(model, envoy, plan)
            with torch.inference_mode(), envoy.trace(**inputs, use_cache=False, **extra):
                for layer, block in blocks.items():
                    block.output = _steered(block.output, plan[layer], masks)
                chances = nnsight.save(envoy.output.logits[:, -width:].float().log_softmax(dim=-1).cpu())
            return list(chances)

        found = dict(zip(texts, run_batched(model, [len(heads[i]) + len(fed) for i, fed in texts], run), strict=True))
    values = [
        [float(found[i, tuple(tail[:-1])][-len(tail) :][range(len(tail)), tail].sum()) for tail in given]
        for i, given in enumerate(tails)
    ]
    return torch.tensor(values).reshape(len(prompts), -1)


def generate(
    model: Model,
    prompts: Sequence[str],
    *,
    decoding: Decoding | None = None,
    rows: Rows | None = None,
    interventions: Sequence[Intervention] = (),
    remote: Remote = False,
) -> list[Completion]:
    """Complete each prompt greedily, as `steerlab.generate` does at temperature 0.

    One trace per batch holds the whole decode loop with its KV cache, so that a remote run is one request.
    `interventions` steer every prompt; `rows[i]` steer prompt i after them. `remote` is as in `capture`.
    Raises: OptionError for a temperature above 0; MissingExtraError without nnsight; else as `steerlab.generate`.
    """
    nnsight = _nnsight()
    how = decoding or Decoding()
    if how.temperature != 0:
        raise OptionError(f"temperature {how.temperature} is not 0: the nnsight backend decodes greedily only.")
    own = _own(model, rows, interventions, n_prompts=len(prompts))
    heads = encode(model, prompts, new_tokens=how.max_new_tokens)
    steps = how.max_new_tokens

    with _wrapped(model, remote) as (envoy, extra):

        def run(batch: list[int]) -> list[Completion]:
            inputs = left_padded(model, [heads[i] for i in batch])
            plan = _plan(model, [own[i] for i in batch])
            prompt = _lengths(inputs, [len(heads[i]) for i in batch])
            index, blocks = _index(inputs["attention_mask"]), _blocks(model, envoy, plan)
            eos = torch.tensor(model.eos_token_ids, dtype=torch.long, device=prompt.device)
            decode = functools.partial(_greedy, envoy, steps=steps, eos=eos)
            with torch.inference_mode(), envoy.trace(fn=decode, **inputs, **extra) as tracer:
                ended = torch.zeros_like(prompt, dtype=torch.bool)
                for step in tracer.iter[:steps]:  # a bare edit would fire in the prefill only (nnsight 0.8)
                    here = index if step == 0 else torch.where(ended, -1, prompt + step - 1)[:, None]
                    masks = _masks(plan, here, prompt)
                    for layer, block in blocks.items():
                        block.output = _steered(block.output, plan[layer], masks)
                    ended = ended | torch.isin(_chosen(envoy.output).to(eos.device), eos)
                    if bool(ended.all()):  # nnsight 0.8 takes a loop that outlives the run for a mistake
                        break
                written = nnsight.save(tracer.result.cpu())
            return [_ended(model, row, how, prompt_tokens=len(heads[i])) for i, row in zip(batch, written, strict=True)]

        return run_batched(model, [len(head) + steps for head in heads], run)


def _greedy(
    envoy: Any,
    *,
    input_ids: Tensor,
    attention_mask: Tensor,
    position_ids: Tensor | None = None,
    steps: int,
    eos: Tensor,
) -> Int[Tensor, "batch step"]:
    """The most likely tokens, at most `steps`; rows that have ended go on until the last one has.

    It is our own loop, not transformers' `generate`, which a checkpoint's generation config (repetition penalty,
    suppressed tokens) would change. `hook=True` lets nnsight see the calls.
    """
    written: list[Tensor] = []
    mask, given = attention_mask, {} if position_ids is None else {"position_ids": position_ids}
    output = envoy(input_ids=input_ids, attention_mask=mask, use_cache=True, hook=True, **given)
    ended = torch.zeros(len(mask), dtype=torch.bool, device=mask.device)
    while True:
        chosen = _chosen(output).to(mask.device)
        written.append(chosen)
        ended = ended | torch.isin(chosen, eos.to(mask.device))
        if len(written) == steps or bool(ended.all()):
            return torch.stack(written, dim=1)
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        given = {} if position_ids is None else {"position_ids": mask.sum(dim=1, keepdim=True) - 1}
        output = envoy(
            input_ids=chosen[:, None],
            attention_mask=mask,
            past_key_values=output.past_key_values,
            use_cache=True,
            hook=True,
            **given,
        )


def _chosen(output: Any) -> Int[Tensor, " batch"]:
    return output.logits[:, -1].argmax(dim=-1)  # type: ignore[no-any-return]


def _ended(model: Model, written: Tensor, how: Decoding, *, prompt_tokens: int) -> Completion:
    tokens = written.tolist()
    for n in range(1, len(tokens) + 1):
        completion = completion_if_ended(model, tokens[:n], how, prompt_tokens=prompt_tokens)
        if completion is not None:
            return completion
    raise AssertionError("a row neither ended nor reached max_new_tokens")


@dataclass(frozen=True, kw_only=True)
class _Edit:
    """One operation at one layer for some rows: `directions` and `coefficients` line up with `rows`."""

    operation: str
    positions: str
    rows: Int[Tensor, " row"]
    directions: Float[Tensor, "row 1 d_model"]
    coefficients: Float[Tensor, "row 1 1"]


_Plan = Mapping[int, Sequence[_Edit]]


def _own(
    model: Model, rows: Rows | None, interventions: Sequence[Intervention], *, n_prompts: int
) -> list[tuple[Intervention, ...]]:
    """The interventions of each prompt, in written order: those of all, then those of its row."""
    check_row_count(rows, n_prompts)
    check(model, interventions)
    for row in rows or ():
        check(model, row)
    return [(*interventions, *(() if rows is None else rows[i])) for i in range(n_prompts)]


def _plan(model: Model, rows: Rows) -> _Plan:
    """What is done at each layer to a batch with these rows of interventions; an inert one is left out."""
    layers = sorted({layer for row in rows for i in row if not i.inert for layer in i.vector.layers})
    return {layer: _edits(model, rows, layer) for layer in layers}


def _edits(model: Model, rows: Rows, layer: int) -> list[_Edit]:
    here = [[i for i in row if layer in i.vector.directions and not i.inert] for row in rows]
    edits = []
    for place in range(max(map(len, here))):
        alike: dict[tuple[str, str], list[int]] = {}
        for at, row in enumerate(here):
            if place < len(row):
                alike.setdefault((row[place].operation, row[place].positions), []).append(at)
        for (operation, positions), members in alike.items():
            doses = [here[at][place].scaled_direction(layer) for at in members]
            edits.append(
                _Edit(
                    operation=operation,
                    positions=positions,
                    rows=torch.tensor(members),
                    directions=torch.from_numpy(np.stack([np.asarray(d, dtype=np.float32) for d, _ in doses]))[:, None],
                    coefficients=torch.tensor([factor for _, factor in doses], dtype=torch.float32)[:, None, None],
                )
            )
    return edits


def _index(mask: Int[Tensor, "batch position"]) -> Int[Tensor, "batch position"]:
    """The place of each token of a prefill among the real tokens of its row, -1 on padding."""
    return torch.where(mask == 1, mask.cumsum(dim=1) - 1, -1)


def _lengths(inputs: Mapping[str, Tensor], lengths: Sequence[int]) -> Int[Tensor, " batch"]:
    return torch.tensor(lengths, device=inputs["input_ids"].device)


def _masks(
    plan: _Plan, index: Int[Tensor, "batch position"], lengths: Int[Tensor, " batch"]
) -> dict[str, Bool[Tensor, "batch position"]]:
    kinds = {edit.positions for edits in plan.values() for edit in edits}
    return {positions: select(positions, index, lengths) for positions in kinds}


def _residual(output: Any) -> Tensor:
    """A block's residual stream: its output, or the first part of it (transformers 4 gave a tuple)."""
    return output[0] if isinstance(output, tuple) else output  # type: ignore[no-any-return]


def _steered(output: Any, edits: Sequence[_Edit], masks: Mapping[str, Tensor]) -> Any:
    """A block's output with the edits made, every row where its own mask says so."""
    residual = _residual(output)
    for edit in edits:
        rows, where = edit.rows.to(residual.device), masks[edit.positions].to(residual.device)
        assert where.shape == residual.shape[:2], "the forward is not the one that the positions were computed for"
        part = residual[rows]
        moved = OPERATIONS[edit.operation](
            part.float(), edit.directions.to(residual.device), edit.coefficients.to(residual.device)
        ).to(residual.dtype)
        residual = residual.index_copy(0, rows, torch.where(where[rows][..., None], moved, part))
    return (residual, *output[1:]) if isinstance(output, tuple) else residual


def _nnsight() -> Any:
    try:
        import nnsight
    except ImportError as error:
        raise MissingExtraError(f"nnsight cannot be imported ({error}): pip install 'steerlab[nnsight]'") from None
    return nnsight


def _blocks(model: Model, envoy: Any, layers: Iterator[int] | Sequence[int] | _Plan) -> dict[int, Any]:
    return {layer: envoy.get(f"{model.layers_path}.{layer}") for layer in layers}


@contextmanager
def _wrapped(model: Model, remote: Remote) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The envoy of the model's network and the options of its traces; the network is as before at the end.

    nnsight 0.8 replaces `forward` on every module for good, which `hook_count` does not see.
    """
    if stream_of(model.network) is not None:
        raise InterventionError(
            "the nnsight backend cannot run inside steer(...): nnsight reads a block before our hook has steered it. "
            "Hand it the interventions instead."
        )
    nnsight = _nnsight()
    if remote:
        # A weightless copy made from the name; nnsight runs it on NDIF (or loads it, for remote="local"). The server
        # has no steerlab, so the functions that the blocks call travel by value.
        nnsight.register("steerlab")
        wrapped = nnsight.TransformersModel(
            model.name, revision=model.revision, task="text-generation", tokenizer=model.tokenizer
        )
        yield wrapped, {"remote": remote}
        return
    before = [(module, dict(vars(module))) for module in model.network.modules()]
    try:
        yield nnsight.NNsight(model.network), {}
    finally:
        for module, attributes in before:
            now = vars(module)
            for name in [name for name in now if name not in attributes]:
                del now[name]
            if "forward" in attributes:
                now["forward"] = attributes["forward"]
