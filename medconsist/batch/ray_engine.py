"""Ray: one actor task a case, on workers that keep their model and are replaced when lost."""

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from medconsist.batch.attempt import Station, lost
from medconsist.batch.engine import Engine, Event, Limits, Report, biggest_first, refuse_few
from medconsist.batch.local_worker import thread_variables
from medconsist.batch.ray_cluster import RayPlace, WorkerNeeds, ray_cluster
from medconsist.batch.work import Case, Work
from medconsist.errors import RefusedInputError

__all__ = ["RayEngine"]

_TURN_S = 0.5  # longest wait for news; a worker that hangs is noticed this late at most
_BARREN = 5  # for each worker; Ray does not tell a crash at the start from a kill by others

logger = logging.getLogger(__name__)


class RayEngine(Engine):
    """Workers of a Ray cluster, each handed one case at a time.

    Ray places the workers and shares GPUs among them. One that is lost is replaced, on another node
    if need be, and whether its case runs again is decided here, not by Ray's own restarts and
    retries: each death is counted, a case that kills its worker is set aside, and workers that die
    before they take a case end the batch.

    Parameters
    ----------
    workers
        How many at once; of a cluster that is started their CPUs are all that it has.
    gpus
        Share of a GPU for each worker: 0.5 puts two on one. 0 computes on the CPU.
    place
        Which cluster; by default a new one, on the loopback interface.
    threads
        CPUs and CPU threads of each worker. None asks for one CPU, and takes as many threads as
        OMP_NUM_THREADS of the node says, else one.

    Raises
    ------
    RefusedInputError
        Fewer than one worker or thread, or a share that Ray does not know: above 1 only whole
        numbers.

    Examples
    --------
    >>> RayEngine(workers=2, gpus=0.5).workers
    2
    """

    name = "ray"

    def __init__(
        self,
        *,
        workers: int = 1,
        gpus: float | int = 0,
        place: RayPlace | None = None,
        threads: int | None = None,
    ) -> None:
        refuse_few(workers, threads)
        if gpus < 0 or (gpus > 1 and gpus != int(gpus)):
            msg = f"GPUs of a worker must be a share of one, such as 0.5, or whole; got {gpus}."
            raise RefusedInputError(msg)
        self.workers = workers
        self._gpus = gpus
        self._place = place
        self._threads = threads

    def run(
        self, work: Work, cases: Sequence[Case], *, folder: Path, report: Report, limits: Limits
    ) -> None:
        """Run all cases; see `Engine.run`.

        Raises
        ------
        MedconsistError
            Ray is refused or does not start, see `ray_cluster`; or workers end before they take a
            case, again and again.
        """
        if not cases:
            return
        cpus = self._threads or 1
        needs = WorkerNeeds(cpus=cpus, gpus=self._gpus)
        with ray_cluster(self._place, workers=self.workers, needs=needs) as ray:
            asked = {} if self._threads is None else thread_variables(cpus, {})
            station = ray.remote(Station).options(
                num_cpus=cpus,
                num_gpus=self._gpus,
                max_restarts=0,
                max_task_retries=0,
                runtime_env={"env_vars": asked} if asked else None,
            )
            device = "cuda:0" if self._gpus else "cpu"  # Ray shows a worker its GPU alone
            crew = _Crew(
                ray,
                lambda: station.remote(work, folder=folder, limits=limits, device=device),
                biggest_first(cases),
                folder=folder,
                limits=limits,
                report=report,
                on_gpu=device != "cpu",
            )
            try:
                crew.hire(min(self.workers, len(cases)))
                crew.run()
            finally:
                crew.close()


@dataclass
class _Seat:
    """One worker as the driver sees it; ``case`` is None while it starts."""

    actor: Any
    case: Case | None = None
    since: float = 0.0


