"""What a code-correctness study works on: settings, problems that fit the context, their splits, how is decoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from steerlab.errors import DataError, OptionError, PromptError
from steerlab.generation import Decoding
from steerlab.models import Model
from steerlab.studies.coefficient_choice import GRID, Rule
from steerlab.studies.writing import Write, check_engine
from steerlab.tasks.problem_sets import PROBLEM_SETS
from steerlab.tasks.problems import STOP, Problem
from steerlab.tasks.splits import SPLITS, Split, draw_problems, split_problems
from steerlab.tokens import encode
from steerlab.wave import wave_generate

if TYPE_CHECKING:
    from steerlab.results import Run

Step = Callable[[str, int, int], None]
"""Called with (what is being done, how much of it is done, how much there is)."""


@dataclass(frozen=True, kw_only=True)
class CorrectnessSettings:
    """Everything that decides what a code-correctness study computes.

    `bands`: only problems of these bands of complexity; `limit`: about so many, spread over complexity (0: all).
    `layers`: those of the SAE that are read (empty: all that it has). `correct` and `incorrect` name a latent by hand
    ("LAYER:LATENT"; empty: the best by rank). `per_coefficient` problems of the tuning split are tried at each of
    `coefficients`; `refine` more are tried by golden section around the picked one. `flips` and `parse_floor`: see
    `Rule`. `general_limit`: latents that are active on more than this share of ordinary code's tokens are dropped.
    `draws`: random latents and random directions each. `max_new_tokens` 0: what the problem set needs. `engine` writes
    the programs.
    """

    model: str
    sae: str
    problems: str
    bands: tuple[int, ...] = ()
    limit: int = 0
    layers: tuple[int, ...] = ()
    correct: str = ""
    incorrect: str = ""
    coefficients: tuple[float, ...] = GRID
    per_coefficient: int = 10
    refine: int = 0
    flips: tuple[float, float] = (0.2, 0.6)
    parse_floor: float = 0.8
    general_limit: float = 0.02
    draws: int = 3
    max_new_tokens: int = 0
    engine: str = "hooks"
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if self.limit < 0 or self.per_coefficient < 1 or self.refine < 0 or self.draws < 1:
            raise OptionError(
                f"limit {self.limit}, per_coefficient {self.per_coefficient}, refine {self.refine} and draws "
                f"{self.draws}: limit and refine are 0 or more, the others 1 or more."
            )
        if not self.coefficients or len(set(self.coefficients)) < len(self.coefficients) or 0 in self.coefficients:
            raise OptionError(f"coefficients {list(self.coefficients)}: give different ones, none of them 0.")
        if strange := sorted(set(self.bands) - {1, 2, 3, 4}):
            raise OptionError(f"band {strange[0]} does not exist: bands are 1 (simple) to 4.")
        check_engine(self.engine)
        self.rule()

    def rule(self) -> Rule:
        """The rule that picks a coefficient."""
        return Rule(flips=self.flips, parse_floor=self.parse_floor)


@dataclass(frozen=True, kw_only=True)
class CorrectnessMaterial:
    """The model, the problems that fit its context with their splits, and how completions are written.

    `too_long` are problems whose prompt and completion exceed the context: they are counted as unscored.
    """

    settings: CorrectnessSettings
    model: Model
    problems: tuple[Problem, ...]
    too_long: tuple[Problem, ...]
    splits: dict[str, Split]
    decoding: Decoding
    write: Write
    notes: tuple[str, ...] = field(default=())

    def of(self, split: Split) -> tuple[Problem, ...]:
        """The problems of a split that fit, in the order of the source."""
        return tuple(problem for problem in self.problems if self.splits[problem.id] == split)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What a stage works with: the open run, the material, who is told of progress, and which problems are its own.

    `window` (start, end): of the problems that the stage goes over, in the order of the source, those from start on
    and before end (None: to the last).
    """

    opened: Run
    material: CorrectnessMaterial
    step: Step
    window: tuple[int, int | None] = (0, None)

    def own(self, problems: Sequence[Problem]) -> tuple[Problem, ...]:
        """Of `problems` those in the window."""
        return tuple(problems[slice(*self.window)])


def prepare_correctness(
    settings: CorrectnessSettings, model: Model, problems: Sequence[Problem], *, write: Write | None = None
) -> CorrectnessMaterial:
    """Choose, measure and split the problems; `write` writes programs (by default the model with hooks).

    All chosen problems are split, also those that do not fit: a longer context changes no split.
    Raises: DataError when too few are left.
    """
    wanted = [problem for problem in problems if not settings.bands or problem.band in settings.bands]
    if settings.limit:
        wanted = list(draw_problems(wanted, settings.limit, seed=settings.seed)) if wanted else []
    splits = split_problems(wanted, seed=settings.seed)
    known = PROBLEM_SETS.get(wanted[0].source)
    new_tokens = settings.max_new_tokens or (known.new_tokens if known else Decoding().max_new_tokens)
    too_long = {problem.id for problem in wanted if not _fits(model, problem, new_tokens)}
    fitting = tuple(problem for problem in wanted if problem.id not in too_long)
    for split in SPLITS:
        if not any(splits[problem.id] == split for problem in fitting):
            raise DataError(
                f"no problem of the {split} split fits the context of {model.context} tokens of {model.name} with "
                f"{new_tokens} more: choose a smaller --max-new-tokens, more problems, or another model."
            )
    notes = (
        (f"{len(too_long)} of {len(wanted)} problems are longer than the model's context: unscored.",)
        if too_long
        else ()
    )
    return CorrectnessMaterial(
        settings=settings,
        model=model,
        problems=fitting,
        too_long=tuple(problem for problem in wanted if problem.id in too_long),
        splits=dict(splits),
        decoding=Decoding(max_new_tokens=new_tokens, stop=STOP),
        write=write or partial(wave_generate, model),
        notes=notes,
    )


def _fits(model: Model, problem: Problem, new_tokens: int) -> bool:
    try:
        encode(model, [problem.prompt], new_tokens=new_tokens)
    except PromptError:
        return False
    return True
