"""Local processes: one a GPU, or as many as there are cores; a lost one is replaced."""

import logging
import os
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

from medconsist.batch.attempt import lost
from medconsist.batch.engine import Engine, Event, Limits, Report, biggest_first, refuse_few
from medconsist.batch.local_worker import READY, Order, serve
from medconsist.batch.prefetch import Prefetch
from medconsist.batch.sigterm import sigterm_as_ctrl_c
from medconsist.batch.work import Case, Work
from medconsist.errors import MedconsistError

__all__ = ["LocalEngine", "local_devices"]

_TURN_S = 0.5  # longest wait for news; a worker that hangs is noticed this late at most
_START_S = 300.0  # what a worker gets for its imports, which a slow disk can stretch
_LEAVE_S = 5.0  # what an idle worker gets to leave by itself

logger = logging.getLogger(__name__)


def local_devices(device: str, workers: int) -> tuple[str, ...]:
    """Return the device of each worker: with ``cuda`` they go round the GPUs ``cuda:0`` and up.

    Examples
    --------
    >>> local_devices("cpu", 2)
    ('cpu', 'cpu')
    """
    if device != "cuda":
        return (device,) * workers
    import torch

    count = max(torch.cuda.device_count(), 1)
    return tuple(f"cuda:{number % count}" for number in range(workers))


class LocalEngine(Engine):
    """Processes of this machine, each with its own pipe: no lock that a killed one could keep.

    A worker that dies is noticed at once, its case counts a death and runs again, and a new worker
    starts; one that takes longer than ``case_seconds``, or five minutes for its imports, is ended.
    Each worker leads a process group of its own, so that what it started ends with it. Workers
    leave when the driver ends, even by ``kill -9``; SIGTERM ends it as Ctrl-C does. Times are
    monotonic: a clock set back changes nothing. A worker is handed one case at a time.

    Parameters
    ----------
    workers
        How many processes.
    device
        ``"cpu"``, ``"cuda:N"``, or ``"cuda"`` for one worker after the other on all GPUs.
    prefetch
        Copies the next inputs to a fast disk; None reads them where they lie.
    threads
        CPU threads of each worker. None takes what OMP_NUM_THREADS says, else an equal share of
        the cores. Another number can change the last digits of a result.

    Raises
    ------
    RefusedInputError
        Fewer than one worker or thread.

    Examples
    --------
    >>> LocalEngine(workers=2).workers
    2
    """

    name = "local"

    def __init__(
        self,
        *,
        workers: int = 1,
        device: str = "cpu",
        prefetch: Prefetch | None = None,
        threads: int | None = None,
    ) -> None:
        refuse_few(workers, threads)
        self.workers = workers
        self._device = device
        self._prefetch = prefetch
        self._threads = threads

    def run(
        self, work: Work, cases: Sequence[Case], *, folder: Path, report: Report, limits: Limits
    ) -> None:
        """Run all cases; see `Engine.run`.

        Raises
        ------
        MedconsistError
            Workers end before they take a case, again and again.
        """
        devices = local_devices(self._device, self.workers)
        orders = [Order(work=work, folder=folder, limits=limits, device=one) for one in devices]
        pool = _Pool(
            orders,
            biggest_first(cases),
            report=report,
            prefetch=self._prefetch,
            threads=self._threads,
        )
        with sigterm_as_ctrl_c():
            try:
                pool.run()
            finally:
                pool.close()


class _Seat:
    """One worker process as the driver sees it."""

    def __init__(self, order: Order, *, threads: int, asked: bool) -> None:
        context = get_context("spawn")
        self.link, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(target=serve, args=(theirs, threads, asked))
        self.process.start()
        theirs.close()
        self.ready = False
        self.case: Case | None = None
        self.since = time.monotonic()
        try:
            self.link.send(order)
        except (BrokenPipeError, ConnectionResetError):
            logger.debug("worker %s ended before it was told anything", self.process.pid)

    @property
    def free(self) -> bool:
        return self.ready and self.case is None

    def give(self, case: Case) -> None:
        """Hand a case over; that the worker is dead shows when its pipe ends."""
        self.case, self.since = case, time.monotonic()
        try:
            self.link.send(case)
        except (BrokenPipeError, ConnectionResetError):
            logger.debug("worker %s ended before it took %s", self.process.pid, case.id)

    def answers(self) -> Iterator[Event | str | None]:
        """Yield what the worker has said, then None if it is gone."""
        # A process that it forked may hold the other end of its pipe: that alone does not tell.
        # Asked first, so that its last words are heard.
        gone = not self.process.is_alive()
        try:
            while self.link.poll():
                yield self.link.recv()
        except (EOFError, OSError):
            gone = True
        if gone:
            yield None

    def end(self) -> str:
        """End the process and what it started, by its id, and say how it ended."""
        self.link.close()
        self.kill()
        self.process.join(_LEAVE_S)  # one that waits for a dead network disk cannot be killed
        code = self.process.exitcode or 0
        how = f"by signal {-code} ({_signal(-code)})" if code < 0 else f"with exit code {code}"
        return f"The worker (pid {self.process.pid}) was ended {how}"

    def kill(self) -> None:
        """End the process and its group, which it does not lead in its first moments."""
        self.process.kill()
        if self.process.pid is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def leave(self) -> None:
        """Ask an idle worker to leave, end a busy one."""
        if self.free:
            self.link.close()
            self.process.join(_LEAVE_S)
        self.end()


