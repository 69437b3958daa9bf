"""Who does the jobs of a study: Ray actors, one per device, here or on a cluster."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from steerlab.errors import MissingExtraError, OptionError, RunError
from steerlab.studies.detection_jobs import Done, Job, describe, perform
from steerlab.studies.detection_material import DetectionSettings, Material, prepare
from steerlab.studies.workers import JobStep, LocalWorkers, Workers

ATTEMPTS = 3  # times that a job, or the loading of a model, is begun before the run gives up
POLL_SECONDS = 0.5
CPU_ACTORS = 2  # without a GPU and without a number
STORE_BYTES = 512 * 2**20  # shared memory of a local Ray for rows on their way; what is more goes to disk
WORKERS = ("local", "ray", "ray:N (N actors)")


def choose_workers(text: str, load: Mapping[str, Any]) -> Callable[[Material], Workers]:
    """What makes the workers that `text` names: "local", "ray" or "ray:4"; `load` are the options of load_model.

    Raises: OptionError for another name or number; MissingExtraError when Ray is not installed.
    """
    name, colon, number = text.partition(":")
    if text in ("", "local"):
        return LocalWorkers
    if name != "ray" or (colon and not (number.isdecimal() and int(number))):
        raise OptionError(f"workers {text!r} do not exist. Possible: {', '.join(WORKERS)}.")
    _ray()
    return partial(RayWorkers, load=dict(load), n=int(number or 0))


def _ray() -> Any:
    """The ray package, told to call nobody. Raises: MissingExtraError."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray 2.60 warns at each start without it
    if not os.environ.get("RAY_ADDRESS"):
        # Ray 2.60 reads this when it is imported: a local Ray then listens on the loopback address only, which matters
        # because its ports ask for no password. (_node_ip_address="127.0.0.1" is replaced by the machine's address.)
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    try:
        import ray
        import ray.exceptions
    except ImportError:
        raise MissingExtraError(
            "--workers ray needs the package ray: pip install 'steerlab[ray]', or leave --workers out."
        ) from None
    return ray


class Performer:
    """What an actor runs: it loads the model and prepares the study once, then does jobs from names alone."""

    def __init__(self) -> None:
        self._material: Material | None = None
        self._seen = 0

    def load(self, settings: DetectionSettings, load: Mapping[str, Any], directory: str) -> dict[str, Any]:
        """Load and prepare; relative paths start at `directory` where it exists. Returns what must agree everywhere."""
        from steerlab.models import load_model
        from steerlab.sources import load_source

        if Path(directory).is_dir():
            os.chdir(directory)
        self._material = prepare(settings, load_model(settings.model, **load), load_source(settings.pairs))
        return {"pid": os.getpid(), **_identity(self._material)}

    def perform(self, job: Job, done: Container[str]) -> Done:
        """The rows of `job`."""
        assert self._material is not None, "load comes first"
        self._seen = 0
        return perform(self._material, job, done, self._tick)

    def seen(self) -> int:
        """Programs read so far in the job in hand; answered by a second thread while the job goes on."""
        return self._seen

    def _tick(self, n_rows: int) -> None:
        self._seen += n_rows


def _identity(material: Material) -> dict[str, Any]:
    return {
        "model": material.model.fingerprint.sha256,
        "dtype": material.model.dtype_name,
        "data": material.source.sha256,
        "programs": len(material.programs),
    }


@dataclass(kw_only=True, eq=False)
class _Seat:
    """One actor and what it was asked last: a job, or (job None) to load."""

    actor: Any
    answer: Any = None
    job: Job | None = None
    seen: Any = None
    pid: int = 0


