"""Many cells over the same prompts: the prompts are read once, a cell costs its last token."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from steerlab.batches import CPU_TOKENS_PER_BATCH, MEMORY_SHARE, Progress, bytes_per_token, free_bytes, run_batched
from steerlab.errors import OptionError, nearest
from steerlab.hooks import (
    StopForwardError,
    attached,
    attached_untracked,
    last_logits_only,
    prompt_lengths,
    replayed,
    stream_of,
)
from steerlab.interventions import Intervention
from steerlab.models import Model
from steerlab.readout import _check_answers, _single, _spelled, _tails
from steerlab.steering import _row_steps, _Step, check, refuse_fixed_rows, steer, steer_rows
from steerlab.tokens import encode, left_padded
from steerlab.vectors import Recipe, SteeringVector

Way = Literal["auto", "layers", "tree", "rows", "shared", "plain"]
AT_PROMPT_END = ("last_prompt_token", "from_last_prompt_token")
CHECK_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-4}  # natural-log probability; other data types: 0.25
CHECK_TOKENS = (24, 15)
CHUNK_BYTES = 1 << 30
MAXIMAL_CELLS = 256


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One setting of a sweep: what is done to the residual stream (nothing: the baseline)."""

    interventions: tuple[Intervention, ...] = ()

    @property
    def live(self) -> tuple[Intervention, ...]:
        """The interventions that change something."""
        return tuple(i for i in self.interventions if not i.inert)


@dataclass(frozen=True, kw_only=True)
class WaveResult:
    """Log-likelihoods of every cell, the way (or ways) they were computed, and why not a faster one."""

    log_likelihoods: Float[Tensor, "cell prompt answer"]
    way: str
    reason: str


Live = Sequence[tuple[Intervention, ...]]


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """What is read: token ids of the prompts and of each prompt's answers."""

    heads: list[list[int]]
    tails: list[list[list[int]]]

    @property
    def single(self) -> bool:
        return all(len(tail) == 1 for own in self.tails for tail in own)

    @property
    def units(self) -> list[tuple[int, int]]:
        """Rows of a forward: a prompt (all answers are one token), or a prompt with one of its answers."""
        if self.single:
            return [(i, -1) for i in range(len(self.heads))]
        return [(i, j) for i, own in enumerate(self.tails) for j in range(len(own))]

    def text(self, unit: tuple[int, int]) -> list[int]:
        i, j = unit
        return self.heads[i] if j < 0 else self.heads[i] + self.tails[i][j]

    def shaped(self, found: Tensor) -> Tensor:
        """[cell, unit, value] as [cell, prompt, answer]."""
        return found.reshape(len(found), len(self.heads), -1)


def wave_log_likelihoods(
    model: Model,
    prompts: Sequence[str],
    answers: Sequence[Sequence[str]],
    *,
    cells: Sequence[Cell],
    progress: Progress | None = None,
    way: Way = "auto",
    cells_per_chunk: int | None = None,
) -> WaveResult:
    """For each cell what `answer_log_likelihoods` gives inside `steer(model, *cell.interventions)` (P11).

    layers: the prompts are read once; cells are queries behind them that join at the layer they steer. tree: the same,
    cells ride through all layers. rows: the prompts' cache is repeated per cell. shared: positions that touch the
    prompt and answers of several tokens; the layers below the steered one run once. plain: one run per cell.
    A way other than plain runs only after it has given the plain way's values on short rows of this model, once.
    `progress` counts rows read: cells x prompts (x answers, where they have several tokens).
    Raises: OptionError when a way other than auto is not possible.
    """
    if way not in get_args(Way):
        raise OptionError(f"way {way!r} does not exist. {nearest(way, get_args(Way))}")
    refuse_fixed_rows(model, "wave_log_likelihoods")
    for cell in cells:
        check(model, cell.interventions)
    _check_answers(prompts, answers)
    heads = encode(model, prompts, new_tokens=1)
    reading = _Reading(heads=heads, tails=_tails(model, prompts, heads, answers))
    result = torch.zeros(len(cells), len(prompts), len(answers[0]) if answers else 0)
    ways: dict[str, str] = {}
    groups: dict[bool, list[int]] = {}
    for index, cell in enumerate(cells if prompts else ()):
        groups.setdefault(all(i.positions in AT_PROMPT_END for i in cell.live), []).append(index)
    for at_end, members in sorted(groups.items(), reverse=True):
        chosen, reason = _choose(model, reading, at_end=at_end, way=way)
        ways[chosen] = "; ".join(dict.fromkeys(filter(None, [ways.get(chosen), reason])))
        live = [cells[index].live for index in members]
        result[members] = _RUNS[chosen](model, reading, live, cells_per_chunk, progress)
    return WaveResult(log_likelihoods=result, way="+".join(ways), reason="; ".join(ways.values()))


