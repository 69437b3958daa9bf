"""Train a sparse autoencoder on a model's residual stream: TopK or BatchTopK, dead latents revived, resumable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from steerlab.autoencoders import SparseAutoencoder
from steerlab.errors import OptionError, RunError, nearest
from steerlab.formats.sae_saelens import write_saelens
from steerlab.latents.checkpoints import State, fresh_state, load_checkpoint, save_checkpoint
from steerlab.latents.reading import token_residuals
from steerlab.latents.texts import TrainingTexts, round_of, token_rows
from steerlab.models import Model, check_layers
from steerlab.trials import digest

KINDS = ("topk", "batchtopk")
Step = Callable[["Report"], None]

ROUND_TEXTS = 96  # whose tokens are mixed
BATCH_TOKENS = 512
LONGEST_TEXT = 512  # tokens
WARM_UP, COOL_DOWN = 0.02, 0.8  # shares of the tokens after which the rate is full, and begins to fall
AUXILIARY = 1 / 32  # weight of the dead latents' loss
THRESHOLD_RATE = 0.01
CHECKPOINT_ROUNDS = 4


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """What a training run is made of. `k`: active latents per token (on average, for batchtopk); `rate`: Adam's.

    `tokens` are how many residuals are shown, `dead_tokens` after how many a silent latent counts as dead.
    Raises: OptionError for settings that are not possible.
    """

    layer: int
    n_latents: int
    k: int = 32
    kind: str = "batchtopk"
    tokens: int = 2_000_000
    dead_tokens: int = 100_000
    rate: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise OptionError(f"kind {self.kind!r} does not exist. {nearest(self.kind, KINDS)}")
        if not 1 <= self.k <= self.n_latents:
            raise OptionError(f"k {self.k} is not possible with {self.n_latents} latents: choose one within them.")
        if self.tokens < BATCH_TOKENS or self.rate <= 0:
            raise OptionError(
                f"{self.tokens} tokens at rate {self.rate}: train on {BATCH_TOKENS} or more, rate above 0."
            )


@dataclass(frozen=True, kw_only=True)
class Report:
    """How a training goes, after a round: means over its batches. `explained_variance` is of training tokens."""

    tokens: int
    total: int
    explained_variance: float
    l0: float
    dead: float


def train(
    model: Model,
    texts: TrainingTexts,
    settings: TrainingSettings,
    *,
    folder: Path,
    resume: bool = False,
    step: Step | None = None,
) -> SparseAutoencoder:
    """Train on the residual at `settings.layer` of the texts' tokens (all but the first of each piece).

    Streams: a round of texts is read, its residuals are mixed and shown in batches. The state is kept in `folder` after
    every few rounds; with `resume` the run goes on there and ends as if it had not been stopped. The autoencoder has
    decoder rows of norm 1 in residual units; batchtopk becomes jumprelu with the threshold that training tracked.
    Source: TopK and auxiliary loss, arXiv:2406.04093; BatchTopK, arXiv:2412.06410.
    Raises: LayerError, OptionError; RunError when `folder` holds another run, or one and `resume` is not set.
    """
    check_layers(model, [settings.layer])
    key = digest([asdict(settings), texts.sha256, model.fingerprint.sha256])
    path = folder / "checkpoint.safetensors"
    if path.exists() and not resume:
        raise RunError(f"{folder} holds an unfinished training: go on with --resume, or choose another place.")
    state = load_checkpoint(path, key=key) if path.exists() else None
    if state is None:
        state = _first_state(model, texts, settings)
    while state.tokens < settings.tokens:
        report = _round(model, texts, settings, state)
        if state.rounds % CHECKPOINT_ROUNDS == 0 and state.tokens < settings.tokens:
            save_checkpoint(state, path, key=key)
        if step is not None:
            step(report)
    found = write_saelens(_finished(model, state, settings), folder, facts=_facts(model, texts, settings))
    path.unlink(missing_ok=True)
    return found


def _facts(model: Model, texts: TrainingTexts, settings: TrainingSettings) -> dict[str, object]:
    return {
        "model_sha256": model.fingerprint.sha256,
        "training": asdict(settings),
        "texts_sha256": texts.sha256,
        "skipped_tokens": 1,
        "context_size": LONGEST_TEXT,
    }


def _residuals(model: Model, texts: TrainingTexts, settings: TrainingSettings, number: int) -> Tensor:
    """The mixed residuals of a round's tokens, the same ones whenever it is read."""
    own = round_of(texts.training, number, size=ROUND_TEXTS, seed=settings.seed)
    longest = min(LONGEST_TEXT, model.context or LONGEST_TEXT)
    rows = token_rows(model, own, longest=longest)
    seen = torch.cat([part.cpu() for _, part in token_residuals(model, rows, layer=settings.layer)])
    order = np.random.default_rng([settings.seed, number, 1]).permutation(len(seen))
    return seen[torch.from_numpy(order)]


def _first_state(model: Model, texts: TrainingTexts, settings: TrainingSettings) -> State:
    """Random unit decoder rows, the encoder their transpose; inputs scaled to a mean norm of sqrt(d_model)."""
    residual = _residuals(model, texts, settings, 0)
    scale = float(residual.norm(dim=1).mean()) / model.d_model**0.5
    generator = torch.Generator().manual_seed(settings.seed)
    rows = torch.randn(settings.n_latents, model.d_model, generator=generator)
    rows = rows / rows.norm(dim=1, keepdim=True)
    weights = {
        "w_enc": rows.T.contiguous(),
        "w_dec": rows,
        "b_enc": torch.zeros(settings.n_latents),
        "b_dec": residual.mean(dim=0) / scale,
    }
    return fresh_state(weights, scale=scale)


