"""What the workers share: the job, the plain network, the clock, a reference written by hand, the result as JSON.

    python NAME_worker.py JOB.json

A worker runs in its peer's own environment, so nothing here needs more than torch, transformers (4 or 5) and numpy. The
job names a model directory and a thread count, and gives the sweep, the generation, the texts and the probes;
`benchmarks/peers.py` writes it. The result is the last line of stdout: what a peer prints stands before it. A failure
inside the peer is a result.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import platform
import resource
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

Values = list[Any]  # token ids, or log-probabilities by row
Ways = Mapping[str, Callable[[], Values]]  # what the peer documents first, other ways behind it


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One steered setting: `vector` [d_model], the coefficient already in it, is added at the output of `layer`."""

    layer: int
    vector: Tensor


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """The plain network with its tokenizer, and whatever the peer makes of it."""

    network: Any
    tokenizer: Any
    own: Any = None


@dataclass(frozen=True, kw_only=True)
class Probes:
    """What the probes of correctness are made of: a long and a short prompt, two vectors at one layer."""

    prompts: list[str]
    first: Cell
    second: Cell
    answers: list[int]
    new_tokens: int


@dataclass(frozen=True, kw_only=True)
class Peer:
    """How one library does each thing; an empty field says that it cannot.

    `sweep[positions]` gives log-probabilities [cell][prompt][answer], positions being "last" or "all"; those in
    `whole_sweep` are so cheap that all cells are run, not a sample. `generate` gives the new tokens of each prompt,
    steered at all positions; `extract` the residuals [layer, text, d_model] at the last token. `probes` brings an
    "other_hooks" of its own where the network that the peer steers is not `Loaded.network`.
    """

    packages: tuple[str, ...]
    load: Callable[[str], Loaded]
    sweep: Mapping[str, Callable[[Loaded, list[str], list[Cell], list[int]], Values]]
    generate: Callable[[Loaded, list[str], Cell, int], list[list[int]]]
    extract: Callable[[Loaded, list[str]], np.ndarray] | None
    probes: Callable[[Loaded, Probes], Mapping[str, Ways]]
    whole_sweep: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())


def load_plain(directory: str) -> Loaded:
    """The network and tokenizer as transformers gives them, float32."""
    import transformers

    network = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    return Loaded(network=network, tokenizer=load_tokenizer(directory))


def load_tokenizer(directory: str) -> Any:
    """The tokenizer, padding on the left as decoding needs it."""
    import transformers

    return transformers.AutoTokenizer.from_pretrained(directory, padding_side="left")


def encoded(tokenizer: Any, prompts: str | Sequence[str]) -> dict[str, Tensor]:
    """A left-padded batch: input_ids and attention_mask [row, position]."""
    texts = [prompts] if isinstance(prompts, str) else list(prompts)
    return dict(tokenizer(texts, return_tensors="pt", padding=True))


def log_chances(logits: Tensor, answers: list[int]) -> Values:
    """Natural-log probabilities of the answer tokens, from logits [..., vocab]."""
    return logits.detach().float().log_softmax(dim=-1)[..., answers].tolist()


def by_forwards(
    readout: Callable[[Loaded, str, Cell], Tensor],
) -> Callable[[Loaded, list[str], list[Cell], list[int]], Values]:
    """A sweep made of one forward per prompt and cell; `readout` gives the logits [vocab] after the prompt."""

    def sweep(loaded: Loaded, prompts: list[str], cells: list[Cell], answers: list[int]) -> Values:
        return [[log_chances(readout(loaded, prompt, cell), answers) for prompt in prompts] for cell in cells]

    return sweep


def new_tokens(ids: Tensor, batch: Mapping[str, Tensor]) -> list[list[int]]:
    """What `generate` wrote behind the prompts."""
    return ids[:, batch["input_ids"].shape[1] :].tolist()


def greedy(loaded: Loaded, batch: Mapping[str, Tensor], count: int) -> Tensor:
    """transformers' own greedy decoding: ids [row, position], prompts included."""
    with torch.inference_mode():
        return loaded.network.generate(**batch, max_new_tokens=count, do_sample=False)


# The floor of each part, without any steering: what a plain forward, or plain decoding, costs in this process.