def _choose(model: Model, reading: _Reading, *, at_end: bool, way: str) -> tuple[str, str]:
    """The fastest way that is possible and the reason why nothing faster is."""
    candidates = ("layers", "tree", "rows", "shared") if at_end else ("shared",)
    refused = [] if at_end else ["positions touch the prompt"]
    for name in candidates if way == "auto" else () if way == "plain" else (way,):
        obstacle = _obstacle(model, reading, name, at_end=at_end) or _failed_check(model, reading, name)
        if not obstacle:
            return name, "; ".join(refused) or f"{name} equals the plain way on short rows of this model"
        if way != "auto":
            raise OptionError(f"the way {way!r} is not possible here: {obstacle}. Use way='auto'.")
        if obstacle not in refused:
            refused.append(obstacle)
    return "plain", "asked for" if way == "plain" else "; ".join(refused)


def _obstacle(model: Model, reading: _Reading, way: str, *, at_end: bool) -> str:
    if stream_of(model.network) is not None:
        return "something is attached around the wave (a steer or capture block)"
    if way == "shared":
        longest = max(len(reading.text(unit)) for unit in reading.units)
        return "an answer does not fit the context" if longest > (model.context or longest) else ""
    if not at_end:
        return "positions touch the prompt"
    if not reading.single:
        return "an answer has several tokens"
    if way in ("layers", "tree") and not model.accepts_position_ids:
        return "the model takes no position ids"
    return ""


# --- the prompts, read once ---


class _UnfitError(RuntimeError):
    """This model's cache or masks do not go with this way."""


@dataclass(frozen=True, kw_only=True)
class _Prefix:
    """All but the last token of each prompt, read: the cache, which of its columns are real, and what comes next."""

    cache: Any
    mask: Int[Tensor, "batch past"]
    last: Int[Tensor, " batch"]
    position: Int[Tensor, " batch"]

    @property
    def kept(self) -> list[int]:
        """How many columns each layer still has (a sliding window forgets)."""
        return [layer.keys.shape[-2] for layer in self.cache.layers]

    def fresh_cache(self) -> Any:
        """A cache of its own that shares the prompt's keys and values (a dynamic layer grows by concatenation)."""
        mine = copy.copy(self.cache)
        mine.layers = [copy.copy(layer) for layer in self.cache.layers]
        return mine


def _prefill(model: Model, heads: Sequence[list[int]]) -> _Prefix:
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    batch = left_padded(model, [head[:-1] or [model.pad_token_id] for head in heads])
    empty = [at for at, head in enumerate(heads) if len(head) == 1]
    batch["attention_mask"][empty] = 0  # a prompt of one token has nothing before it
    with last_logits_only(model.network, model.head):
        cache: Any = getattr(model.network(**batch, use_cache=True), "past_key_values", None)
    kinds = {type(layer) for layer in getattr(cache, "layers", [])}
    if not kinds or not kinds <= {DynamicLayer, DynamicSlidingWindowLayer} or len(cache.layers) != model.n_layers:
        names = ", ".join(sorted(kind.__name__ for kind in kinds)) or type(cache).__name__
        raise _UnfitError(f"a cache of {names} cannot be shared between cells")
    return _Prefix(
        cache=cache,
        mask=batch["attention_mask"],
        last=torch.tensor([head[-1] for head in heads], device=model.device),
        position=torch.tensor([len(head) - 1 for head in heads], device=model.device),
    )


