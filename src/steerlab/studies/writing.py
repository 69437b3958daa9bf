"""Who writes the completions of a study: the model with hooks (the wave), or vLLM with the same steering."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Literal, Protocol, get_args

from steerlab.batches import Progress
from steerlab.errors import OptionError, nearest
from steerlab.generation import Completion, Decoding
from steerlab.models import QUANTIZED, Model
from steerlab.wave import Cell, WaveCompletions, wave_generate

if TYPE_CHECKING:
    from steerlab.backends.vllm import Server

Engine = Literal["hooks", "vllm"]
ENGINES: tuple[str, ...] = get_args(Engine)
GPU_SHARE = 0.7  # of what is free when vLLM starts; the rest is for capture and readouts in this process


class Write(Protocol):
    """Completions of every cell for every prompt, as `wave_generate` gives them."""

    def __call__(
        self,
        prompts: Sequence[str],
        *,
        cells: Sequence[Cell],
        decoding: Decoding | None = None,
        numbers: Sequence[int] | None = None,
        progress: Progress | None = None,
    ) -> WaveCompletions:
        """`completions[cell][prompt]`, and how they came about."""
        ...


def check_engine(engine: str) -> None:
    """Raise OptionError unless `engine` is one of ENGINES."""
    if engine not in ENGINES:
        raise OptionError(f"engine {engine!r} does not exist. {nearest(engine, ENGINES)}")


@contextmanager
def writing(engine: str, model: Model) -> Iterator[Write]:
    """The way to write completions; a vLLM engine on the model's checkpoint runs until the end of the block.

    Raises: MissingExtraError without vLLM; OptionError for a quantized model.
    """
    if engine == "hooks":
        yield partial(wave_generate, model)
        return
    if model.dtype_name in QUANTIZED:
        raise OptionError(
            f"vLLM serves the checkpoint as it is, not in {model.dtype_name}: leave out --dtype or --engine."
        )
    from steerlab.backends import vllm

    with vllm.serving(model.name, revision=model.revision, dtype=model.dtype_name, memory=_memory(model)) as server:
        yield partial(_written_by_vllm, server, model)


def _memory(model: Model) -> float | None:
    import torch

    if model.device.type != "cuda":
        return None
    free, total = torch.cuda.mem_get_info(model.device)
    return GPU_SHARE * free / total


def _written_by_vllm(
    server: Server,
    model: Model,
    prompts: Sequence[str],
    *,
    cells: Sequence[Cell],
    decoding: Decoding | None = None,
    numbers: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> WaveCompletions:
    """As `wave_generate`; cells that vLLM can't steer are written with hooks, and the reason says so."""
    from steerlab.backends import vllm

    refused = {at: reason for at, cell in enumerate(cells) if (reason := vllm.refusal(cell.live))}
    found: dict[int, tuple[Completion, ...]] = {}
    for at, cell in enumerate(cells):
        if at not in refused:
            written = vllm.generate(server, prompts, decoding=decoding, interventions=cell.live, numbers=numbers)
            found[at] = tuple(written)
            if progress is not None:
                progress(len(prompts))
    ways, reasons = ["vllm"] if found else [], sorted(set(refused.values()))
    if refused:
        rest = [cells[at] for at in refused]
        by_hooks = wave_generate(model, prompts, cells=rest, decoding=decoding, numbers=numbers, progress=progress)
        found |= dict(zip(refused, by_hooks.completions, strict=True))
        ways.append(by_hooks.way)
        reasons.append(by_hooks.reason)
    completions = tuple(found[at] for at in range(len(cells)))
    return WaveCompletions(completions=completions, way="+".join(ways), reason="; ".join(filter(None, reasons)))
