"""The desk: one job at a time, on the one thread that owns the model; a job can be stopped between two steps."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, final

from steerlab.errors import BusyError, SteerlabError

LOGGER = logging.getLogger("steerlab")
LAST = ("done", "error", "stopped")

Event = Mapping[str, Any]
Tell = Callable[[Event], None]


class StoppedError(Exception):
    """Raised inside a job that was asked to stop; who runs the job catches it."""


@final
class Job:
    """Work for one request: it tells events (each with a `kind`) and asks at every step whether to go on."""

    def __init__(self, what: str, tell: Tell) -> None:
        self.what = what
        self._tell = tell
        self._stop = threading.Event()

    def tell(self, event: Event) -> None:
        """Send an event to who asked. Raises: StoppedError when the job is to stop."""
        if self._stop.is_set():
            raise StoppedError
        self._tell(event)

    def stop(self) -> None:
        """Ask the job to end at its next step."""
        self._stop.set()


@final
class Desk:
    """Runs one job at a time on a thread of its own; a second one is refused while the first runs."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="studio")
        self._taken = threading.Lock()
        self._job: Job | None = None

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the job that runs, and wait for its end."""
        if (job := self._job) is not None:
            job.stop()
        self._thread.shutdown(wait=True)

    def start(self, what: str, work: Callable[[Job], Event], *, tell: Tell) -> Job:
        """Begin `work`; its outcome is told as the last event: done (with what it gives), error or stopped.

        Raises: BusyError, which names what is being done.
        """
        if not self._taken.acquire(blocking=False):
            doing = self._job.what if self._job is not None else "working"
            raise BusyError(f"the model is busy: it is {doing} for another request. Wait for its end, or cancel it.")
        job = self._job = Job(what, tell)
        self._thread.submit(self._do, job, work, tell)
        return job

    def _do(self, job: Job, work: Callable[[Job], Event], tell: Tell) -> None:
        last: Event
        try:
            last = {"kind": "done", **work(job)}
        except StoppedError:
            last = {"kind": "stopped"}
        except SteerlabError as error:
            last = {"kind": "error", "error": " ".join(str(error).split())}
        except Exception as error:  # the page shows one line, the terminal where it came from
            LOGGER.exception("an internal error while %s", job.what)
            last = {"kind": "error", "error": f"an internal error: {type(error).__name__}: {error}"}
        self._job = None
        self._taken.release()
        tell(last)
