"""Who does the jobs of a study: this process, one job after the other."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from types import TracebackType
from typing import Protocol, Self

from steerlab.studies.detection_jobs import Done, Job, describe, perform
from steerlab.studies.detection_material import Material

Step = Callable[[str, int, int], None]
"""Called with (what is being done, how much of it is done, how much there is)."""

JobStep = Callable[[str, float, Job], None]
"""Called with (what is being done, the share of the job that is done, the job)."""


class Workers(Protocol):
    """Something that does jobs in any order and gives their rows back; `n` jobs run at once."""

    n: int

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def perform(self, jobs: Sequence[Job], done: Container[str], step: JobStep) -> Iterator[tuple[Job, Done]]:
        """The jobs with what they gave, as they are finished; trials in `done` are left out."""


class LocalWorkers:
    """Does the jobs here, one after the other."""

    n = 1

    def __init__(self, material: Material) -> None:
        self.material = material

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def perform(self, jobs: Sequence[Job], done: Container[str], step: JobStep) -> Iterator[tuple[Job, Done]]:
        """The jobs in order."""
        for job in jobs:
            what, seen = describe(job), 0
            step(what, 0.0, job)
            expected = max(1, len(self.material.programs))

            def tick(n_rows: int, what: str = what, job: Job = job, expected: int = expected) -> None:
                nonlocal seen
                seen += n_rows
                step(what, min(1.0, seen / expected), job)

            yield job, perform(self.material, job, done, tick)
