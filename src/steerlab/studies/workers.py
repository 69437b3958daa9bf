"""Who does the jobs of a study, stage by stage: this process, one job after the other."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from types import TracebackType
from typing import Any, Protocol, Self

import pandas as pd

from steerlab.batches import Progress
from steerlab.results import Run
from steerlab.studies.detection_jobs import Done, describe, perform

Step = Callable[[str, int, int], None]
"""Called with (what is being done, how much of it is done, how much there is)."""

JobStep = Callable[[str, float, Any], None]
"""Called with (what is being done, the share of the job that is done, the job)."""


class Workers(Protocol):
    """Something that does jobs in any order and gives their rows back; `n` jobs run at once."""

    n: int

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def perform(self, jobs: Sequence[Any], done: Container[str], step: JobStep) -> Iterator[tuple[Any, Done]]:
        """The jobs with what they gave, as they are finished; trials in `done` are left out."""


class LocalWorkers:
    """Does the jobs here, one after the other: those of a detection study, unless another study says what its jobs do.

    `perform` and `describe` are a study's own, `n_items` about how many items a job of it reads.
    """

    n = 1

    def __init__(
        self,
        material: Any,
        *,
        perform: Callable[[Any, Any, Container[str], Progress | None], Done] = perform,
        describe: Callable[[Any], str] = describe,
        n_items: int | None = None,
    ) -> None:
        self.material = material
        self._perform, self._describe = perform, describe
        self._n_items = max(1, len(material.programs) if n_items is None else n_items)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def perform(self, jobs: Sequence[Any], done: Container[str], step: JobStep) -> Iterator[tuple[Any, Done]]:
        """The jobs in order."""
        for job in jobs:
            what, seen = self._describe(job), 0
            step(what, 0.0, job)

            def tick(n_items: int, what: str = what, job: Any = job) -> None:
                nonlocal seen
                seen += n_items
                step(what, min(1.0, seen / self._n_items), job)

            yield job, self._perform(self.material, job, done, tick)


class Stages:
    """A study that goes on stage by stage: its jobs are done, their rows kept in the run, their trials counted.

    `size` says how many trials a job has; `total`, which may grow, how many there are in all.
    """

    def __init__(
        self, opened: Run, workers: Workers, *, size: Callable[[Any], int], total: int, step: Step | None
    ) -> None:
        self.opened, self.total = opened, total
        self.ways: set[str] = set()
        self._workers, self._size, self._step = workers, size, step or (lambda what, done, total: None)
        self._done = 0

    def do(self, jobs: Sequence[Any]) -> None:
        """Do the jobs and keep their rows; each counts its trials in the progress."""

        def step(what: str, share: float, job: Any) -> None:
            done = self._done + int(share * self._size(job))
            self._step(what, min(done, self.total), self.total)

        for job, done in self._workers.perform(jobs, self.opened.done, step):
            self.opened.append(done.rows)
            self.ways |= done.ways
            self._done += self._size(job)

    def rows_of(self, trials: Sequence[str]) -> pd.DataFrame:
        """The rows of these trials."""
        return self.opened.rows({"trial": set(trials)})
