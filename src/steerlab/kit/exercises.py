"""The kit's programming exercises: complete greedily, run in the sandbox; pass@1 per complexity band."""

from __future__ import annotations

from collections.abc import Sequence

from steerlab.generation import Decoding, generate
from steerlab.kit.rows import Bar, Row, judged
from steerlab.models import Model
from steerlab.statistics import wilson
from steerlab.tasks.problems import STOP, Problem, passed

NEW_TOKENS = 128
PASS_BAR = Bar(text="0.60 to 0.90", low=0.6, high=0.9)


def exercise_rows(model: Model, exercises: Sequence[Problem]) -> list[Row]:
    """pass@1, greedy: in all, against its bar, and by complexity band."""
    decoding = Decoding(max_new_tokens=NEW_TOKENS, stop=STOP)
    written = generate(model, [exercise.prompt for exercise in exercises], decoding=decoding)
    outcomes = passed(exercises, [completion.text for completion in written])
    rows = [_row("exercises, unseen compositions: pass@1", outcomes, PASS_BAR, note="greedy; Wilson")]
    for band in sorted({exercise.band for exercise in exercises}):
        own = [p for exercise, p in zip(exercises, outcomes, strict=True) if exercise.band == band]
        complexities = [exercise.complexity for exercise in exercises if exercise.band == band]
        note = f"cyclomatic complexity {min(complexities)} to {max(complexities)}; Wilson"
        rows.append(_row(f"exercises, complexity band {band}: pass@1", own, None, note=note))
    for branching, name in (("no", "one condition at most"), ("yes", "two conditions or a deciding map")):
        own = [p for one, p in zip(exercises, outcomes, strict=True) if one.labels["branching"] == branching]
        rows.append(_row(f"exercises, {name}: pass@1", own, None, note="greedy; Wilson"))
    return rows


def _row(name: str, passed: Sequence[bool | None], bar: Bar | None, *, note: str) -> Row:
    scored = [outcome for outcome in passed if outcome is not None]
    return judged(name, wilson(sum(scored), len(scored), n_unscored=len(passed) - len(scored)), bar, note=note)
