"""What a detection study works on: programs that fit, prompts, folds and captured residuals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from steerlab.batches import Progress
from steerlab.building import rendered_pair
from steerlab.capturing import capture
from steerlab.contrast import ContrastPair, Program, ProgramSet, cwe_number
from steerlab.errors import DataError, OptionError, nearest
from steerlab.interventions import Intervention
from steerlab.models import Model
from steerlab.positions import Positions
from steerlab.selection import Fold, nested_folds
from steerlab.sweep import SweepCell, grid, layer_sets, search
from steerlab.tasks.templates import Template, read_templates, render
from steerlab.vectors import SteeringVector

LONGEST_ANSWER = 32
DEFAULT_COEFFICIENTS = (-8.0, -4.0, -2.0, 2.0, 4.0, 8.0)
SELECTIONS = ("nested", "split")
ANALYSES = ("transfer", "samples", "gate", "side_effects", "screening")


@dataclass(frozen=True, kw_only=True)
class DetectionSettings:
    """Everything that decides what a detection study computes.

    `layers` holds layers, "all", and sets such as "4+12+20" that are steered at once; empty means four layers spread
    over the depth. The grid is methods x layers x operations x positions x coefficients, whole or drawn at random
    (`search`, "random:40"). `selection` nested tests on every outer fold, split on the first one only. `scope` says
    whether one vector serves all CWEs (pooled) or each CWE has its own (per_cwe), `tune` whether the cell is chosen
    once (all) or for each CWE (per_cwe). `max_kl` and `max_perplexity` are the largest side effects that a chosen
    cell may have on ordinary code: KL to unsteered in nats per token, and steered by unsteered perplexity (0: no
    limit). `draws` is the number of random and of shuffled vectors.
    """

    model: str
    pairs: str
    layers: tuple[int | str, ...] = ()
    coefficients: tuple[float, ...] = DEFAULT_COEFFICIENTS
    methods: tuple[str, ...] = ("mean_difference",)
    operations: tuple[str, ...] = ("add",)
    positions: tuple[Positions, ...] = ("from_last_prompt_token",)
    dose: str = "absolute"
    search: str = "grid"
    selection: str = "nested"
    scope: str = "pooled"
    tune: str = "all"
    max_kl: float = 0.0
    max_perplexity: float = 0.0
    analyses: tuple[str, ...] = ANALYSES
    templates: str = ""
    folds: int = 3
    inner_folds: int = 2
    draws: int = 3
    seed: int = 0
    limit: int = 0
    cwes: tuple[str, ...] = ()
    max_new_tokens: int = LONGEST_ANSWER
    level: float = 0.95

    def __post_init__(self) -> None:
        known = {"scope": ("pooled", "per_cwe"), "tune": ("all", "per_cwe"), "selection": SELECTIONS}
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise OptionError(
                    f"{name} {getattr(self, name)!r} does not exist. {nearest(getattr(self, name), values)}"
                )
        for analysis in self.analyses:
            if analysis not in ANALYSES:
                raise OptionError(f"analysis {analysis!r} does not exist. {nearest(analysis, ANALYSES)}")
        if not self.coefficients or any(not np.isfinite(c) or c == 0 for c in self.coefficients):
            raise OptionError("give at least one coefficient, none of them 0: unsteered is measured anyway.")
        if self.draws < 1 or self.limit < 0 or self.max_new_tokens < 1:
            raise OptionError("draws and max_new_tokens must be at least 1, limit at least 0 (0: no limit).")
        if not (np.isfinite(self.max_kl) and self.max_kl >= 0):
            raise OptionError("max_kl must be a number of nats, 0 (no limit) or more.")
        if not (np.isfinite(self.max_perplexity) and (self.max_perplexity == 0 or self.max_perplexity >= 1)):
            raise OptionError("max_perplexity must be a ratio of 1 or more, such as 1.1, or 0 (no limit).")
        for name in ("layers", "coefficients", "methods", "operations", "positions", "cwes"):
            values = getattr(self, name)
            if isinstance(values, str) or not isinstance(values, tuple):
                raise OptionError(f"{name} must be a list, not {values!r}.")
            if len(set(values)) != len(values):
                raise OptionError(f"{name} names something twice: {', '.join(map(str, values))}.")


@dataclass(frozen=True, kw_only=True)
class Material:
    """What the trials draw on: programs, pairs and templates that fit, the folds, and the cells to try."""

    model: Model
    settings: DetectionSettings
    cells: tuple[SweepCell, ...]
    programs: tuple[Program, ...]
    pairs: tuple[ContrastPair, ...]
    templates: tuple[Template, ...]
    folds: tuple[Fold, ...]
    too_long: tuple[Program, ...]
    notes: tuple[str, ...]
    source: ProgramSet
    _residuals: dict[str, dict[str, int]] = field(default_factory=dict)
    _arrays: dict[str, Mapping[int, np.ndarray]] = field(default_factory=dict)

    @property
    def layers(self) -> tuple[int, ...]:
        """Every layer that some cell steers, ascending."""
        return tuple(sorted({layer for cell in self.cells for layer in cell.layers}))

    def template(self, name: str) -> Template:
        """The template of this name."""
        return next(template for template in self.templates if template.name == name)

    def in_groups(self, groups: frozenset[str]) -> list[Program]:
        """The programs of these groups, in order."""
        return [program for program in self.programs if program.group in groups]

    def pairs_in(self, groups: frozenset[str], cwe: str = "") -> list[ContrastPair]:
        """The pairs of these groups (and of this CWE, unless it is empty)."""
        return [p for p in self.pairs if p.group in groups and (not cwe or p.labels.get("cwe") == cwe)]

    def residuals(self, template: Template, texts: Sequence[str], layer: int) -> np.ndarray:
        """Residuals at the last prompt token of rendered `texts` at `layer`, float32 [text, d_model]."""
        self.capture(template)
        places = self._residuals[template.name]
        return self._arrays[template.name][layer][[places[text] for text in texts]]

    def capture(self, template: Template, *, progress: Progress | None = None) -> None:
        """Read the residuals of all programs and pairs under `template`, once."""
        if template.name in self._arrays:
            return
        texts = [render(template, program) for program in self.programs]
        texts += [text for pair in self.pairs for text in rendered_pair(template, pair)]
        unique = list(dict.fromkeys(texts))
        seen = capture(self.model, unique, layers=self.layers, positions="last_prompt_token", progress=progress)
        self._residuals[template.name] = {text: place for place, text in enumerate(unique)}
        self._arrays[template.name] = {layer: residual.numpy() for layer, residual in seen.items()}

    def intervention(self, vector: SteeringVector, cell: SweepCell) -> Intervention:
        """`vector` as `cell` says, with the study's dose."""
        return Intervention(
            vector=vector,
            coefficient=cell.coefficient,
            operation=cell.operation,
            positions=cell.positions,
            dose=self.settings.dose,  # type: ignore[arg-type]
        )


