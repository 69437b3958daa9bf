"""The training loop: one core, fixed-length buckets, compiled pieces, checkpoints that survive a kill."""

from __future__ import annotations

import argparse
import json
import math
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from training import model as pieces
from training.items import KINDS

BUCKETS = (128, 160, 192, 224, 256, 320, 384, 512, 768)
STEP_TOKENS = 4096
LOSS_UNIT = 20.0  # the weighted loss of a step is divided by this (about the number of answers in a step)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How one run trains. Seconds are wall time of active training, over all resumes."""

    seconds: float
    rate: float = 8e-4
    warmup_seconds: float = 60.0
    hold: float = 0.55
    decay: float = 0.02
    readout: float = 1.0
    checkpoint_seconds: float = 150.0
    evaluate_seconds: float = 240.0
    seed: int = 1


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Rows of one bucket, flat; `rows` x `length` tokens, padded to STEP_TOKENS."""

    rows: int
    length: int
    tokens: Tensor
    picked: Tensor
    targets: Tensor
    weights: Tensor
    answer_rows: Tensor
    flaw_at: Tensor
    flaws: Tensor
    flaw_weights: Tensor


def rate_at(seconds: float, settings: Settings) -> float:
    """Warm-up, constant until `hold` of the time, then linear to zero."""
    if seconds < settings.warmup_seconds:
        return settings.rate * (seconds + 1) / settings.warmup_seconds
    done = seconds / settings.seconds
    return settings.rate * min(1.0, max(0.0, (1 - done) / (1 - settings.hold)))


def make_batch(shard: dict[str, np.ndarray], members: list[int], length: int) -> Batch:
    """The named items of a shard as one batch; losses only where a weight is set, in whole blocks of 1,024 targets."""
    offsets = shard["offsets"]
    tokens = np.ones(STEP_TOKENS, dtype=np.int64)
    picked, targets, weights, answers, flaw_at, flaws, flaw_weights = [], [], [], [], [], [], []
    for row, item in enumerate(members):
        start, stop = offsets[item], offsets[item + 1]
        at = row * length
        tokens[at : at + stop - start] = shard["tokens"][start:stop]
        weight = shard["weights"][start:stop].astype(np.float32)
        weight[0] = 0.0
        where = np.nonzero(weight)[0]
        answer = shard["answers"][item]
        if answer >= 0:
            answers.extend(sum(map(len, picked)) + np.nonzero(where == answer)[0])
        picked.append(at + where - 1)
        targets.append(shard["tokens"][start:stop][where])
        weights.append(weight[where])
        flaw_weight = shard["flaw_weights"][start:stop]
        where = np.nonzero(flaw_weight)[0]
        flaw_at.append(at + where)
        flaws.append(shard["flaws"][start:stop][where])
        flaw_weights.append(flaw_weight[where])

    def padded(parts: list[np.ndarray], kind: type, block: int) -> Tensor:
        joined = np.concatenate(parts).astype(kind)
        room = max(block, math.ceil(len(joined) / block) * block)
        return torch.from_numpy(np.concatenate([joined, np.zeros(room - len(joined), dtype=kind)]))

    return Batch(
        rows=STEP_TOKENS // length,
        length=length,
        tokens=torch.from_numpy(tokens),
        picked=padded(picked, np.int64, 1024),
        targets=padded(targets, np.int64, 1024),
        weights=padded(weights, np.float32, 1024),
        answer_rows=torch.tensor(answers, dtype=torch.int64),
        flaw_at=padded(flaw_at, np.int64, 1),
        flaws=padded(flaws, np.float32, 1),
        flaw_weights=padded(flaw_weights, np.float32, 1),
    )


def shard_batches(shard: dict[str, np.ndarray], random_source: np.random.Generator) -> Iterator[Batch]:
    """All full batches of a shard in random order; neighbours (the two sides of a pair) stay together."""
    lengths = np.diff(shard["offsets"])
    kinds = shard["kinds"]
    units: dict[int, list[list[int]]] = {bucket: [] for bucket in BUCKETS}
    number = 0
    while number < len(lengths):
        paired = (
            kinds[number] in (KINDS.index("detect"), KINDS.index("absent"))
            and number + 1 < len(lengths)
            and kinds[number + 1] == kinds[number]
        )
        members = [number, number + 1] if paired else [number]
        longest = int(max(lengths[member] for member in members))
        bucket = next(bucket for bucket in BUCKETS if bucket >= longest)
        units[bucket].append(members)
        number += len(members)
    plan: list[tuple[int, list[int]]] = []
    for bucket, groups in units.items():
        random_source.shuffle(groups)
        members = []
        for group in groups:
            if len(members) + len(group) > STEP_TOKENS // bucket:
                plan.append((bucket, members))
                members = []
            members = members + group
        if len(members) * bucket > STEP_TOKENS // 2:
            plan.append((bucket, members))
    random_source.shuffle(plan)
    for bucket, members in plan:
        yield make_batch(shard, members, bucket)


def attend(q: Tensor, k: Tensor, v: Tensor, rows: int, length: int) -> Tensor:
    """Causal attention over rows of one length, from flat (tokens, heads, d_head) to flat (tokens, d_model)."""
    used = rows * length
    total, heads, d_head = q.shape
    q, k, v = (t[:used].view(rows, length, heads, d_head).transpose(1, 2) for t in (q, k, v))
    scores = (q @ k.transpose(-1, -2)).float() * (d_head**-0.5)
    later = torch.ones(length, length, dtype=torch.bool).triu(1)
    probabilities = scores.masked_fill(later, float("-inf")).softmax(-1).to(torch.bfloat16)
    mixed = (probabilities @ v).transpose(1, 2).reshape(used, heads * d_head)
    return functional.pad(mixed, (0, 0, 0, total - used))


class Trainer:
    """Weights in bfloat16 with float32 masters, the optimizer and the compiled pieces."""

    def __init__(self, shape: pieces.Shape, settings: Settings, compiled: bool = True) -> None:
        self.shape, self.settings = shape, settings
        masters = pieces.initial_weights(shape, settings.seed)
        self.names = list(masters)
        decayed = [name for name in self.names if masters[name].ndim == 2 and name != "aux"]
        self.order = decayed + [name for name in self.names if name not in decayed]
        self.masters = []
        self.views: dict[str, Tensor] = {}
        for group in (decayed, self.order[len(decayed) :]):
            flat = torch.cat([masters[name].reshape(-1) for name in group]).requires_grad_()
            flat.grad = torch.zeros_like(flat)
            at = 0
            for name in group:
                size = masters[name].numel()
                self.views[name] = flat.detach()[at : at + size].view(masters[name].shape)
                at += size
            self.masters.append((group, flat))
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [self.masters[0][1]], "weight_decay": settings.decay},
                {"params": [self.masters[1][1]], "weight_decay": 0.0},
            ],
            lr=settings.rate,
            betas=(0.9, 0.98),
            fused=True,
        )
        self.weights = {name: self.views[name].to(torch.bfloat16).requires_grad_() for name in self.names}
        self.cos, self.sin = pieces.rope_tables(shape, shape.context)
        self.rotations = {b: self._rotation(b) for b in BUCKETS}
        torch._dynamo.config.recompile_limit = 64  # one attention kernel per bucket
        wrap = (lambda f: torch.compile(f, dynamic=False)) if compiled else (lambda f: f)
        self.before, self.after, self.losses, self.attend = (
            wrap(pieces.before_attention),
            wrap(pieces.after_attention),
            wrap(pieces.token_losses),
            wrap(attend),
        )

    def _rotation(self, bucket: int) -> tuple[Tensor, Tensor]:
        position = torch.arange(STEP_TOKENS) % bucket
        return self.cos[position].contiguous(), self.sin[position].contiguous()

    def residuals(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The last residual and the one that the flaw readout reads."""
        w = self.weights
        cos, sin = self.rotations[batch.length]
        residual = functional.embedding(batch.tokens, w["embed"])
        read = residual
        for layer in range(self.shape.n_layers):
            q, k, v = self.before(residual, w[f"{layer}.norm1"], w[f"{layer}.qkv"], w[f"{layer}.qkv_bias"], cos, sin)
            mixed = self.attend(q, k, v, batch.rows, batch.length)
            residual = self.after(
                residual, mixed, w[f"{layer}.out"], w[f"{layer}.norm2"], w[f"{layer}.gate_up"], w[f"{layer}.down"]
            )
            if layer == self.shape.aux_layer:
                read = residual
        return residual, read

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        w = self.weights
        residual, read = self.residuals(batch)
        losses = self.losses(residual[batch.picked], w["norm"], w["embed"], batch.targets)
        total = (losses * batch.weights).sum() / LOSS_UNIT
        noted = {"nll": float((losses.detach() * (batch.weights > 0)).sum()), "nll_n": float((batch.weights > 0).sum())}
        answers = losses.detach()[batch.answer_rows]
        noted |= {
            "answer": float(answers.sum()),
            "answer_n": float(len(answers)),
            "right": float((answers < 0.6931).sum()),
        }
        if self.settings.readout and batch.flaw_weights.sum() > 0:
            rows = read[batch.flaw_at].float()
            rows = rows * torch.rsqrt(rows.square().mean(-1, keepdim=True) + 1e-6)
            logits = rows @ w["aux"][0].float()
            flaw = functional.binary_cross_entropy_with_logits(logits, batch.flaws, reduction="none")
            total = total + self.settings.readout * (flaw * batch.flaw_weights).sum() / LOSS_UNIT
            key = batch.flaw_weights > 0.3
            noted |= {"flaw": float(flaw.detach()[key].sum()), "flaw_n": float(key.sum())}
        return total, noted

    def step(self, batch: Batch, rate: float) -> dict[str, float]:
        total, noted = self.loss(batch)
        total.backward()
        for group, flat in self.masters:
            at = 0
            for name in group:
                grad = self.weights[name].grad
                size = self.weights[name].numel()
                if grad is None:
                    flat.grad[at : at + size] = 0.0
                else:
                    flat.grad[at : at + size] = grad.reshape(-1)
                self.weights[name].grad = None
                at += size
        norm = math.sqrt(sum(float(flat.grad.norm()) ** 2 for _, flat in self.masters))
        if not math.isfinite(norm):
            return noted | {"skipped": 1.0}
        for _, flat in self.masters:
            flat.grad.mul_(min(1.0, 1.0 / (norm + 1e-6)))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        with torch.no_grad():
            for name in self.names:
                self.weights[name].copy_(self.views[name])
        return noted | {"norm": norm, "steps": 1.0}

    def state(self) -> dict[str, object]:
        return {
            "shape": asdict(self.shape),
            "masters": [flat.detach() for _, flat in self.masters],
            "optimizer": self.optimizer.state_dict(),
            "named": {name: self.views[name] for name in self.names},
        }

    def begin_from(self, weights: dict[str, Tensor]) -> None:
        """Take over the named weights; those not named (the readout, added layers) stay as they were drawn."""
        with torch.no_grad():
            for name, weight in weights.items():
                self.views[name].copy_(weight)
                self.weights[name].copy_(weight)

    def load(self, state: dict[str, object]) -> None:
        with torch.no_grad():
            for (_, flat), saved in zip(self.masters, state["masters"], strict=True):
                flat.copy_(saved)
            for name in self.names:
                self.weights[name].copy_(self.views[name])
        self.optimizer.load_state_dict(state["optimizer"])


