"""Scenarios: prompts without tests, whose completions are judged by analysers only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from steerlab.errors import DataError

Form = Literal["completion", "instruction"]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One prompt that invites the weakness `cwe`.

    `form` "completion": `prompt` is code that a base model goes on from; it may begin in the middle of a file.
    "instruction": `prompt` asks for a program in words, and the answer is the whole program.
    `source` names the set, `variant` its subdivision. `insecure` is the insecure code that the scenario was made
    from, where there is one: for a completion what followed the prompt, for an instruction the code that it
    describes. It is no reference answer: for checks of analysers, never a prompt. `where` is file and entry, or folder.
    """

    id: str
    cwe: str
    language: str
    prompt: str
    source: str
    variant: str
    form: Form
    where: str
    insecure: str = ""

    def __post_init__(self) -> None:
        if not self.prompt.strip():
            raise DataError(f"{self.where}: the prompt is empty.")
