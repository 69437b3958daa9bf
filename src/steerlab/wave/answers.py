"""Log-likelihoods of answers for many cells over the same prompts: the prompts are read once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from steerlab.batches import Progress
from steerlab.errors import OptionError, nearest
from steerlab.hooks import stream_of
from steerlab.models import Model
from steerlab.readout import answer_tokens, check_answers
from steerlab.steering import check, refuse_fixed_rows
from steerlab.tokens import encode
from steerlab.wave.cells import Cell
from steerlab.wave.reading import Reading
from steerlab.wave.trust import RUNS, failed_check

Way = Literal["auto", "layers", "tree", "rows", "tails", "shared", "plain"]
AT_PROMPT_END = ("last_prompt_token", "from_last_prompt_token")


@dataclass(frozen=True, kw_only=True)
class WaveResult:
    """Log-likelihoods of every cell, the way (or ways) they were computed, and why not a faster one."""

    log_likelihoods: Float[Tensor, "cell prompt answer"]
    way: str
    reason: str


def wave_log_likelihoods(
    model: Model,
    prompts: Sequence[str],
    answers: Sequence[Sequence[str]],
    *,
    cells: Sequence[Cell],
    progress: Progress | None = None,
    way: Way = "auto",
    cells_per_chunk: int | None = None,
    relative: bool = False,
) -> WaveResult:
    """For each cell what `answer_log_likelihoods` gives inside `steer(model, *cell.interventions)` (P11).

    layers: the prompts are read once; cells are queries behind them that join at the layer they steer. tree: the same,
    cells ride through all layers. rows: the prompts' cache is repeated per cell. tails: the same for
    answers of several tokens, of which only the layers from the steered one up run. shared: positions that touch the
    prompt and answers of several tokens; the layers below the steered one run once. plain: one run per cell.
    A way other than plain runs only after it has given the plain way's values on short rows of this model, once.
    `relative`: only differences between the answers of a cell and prompt mean anything. Where answers are one token,
    the head then makes their logits only, which with a vocabulary of 150,000 is a fifth of a sweep's work.
    `progress` counts rows read: cells x prompts (x answers, where they have several tokens).
    Raises: OptionError when a way other than auto is not possible.
    """
    if way not in get_args(Way):
        raise OptionError(f"way {way!r} does not exist. {nearest(way, get_args(Way))}")
    refuse_fixed_rows(model, "wave_log_likelihoods")
    for cell in cells:
        check(model, cell.interventions, gates="possible")
    check_answers(prompts, answers)
    heads = encode(model, prompts, new_tokens=1)
    reading = Reading(heads=heads, tails=answer_tokens(model, prompts, heads, answers), relative=relative)
    result = torch.zeros(len(cells), len(prompts), len(answers[0]) if answers else 0)
    ways: dict[str, str] = {}
    groups: dict[str, list[int]] = {}
    for index, cell in enumerate(cells if prompts else ()):
        groups.setdefault(_early(cell), []).append(index)
    for early, members in sorted(groups.items()):
        chosen, reason = _choose(model, reading, early=early, way=way)
        ways[chosen] = "; ".join(dict.fromkeys(filter(None, [ways.get(chosen), reason])))
        live = [cells[index].live for index in members]
        result[members] = RUNS[chosen](model, reading, live, cells_per_chunk, progress)
    return WaveResult(log_likelihoods=result, way="+".join(ways), reason="; ".join(ways.values()))


def _early(cell: Cell) -> str:
    """Why the cell is not a matter of the last prompt token alone; empty when it is."""
    if any(i.positions not in AT_PROMPT_END for i in cell.live):
        return "positions touch the prompt"
    return "a gate decides by the row" if cell.gated else ""


def _choose(model: Model, reading: Reading, *, early: str, way: str) -> tuple[str, str]:
    """The fastest way that is possible and the reason why nothing faster is."""
    candidates = ("shared",) if early else ("layers", "tree", "rows", "tails", "shared")
    refused = [early] if early else []
    for name in candidates if way == "auto" else () if way == "plain" else (way,):
        obstacle = _obstacle(model, reading, name, early=early) or failed_check(model, reading, name)
        if not obstacle:
            return name, "; ".join(refused) or f"{name} equals the plain way on short rows of this model"
        if way != "auto":
            raise OptionError(f"the way {way!r} is not possible here: {obstacle}. Use way='auto'.")
        if obstacle not in refused:
            refused.append(obstacle)
    return "plain", "asked for" if way == "plain" else "; ".join(refused)


def _obstacle(model: Model, reading: Reading, way: str, *, early: str) -> str:
    if stream_of(model.network) is not None:
        return "something is attached around the wave (a steer or capture block)"
    if way == "shared":
        longest = max(len(reading.text(unit)) for unit in reading.units)
        return "an answer does not fit the context" if longest > (model.context or longest) else ""
    if early:
        return early
    if way == "tails":
        return "every answer is one token" if reading.single else ""
    if not reading.single:
        return "an answer has several tokens"
    if way in ("layers", "tree") and not model.accepts_position_ids:
        return "the model takes no position ids"
    return ""