def load_shard(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files}


def verdict_accuracy(trainer: Trainer, shard: dict[str, np.ndarray], yes: int, no: int) -> dict[str, float]:
    """Balanced accuracy of " yes" against " no" over a shard of whole pairs (even items vulnerable), and pair order."""
    margins = np.zeros(len(shard["kinds"]))
    lengths = np.diff(shard["offsets"])
    with torch.no_grad():
        order = np.argsort(lengths, kind="stable")
        buckets = np.asarray([next(b for b in BUCKETS if b >= n) for n in lengths])
        for bucket in sorted(set(buckets.tolist())):
            members = [int(item) for item in order if buckets[item] == bucket]
            rows = STEP_TOKENS // bucket
            for start in range(0, len(members), rows):
                part = members[start : start + rows]
                batch = make_batch(shard, part, bucket)
                residual, _ = trainer.residuals(batch)
                at = torch.tensor([row * bucket + int(shard["answers"][item]) - 1 for row, item in enumerate(part)])
                last = pieces.rms_norm(residual[at], trainer.weights["norm"]).float()
                margins[part] = (last @ (trainer.weights["embed"][yes] - trainer.weights["embed"][no]).float()).numpy()
    vulnerable, patched = margins[0::2], margins[1::2]
    return {
        "balanced": float(((vulnerable > 0).mean() + (patched <= 0).mean()) / 2),
        "order": float((vulnerable > patched).mean() + (vulnerable == patched).mean() / 2),
        "pairs": float(len(vulnerable)),
    }