def prepare(settings: DetectionSettings, model: Model, source: ProgramSet) -> Material:
    """Choose programs, drop what does not fit the context (counted and named), make the folds.

    Raises: DataError when a CWE is absent, only one class is left, or nothing fits; LayerError, OptionError.
    """
    found = read_templates(Path(settings.templates) if settings.templates else None)
    notes = [*source.notes, *found.notes]
    programs = _chosen(source, settings)
    templates, fits, left_out = _fitting(model, found.templates, programs, settings.max_new_tokens)
    notes += left_out
    too_long = [program for program in programs if program.id not in fits]
    if too_long:
        named = ", ".join(program.id for program in too_long[:5]) + (", ..." if len(too_long) > 5 else "")
        notes.append(
            f"{len(too_long)} of {len(programs)} programs do not fit the context of {model.context} tokens with every "
            f"template and are unscored: {named}"
        )
    programs = [program for program in programs if program.id in fits]
    labels = {program.label for program in programs}
    if len(labels) < 2:
        what = f"only {labels.pop()} programs" if labels else "no program"
        raise DataError(
            f"{what} of {source.name} can be scored ({len(too_long)} are too long): both classes are needed."
        )
    groups = {program.group for program in programs}
    pairs = [pair for pair in source.pairs if pair.group in groups and _pair_fits(model, templates, pair)]
    if len({pair.group for pair in pairs}) < 2:
        raise DataError(f"{source.name} leaves pairs in {len(pairs)} groups: directions need at least 2.")
    folds = nested_folds(
        [program.group for program in programs],
        [program.cwe for program in programs],
        n_folds=settings.folds,
        n_inner=settings.inner_folds,
        seed=settings.seed,
        with_pairs=frozenset(pair.group for pair in pairs),
    )
    return Material(
        model=model,
        settings=settings,
        cells=tuple(_cells(model, settings)),
        programs=tuple(programs),
        pairs=tuple(pairs),
        templates=templates,
        folds=tuple(folds if settings.selection == "nested" else folds[:1]),
        too_long=tuple(too_long),
        notes=tuple(notes),
        source=source,
    )


