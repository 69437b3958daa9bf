"""A steering vector from a source of pairs: choose pairs, put the question around them, build."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from steerlab.completion_contrast import build_completion_vector
from steerlab.contrast import CWE_NAMES, ContrastPair, Program, ProgramSet
from steerlab.directions import build_vector
from steerlab.errors import DataError, OptionError, PromptError, nearest
from steerlab.models import Model
from steerlab.tasks.templates import Template, load_templates, render
from steerlab.vectors import Recipe, SteeringVector

LOGGER = logging.getLogger("steerlab")


def rendered_pair(template: Template, pair: ContrastPair) -> tuple[str, str]:
    """The prompts of a pair's positive (patched) and negative (vulnerable) side."""
    sides = []
    for label, text in (("patched", pair.positive), ("vulnerable", pair.negative)):
        program = Program(
            id=f"{pair.id}/{label}",
            group=pair.group,
            cwe=pair.labels.get("cwe", ""),
            language=pair.labels.get("language", ""),
            label=label,  # type: ignore[arg-type]
            code=pair.prompt + text,
        )
        sides.append(render(template, program))
    return sides[0], sides[1]


def build_from_source(
    model: Model,
    source: ProgramSet,
    *,
    method: str,
    layers: Sequence[int],
    positions: str,
    template: str,
    templates: str = "",
    cwes: Sequence[str] = (),
    seed: int = 0,
    contrast: str = "",
    too_long: Literal["error", "skip"] = "error",
    step: Callable[[str, int, int], None] | None = None,
) -> SteeringVector:
    """Build a vector from the pairs of `source` (of `cwes`, unless empty), with a question template around them.

    `template` is a template's name, "none" for the bare programs, or "auto": the first template where every pair names
    a known CWE, else none. With a `contrast` the sides are read as completions of what they have in common, without a
    question: at the tokens in which they differ ("differing") or at all of theirs ("whole"). Pairs beyond the model's
    context raise, or are left out with a warning.
    Raises: DataError, OptionError, PromptError, LayerError, ZeroDirectionError.
    """
    pairs = _of_cwes(source, cwes)
    name, asked = ("none", pairs) if contrast else _with_question(pairs, template, templates)
    asked = _fitting(model, asked, too_long)
    recipe = Recipe(
        method=method,
        layers=tuple(layers),
        positions=contrast or positions,
        seed=seed,
        source=source.name,
        template=name,
    )
    done = 0

    def advance(n: int) -> None:
        nonlocal done
        done += n
        if step is not None:
            step("reading residuals", done, 2 * len(asked))

    build = build_completion_vector if contrast else build_vector
    return build(model, asked, recipe, progress=advance)


def _fitting(model: Model, pairs: Sequence[ContrastPair], too_long: str) -> list[ContrastPair]:
    """The pairs of which both sides fit the context; the others are counted and named, in a warning or an error."""
    if model.context is None or not pairs:
        return list(pairs)
    texts = [pair.prompt + side for pair in pairs for side in (pair.positive, pair.negative)]
    lengths = [len(ids) for ids in model.tokenizer(texts)["input_ids"]]
    fits = [max(lengths[2 * i : 2 * i + 2]) <= model.context for i in range(len(pairs))]
    long = [pair.id for pair, fit in zip(pairs, fits, strict=True) if not fit]
    if long:
        named = ", ".join(long[:5]) + (", ..." if len(long) > 5 else "")
        said = f"{len(long)} of {len(pairs)} pairs exceed the {model.context} tokens that fit {model.name} ({named})"
        if not any(fits):
            raise PromptError(f"{said}: take a model with a longer context, or shorter pairs.")
        if too_long == "error":
            raise PromptError(f"{said}: leave them out with --skip-long, or take a model with a longer context.")
        LOGGER.warning("%s and are left out", said)
    return [pair for pair, fit in zip(pairs, fits, strict=True) if fit]


def _of_cwes(source: ProgramSet, cwes: Sequence[str]) -> list[ContrastPair]:
    present = {pair.labels.get("cwe", "") for pair in source.pairs}
    for cwe in cwes:
        if cwe not in present:
            raise DataError(f"{source.name} has no pair of {cwe}. {nearest(cwe, present)}")
    return [pair for pair in source.pairs if not cwes or pair.labels.get("cwe") in cwes]


def _with_question(pairs: Sequence[ContrastPair], template: str, templates: str) -> tuple[str, list[ContrastPair]]:
    if template == "none":
        return "none", list(pairs)
    known = load_templates(Path(templates) if templates else None)
    if template == "auto":
        if any(pair.labels.get("cwe", "") not in CWE_NAMES for pair in pairs):
            return "none", list(pairs)
        chosen = known[0]
    else:
        names = {entry.name: entry for entry in known}
        if template not in names:
            raise OptionError(f"template {template!r} does not exist. {nearest(template, [*names, 'none', 'auto'])}")
        chosen = names[template]
    asked = []
    for pair in pairs:
        positive, negative = rendered_pair(chosen, pair)
        asked.append(replace(pair, prompt="", positive=positive, negative=negative))
    return chosen.name, asked