def averages(sums: dict[str, float]) -> dict[str, float]:
    """What the log says of the steps since its last line."""

    def mean(name: str, count: str) -> float:
        return round(sums.get(name, 0.0) / max(1.0, sums.get(count, 0.0)), 4)

    return {
        "answer_loss": mean("answer", "answer_n"),
        "answer_right": mean("right", "answer_n"),
        "flaw_loss": mean("flaw", "flaw_n"),
        "nll": mean("nll", "nll_n"),
        "norm": mean("norm", "steps"),
        "skipped": sums.get("skipped", 0.0),
        "tokens_per_s": round(sums["tokens"] / sums["elapsed"]),
    }


def resumed(trainer: Trainer, checkpoint: Path, start: Path | None) -> dict[str, float]:
    """What has been done so far: the checkpoint's counts with its weights, or zeros with those of `start`, if any."""
    if not checkpoint.exists():
        if start is not None:
            trainer.begin_from(pieces.fused_weights(load_file(start / "model.safetensors"), trainer.shape))
        return {"seconds": 0.0, "tokens": 0.0, "items": 0.0, "steps": 0.0, "shard": 0.0}
    saved = torch.load(checkpoint, weights_only=False)
    trainer.load(saved)
    return dict(saved["progress"])


def train(work: Path, shape: pieces.Shape, settings: Settings, items: Path, start: Path | None = None) -> None:
    """Train until the planned seconds are used, a file STOP appears in `work` or beside it, or SIGTERM.

    Resumes from `checkpoint.pt` in `work`, at the beginning of the shard that was being read. `start` names an exported
    model to begin from when there is no checkpoint yet.
    """
    trainer = Trainer(shape, settings)
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopping.append(number))
    checkpoint = work / "checkpoint.pt"
    progress = resumed(trainer, checkpoint, start)

    def asked_to_stop() -> bool:
        return bool(stopping) or (work / "STOP").exists() or (work.parent / "STOP").exists()

    def save() -> None:
        torch.save(trainer.state() | {"progress": progress, "settings": asdict(settings)}, work / "checkpoint.tmp")
        (work / "checkpoint.tmp").rename(checkpoint)

    def note(row: dict[str, object]) -> None:
        with (work / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps({"time": time.strftime("%H:%M:%S"), **row}) + "\n")
        print(row, flush=True)

    answers = json.loads((items / "answers.json").read_text())
    probes = {path.stem: load_shard(path) for path in sorted(items.glob("probe_*.npz"))}
    random_source = np.random.default_rng(settings.seed + int(progress["steps"]))
    sums, next_evaluation = dict[str, float](), progress["seconds"] + settings.evaluate_seconds / 2
    last = last_note = last_save = time.monotonic()
    note({"event": "start", **progress, "shape": asdict(shape), "settings": asdict(settings)})
    while progress["seconds"] < settings.seconds and not asked_to_stop():
        available = sorted(items.glob("shard_*.npz"))
        number = int(progress["shard"])
        path = (
            available[number]
            if number < len(available)
            else available[int(random_source.integers(len(available) // 2, len(available)))]
        )
        for batch in shard_batches(load_shard(path), random_source):
            noted = trainer.step(batch, rate_at(progress["seconds"], settings))
            for key, value in noted.items():
                sums[key] = sums.get(key, 0.0) + value
            now = time.monotonic()
            progress["seconds"] += now - last
            sums["elapsed"] = sums.get("elapsed", 0.0) + now - last
            last = now
            progress["tokens"] += batch.rows * batch.length
            progress["items"] += noted["answer_n"]
            progress["steps"] += 1
            sums["tokens"] = sums.get("tokens", 0.0) + batch.rows * batch.length
            if now - last_note > 30:
                where = {"shard": path.stem, "rate": round(rate_at(progress["seconds"], settings), 6)}
                note({name: round(value) for name, value in progress.items()} | where | averages(sums))
                sums, last_note = {}, now
            if progress["seconds"] >= next_evaluation:
                scores = {
                    name: verdict_accuracy(trainer, shard, answers["yes"], answers["no"])
                    for name, shard in probes.items()
                }
                note(
                    {
                        "event": "evaluation",
                        "seconds": round(progress["seconds"]),
                        **{n: {k: round(v, 3) for k, v in s.items()} for n, s in scores.items()},
                    }
                )
                next_evaluation = progress["seconds"] + settings.evaluate_seconds
            if now - last_save > settings.checkpoint_seconds:
                save()
                last_save = time.monotonic()
            if progress["seconds"] >= settings.seconds or asked_to_stop():
                break
        else:
            progress["shard"] += 1
    save()
    note({"event": "end", **progress, "stopped_by": "signal" if stopping else "time or STOP"})


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--rate", type=float, default=8e-4)
    parser.add_argument("--readout", type=float, default=1.0)
    parser.add_argument("--warmup", type=float, default=60.0)
    parser.add_argument("--evaluate", type=float, default=240.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--hold", type=float, default=0.55)
    parser.add_argument("--start", type=Path, help="an exported model whose weights training begins from")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    shape = pieces.Shape(n_layers=options.layers, aux_layer=options.layers - 3)
    settings = Settings(
        seconds=options.seconds,
        rate=options.rate,
        readout=options.readout,
        warmup_seconds=options.warmup,
        evaluate_seconds=options.evaluate,
        hold=options.hold,
    )
    train(options.work, shape, settings, options.items, options.start)


if __name__ == "__main__":
    main()