class _Pool:
    """All seats, and the cases that wait."""

    def __init__(
        self,
        orders: Sequence[Order],
        cases: Sequence[Case],
        *,
        report: Report,
        prefetch: Prefetch | None,
        threads: int | None,
    ) -> None:
        self._orders = orders
        self._seats: dict[int, _Seat] = {}
        self._waiting = deque(cases)
        self._alone = deque[Case]()
        self._report = report
        self._prefetch = prefetch
        self._barren = 0  # workers in a row that ended before they were ready
        self._stopped = False
        cores = len(os.sched_getaffinity(0))
        self._asked = threads is not None
        self._threads = threads or max(1, cores // len(orders))

    def run(self) -> None:
        while not self._stopped and (self._waiting or self._alone or self._busy()):
            self._seat_workers()
            self._hand_out()
            links: list[Connection] = [seat.link for seat in self._seats.values()]
            connection.wait(links, timeout=_TURN_S)
            for number, seat in list(self._seats.items()):
                self._hear(number, seat)

    def close(self) -> None:
        if self._prefetch is not None:
            self._prefetch.close()
        seats, self._seats = list(self._seats.values()), {}
        for seat in seats:
            if not seat.free:
                seat.kill()
            else:
                seat.link.close()
        for seat in seats:
            seat.process.join(_LEAVE_S)
            seat.end()

    def _busy(self) -> list[_Seat]:
        return [seat for seat in self._seats.values() if seat.case is not None]

    def _seat_workers(self) -> None:
        """Start missing workers, no more than there are cases; one case alone gets one worker."""
        left = len(self._waiting) + len(self._busy())
        wanted = min(len(self._orders), left)
        if not left:
            for number in list(self._seats)[1:]:
                self._seats.pop(number).leave()
            wanted = 1
        for number, order in enumerate(self._orders):
            if len(self._seats) < wanted and number not in self._seats:
                self._seats[number] = _Seat(order, threads=self._threads, asked=self._asked)

    def _hand_out(self) -> None:
        for seat in self._seats.values():
            if not seat.free:
                continue
            if self._waiting:
                self._give(seat, self._waiting.popleft())
            elif self._alone and not self._busy():
                self._give(seat, self._alone.popleft())

    def _give(self, seat: _Seat, case: Case) -> None:
        self._report(Event(kind="started", case=case.id))
        if self._prefetch is not None:
            case = self._prefetch.take(case, coming=self._waiting)
        seat.give(case)

    def _hear(self, number: int, seat: _Seat) -> None:
        for answer in seat.answers():
            if answer is None:
                self._replace(number, seat)
                return
            if answer == READY:
                seat.ready, self._barren = True, 0
            elif isinstance(answer, Event) and seat.case is not None:
                self._settle(seat, answer)
                if answer.reason == "failed" and self._orders[number].device != "cpu":
                    # An error of CUDA stays with its process: every case after it would fail.
                    self._replace(number, seat)
                    return
        if not seat.ready and time.monotonic() - seat.since > _START_S:
            self._replace(number, seat)
        limit = self._orders[0].limits.case_seconds
        if seat.case is not None and limit is not None and time.monotonic() - seat.since > limit:
            self._replace(number, seat, hung=limit)

    def _replace(self, number: int, seat: _Seat, *, hung: float | int | None = None) -> None:
        """Take a dead or hanging worker away; the next round starts another one."""
        del self._seats[number]
        how = seat.end()
        if seat.case is None:
            if not seat.ready:
                late = time.monotonic() - seat.since > _START_S
                how += f"; it was not ready within {_START_S:g} s" if late else ""
                killed = (seat.process.exitcode or 0) < 0 and not late
                self._count_barren(how, killed=killed)
            return
        if hung is not None:
            how = f"The case took longer than --case-seconds {hung:g}. {how}"
        order = self._orders[number]
        said = f"{how} while it was busy with this case."
        event = lost(seat.case, order.folder, order.limits, sentence=said, hung=hung is not None)
        self._settle(seat, event)

    def _settle(self, seat: _Seat, event: Event) -> None:
        case, seat.case = seat.case, None
        if case is None:
            return
        if self._prefetch is not None:
            case = self._prefetch.give_back(case)
        if event.kind == "failed":
            (self._alone if event.alone else self._waiting).append(case)
        self._stopped |= event.kind == "stopped"
        self._report(event)

    def _count_barren(self, how: str, *, killed: bool) -> None:
        self._barren += 1
        # Who is killed from outside may have better luck next time; who leaves with an error not.
        if self._barren > (20 if killed else 3) * len(self._orders):
            msg = (
                f"{self._barren} workers in a row ended before they took a case. {how}. Look at "
                "what they wrote to stderr; run one case without --engine."
            )
            raise MedconsistError(msg)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