def _cells(model: Model, settings: DetectionSettings) -> list[SweepCell]:
    cells = grid(
        methods=settings.methods,
        layers=layer_sets(settings.layers, n_layers=model.n_layers),
        coefficients=settings.coefficients,
        operations=settings.operations,
        positions=settings.positions,
        dose=settings.dose,
    )
    return search(cells, settings.search, seed=settings.seed)


def _chosen(source: ProgramSet, settings: DetectionSettings) -> list[Program]:
    programs = source.evaluated()
    present = {program.cwe for program in programs}
    for cwe in settings.cwes:
        if cwe not in present:
            raise DataError(f"{source.name} has no program of {cwe}. {nearest(cwe, present)}")
    if settings.cwes:
        programs = [program for program in programs if program.cwe in settings.cwes]
    return _limited(programs, settings.limit, settings.seed) if settings.limit else programs


def _limited(programs: Sequence[Program], limit: int, seed: int) -> list[Program]:
    """About `limit` programs, whole groups only, the CWEs in turn, drawn with `seed`."""
    random = np.random.default_rng(seed)
    by_cwe: dict[str, list[str]] = {}
    for program in programs:
        names = by_cwe.setdefault(program.cwe, [])
        if program.group not in names:
            names.append(program.group)
    for cwe in sorted(by_cwe, key=cwe_number):
        random.shuffle(by_cwe[cwe])
    sizes = {group: sum(program.group == group for program in programs) for group in {p.group for p in programs}}
    taken: dict[str, int] = {}
    while sum(taken.values()) < limit and any(by_cwe.values()):
        for cwe in sorted(by_cwe, key=cwe_number):
            if by_cwe[cwe] and sum(taken.values()) < limit:
                group = by_cwe[cwe].pop()
                taken[group] = sizes[group]
    return [program for program in programs if program.group in taken]


def _fitting(
    model: Model, templates: Sequence[Template], programs: Sequence[Program], new_tokens: int
) -> tuple[tuple[Template, ...], set[str], list[str]]:
    """The templates to use, the ids of the programs that fit the context under all of them, and notes.

    A template under which more than a tenth fewer programs fit than under the best one is left out.
    """
    fits: dict[str, set[str]] = {}
    for template in templates:
        lengths = model.tokenizer([render(template, program) for program in programs])["input_ids"]
        room = float("inf") if model.context is None else model.context - new_tokens
        fits[template.name] = {p.id for p, ids in zip(programs, lengths, strict=True) if len(ids) <= room}
    most = max(map(len, fits.values()))
    used = tuple(template for template in templates if len(fits[template.name]) >= 0.9 * most)
    notes = [
        f"template {template.name} is left out: {len(fits[template.name])} programs fit the context with it, "
        f"{most} with the shortest."
        for template in templates
        if template not in used
    ]
    return used, set.intersection(*(fits[template.name] for template in used)), notes


def _pair_fits(model: Model, templates: Sequence[Template], pair: ContrastPair) -> bool:
    if model.context is None:
        return True
    texts = [text for template in templates for text in rendered_pair(template, pair)]
    return all(len(ids) <= model.context for ids in model.tokenizer(texts)["input_ids"])
