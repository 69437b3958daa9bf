"""Settings of a study of secure code: everything that decides what it computes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from steerlab.completion_contrast import CONTRASTS, check_contrast
from steerlab.errors import OptionError, nearest
from steerlab.positions import Positions
from steerlab.studies.writing import check_engine

DEFAULT_COEFFICIENTS = (0.1, 0.2, 0.4)
CHOICES = {
    "scope": ("pooled", "per_family"),
    "selection": ("nested", "split"),
    "curve": ("margin", "completions", "none"),
}


@dataclass(frozen=True, kw_only=True)
class SecureCodeSettings:
    """Everything that decides what a study of secure code computes.

    `tasks` are what the model completes, `pairs` what directions are built from (empty: the starter pairs).
    The grid is contrasts x methods x layers x operations x positions x coefficients, whole or drawn (`search`);
    `layers` empty means a few spread over the depth, each alone and all at once. Every cell is read by the margin; the
    `shortlist` set-ups with the best margin (0: all) are written out at each of their coefficients, once per task, and
    the cell is chosen among those. `scope` per_family: a vector for each family of CWEs. `samples` completions per task
    are judged in every tested arm. `curve` says what the curve over the number of pairs is measured by. `draws` is the
    number of random and of shuffled vectors. `max_pairs` draws so many pairs (0: all). `engine` writes the completions.
    """

    model: str
    tasks: str = "starter"
    pairs: str = ""
    language: str = ""
    cwes: tuple[str, ...] = ()
    limit: int = 0
    max_pairs: int = 0
    layers: tuple[int | str, ...] = ()
    coefficients: tuple[float, ...] = DEFAULT_COEFFICIENTS
    methods: tuple[str, ...] = ("mean_difference",)
    contrasts: tuple[str, ...] = CONTRASTS
    operations: tuple[str, ...] = ("add",)
    positions: tuple[Positions, ...] = ("from_last_prompt_token",)
    dose: str = "residual_norm"
    search: str = "grid"
    shortlist: int = 1
    scope: str = "pooled"
    selection: str = "nested"
    samples: int = 2
    temperature: float = 0.4
    top_p: float = 1.0
    max_new_tokens: int = 128
    analysers: tuple[str, ...] = ()
    curve: str = "margin"
    folds: int = 3
    inner_folds: int = 2
    draws: int = 2
    engine: str = "hooks"
    seed: int = 0
    level: float = 0.95

    def __post_init__(self) -> None:
        for name, values in CHOICES.items():
            if getattr(self, name) not in values:
                raise OptionError(
                    f"{name} {getattr(self, name)!r} does not exist. {nearest(getattr(self, name), values)}"
                )
        for name in ("layers", "coefficients", "methods", "contrasts", "operations", "positions", "cwes", "analysers"):
            values = getattr(self, name)
            if isinstance(values, str) or not isinstance(values, tuple):
                raise OptionError(f"{name} must be a list, not {values!r}.")
            if len(set(values)) != len(values):
                raise OptionError(f"{name} names something twice: {', '.join(map(str, values))}.")
        check_engine(self.engine)
        for contrast in self.contrasts:
            check_contrast(contrast)
        if not self.contrasts or not self.methods:
            raise OptionError("give at least one contrast and one method.")
        if not self.coefficients or any(not np.isfinite(c) or c == 0 for c in self.coefficients):
            raise OptionError("give at least one coefficient, none of them 0: unsteered is measured anyway.")
        if (
            min(self.samples, self.draws, self.max_new_tokens) < 1
            or min(self.limit, self.max_pairs, self.shortlist) < 0
        ):
            raise OptionError(
                "samples, draws and max_new_tokens must be at least 1; limit, max_pairs and shortlist at least 0."
            )
        if self.samples > 1 and self.temperature == 0:
            raise OptionError(f"{self.samples} samples at temperature 0 are all the same: give --samples 1.")

    @property
    def pairs_from(self) -> str:
        """Where pairs come from: `pairs`; by default the starter pairs, which are the starter tasks' own bodies."""
        return self.pairs or "starter"

    @property
    def prompt_room(self) -> int:
        """Tokens kept free for the comment of the prompt-only arm."""
        return 48
