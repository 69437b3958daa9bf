"""Where a model looks while it writes, without and with steering: attention to the prompt's parts by layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from steerlab.interventions import Intervention
from steerlab.models import Model
from steerlab.results import write_json
from steerlab.steering import steer
from steerlab.studies.correctness_effect import STAGE, analysis_problems, effect_arms
from steerlab.studies.correctness_material import Bench
from steerlab.studies.correctness_writing import stage_rows
from steerlab.studies.latents_found import read_latents
from steerlab.studies.selected_coefficients import TARGETS, read_selected
from steerlab.tasks.problems import Problem
from steerlab.tasks.splits import draw_problems

FILE = "attention.json"
N_PROBLEMS = 8
PARTS = ("first token", "description", "tests", "header", "code")


def attention_stage(bench: Bench) -> dict[str, Any]:
    """Mean attention of the tokens of unsteered programs to each part, unsteered and steered: attention.json.

    The same text is read both times, so that only the steering differs. Where the model gives no attention weights
    the file says why.
    """
    material, out = bench.material, bench.opened.path
    selected = read_selected(out)
    found = read_latents(out, material.model)
    arms = effect_arms(bench, found, {target: float(selected[target]["value"]) for target in TARGETS})
    interventions = next(arm for arm in arms if arm.name == "steered").interventions
    bodies: dict[str, str] = dict(stage_rows(bench, "baseline")[["program", "body"]].itertuples(index=False))
    problems = draw_problems(analysis_problems(bench), N_PROBLEMS, seed=material.settings.seed)
    bench.step(f"{STAGE}: attention", 0, 1)
    measured = attention_change(material.model, problems, [bodies[p.id] for p in problems], interventions=interventions)
    write_json(out / FILE, measured)
    bench.step(f"{STAGE}: attention", 1, 1)
    return measured


def attention_change(
    model: Model, problems: Sequence[Problem], bodies: Sequence[str], *, interventions: Sequence[Intervention]
) -> dict[str, Any]:
    """Attention by layer and part, averaged over heads, the tokens of the body, and problems.

    {"parts", "layers", "unsteered": {part: [share by layer]}, "steered", "n"}; with "reason" instead of shares when the
    model gives none.
    """
    sums: dict[str, list[NDArray[np.float64]]] = {"unsteered": [], "steered": []}
    try:
        with _eager(model):
            for problem, body in zip(problems, bodies, strict=True):
                tokens, labels = _labelled(model, problem, body)
                sums["unsteered"].append(_shares(model, tokens, labels))
                with steer(model, *interventions):
                    sums["steered"].append(_shares(model, tokens, labels))
    except (ValueError, TypeError, NotImplementedError, AttributeError) as error:
        return {"n": 0, "reason": f"{model.name} gives no attention weights: {str(error).splitlines()[0][:160]}"}
    means = {arm: np.mean(parts, axis=0) for arm, parts in sums.items()}
    return {
        "n": len(problems),
        "layers": list(range(model.n_layers)),
        "parts": list(PARTS),
        **{
            arm: {part: [float(value) for value in mean[:, place]] for place, part in enumerate(PARTS)}
            for arm, mean in means.items()
        },
    }


@contextmanager
def _eager(model: Model) -> Iterator[None]:
    """Attention computed in the plain way, which is the only one that gives its weights."""
    network: Any = model.network
    before = network.config._attn_implementation
    network.set_attn_implementation("eager")
    try:
        yield
    finally:
        network.set_attn_implementation(before)


def _labelled(model: Model, problem: Problem, body: str) -> tuple[list[int], list[int]]:
    """Token ids of prompt and body, and the part (index into PARTS) that each token begins in."""
    text = problem.prompt + body
    encoded = model.tokenizer(text, add_special_tokens=True, return_offsets_mapping=True)
    tokens = [int(token) for token in encoded["input_ids"]]
    lines = _line_parts(problem.prompt)
    labels = []
    for place, (start, end) in enumerate(encoded["offset_mapping"]):
        if place == 0 or start == end:
            labels.append(0)
            continue
        labels.append(
            PARTS.index("code") if start >= len(problem.prompt) else lines[problem.prompt.count("\n", 0, start)]
        )
    return tokens, labels


def _line_parts(prompt: str) -> list[int]:
    """The part of each line of a prompt."""
    parts = []
    for line in prompt.split("\n"):
        stripped = line.strip()
        if stripped.startswith(("assert ", ">>>")):
            parts.append(PARTS.index("tests"))
        elif line.startswith(("def ", "class ", "import ", "from ")):
            parts.append(PARTS.index("header"))
        else:
            parts.append(PARTS.index("description"))
    return parts


def _shares(model: Model, tokens: Sequence[int], labels: Sequence[int]) -> NDArray[np.float64]:
    """[layer, part]: the attention of the tokens of the code (of the last token where there is none)."""
    ids = torch.tensor([list(tokens)], device=model.device)
    with torch.inference_mode():
        output = model.network(
            input_ids=ids, attention_mask=torch.ones_like(ids), output_attentions=True, use_cache=False
        )
    if not output.attentions or output.attentions[0] is None:
        raise ValueError("the network returned none")
    queries = [place for place, label in enumerate(labels) if label == PARTS.index("code")] or [len(tokens) - 1]
    member = np.eye(len(PARTS))[list(labels)]
    layers = [attention[0].float().mean(dim=0).cpu().numpy()[queries] for attention in output.attentions]
    return np.stack([(weights @ member).mean(axis=0) for weights in layers])


def change_by_part(measured: Mapping[str, Any]) -> dict[str, list[float]]:
    """Steered minus unsteered share by part, layer by layer; empty where there is none."""
    if not measured.get("n"):
        return {}
    return {
        part: [
            after - before for before, after in zip(measured["unsteered"][part], measured["steered"][part], strict=True)
        ]
        for part in measured["parts"]
    }
