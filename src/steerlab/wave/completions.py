"""Completions for many cells over the same prompts: what cells share of the prompts is read once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from steerlab.batches import MEMORY_SHARE, Progress, bytes_per_token, free_bytes, run_batched
from steerlab.errors import OptionError, nearest
from steerlab.generation import Completion, Decoding, complete_rows, decode_rows
from steerlab.hooks import stream_of
from steerlab.interventions import Intervention
from steerlab.models import Model
from steerlab.steering import check, refuse_fixed_rows, steer
from steerlab.tokens import encode
from steerlab.wave.cells import Cell, first_layer
from steerlab.wave.row_trust import failed_row_check
from steerlab.wave.rows import PREFILL_TOKENS, READERS, CellRows

GenerationWay = Literal["auto", "rows", "shared", "batch", "plain"]
AFTER_PROMPT = ("last_prompt_token", "from_last_prompt_token", "completion")
MAXIMAL_ROWS = 256


@dataclass(frozen=True, kw_only=True)
class WaveCompletions:
    """`completions[cell][prompt]`, the way (or ways) they were written, and why not a faster one."""

    completions: tuple[tuple[Completion, ...], ...]
    way: str
    reason: str


def wave_generate(
    model: Model,
    prompts: Sequence[str],
    *,
    cells: Sequence[Cell],
    decoding: Decoding | None = None,
    numbers: Sequence[int] | None = None,
    progress: Progress | None = None,
    way: GenerationWay = "auto",
    memory_bytes: int | None = None,
) -> WaveCompletions:
    """For each cell what `generate` gives inside `steer(model, *cell.interventions)` (P11).

    rows: positions from the last prompt token on; each prompt is read once and its cache repeated for the cells.
    shared: other positions; the layers up to the steered one are run once per prompt. batch: every cell and prompt is
    a row that reads its own prompt. plain: one run per cell and prompt. In all but plain a row has its own dose, and
    leaves the batch when it has ended. A way other than plain runs only after it has given the plain way's values on
    short rows of this model, once. Prompt i is sampled alike in every cell, with the seed that `generate` gives to a
    prompt of number `numbers[i]` (by default i): the same number in another call draws the same.
    `memory_bytes` limits a batch (keys, values and logits, as estimated; by default 0.4 of what is free);
    `progress` counts completions.
    Raises: OptionError when a way other than auto is not possible; PromptError as `generate`.
    """
    if way not in get_args(GenerationWay):
        raise OptionError(f"way {way!r} does not exist. {nearest(way, get_args(GenerationWay))}")
    if memory_bytes is not None and memory_bytes < 1:
        raise OptionError(f"memory_bytes {memory_bytes} is not positive.")
    refuse_fixed_rows(model, "wave_generate")
    for cell in cells:
        check(model, cell.interventions, gates="possible")
    if numbers is not None and len(numbers) != len(prompts):
        raise OptionError(f"{len(numbers)} numbers were given for {len(prompts)} prompts: give one per prompt.")
    how = decoding or Decoding()
    heads = encode(model, prompts, new_tokens=how.max_new_tokens)
    own = list(range(len(heads))) if numbers is None else list(numbers)
    found: dict[int, list[Completion]] = {index: [] for index in range(len(cells))}
    ways: dict[str, str] = {}
    groups: dict[tuple[str, ...], list[int]] = {}
    for index, cell in enumerate(cells if heads else ()):
        groups.setdefault(_early(cell), []).append(index)
    for early, members in sorted(groups.items()):
        chosen, reason = _choose(model, heads, early=early, way=way)
        ways[chosen] = "; ".join(dict.fromkeys(filter(None, [ways.get(chosen), reason])))
        live = [cells[c].live for c in members]
        job = _Job(heads=heads, numbers=own, cells=live, how=how, memory_bytes=memory_bytes)
        found |= dict(zip(members, _run(model, job, chosen, progress), strict=True))
    completions = tuple(tuple(found[index]) for index in range(len(cells)))
    return WaveCompletions(completions=completions, way="+".join(ways), reason="; ".join(ways.values()))


def _early(cell: Cell) -> tuple[str, ...]:
    """Why the cell is no matter of the tokens from the last prompt token on; nothing when it is."""
    if all(i.positions in AFTER_PROMPT for i in cell.live):
        return ()
    return (
        ("positions touch the prompt", "a gate decides by the row") if cell.gated else ("positions touch the prompt",)
    )


def _choose(model: Model, heads: list[list[int]], *, early: tuple[str, ...], way: str) -> tuple[str, str]:
    """The fastest way that is possible and the reason why nothing faster is."""
    candidates = ("rows", "batch") if not early else ("shared", "batch")
    refused = list(early[:1])
    for name in candidates if way == "auto" else () if way == "plain" else (way,):
        obstacle = _obstacle(model, name, early=early) or failed_row_check(model, heads, name)
        if not obstacle:
            return name, "; ".join(refused) or f"{name} equals the plain way on short rows of this model"
        if way != "auto":
            raise OptionError(f"the way {way!r} is not possible here: {obstacle}. Use way='auto'.")
        if obstacle not in refused:
            refused.append(obstacle)
    return "plain", "asked for" if way == "plain" else "; ".join(refused)


def _obstacle(model: Model, way: str, *, early: tuple[str, ...]) -> str:
    if stream_of(model.network) is not None:
        return "something is attached around the wave (a steer or capture block)"
    if way == "rows" and early:
        return early[0]
    return early[1] if way == "shared" and len(early) > 1 else ""


@dataclass(frozen=True, kw_only=True)
class _Job:
    """What is to be written: token ids of the prompts, the numbers they are sampled as, the cells, and how."""

    heads: list[list[int]]
    numbers: list[int]
    cells: list[tuple[Intervention, ...]]
    how: Decoding
    memory_bytes: int | None


def _run(model: Model, job: _Job, way: str, progress: Progress | None) -> list[list[Completion]]:
    """Completions [cell][prompt]."""
    n = len(job.heads)
    pairs = [(c, p) for c in range(len(job.cells)) for p in range(n)]

    def run(batch: list[int]) -> list[Completion]:
        some = [pairs[at] for at in batch]
        return _run_plain(model, job, some) if way == "plain" else _run_together(model, job, some, way=way)

    lengths = [len(job.heads[p]) + job.how.max_new_tokens for _, p in pairs]
    planned = [[c * n + p for c, p in batch] for batch in _batches(model, job, way)]
    flat = run_batched(model, lengths, run, planned=planned, progress=progress)
    return [flat[c * n : (c + 1) * n] for c in range(len(job.cells))]


def _batches(model: Model, job: _Job, way: str) -> list[list[tuple[int, int]]]:
    """Pairs (cell, prompt) in batches: longest prompts first, all cells of some prompts, lowest steered layer first."""
    cells = sorted(range(len(job.cells)), key=lambda c: first_layer(model, job.cells[c]))
    if way == "plain":
        return [[(c, p)] for c in cells for p in range(len(job.heads))]
    prompts = sorted(range(len(job.heads)), key=lambda p: (-len(job.heads[p]), p))
    batches = []
    while prompts:
        longest = len(job.heads[prompts[0]])
        fit = _rows_that_fit(model, longest, job)
        fit = min(fit, max(1, PREFILL_TOKENS // longest)) if way == "batch" else fit
        some = max(1, min(fit // len(cells), PREFILL_TOKENS // longest))
        rows = [(c, p) for c in cells for p in prompts[:some]]
        batches += [rows[at : at + fit] for at in range(0, len(rows), fit)]
        prompts = prompts[some:]
    return batches


def _rows_that_fit(model: Model, longest: int, job: _Job) -> int:
    """Rows at a time within the memory budget; keys and values are counted twice, as they are copied to grow."""
    staying, _ = bytes_per_token(model)
    each = 2 * (longest + job.how.max_new_tokens) * staying + 12 * model.d_vocab
    budget = free_bytes(model) * MEMORY_SHARE if job.memory_bytes is None else job.memory_bytes
    return int(max(1, min(budget // each, MAXIMAL_ROWS)))


def _run_together(model: Model, job: _Job, pairs: list[tuple[int, int]], *, way: str) -> list[Completion]:
    prompts = [p for _, p in pairs]
    distinct = sorted(set(prompts))
    rows = CellRows(
        heads=[job.heads[p] for p in distinct],
        of=[distinct.index(p) for p in prompts],
        cells=[job.cells[c] for c, _ in pairs],
    )
    with READERS[way](model, rows, room=job.how.max_new_tokens) as (stream, read):
        numbers = [job.numbers[p] for p in prompts]
        return decode_rows(model, read, stream, how=job.how, numbers=numbers, prompt_tokens=rows.prompt_tokens)


def _run_plain(model: Model, job: _Job, pairs: list[tuple[int, int]]) -> list[Completion]:
    done = []
    for c, p in pairs:
        with steer(model, *job.cells[c]):
            done += complete_rows(model, [job.heads[p]], numbers=[job.numbers[p]], how=job.how, rows=None)
    return done
