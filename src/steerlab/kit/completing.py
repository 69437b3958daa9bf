"""The kit's starter tasks: completed without steering, judged by their tests and exploits."""

from __future__ import annotations

import os
from collections.abc import Sequence

from steerlab.generation import Decoding, generate
from steerlab.kit.rows import Bar, Row, at_least, judged
from steerlab.models import Model
from steerlab.statistics import wilson
from steerlab.tasks.completion import CompletionScore, CompletionTask, score_completions

NEW_TOKENS = 192

FACTS: tuple[tuple[str, str, Bar | None], ...] = (
    ("parse", "parses", at_least(0.80)),
    ("functional", "functional", None),
    ("secure", "secure", None),
    ("secure and correct", "secure_and_correct", None),
)


def task_rows(model: Model, tasks: Sequence[CompletionTask]) -> list[Row]:
    """Shares of unsteered greedy completions that parse, pass their tests, resist the exploit, and do both.

    Tasks that do not fit the context with 192 new tokens, and facts that could not be found out, are unscored.
    Raises: MissingExtraError where no sandbox works.
    """
    lengths = [len(ids) for ids in model.tokenizer([task.prompt for task in tasks])["input_ids"]]
    room = float("inf") if model.context is None else model.context - NEW_TOKENS
    fits = [task for task, n in zip(tasks, lengths, strict=True) if n <= room]
    written = generate(model, [task.prompt for task in fits], decoding=Decoding(max_new_tokens=NEW_TOKENS))
    workers = len(os.sched_getaffinity(0))
    scores = score_completions(fits, [completion.text for completion in written], workers=workers)
    return [_row(name, scores, fact, bar, beyond=len(tasks) - len(fits)) for name, fact, bar in FACTS]


def _row(name: str, scores: Sequence[CompletionScore], fact: str, bar: Bar | None, *, beyond: int) -> Row:
    known = [value for value in (getattr(score, fact) for score in scores) if value is not None]
    estimate = wilson(sum(known), len(known), n_unscored=len(scores) - len(known) + beyond)
    return judged(f"starter tasks, unsteered: {name}", estimate, bar, note="greedy; Wilson")