class RayWorkers:
    """One Ray actor per device; each loads the model of `material.settings` with the options `load` once.

    `n` actors; 0 means one per GPU that Ray sees, or 2 on the CPU. RAY_ADDRESS names a cluster; without it Ray is
    started here and shut down at the end, unless the caller had started it. An actor that dies is replaced and its job
    is done again. Rows are those of LocalWorkers: a job is the same forward passes wherever it is done; on the CPU the
    last bits of float32 can differ when an actor has another number of threads than this process.
    Raises: OptionError when there are not as many devices; RunError when a job kills its actor three times, or an actor
    finds another model or other data under the same name; what a job raises, as it is.
    """

    def __init__(self, material: Material, *, load: Mapping[str, Any], n: int = 0) -> None:
        device = str(load.get("device", "") or "auto")
        if device not in ("auto", "cpu", "cuda"):
            raise OptionError(f"--device {device} does not go with --workers ray: possible are auto, cpu and cuda.")
        self.n = n
        self._material, self._device = material, device
        # The actors load in the type that this process found, which the manifest names.
        self._load = {**load, "device": device, "dtype": material.model.dtype_name}
        self._ray = _ray()
        self._seats: list[_Seat] = []
        self._lost: Counter[Job | None] = Counter()
        self._own = False
        self._options: dict[str, Any] = {}

    @property
    def pids(self) -> list[int]:
        """Process ids of the actors that have loaded."""
        return [seat.pid for seat in self._seats if seat.pid]

    def __enter__(self) -> Self:
        try:
            self._connect()
            self._seats = [self._hire() for _ in range(self.n)]
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def perform(self, jobs: Sequence[Job], done: Container[str], step: JobStep) -> Iterator[tuple[Job, Done]]:
        """The jobs in the order in which they are finished."""
        queue = deque(jobs)
        known = self._ray.put(done)
        while queue or any(seat.job is not None for seat in self._seats):
            for seat in self._seats:
                if queue and seat.answer is None:
                    seat.job = queue.popleft()
                    step(describe(seat.job), 0.0, seat.job)
                    seat.answer = seat.actor.perform.remote(seat.job, known)
            asked = {seat.answer: seat for seat in self._seats if seat.answer is not None}
            ready, _ = self._ray.wait(list(asked), num_returns=1, timeout=POLL_SECONDS)
            if not ready:
                self._report(step)
            for ref in ready:
                seat = asked[ref]
                job, found = seat.job, self._take(seat)
                if found is None:
                    queue.extendleft([job] if job is not None else [])
                elif job is None:
                    self._welcome(seat, found)
                else:
                    yield job, found

    def _connect(self) -> None:
        """Join the cluster that RAY_ADDRESS names, or start Ray here; find out how many actors there can be."""
        ray, address = self._ray, os.environ.get("RAY_ADDRESS", "")
        cores = len(os.sched_getaffinity(0))
        if not ray.is_initialized():
            self._own = True
            options: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
            if not address:
                options |= {"include_dashboard": False, "object_store_memory": STORE_BYTES}
                options["num_cpus"] = max(cores, self.n or CPU_ACTORS)
            try:
                ray.init(address=address or "local", **options)
            except (ConnectionError, RuntimeError, ValueError, OSError) as error:
                where = f"the Ray cluster at {address} does not answer" if address else "Ray could not be started"
                raise RunError(f"{where}: {' '.join(str(error).split())[:200]}") from None
        found = ray.cluster_resources()
        gpus, cpus = int(found.get("GPU", 0)), int(found.get("CPU", 0))
        if self._device == "cuda" and not gpus:
            raise OptionError("--device cuda: Ray sees no GPU. Choose --device cpu, or set RAY_ADDRESS to a cluster.")
        on_gpu = gpus > 0 and self._device != "cpu"
        self.n = self.n or (gpus if on_gpu else min(CPU_ACTORS, cpus))
        there = gpus if on_gpu else cpus
        if self.n > there:
            raise OptionError(
                f"--workers ray:{self.n}: Ray sees {there} {'GPUs' if on_gpu else 'CPUs'}. Ask for fewer."
            )
        self._options = {"num_cpus": 1, "num_gpus": 1} if on_gpu else {"num_cpus": self._share_of_cores()}
        if on_gpu and self._material.model.device.type == "cuda":
            self._make_room()

    def _share_of_cores(self) -> int:
        """CPUs (so threads) of one actor, such that the smallest machine has room for its share of the actors."""
        machines = [int(node["Resources"].get("CPU", 0)) for node in self._ray.nodes() if node["Alive"]]
        machines = [cpus for cpus in machines if cpus]
        return max(1, min(machines) // -(-self.n // len(machines)))

    def _make_room(self) -> None:
        """The driver's copy of the model computes nothing: it waits in main memory, so that an actor has the GPU."""
        import torch

        self._material.model.network.to("cpu")
        torch.cuda.empty_cache()

    def _hire(self) -> _Seat:
        """A new actor that is loading."""
        # Two threads: one does the job, one answers how far it is. Restarts are ours, because the model must be loaded.
        actor = self._ray.remote(Performer).options(max_concurrency=2, max_restarts=0, **self._options).remote()
        return _Seat(actor=actor, answer=actor.load.remote(self._material.settings, self._load, str(Path.cwd())))

    def _welcome(self, seat: _Seat, found: Mapping[str, Any]) -> None:
        for key, here in _identity(self._material).items():
            if found[key] != here:
                raise RunError(
                    f"a Ray actor found another {key} ({found[key]}) than this process ({here}) under the same name: "
                    "the model and the data must be the same on every machine."
                )
        seat.pid = found["pid"]
        self._lost[None] = 0

    def _take(self, seat: _Seat) -> Any:
        """The answer of an actor, which is free then; None when it died: another sits in its place."""
        errors, answer, job = self._ray.exceptions, seat.answer, seat.job
        seat.answer = seat.job = seat.seen = None
        try:
            return self._ray.get(answer)
        except errors.RayTaskError as error:
            raise (error.cause if isinstance(error.cause, Exception) else error) from None
        except (errors.RayActorError, errors.ObjectLostError, errors.WorkerCrashedError) as error:
            self._lost[job] += 1
            if self._lost[job] >= ATTEMPTS:
                what = describe(job) if job is not None else "loading the model"
                why = " ".join(str(error).split())[:200]
                raise RunError(
                    f"a Ray actor died {ATTEMPTS} times in the same place ({what}): {why} "
                    "What is done is on disk: give it more memory or fewer actors and go on with --resume."
                ) from None
            self._ray.kill(seat.actor)
            self._seats[self._seats.index(seat)] = self._hire()
            return None

    def _report(self, step: JobStep) -> None:
        """Tell how far the jobs are, as far as the actors have answered."""
        expected = max(1, len(self._material.programs))
        for seat in self._seats:
            if seat.job is None:
                continue
            if seat.seen is None:
                seat.seen = seat.actor.seen.remote()
            elif self._ray.wait([seat.seen], timeout=0)[0]:
                answer, seat.seen = seat.seen, None
                try:
                    step(describe(seat.job), min(1.0, self._ray.get(answer) / expected), seat.job)
                except self._ray.exceptions.RayError:
                    continue  # the actor is dead, which its job will say

    def _stop(self) -> None:
        """End the actors, and Ray where it was started here."""
        if self._ray.is_initialized():
            for seat in self._seats:
                self._ray.kill(seat.actor)
            if self._own:
                self._ray.shutdown()
        self._seats = []