class _Crew:
    """All seats, what each one was asked, and the cases that wait."""

    def __init__(
        self,
        ray: ModuleType,
        actor: Callable[[], Any],
        cases: Sequence[Case],
        *,
        folder: Path,
        limits: Limits,
        report: Report,
        on_gpu: bool,
    ) -> None:
        self._ray = ray
        self._actor = actor
        self._on_gpu = on_gpu
        self._waiting = deque(cases)
        self._alone = deque[Case]()
        self._free: list[_Seat] = []
        self._asked: dict[Any, _Seat] = {}  # by the reference of the answer
        self._folder = folder
        self._limits = limits
        self._report = report
        self._stopped = False
        self._barren = 0  # workers in a row that ended before they were ready
        self._most_barren = _BARREN

    def hire(self, count: int) -> None:
        self._most_barren = _BARREN * count
        for _ in range(count):
            self._wake(_Seat(self._actor()))

    def run(self) -> None:
        while not self._stopped and (self._waiting or self._alone or self._busy()):
            self._hand_out()
            answered, _ = self._ray.wait(list(self._asked), num_returns=1, timeout=_TURN_S)
            for reference in answered:
                self._hear(self._asked.pop(reference), reference)
            self._end_hanging()

    def close(self) -> None:
        seats, self._free = [*self._free, *self._asked.values()], []
        for seat in seats:
            self._ray.kill(seat.actor)

    def _busy(self) -> bool:
        return any(seat.case is not None for seat in self._asked.values())

    def _wake(self, seat: _Seat) -> None:
        """Ask a seat to say that it is there; the answer waits for the worker's start."""
        seat.case = None
        self._asked[seat.actor.__ray_ready__.remote()] = seat

    def _hand_out(self) -> None:
        while self._free and self._waiting:
            self._give(self._free.pop(), self._waiting.popleft())
        if self._free and self._alone and not self._busy():
            self._give(self._free.pop(), self._alone.popleft())

    def _give(self, seat: _Seat, case: Case) -> None:
        self._report(Event(kind="started", case=case.id))
        seat.case, seat.since = case, time.monotonic()
        self._asked[seat.actor.attempt.remote(case)] = seat

    def _hear(self, seat: _Seat, reference: Any) -> None:  # noqa: ANN401  a reference of Ray
        case = seat.case
        try:
            answer = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._hear_loss(seat, error)
            return
        seat.case = None
        if case is None:
            self._barren = 0
            self._free.append(seat)
            return
        if self._on_gpu and answer.reason == "failed":
            # An error of CUDA stays with its process: every case after it would fail.
            self._replace(seat)
        else:
            self._free.append(seat)
        self._settle(case, answer)

    def _hear_loss(self, seat: _Seat, error: Exception) -> None:
        case = seat.case
        said = " ".join(str(error).split())
        if case is None:
            self._barren += 1
            # One whose class cannot be made there would fail for ever.
            if getattr(error, "actor_init_failed", False) or self._barren > self._most_barren:
                self._stop(said)
                return
        if isinstance(error, self._ray.exceptions.ActorUnavailableError):
            self._wake(seat)  # the network, perhaps: what is asked next tells
        else:
            self._replace(seat)
        if case is None:
            return
        said = f"Ray lost the worker that was busy with this case: {said}"
        self._settle(case, lost(case, self._folder, self._limits, sentence=said))

    def _stop(self, said: str) -> None:
        self._stopped = True
        sentence = (
            f"Workers of Ray ended before they took a case ({self._barren} in a row): {said} Look "
            "at what Ray wrote on that node; run one case without --engine."
        )
        self._report(
            Event(kind="stopped", case="", reason="failed", sentence=sentence, exit_code=1)
        )

    def _settle(self, case: Case, event: Event) -> None:
        if event.kind == "failed":
            (self._alone if event.alone else self._waiting).append(case)
        self._stopped |= event.kind == "stopped"
        self._report(event)

    def _end_hanging(self) -> None:
        limit = self._limits.case_seconds
        if limit is None:
            return
        for reference, seat in list(self._asked.items()):
            case = seat.case
            if case is None or time.monotonic() - seat.since <= limit:
                continue
            if self._ray.wait([reference], timeout=0)[0]:  # it has answered in the meantime
                continue
            del self._asked[reference]
            self._replace(seat)
            said = f"The case took longer than --case-seconds {limit:g}; its worker was ended."
            self._settle(case, lost(case, self._folder, self._limits, sentence=said, hung=True))

    def _replace(self, seat: _Seat) -> None:
        """End a worker for good; the one that takes its seat cannot be mistaken for it."""
        self._ray.kill(seat.actor)
        seat.actor = self._actor()
        self._wake(seat)