def plain_forwards(loaded: Loaded, prompts: Sequence[str]) -> Values:
    """The logits [vocab] after each prompt, one forward per prompt."""
    with torch.inference_mode():
        return [
            loaded.network(**encoded(loaded.tokenizer, prompt), use_cache=False).logits[0, -1] for prompt in prompts
        ]


def timed(work: Callable[[], Any], floor: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """What `work` gives, its seconds, and the floor's: the mean of one run before and one behind it."""
    marks = [time.perf_counter()]
    floor()
    marks.append(time.perf_counter())
    found = work()
    marks.append(time.perf_counter())
    floor()
    marks.append(time.perf_counter())
    return found, {"seconds": marks[2] - marks[1], "floor_seconds": (marks[1] - marks[0] + marks[3] - marks[2]) / 2}


def or_error(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `work` gives, or {"error": one line}."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - a peer's failure is what is measured
        traceback.print_exc(file=sys.stderr)
        text = (str(error).strip().splitlines() or [""])[0]
        return {"error": f"{type(error).__name__}: {text}"[:200]}


# The reference of the probes: full forwards without a cache, one row at a time, the vector added by one plain hook.


def by_hand(network: Any, ids: list[int], cell: Cell | None, *, start: int = 0, stop: int | None = None) -> Tensor:
    """Logits [vocab] behind `ids`, `cell` added at positions start to stop (all behind start when None)."""

    def add(module: Any, inputs: Any, output: Any) -> Any:
        residual = (output[0] if isinstance(output, tuple) else output).clone()
        residual[:, start:stop] += cell.vector
        return (residual, *output[1:]) if isinstance(output, tuple) else residual

    handle = None if cell is None else network.model.layers[cell.layer].register_forward_hook(add)
    try:
        with torch.inference_mode():
            return network(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]
    finally:
        if handle is not None:
            handle.remove()


def decoded_by_hand(network: Any, ids: list[int], cell: Cell | None, *, count: int, **where: int) -> list[int]:
    """`count` greedy tokens behind `ids`."""
    written = list(ids)
    for _ in range(count):
        written.append(int(by_hand(network, written, cell, **where).argmax()))
    return written[len(ids) :]


def reference(loaded: Loaded, probes: Probes) -> dict[str, dict[str, Values]]:
    """What each probe must give ("values"), and what it gives when the usual mistakes are made ("twins")."""
    network, answers, count = loaded.network, probes.answers, probes.new_tokens
    long, short = (loaded.tokenizer(prompt)["input_ids"] for prompt in probes.prompts)
    first, second = probes.first, probes.second

    def chances(ids: list[int], cell: Cell | None) -> Values:
        return log_chances(by_hand(network, ids, cell), answers)

    def decode(cell: Cell | None, **where: int) -> list[int]:
        return decoded_by_hand(network, long, cell, count=count, **where)

    last, end = len(long) - 1, len(long)
    unsteered = [chances(long, None), chances(short, None)]
    alike = [chances(long, first), chances(short, first)]
    return {
        "decoding": {"values": decode(first), "twins": [decode(None), decode(first, stop=end)]},
        "positions": {
            "values": decode(first, start=last),
            "twins": [decode(None), decode(first), decode(first, start=last, stop=end), decode(first, start=end)],
        },
        "left_padding": {"values": alike, "twins": [unsteered, [alike[0], unsteered[1]]]},
        "rows": {
            "values": [alike[0], chances(short, second)],
            "twins": [alike, unsteered, [chances(long, second), chances(short, second)]],
        },
        "clean_up": {"values": [unsteered[0]], "twins": [[alike[0]]]},
        "other_hooks": {"values": [1], "twins": [[0]]},
    }


# The run.


def peak_mib() -> float:
    """Highest resident memory of this process in MiB (VmHWM where there is one: ru_maxrss counts the parent's)."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 2**20)


def _cells(job: Mapping[str, Any], which: Sequence[int] | None) -> list[Cell]:
    cells = job["cells"] if which is None else [job["cells"][i] for i in which]
    directions = {int(layer): torch.tensor(values) for layer, values in job["directions"].items()}
    return [Cell(layer=layer, vector=coefficient * directions[layer]) for layer, coefficient in cells]


def _sweep(peer: Peer, loaded: Loaded, job: Mapping[str, Any], positions: str) -> dict[str, Any]:
    sweep, prompts = peer.sweep[positions], job["prompts"]
    which = None if positions in peer.whole_sweep else job["sample"]
    cells = _cells(job, which)
    began = time.perf_counter()
    sweep(loaded, prompts if which is None else prompts[:1], cells if which is None else cells[:1], job["answers"])
    warm_up = time.perf_counter() - began
    values, seconds = timed(
        lambda: sweep(loaded, prompts, cells, job["answers"]), lambda: plain_forwards(loaded, prompts)
    )
    kept = values if which is not None else [values[i] for i in job["sample"]]
    return {"values": kept, "n_cells_run": len(cells), "warm_up_seconds": warm_up, **seconds}


def _generation(peer: Peer, loaded: Loaded, job: Mapping[str, Any]) -> dict[str, Any]:
    (cell,) = _cells({"cells": [job["cell"]], "directions": job["directions"]}, None)
    prompts, count = job["prompts"], job["new_tokens"]
    peer.generate(loaded, prompts[:2], cell, 2)
    floor = encoded(loaded.tokenizer, prompts)
    values, seconds = timed(lambda: peer.generate(loaded, prompts, cell, count), lambda: greedy(loaded, floor, count))
    return {"values": values, **seconds}


def _extraction(peer: Peer, loaded: Loaded, job: Mapping[str, Any], out: Path) -> dict[str, Any]:
    assert peer.extract is not None
    peer.extract(loaded, job["texts"][:2])
    values, seconds = timed(lambda: peer.extract(loaded, job["texts"]), lambda: plain_forwards(loaded, job["texts"]))
    np.save(out, np.asarray(values, dtype=np.float32), allow_pickle=False)
    return {"values_file": out.name, **seconds}


def other_hooks(peer: Peer, loaded: Loaded, probes: Probes) -> Values:
    """How often a hook of the user's own fires in a plain forward, once the peer has steered one."""
    calls: list[None] = []
    handle = loaded.network.model.layers[0].register_forward_hook(lambda *_: calls.append(None))
    try:
        peer.sweep["all"](loaded, probes.prompts[:1], [probes.first], probes.answers)
        calls.clear()
        plain_forwards(loaded, probes.prompts[:1])
        return [len(calls)]
    finally:
        handle.remove()


def _probes(peer: Peer, loaded: Loaded, probes: Probes) -> dict[str, Any]:
    ways = {"other_hooks": {"a steered forward": lambda: other_hooks(peer, loaded, probes)}}
    ways |= peer.probes(loaded, probes)
    return {
        name: {way: or_error(lambda work=work: {"values": work()}) for way, work in own.items()}
        for name, own in ways.items()
    }


def measure(peer: Peer, job: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Everything that the job asks of the peer."""
    torch.set_num_threads(job["threads"])
    began = time.perf_counter()
    loaded = peer.load(job["model"])
    found: dict[str, Any] = {"load_seconds": time.perf_counter() - began, "notes": list(peer.notes)}
    found["plain"] = [
        log_chances(each, job["sweep"]["answers"]) for each in plain_forwards(loaded, job["sweep"]["prompts"])
    ]
    for positions in ("last", "all"):
        if positions in peer.sweep:
            found[f"sweep_{positions}"] = or_error(lambda at=positions: _sweep(peer, loaded, job["sweep"], at))
    found["generation"] = or_error(lambda: _generation(peer, loaded, job["generation"]))
    if peer.extract is not None:
        found["extraction"] = or_error(lambda: _extraction(peer, loaded, job["extraction"], out))
    found["peak_mib"] = peak_mib()
    if job["probes"] is not None:
        asked = job["probes"]
        first, second = _cells(asked, None)
        probes = Probes(
            prompts=asked["prompts"], first=first, second=second, answers=asked["answers"],
            new_tokens=asked["new_tokens"],
        )  # fmt: skip
        if job["reference"]:
            found["reference"] = reference(loaded, probes)
        found["probes"] = or_error(lambda: _probes(peer, loaded, probes))
    names = ("torch", "transformers", "numpy", *peer.packages)
    found["versions"] = {name: importlib.metadata.version(name) for name in names}
    found["versions"]["python"] = platform.python_version()
    found |= {"threads": torch.get_num_threads(), "dtype": str(next(loaded.network.parameters()).dtype)[6:]}
    return found


def run(peer: Peer) -> None:
    """The whole worker."""
    path = Path(sys.argv[1])
    found = measure(peer, json.loads(path.read_text()), path.with_suffix(".npy"))
    print("\n" + json.dumps(found))
