"""What the page may ask: ids, numbers and texts, never a path; unknown keys are errors."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

LONGEST_TEXT = 200_000  # characters
MOST_TOKENS = 1024

Text = Annotated[str, Field(max_length=LONGEST_TEXT)]
Name = Annotated[str, Field(max_length=80)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Steering(BaseModel, extra="forbid", frozen=True):
    """How to steer: a vector of the shelf at some of its layers."""

    vector: Name
    layers: Annotated[list[int], Field(min_length=1, max_length=1000)]
    coefficient: Number
    operation: Name
    positions: Name
    dose: Name


class Picking(BaseModel, extra="forbid", frozen=True):
    """A model to have in memory."""

    model: Name


class Writing(BaseModel, extra="forbid", frozen=True):
    """A prompt to complete without and with steering."""

    model: Name
    steering: Steering
    prompt: Text
    max_new_tokens: Annotated[int, Field(ge=1, le=MOST_TOKENS)] = 64
    temperature: Annotated[float, Field(ge=0, le=100)] = 0.0
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0


class Reading(BaseModel, extra="forbid", frozen=True):
    """A place to read next-token probabilities at: after the prompt and the tokens `written` behind it."""

    model: Name
    steering: Steering
    prompt: Text
    written: Annotated[list[Annotated[int, Field(ge=0)]], Field(max_length=MOST_TOKENS)] = []


class Dosing(BaseModel, extra="forbid", frozen=True):
    """Coefficients to read the answer margin at: the first answer's log-likelihood less the second's."""

    model: Name
    steering: Steering
    prompt: Text
    answers: tuple[Text, Text]
    coefficients: Annotated[list[Number], Field(min_length=1, max_length=201)]


class Building(BaseModel, extra="forbid", frozen=True):
    """A vector to build, from pairs of the shelf or from JSON Lines typed on the page."""

    model: Name
    name: Name
    pairs: Name = ""
    text: Text = ""
    method: Name = "mean_difference"
    layers: Name = "all"
    positions: Name = "last_prompt_token"
    template: Name = "auto"


class Asking(BaseModel, extra="forbid", frozen=True):
    """A program of the shelf's pairs, to be put into a question template."""

    pairs: Name
    program: Annotated[str, Field(max_length=400)]
    template: Name