def _values(logits: Float[Tensor, "row query vocab"], tokens: Int[Tensor, "row answer"]) -> Tensor:
    """Log-probability [row, query, answer] of each row's answer tokens at every query."""
    own = logits.gather(-1, tokens[:, None, :].to(logits.device).expand(-1, logits.shape[1], -1)).float()
    if logits.device.type == "cpu":  # one query at a time stays in the processor's cache: 3 x faster (torch 2.13)
        total = torch.stack([torch.stack([q.float().logsumexp(dim=-1) for q in row]) for row in logits])
    else:
        total = logits.float().logsumexp(dim=-1)
    return (own - total[..., None]).cpu()


def _first_layer(model: Model, cell: tuple[Intervention, ...]) -> int:
    return min((layer for i in cell for layer in i.vector.layers), default=model.n_layers - 1)


def _chunks(order: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _chunk_size(model: Model, prefix: _Prefix, *, repeated: bool) -> int:
    """Cells at a time, within the memory budget."""
    staying, passing = bytes_per_token(model)
    tokens = 2 * (prefix.mask.shape[1] + 1) if repeated else 1
    each = len(prefix.last) * (tokens * staying + passing + 12 * model.d_vocab)
    budget = free_bytes(model) * MEMORY_SHARE
    budget = min(budget, CHUNK_BYTES) if model.device.type == "cpu" else budget
    return int(max(1, min(budget // each, MAXIMAL_CELLS)))


def _over_prefix(
    model: Model,
    reading: _Reading,
    cells: Live,
    progress: Progress | None,
    *,
    tail: Callable[[_Prefix, list[tuple[Intervention, ...]], Tensor], Tensor],
    size: Callable[[_Prefix], int],
) -> Tensor:
    """Read the prompts in batches and the cells, lowest layer first, in chunks: `tail` gives [cell, prompt, answer]."""
    order = sorted(range(len(cells)), key=lambda c: _first_layer(model, cells[c]))

    def run(batch: list[int]) -> list[Tensor]:
        tokens = torch.tensor([[t for (t,) in reading.tails[i]] for i in batch])
        with torch.inference_mode():
            prefix = _prefill(model, [reading.heads[i] for i in batch])
            found = torch.zeros(len(cells), *tokens.shape)
            for some in _chunks(order, size(prefix)):
                found[list(some)] = tail(prefix, [cells[c] for c in some], tokens)
        return list(found.unbind(dim=1))

    count = None if progress is None else lambda n: progress(n * len(cells))
    return torch.stack(run_batched(model, [len(head) for head in reading.heads], run, progress=count), dim=1)


# --- cells as queries behind the prompt ---


def _narrow(value: object, *, width: int, active: int, past: int, kept: int) -> object:
    """A layer's argument for the first `active` of `width` queries and the last `kept` of `past` cached columns."""
    if isinstance(value, tuple):
        return tuple(_narrow(part, width=width, active=active, past=past, kept=kept) for part in value)
    if not isinstance(value, Tensor):
        return value
    if value.ndim == 4 and tuple(value.shape[2:]) == (width, past + width):
        return value[:, :, :active, past - kept : past + active]
    return value[:, :active] if value.ndim > 1 and value.shape[1] == width else value


def _cellwise(steps: Sequence[_Step], residual: Tensor) -> Tensor:
    """Apply the steps, whose rows are cells, to [cell, prompt, d_model]."""
    everywhere = torch.ones(residual.shape[:2], dtype=torch.bool, device=residual.device)
    for step in steps:
        residual = step.apply(residual, everywhere)
    return residual


def _tail_of_queries(
    model: Model, prefix: _Prefix, cells: list[tuple[Intervention, ...]], tokens: Tensor, *, joining: bool
) -> Tensor:
    """[cell, prompt, answer] from one forward whose query 0 is unsteered and whose other queries are the cells.

    With `joining`, only query 0 runs from the first layer on; a cell starts as its copy at the layer it steers.
    """
    past, width = prefix.mask.shape[1], 1 + len(cells)
    first = [_first_layer(model, cell) for cell in cells]
    joins: Mapping[int, int] = Counter(first) if joining else {}
    layers = sorted({layer for cell in cells for i in cell for layer in i.vector.layers} | set(joins))
    plan = {layer: _row_steps(model, [(), *cells], layer) for layer in layers}

    def edit_at(layer: int) -> Callable[[Tensor], Tensor]:
        def edit(residual: Tensor) -> Tensor:
            if joins.get(layer):
                residual = torch.cat([residual, residual[:, :1].expand(-1, joins[layer], -1)], dim=1)
            return _cellwise(plan[layer], residual.transpose(0, 1)).transpose(0, 1).contiguous()

        return edit

    def inputs_at(layer: int) -> Callable[[object], object]:
        active = 1 + sum(start < layer for start in first) if joining else width
        return lambda value: _narrow(value, width=width, active=active, past=past, kept=prefix.kept[layer])

    narrowed = joining or any(kept < past for kept in prefix.kept)
    hidden = torch.finfo(model.dtype).min
    own = torch.full((width, width), hidden, dtype=model.dtype, device=model.device).fill_diagonal_(0)
    before = (prefix.mask == 0).to(model.dtype) * hidden
    mask = torch.cat([before[:, None].expand(-1, width, -1), own.expand(len(before), -1, -1)], dim=-1)
    with attached_untracked(
        edits={model.layers[layer]: edit_at(layer) for layer in layers},
        inputs={module: inputs_at(layer) for layer, module in enumerate(model.layers)} if narrowed else None,
    ):
        output = model.network(
            input_ids=prefix.last[:, None].repeat(1, width),
            attention_mask=mask[:, None],
            position_ids=prefix.position[:, None].repeat(1, width),
            past_key_values=prefix.fresh_cache(),
            use_cache=True,
        )
    return _values(output.logits[:, 1:], tokens).transpose(0, 1)


def _run_tree(
    model: Model, reading: _Reading, cells: Live, chunk: int | None, progress: Progress | None, *, joining: bool = False
) -> Tensor:
    return _over_prefix(
        model,
        reading,
        cells,
        progress,
        tail=lambda prefix, some, tokens: _tail_of_queries(model, prefix, some, tokens, joining=joining),
        size=lambda prefix: chunk or _chunk_size(model, prefix, repeated=False),
    )


def _run_layers(model: Model, reading: _Reading, cells: Live, chunk: int | None, progress: Progress | None) -> Tensor:
    return _run_tree(model, reading, cells, chunk, progress, joining=True)


# --- cells as rows, each with the prompt's cache ---


def _tail_of_rows(model: Model, prefix: _Prefix, cells: list[tuple[Intervention, ...]], tokens: Tensor) -> Tensor:
    n_prompts = len(prefix.last)
    of_prompt = torch.arange(n_prompts, device=model.device).repeat(len(cells))
    rows = [cell for cell in cells for _ in range(n_prompts)]
    layers = sorted({layer for cell in cells for i in cell for layer in i.vector.layers})
    cache = prefix.fresh_cache()
    cache.batch_select_indices(of_prompt)
    mask = torch.cat([prefix.mask, prefix.mask.new_ones(n_prompts, 1)], dim=1)[of_prompt]
    position = {"position_ids": prefix.position[of_prompt, None]} if model.accepts_position_ids else {}

    def edit_at(layer: int) -> Callable[[Tensor], Tensor]:
        steps = _row_steps(model, rows, layer)
        return lambda residual: _cellwise(steps, residual)

    with attached_untracked(edits={model.layers[layer]: edit_at(layer) for layer in layers}):
        output = model.network(
            input_ids=prefix.last[of_prompt, None],
            attention_mask=mask,
            past_key_values=cache,
            use_cache=True,
            **position,
        )
    return _values(output.logits, tokens[of_prompt.cpu()]).reshape(len(cells), n_prompts, -1)


def _run_rows(model: Model, reading: _Reading, cells: Live, chunk: int | None, progress: Progress | None) -> Tensor:
    return _over_prefix(
        model,
        reading,
        cells,
        progress,
        tail=lambda prefix, some, tokens: _tail_of_rows(model, prefix, some, tokens),
        size=lambda prefix: chunk or _chunk_size(model, prefix, repeated=True),
    )


# --- positions that touch the prompt, answers of several tokens ---


def _run_shared(model: Model, reading: _Reading, cells: Live, chunk: int | None, progress: Progress | None) -> Tensor:
    """The layers below the lowest steered one run once per prompt; the others once per cell."""
    units = reading.units
    texts = [reading.text(unit) for unit in units]
    starts = [_first_layer(model, cell) for cell in cells]

    def run(batch: list[int]) -> list[Tensor]:
        padded = left_padded(model, [texts[k] for k in batch])
        size = chunk or max(1, CPU_TOKENS_PER_BATCH // padded["input_ids"].numel())
        lengths = [len(reading.heads[units[k][0]]) for k in batch]
        found: list[Tensor] = [torch.empty(0)] * len(cells)
        below: tuple[int, Tensor | None] = (-1, None)
        with torch.inference_mode():
            for start in sorted(set(starts)):
                below = start, _advanced(model, padded, below, start)
                for some in _chunks([c for c, own in enumerate(starts) if own == start], size):
                    logits = _upper_layers(
                        model, padded, below, [cells[c] for c in some], lengths=lengths, reading=reading
                    )
                    for at, c in enumerate(some):
                        found[c] = _unit_values(
                            logits[at * len(batch) : (at + 1) * len(batch)], reading, [units[k] for k in batch]
                        )
        return list(torch.stack(found).unbind(dim=1))

    count = None if progress is None else lambda n: progress(n * len(cells))
    return reading.shaped(torch.stack(run_batched(model, list(map(len, texts)), run, progress=count), dim=1))


def _advanced(model: Model, padded: dict[str, Tensor], below: tuple[int, Tensor | None], layer: int) -> Tensor:
    """The unsteered residual at `layer`, computed from the one that is stored."""
    seen: list[Tensor] = []

    def read(residual: Tensor) -> None:
        seen.append(residual)
        raise StopForwardError

    done, stored = below
    skipped = model.layers[: done + 1]
    with attached(model.network, readers={model.layers[layer]: read}):
        try:
            with replayed(skipped, stored if stored is not None else torch.empty(0)):
                model.network(**padded, use_cache=False)
        except StopForwardError:
            pass
    return seen[0]


def _upper_layers(
    model: Model,
    padded: dict[str, Tensor],
    below: tuple[int, Tensor | None],
    cells: Sequence[tuple[Intervention, ...]],
    *,
    lengths: list[int],
    reading: _Reading,
) -> Tensor:
    start, stored = below
    assert stored is not None, "the layers below have run"
    longest = 1 if reading.single else 1 + max(len(tail) for own in reading.tails for tail in own)
    n = len(cells)
    with (
        prompt_lengths(model.network, lengths * n),
        steer_rows(model, [cell for cell in cells for _ in lengths]),
        last_logits_only(model.network, model.head, n_positions=longest),
        replayed(model.layers[: start + 1], stored.repeat(n, 1, 1)),
    ):
        output = model.network(**{name: part.repeat(n, 1) for name, part in padded.items()}, use_cache=False)
    return output.logits[:, -longest:]  # type: ignore[no-any-return]


def _unit_values(logits: Tensor, reading: _Reading, units: Sequence[tuple[int, int]]) -> Tensor:
    """[unit, value]: the answers' log-likelihoods (one token each), or the one of the unit's answer."""
    if reading.single:
        tokens = torch.tensor([[t for (t,) in reading.tails[i]] for i, _ in units])
        return _values(logits[:, -1:], tokens)[:, 0]
    sums = []
    for row, (i, j) in zip(logits, units, strict=True):
        tail = reading.tails[i][j]
        chances = row[-len(tail) - 1 : -1].float().log_softmax(dim=-1)
        sums.append(chances[range(len(tail)), tail].sum().cpu())
    return torch.stack(sums)[:, None]


# --- one run per cell ---


def _run_plain(model: Model, reading: _Reading, cells: Live, chunk: int | None, progress: Progress | None) -> Tensor:
    done: list[Tensor] = []
    for cell in cells:
        with steer(model, *cell):
            if reading.single:
                found = torch.stack(_single(model, reading.heads, reading.tails, rows=None, progress=progress))
            else:
                listed = _spelled(model, reading.heads, reading.tails, reading.units, rows=None, progress=progress)
                found = torch.tensor(listed)
        done.append(found)
    return reading.shaped(torch.stack(done))


_RUNS: Mapping[str, Callable[[Model, _Reading, Live, int | None, Progress | None], Tensor]] = {
    "layers": _run_layers,
    "tree": _run_tree,
    "rows": _run_rows,
    "shared": _run_shared,
    "plain": _run_plain,
}

# --- no way is taken on trust ---

_CHECKS: WeakKeyDictionary[nn.Module, dict[tuple[object, ...], str]] = WeakKeyDictionary()


def _failed_check(model: Model, reading: _Reading, way: str) -> str:
    """Empty when `way` gives the plain way's values on short rows of this model; remembered per network."""
    known = _CHECKS.setdefault(model.network, {})
    longest = max(reading.heads, key=len)
    config = getattr(model.network, "config", None)
    for tokens in [CHECK_TOKENS, *((window + 5, 3) for window in _windows(config) if window < len(longest))]:
        key = (way, tokens, reading.single, model.dtype, model.device, getattr(config, "_attn_implementation", None))
        if key not in known:
            known[key] = _compare(model, reading, way, tokens)
        if known[key]:
            return known[key]
    return ""


def _windows(config: Any) -> list[int]:
    """The sizes of the attention windows in tokens, as the config says them."""
    said = {getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size", "window_size")}
    return sorted(size for size in said if isinstance(size, int) and size > 0)


def _compare(model: Model, reading: _Reading, way: str, tokens: tuple[int, int]) -> str:
    longest = max(reading.heads, key=len)
    heads = [longest[: tokens[0]], longest[: tokens[1]]]
    some = [model.d_vocab * part // 7 for part in range(7)]
    tails = [[[token] if reading.single else [token, some[0]] for token in some]] * len(heads)
    short = _Reading(heads=heads, tails=tails)
    cells = _trial_cells(model, positions="all" if way == "shared" else "from_last_prompt_token")
    try:
        found = _RUNS[way](model, short, cells, None, None)
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
        return f"{way} failed: {str(error).splitlines()[0][:200] if str(error) else type(error).__name__}"
    difference = float((found - _run_plain(model, short, cells, None, None)).abs().max())
    if difference <= CHECK_TOLERANCE.get(model.dtype, 0.25):
        return ""
    return f"{way} differs from the plain way by {difference:.1e} on short rows"


def _trial_cells(model: Model, *, positions: Any) -> list[tuple[Intervention, ...]]:
    """Cells that turn the residual elsewhere, at its own norm: low, middle, top, several layers, and none."""
    generator = torch.Generator().manual_seed(0)
    top, middle = model.n_layers - 1, model.n_layers // 2
    cells: list[tuple[Intervention, ...]] = [()]
    for layers in ((0,), (middle,), (top,), tuple(sorted({0, middle, top}))):
        directions = {layer: torch.randn(model.d_model, generator=generator).numpy() for layer in layers}
        recipe = Recipe(method="random_control", layers=layers, positions=positions, seed=0)
        vector = SteeringVector(directions=directions, model=model.fingerprint, recipe=recipe)
        cells.append(
            (Intervention(vector=vector, coefficient=1000.0, operation="add_preserving_norm", positions=positions),)
        )
    return cells