def _round(model: Model, texts: TrainingTexts, settings: TrainingSettings, state: State) -> Report:
    sums = torch.zeros(4, dtype=torch.float64)
    residual = _residuals(model, texts, settings, state.rounds) / state.scale
    for batch in residual.split(BATCH_TOKENS):  # type: ignore[no-untyped-call]
        if len(batch) < BATCH_TOKENS // 2 and len(residual) > BATCH_TOKENS:
            continue  # a small last batch would weigh as much as a full one
        error, variance, active = _step(batch, settings, state)
        sums += torch.tensor([error, variance, active, len(batch)], dtype=torch.float64)
        if state.tokens >= settings.tokens:
            break
    state.rounds += 1
    return Report(
        tokens=min(state.tokens, settings.tokens),
        total=settings.tokens,
        explained_variance=float(1 - sums[0] / sums[1]),
        l0=float(sums[2] / sums[3]),
        dead=float((state.silent > settings.dead_tokens).float().mean()),
    )


def _step(
    batch: Float[Tensor, "token d_model"], settings: TrainingSettings, state: State
) -> tuple[float, float, float]:
    """One step of Adam. Gives the squared error, the variance (both summed) and the number of active latents."""
    weights = state.weights
    raw = (batch - weights["b_dec"]) @ weights["w_enc"] + weights["b_enc"]
    pre = raw.relu()
    kept, cut = _kept(pre.detach(), settings)
    activations = pre * kept
    error = batch - activations @ weights["w_dec"] - weights["b_dec"]
    variance = float((batch - batch.mean(dim=0)).square().sum())
    squared = error.square().sum()
    loss = squared / variance
    dead = state.silent > settings.dead_tokens
    if bool(dead.any()):
        loss = loss + AUXILIARY * _dead_loss(raw, error.detach(), dead, weights["w_dec"])
    state.optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    _along_the_sphere(weights["w_dec"])
    share = state.tokens / settings.tokens
    falling = max(0.0, (1 - share) / (1 - COOL_DOWN)) if share > COOL_DOWN else 1.0
    state.optimiser.param_groups[0]["lr"] = settings.rate * min(1.0, share / WARM_UP + 0.01) * falling
    state.optimiser.step()
    with torch.no_grad():
        weights["w_dec"] /= weights["w_dec"].norm(dim=1, keepdim=True)
    fired = kept.any(dim=0)
    state.silent = torch.where(fired, 0, state.silent + len(batch))
    state.threshold = cut if state.tokens == 0 else state.threshold + THRESHOLD_RATE * (cut - state.threshold)
    state.tokens += len(batch)
    return float(squared.detach()), variance, float(kept.sum())


def _kept(pre: Float[Tensor, "token latent"], settings: TrainingSettings) -> tuple[Bool[Tensor, "token latent"], float]:
    """Which activations stay: the k largest of each token, or k per token of the batch; and the least that did."""
    if settings.kind == "topk":
        places = pre.topk(settings.k, dim=1, sorted=False).indices
        return torch.zeros_like(pre, dtype=torch.bool).scatter_(1, places, True) & (pre > 0), 0.0
    n = settings.k * len(pre)
    cut = float(np.partition(pre.numpy().ravel(), -n)[-n])  # 15 times as fast as torch's topk of 2 million on a CPU
    return (pre >= cut) & (pre > 0), cut


def _dead_loss(raw: Tensor, error: Tensor, dead: Bool[Tensor, " latent"], w_dec: Tensor) -> Tensor:
    """How well the most active dead latents rebuild what the others left, as a share of it.

    Their values before the ReLU count, negative ones too: a latent that is never positive still learns.
    """
    own = torch.nonzero(dead)[:, 0]
    values, places = raw[:, own].topk(min(len(own), error.shape[1] // 2), dim=1, sorted=False)
    activations = torch.zeros(len(raw), len(own)).scatter(1, places, values)
    left = error - activations @ w_dec[own]
    share = min(1.0, len(own) / (error.shape[1] // 2))
    return share * left.square().sum() / error.square().sum().clamp_min(1e-9)


def _along_the_sphere(w_dec: Tensor) -> None:
    """Take the part along each row out of its gradient: rows keep their norm."""
    assert w_dec.grad is not None
    along = (w_dec.grad * w_dec.detach()).sum(dim=1, keepdim=True)
    w_dec.grad -= along * w_dec.detach()


def _finished(model: Model, state: State, settings: TrainingSettings) -> SparseAutoencoder:
    """The trained weights in residual units: activations grow by the scale, decoder rows keep norm 1."""
    weights = {name: tensor.detach().clone() for name, tensor in state.weights.items()}
    jump = settings.kind == "batchtopk"
    return SparseAutoencoder(
        w_enc=weights["w_enc"],
        w_dec=weights["w_dec"],
        b_enc=weights["b_enc"] * state.scale,
        b_dec=weights["b_dec"] * state.scale,
        activation="jumprelu" if jump else "topk",
        threshold=torch.full_like(weights["b_enc"], state.threshold * state.scale) if jump else None,
        k=None if jump else settings.k,
        subtract_b_dec=True,
        layer=settings.layer,
        site=f"blocks.{settings.layer}.hook_resid_post",
        name=f"{model.name.rstrip('/').rpartition('/')[2]}-layer-{settings.layer}",
        model=model.name,
        producer="steerlab",
        sha256="",
    )
