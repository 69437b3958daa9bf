"""The README of a folded checkpoint: what was folded into which model, and how exactly it does what hooks do."""

from __future__ import annotations

from dataclasses import asdict

from steerlab.bake.checking import Folded
from steerlab.interventions import Intervention
from steerlab.models import Model


def model_card(model: Model, intervention: Intervention, folded: Folded) -> str:
    """The text of README.md."""
    import steerlab

    vector = intervention.vector
    recipe = ", ".join(f"{key} {value}" for key, value in asdict(vector.recipe).items() if value not in ("", 0))
    lines = [
        f"# {model.name}, steered",
        "",
        f"{model.name} with a steering vector folded into its weights by steerlab {steerlab.__version__}. It runs "
        "wherever a checkpoint of its architecture (see config.json) runs, and always steers, at every position.",
        "",
        f"- base model: {model.name} (fingerprint {model.fingerprint.sha256})",
        f"- vector: {recipe}",
        f"- operation {intervention.operation}, coefficient {intervention.coefficient:g}, dose {intervention.dose}",
        *(_layer_line(intervention, layer) for layer in (vector.layers if intervention.operation == "add" else ())),
        f"- how: {folded.how}; {len(folded.changed)} tensors changed or added",
        f"- stored in {folded.dtype}",
        "",
        f"Checked when it was written, on {folded.n_tokens} random tokens: its logits differ from those of "
        f"{folded.reference} by at most {folded.difference:.3g} ({folded.relative:.2g} standard deviations of the "
        f"logits); the steering itself moves them by up to {folded.moved:.3g} standard deviations.",
    ]
    if folded.from_layer_hooks is not None:
        lines += [
            "",
            "The direction is removed from everything that is written to the residual stream. Ablation by hooks at the "
            f"outputs of the layers removes less; its logits differ by up to {folded.from_layer_hooks:.3g} standard "
            "deviations.",
        ]
    return "\n".join(lines) + "\n"


def _layer_line(intervention: Intervention, layer: int) -> str:
    _, factor = intervention.scaled_direction(layer)
    norm = abs(factor) * intervention.vector.norm(layer)
    return f"- layer {layer}: a constant of L2 norm {norm:.4g} at its output"
