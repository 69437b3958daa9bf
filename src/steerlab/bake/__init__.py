"""Fold steering into weights: a Hugging Face directory that steers in any engine, proven equal to hooks or refused."""

from __future__ import annotations

import copy
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from steerlab.bake.card import model_card
from steerlab.bake.checking import Folded, verified
from steerlab.bake.plans import Plan, planned
from steerlab.errors import InterventionError, ModelError, RunError
from steerlab.files import unwritable
from steerlab.interventions import Intervention
from steerlab.models import QUANTIZED, Model
from steerlab.steering import check
from steerlab.vectors import SteeringVector


def fold(model: Model, intervention: Intervention, out: Path) -> Folded:
    """Write `model` with `intervention` in its weights to the new directory `out`, with tokenizer and card.

    add: the constant goes into the bias of the linear layer that writes last; a network of Llama's shape without such a
    bias becomes a Llama with one. ablate (coefficient 1, one direction at all layers, see `everywhere`): every matrix
    that writes to the residual is made orthogonal to the direction. The folded checkpoint is then loaded and must give
    the logits of hooks; if not, nothing is left on disk.
    Raises: InterventionError with the reason when it can't be folded; RunError when `out` exists or can't be written.
    """
    check(model, [intervention])
    if model.dtype_name in QUANTIZED:
        raise InterventionError(
            f"{model.name} is held in {model.dtype_name}: there is no exact weight to fold into. Load it with --dtype "
            "float32 or bfloat16."
        )
    _refuse(model, intervention)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out} exists already: choose another --out.")
    plan = planned(model, intervention)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    except OSError as error:
        raise unwritable(out, error) from None
    try:
        _write(model, plan, draft)
        folded = replace(verified(model, intervention, plan, draft), directory=out)
        (draft / "README.md").write_text(model_card(model, intervention, folded), "utf-8")
        draft.chmod(0o755)
        for file in draft.iterdir():  # safetensors writes files that nobody else may read
            file.chmod(0o644)
        if out.exists():
            out.rmdir()
        draft.rename(out)
    except OSError as error:
        raise unwritable(out, error) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folded


def everywhere(vector: SteeringVector, model: Model) -> SteeringVector:
    """The one direction of `vector` at all layers of `model`, as ablation in weights needs it.

    Raises: InterventionError when the vector has directions at several layers.
    """
    if len(vector.layers) != 1:
        raise InterventionError(
            f"ablation in weights removes one direction from the whole network: choose the layer whose direction it is "
            f"with --layers (the vector has {list(vector.layers)})."
        )
    return replace(vector, directions=dict.fromkeys(range(model.n_layers), vector.directions[vector.layers[0]]))


def _refuse(model: Model, intervention: Intervention) -> None:
    """Raise with the reason when no weights could do it, whatever the architecture."""
    from transformers import PreTrainedModel

    operation, network = intervention.operation, model.network
    if intervention.positions != "all":
        raise InterventionError(
            f"positions {intervention.positions!r} can't be folded: weights steer every position alike. Give "
            "--positions all."
        )
    if operation not in ("add", "ablate"):
        raise InterventionError(
            f"{operation} can't be folded: it depends on the residual at each position. add and ablate can be."
        )
    if not isinstance(network, PreTrainedModel) or getattr(network.config, "quantization_config", None) is not None:
        raise ModelError(f"{model.name} is wrapped or quantised: fold into the plain floating-point checkpoint.")
    if any(parameter.device.type == "meta" for parameter in network.parameters()):
        raise ModelError(f"part of {model.name}'s weights is not in memory: load it on one device (--device cpu).")
    if operation == "ablate" and not intervention.inert:
        rows = np.stack([intervention.vector.directions[layer] for layer in intervention.vector.layers]).astype(float)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        if intervention.coefficient != 1 or len(rows) != model.n_layers or np.abs(rows @ rows[0]).min() < 1 - 1e-6:
            raise InterventionError(
                "ablation can be folded with coefficient 1 and the same direction at all layers only: a part of a "
                "projection does not add up over layers."
            )


def _write(model: Model, plan: Plan, folder: Path) -> None:
    with torch.device("meta"):
        made = plan.network(plan.config)
    missing, unexpected = made.load_state_dict(plan.weights, strict=False, assign=True)
    if plan.config.tie_word_embeddings:
        made.tie_weights()
    if unexpected or [name for name in missing if made.get_parameter(name).device.type == "meta"]:
        raise InterventionError(f"{model.name} can't be folded: its weights do not go into a {plan.network.__name__}.")
    made.generation_config = copy.deepcopy(getattr(model.network, "generation_config", None))
    made.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
