"""Trials: one setting to be tried, by names only, with an id that is stable over runs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass


def canonical_json(value: object) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def digest(value: object) -> str:
    """First 16 hexadecimal digits of the SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One setting of a sweep on one part of the data.

    `arm` is what is compared (unsteered, steered, a control, or grid for cells that are chosen from), `train` and
    `test` name the folds: "train" says on which programs the vector was built. `layers` is a layer set such as "4" or
    "4+12+20", empty without steering; `contrast` says at which tokens of completions pairs were contrasted, if so.
    """

    arm: str
    readout: str
    template: str
    train: str
    test: str
    method: str = ""
    layers: str = ""
    coefficient: float = 0.0
    operation: str = "add"
    positions: str = "from_last_prompt_token"
    dose: str = "residual_norm"
    seed: int = 0
    contrast: str = ""

    @property
    def id(self) -> str:
        """Hash of the canonical JSON of all names; without `contrast` where it is empty."""
        return digest({name: value for name, value in asdict(self).items() if name != "contrast" or value})
