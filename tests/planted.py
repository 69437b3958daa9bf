"""A tiny network in which one direction decides whether a program passes, its problems, and a made autoencoder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import transformers

from conftest import ARCHITECTURES, byte_tokenizer
from steerlab.autoencoders import SparseAutoencoder
from steerlab.models import Model, inspect_model
from steerlab.sandbox import CheckResult, SandboxResult
from steerlab.tasks.problems import Problem

LAYER, N_LATENTS = 1, 48
BEST = 30.0  # of the grid 1, 3, 10, ...: 10 corrects only the near misses, 100 breaks every program


@dataclass(frozen=True, kw_only=True)
class Planted:
    """The model, its problems, the autoencoder, and which of its latents are the planted ones."""

    model: Model
    problems: tuple[Problem, ...]
    autoencoder: SparseAutoencoder
    correct: int
    incorrect: int


def planted(seed: int, *, n: int = 200) -> Planted:
    """Make it all from a seed.

    The network writes " 1" (passes) where the residual's projection on a direction is positive, " x" (fails) where it
    is not, and "zz" (does not parse) where it is very large. Attention brings the projection from the letters of the
    prompt: w for passing, q for failing, many or few.
    """
    rng = np.random.default_rng(seed)
    network, axes = _network(rng)
    problems = tuple(_problem(number, rng) for number in range(n))
    model = inspect_model(network, byte_tokenizer(), name=f"planted-{seed}")
    gaps = np.abs([_projection(model, problem.prompt, axes["d"]) for problem in problems])
    # 30 directions are 1.5 of the largest gap: 10 are half of it, 100 are 5 times it
    direction = axes["d"] * float(1.5 * gaps.max() / BEST)
    _break_above(network, axes, 3.2 * float(gaps.max()))
    correct, incorrect = (int(i) for i in rng.permutation(N_LATENTS)[:2])
    autoencoder = _autoencoder(rng, axes["d"], direction, (correct, incorrect))
    return Planted(model=model, problems=problems, autoencoder=autoencoder, correct=correct, incorrect=incorrect)


def _network(rng: np.random.Generator) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    kind, options = ARCHITECTURES["llama"]
    network = transformers.AutoModelForCausalLM.from_config(kind(**options), dtype=torch.float32)
    basis = torch.linalg.qr(torch.from_numpy(rng.normal(size=(32, 32))).float()).Q
    axes = dict(zip(("d", "s", "newline", "space"), basis.T[:4], strict=True))
    free = basis[:, 4:]
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_() if parameter.ndim > 1 else parameter.fill_(1.0)
        letters = torch.from_numpy(rng.normal(size=(260, 28))).float() @ free.T
        table = letters / letters.norm(dim=1, keepdim=True)
        table[_token("w")] += axes["s"]
        table[_token("q")] -= axes["s"]
        table[_token("\n")], table[_token(" ")] = axes["newline"], axes["space"]
        network.model.embed_tokens.weight.copy_(table)
        attention = network.model.layers[0].self_attn
        attention.v_proj.weight[0] = axes["s"]
        attention.o_proj.weight[:, 0] = 3.0 * axes["d"]
        head = network.lm_head.weight
        head[_token(" ")] = 10 * axes["newline"]
        head[_token("1")] = 10 * axes["space"] + 0.01 * axes["d"]
        head[_token("x")] = 10 * axes["space"] - 0.01 * axes["d"]
    return network.eval(), axes


def _token(character: str) -> int:
    (token,) = byte_tokenizer()(character, add_special_tokens=False)["input_ids"]
    return int(token)


def _problem(number: int, rng: np.random.Generator) -> Problem:
    kind = number % 5  # two in five fail, one of them by little: each kind has its complexity, so every draw has some
    letter, many = ("q" if kind in (1, 3) else "w"), (3 if kind in (3, 4) else 12)
    filler = "".join(rng.choice(list("abcdefgh"), size=16 - many))
    word = "".join(rng.permutation(list(letter * many + filler)))
    prompt = f'"""\n{word}\n"""\ndef f():\n'
    return Problem(
        id=f"planted/{number}",
        source="planted",
        prompt=prompt,
        entry="f",
        tests=("assert f() is None",),
        setup="",
        reference=f"{prompt} 1\n",
        complexity=1 + kind,
        band=1 + number % 4,
    )


def _projection(model: Model, prompt: str, direction: torch.Tensor) -> float:
    ids = torch.tensor([model.tokenizer(f"{prompt} ")["input_ids"]])
    with torch.inference_mode():
        found = model.network(input_ids=ids, output_hidden_states=True).hidden_states[LAYER + 1]
    return float(found[0, -1] @ direction)


def _break_above(network: torch.nn.Module, axes: dict[str, torch.Tensor], limit: float) -> None:
    """Let "z" win over the blank where the projection at the end of the prompt is above `limit`."""
    with torch.no_grad():
        network.lm_head.weight[_token("z")] = 10 / limit * axes["d"]


def _autoencoder(
    rng: np.random.Generator, axis: torch.Tensor, direction: torch.Tensor, latents: tuple[int, int]
) -> SparseAutoencoder:
    rows = torch.from_numpy(rng.normal(size=(N_LATENTS, 32))).float()
    rows /= rows.norm(dim=1, keepdim=True)
    rows -= (rows @ axis)[:, None] * axis
    encoder, decoder, threshold = rows.clone(), rows * direction.norm(), torch.full((N_LATENTS,), 0.1)
    for latent, sign in zip(latents, (1, -1), strict=True):
        encoder[latent], decoder[latent], threshold[latent] = sign * axis, sign * direction, 0.0
    return SparseAutoencoder(
        w_enc=encoder.T.contiguous(),
        w_dec=decoder,
        b_enc=torch.zeros(N_LATENTS),
        b_dec=torch.zeros(32),
        activation="jumprelu",
        threshold=threshold,
        layer=LAYER,
        site=f"blocks.{LAYER}.hook_resid_post",
        name="planted",
        model="planted",
        producer="test",
        sha256="0" * 64,
    )


def judged_here(problems: list[Problem], programs: list[str], **_: object) -> list[CheckResult]:
    """What the sandbox would say of the three programs that a planted network writes, without starting it."""
    return [
        CheckResult(passed=program.endswith("def f():\n 1\n"), reason="judged here", run=SandboxResult())
        for program in programs
    ]
