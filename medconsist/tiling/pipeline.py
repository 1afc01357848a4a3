"""The threads behind a loader: jobs in order, bytes fetched ahead, batches whole in order.

One thread after the other takes the next job, always in order; what it decodes goes straight into
the batch. A batch is whole once every job up to the one that completes it is done. New jobs wait
while ``ahead`` batches lie finished or nearly so, which bounds the memory; as jobs are taken in
order and a taken job needs nothing but itself, there is nothing that could wait in a circle.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from medconsist.errors import RefusedInputError
from medconsist.tiling.buffers import Buffers
from medconsist.tiling.huge_pages import huge
from medconsist.tiling.source import Job, Place, Source

__all__ = ["Pipeline", "Times"]

# Share of the time of decoding above which bytes are fetched ahead, by threads of their own.
_SLOW = 0.1
_SLAB = 16  # canvases that are made at once
_QUICK = 0.002  # [s], the least that a job is taken to decode for


@dataclass
class Times:
    """Seconds, summed over the decoding threads.

    Parameters
    ----------
    decode
        In jobs: decoding, pasting, resampling.
    fetch
        Waiting for bytes that were not there in time.
    full
        Waiting because enough batches lay ready.

    Examples
    --------
    >>> Times().decode
    0.0
    """

    decode: float = 0.0
    fetch: float = 0.0
    full: float = 0.0


@dataclass(eq=False)
class _Batch:
    memory: npt.NDArray[Any]
    missing: int


@dataclass(eq=False, frozen=True)
class _Task:
    number: int
    job: Job
    fetched: Future[tuple[Any, float]] | None


class Pipeline:
    """Decodes a source into batches with several threads; used by `TileLoader`.

    Parameters
    ----------
    source
        What is read.
    buffers
        Memory of batches.
    threads
        That decode.
    readers
        Reads that may be waiting at once.
    ahead
        Batches that may lie ready before decoding pauses.

    Examples
    --------
    >>> Pipeline.__name__
    'Pipeline'
    """

    def __init__(
        self, source: Source, buffers: Buffers, *, threads: int, readers: int, ahead: int
    ) -> None:
        self._source, self._buffers, self._ahead = source, buffers, ahead
        self._size, self._total = buffers.items, len(source)
        self._jobs: Iterator[Job] = source.jobs()
        self._pending: deque[_Task] = deque()
        self._window = 2 * readers
        self._batches: dict[int, _Batch] = {}
        self._canvases: dict[int, npt.NDArray[Any]] = {}
        self._spare: list[npt.NDArray[Any]] = []
        self._done: dict[int, int] = {}
        # tasks numbered so far; tasks done without a gap; items of tasks taken; items whole
        self._numbered = self._gapless = self._taken = self._whole = 0
        self._given = 0
        self._error: tuple[int, int, BaseException] | None = None
        self._stop = self._slow = False
        self._usual = 0.0  # seconds that the last job took to decode
        self._taking, self._change = threading.Lock(), threading.Lock()
        # Two sides of one lock, so that a thread is only woken for what it waits for.
        self._filled_one = threading.Condition(self._change)
        self._room = threading.Condition(self._change)
        self.times = Times()
        self._pool = ThreadPoolExecutor(readers, thread_name_prefix="medconsist-read")
        self._threads = [
            threading.Thread(target=self._work, name=f"medconsist-decode-{n}", daemon=True)
            for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def batch(self, number: int) -> npt.NDArray[Any]:
        """Wait for batch ``number`` and hand over its memory; to be asked for in order.

        Raises
        ------
        BaseException
            What reading an item of this batch raised.
        """
        with self._change:
            self._filled_one.wait_for(lambda: self._failed(number) or self._filled(number))
            if self._failed(number) and self._error is not None:
                raise self._error[2]
            self._given = number + 1
            self._room.notify_all()
            return self._batches.pop(number).memory

    def close(self) -> None:
        """End every thread; what was not handed over is dropped."""
        with self._change:
            self._stop = True
            self._room.notify_all()
        self._pool.shutdown(wait=True, cancel_futures=True)
        for thread in self._threads:
            thread.join()

    def _filled(self, number: int) -> bool:
        return number in self._batches and not self._batches[number].missing

    def _failed(self, number: int) -> bool:
        """Return whether the first error of this batch is known: all before it were tried."""
        error = self._error
        return error is not None and error[0] <= number and error[1] < self._gapless

    def _work(self) -> None:
        while (task := self._take()) is not None:
            start = time.perf_counter()
            try:
                fetched = self._fetched(task)
                begin = time.perf_counter()
                task.job.decode(fetched, self._place(task.job))
                self._usual = time.perf_counter() - begin
                self.times.fetch += begin - start
                self.times.decode += self._usual
            except BaseException as error:  # noqa: BLE001 - handed to the consumer, who raises it
                self._note(int(task.job.ranks.min(initial=self._total)), task.number, error)
            self._finish(task)

    def _fetched(self, task: _Task) -> object:
        """Return the bytes of a task and note whether they came at once.

        While they do, reading ahead costs more than it wins: handing bytes from one thread to
        another takes longer than reading them from memory (4 % of the decoding). Waiting for a disk
        or a network takes far longer than both.
        """
        if task.fetched is None:
            fetched, seconds = _timed(task.job.fetch)
        else:
            fetched, seconds = task.fetched.result()
        self._slow = seconds > _SLOW * max(self._usual, _QUICK)
        return fetched

    def _take(self) -> _Task | None:
        """Return the next task, its memory opened; None when there is nothing more to do."""
        start = time.perf_counter()
        with self._taking:
            with self._change:
                self._room.wait_for(lambda: self._stop or not self._ahead_enough())
                stop = self._stop
            self.times.full += time.perf_counter() - start
            if stop:
                return None
            try:
                self._plan()
            except BaseException as error:  # noqa: BLE001 - handed to the consumer
                self._note(self._taken, -1, error)
                return None
            if not self._pending:
                return None
            task = self._pending.popleft()
            self._open(task.job)
            self._taken = task.job.complete
            return task

    def _ahead_enough(self) -> bool:
        return self._taken // self._size - self._given >= self._ahead

    def _plan(self) -> None:
        """Keep as many reads under way as there are readers, and as many waiting, if they wait."""
        window = self._window if self._slow else 1
        while len(self._pending) < window and (job := next(self._jobs, None)) is not None:
            ahead = self._slow and job.fetch is not None
            fetched = self._pool.submit(_timed, job.fetch) if ahead else None
            self._pending.append(_Task(self._numbered, job, fetched))
            self._numbered += 1
        if not self._pending and self._taken < self._total:
            msg = f"the source planned {self._taken} of its {self._total} items."
            raise RefusedInputError(msg)

    def _open(self, job: Job) -> None:
        with self._change:
            if self._source.canvas is None:
                for number in set((job.ranks // self._size).tolist()):
                    self._memory(number)
                return
            for rank in job.ranks.tolist():
                if rank not in self._canvases:
                    if not self._spare:
                        slab = (_SLAB, *self._source.canvas)
                        self._spare.extend(huge(slab, self._source.dtype))
                    self._canvases[rank] = self._spare.pop()

    def _memory(self, number: int) -> npt.NDArray[Any]:
        if number not in self._batches:
            missing = min(self._size, self._total - number * self._size)
            self._batches[number] = _Batch(self._buffers.take(), missing)
        return self._batches[number].memory

    def _place(self, job: Job) -> Place:
        if self._source.canvas is not None:
            return self._canvases.__getitem__
        size = self._size
        numbers = set((job.ranks // size).tolist())
        memory = {number: self._batches[number].memory for number in numbers}
        return lambda rank: memory[rank // size][rank % size]

    def _finish(self, task: _Task) -> None:
        """Count the items that became whole; where they were gathered, make them first."""
        with self._change:
            self._done[task.number] = task.job.complete
            start = self._whole
            while self._gapless in self._done:
                self._whole = self._done.pop(self._gapless)
                self._gapless += 1
            stop = self._whole
            numbers = range(start // self._size, -(-stop // self._size)) if stop > start else ()
            if self._source.canvas is not None:
                for number in numbers:
                    self._memory(number)
        if self._source.canvas is not None:
            self._make(start, stop, task.number)
        with self._change:
            for number in numbers:
                first = number * self._size
                whole = min(stop, first + self._size) - max(start, first)
                self._batches[number].missing -= whole
            if self._error is not None or not all(self._batches[n].missing for n in numbers):
                self._filled_one.notify()

    def _make(self, start: int, stop: int, task: int) -> None:
        for rank in range(start, stop):
            canvas = self._canvases.pop(rank)
            out = self._batches[rank // self._size].memory[rank % self._size]
            try:
                self._source.finish(rank, canvas, out)
            except BaseException as error:  # noqa: BLE001 - handed to the consumer
                self._note(rank, task, error)
            self._spare.append(canvas)

    def _note(self, rank: int, task: int, error: BaseException) -> None:
        with self._change:
            found = (rank // self._size, task, error)
            if self._error is None or found[:2] < self._error[:2]:
                self._error = found
            self._filled_one.notify()


def _timed(fetch: Callable[[], Any] | None) -> tuple[Any, float]:
    start = time.perf_counter()
    fetched = None if fetch is None else fetch()
    return fetched, time.perf_counter() - start
