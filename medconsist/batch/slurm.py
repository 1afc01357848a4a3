"""SLURM: an array of fixed shares through submitit; then what is missing, in arrays of its own."""

import hashlib
import logging
import pickle
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from medconsist._atomic import atomic_write_bytes, make_folder, storage_errors
from medconsist._extras import require
from medconsist._records import Record, read_record
from medconsist.batch.attempt import lost
from medconsist.batch.engine import Engine, Event, Limits, Report, biggest_first, refuse_few
from medconsist.batch.slurm_shard import EventFile, Shard, begun, shares
from medconsist.batch.variables import variables_set
from medconsist.batch.work import Case, Work
from medconsist.errors import RefusedInputError

__all__ = ["SlurmEngine", "SlurmParameters"]

MOST_SHARDS = 1000  # SLURM's own MaxArraySize is 1001 unless the site has changed it
_TIMEOUTS = 1000  # of one task; what bounds them is that each counts a death of its case
_PREEMPTED_S = 600.0  # where preempted tasks are not put back, this state is their last
_PAUSED = frozenset({"SUSPENDED", "RESIZING"})  # which submitit takes for an end
_NAME = "array.json"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SlurmParameters:
    """What is asked of SLURM, and how often.

    Parameters
    ----------
    partition, account
        As sbatch takes them; None leaves them to the site.
    time_min
        Time limit of a task [minutes]; one that reaches it goes back to the queue.
    gpus, cpus, mem_gb
        Of a task; it runs one worker for each GPU, without GPUs one.
    shards
        Tasks of an array.
    rounds
        Arrays of one batch: after each one, only what is missing is submitted again.
    warning_s
        How long before the limit a task is told [s]; it needs some to store where it is.
    poll_s, sacct_s
        How often the files of the tasks are read, and how often sacct is asked, for all tasks in
        one call [s].
    extra
        Further options of sbatch by name, e.g. ``{"constraint": "a100"}``.

    Raises
    ------
    RefusedInputError
        A number is out of range.

    Examples
    --------
    >>> SlurmParameters(partition="gpu", gpus=1, time_min=60).shards
    64
    """

    partition: str | None = None
    account: str | None = None
    time_min: int = 240
    gpus: int = 0
    cpus: int = 2
    mem_gb: float | int | None = None
    shards: int = 64
    rounds: int = 5
    warning_s: int = 120
    poll_s: float | int = 5.0
    sacct_s: float | int = 60.0
    extra: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= self.shards <= MOST_SHARDS:
            msg = f"shards must be 1 to {MOST_SHARDS}, got {self.shards}: SLURM bounds an array."
            raise RefusedInputError(msg)
        least = {"time_min": 1, "gpus": 0, "cpus": 1, "rounds": 1, "warning_s": 0}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                msg = f"{name} must be {bound} or more, got {getattr(self, name)}."
                raise RefusedInputError(msg)
        if self.warning_s >= 60 * self.time_min:
            msg = f"warning_s {self.warning_s} must be less than time_min {self.time_min} minutes."
            raise RefusedInputError(msg)

    @property
    def workers(self) -> int:
        """Workers of a task: one for each GPU, without GPUs one."""
        return max(self.gpus, 1)

    def sbatch(self, *, at_once: int) -> dict[str, Any]:
        """Return the parameters as submitit names them.

        Parameters
        ----------
        at_once
            Most tasks that run at the same time.
        """
        asked = {
            "job_name": "medconsist",
            "partition": self.partition,
            "account": self.account,
            "time": self.time_min,
            "cpus_per_task": self.cpus,
            "gpus_per_node": self.gpus or None,
            "mem": None if self.mem_gb is None else f"{round(1024 * self.mem_gb)}MB",
            "signal_delay_s": self.warning_s,
            "array_parallelism": at_once,
            "additional_parameters": {"requeue": True, **self.extra},
        }
        return {name: value for name, value in asked.items() if value is not None}


class SlurmEngine(Engine):
    """Arrays of SLURM; the driver watches and may itself die: the array goes on without it.

    Run on a node that may submit, with the study on a disk that all nodes see. Cases fall into
    shares by the hash of their id. A task that is preempted or out of time goes back to the queue;
    one that is lost leaves its cases to the next array. A driver that comes after one that was
    killed joins the tasks that still run. One that ends by an error or Ctrl-C cancels them.

    Parameters
    ----------
    workers
        Tasks that run at the same time.
    parameters
        What is asked of SLURM.
    threads
        CPU threads of each worker of a task. None takes what OMP_NUM_THREADS says, else an equal
        share of the task's CPUs.

    Raises
    ------
    RefusedInputError
        Fewer than one worker or thread, or more threads than a task has CPUs.

    Examples
    --------
    >>> SlurmEngine(workers=8, parameters=SlurmParameters(partition="gpu", gpus=1)).workers
    8
    """

    name = "slurm"

    def __init__(
        self,
        *,
        workers: int = 8,
        parameters: SlurmParameters | None = None,
        threads: int | None = None,
    ) -> None:
        refuse_few(workers, threads)
        self.workers = workers
        self._parameters = parameters or SlurmParameters()
        self._threads = threads
        needed = (threads or 0) * self._parameters.workers
        if self._parameters.cpus < needed:
            msg = (
                f"a task has {self._parameters.cpus} CPUs for {needed} threads "
                f"({self._parameters.workers} workers). Ask for more: --slurm cpus={needed}."
            )
            raise RefusedInputError(msg)

    def run(
        self, work: Work, cases: Sequence[Case], *, folder: Path, report: Report, limits: Limits
    ) -> None:
        """Run all cases; see `Engine.run`.

        Raises
        ------
        RefusedInputError
            This is no node from which SLURM takes jobs, or it refuses these parameters.
        """
        if not cases:
            return
        # Else it writes to stdout, which is for the answer alone; its tasks keep their log.
        with variables_set({"SUBMITIT_LOG_LEVEL": "NOCONFIG"}):
            submitit = require("submitit", extra="slurm")
        # It keeps states for all jobs of a process, and a number can come again.
        submitit.SlurmJob.watcher.clear()
        desk = _Desk(submitit, folder.absolute() / "slurm", self._parameters)
        watch = _Watch(biggest_first(cases), folder=folder, report=report, limits=limits)
        digest = hashlib.sha256(pickle.dumps(work)).hexdigest()
        for array in desk.standing(digest):
            logger.info("joined the tasks of %s that still run", array.folder)
            watch.follow(array, self._parameters, past=True)
        for _ in range(self._parameters.rounds):
            if watch.over:
                return
            shards = shares(watch.left, self._parameters.shards)
            array = desk.submit(
                [
                    Shard(
                        work=work,
                        cases=share,
                        folder=folder.absolute(),
                        limits=limits,
                        events=Path(f"{number}.jsonl"),
                        workers=self._parameters.workers,
                        threads=self._threads,
                        device="cuda" if self._parameters.gpus else "cpu",
                    )
                    for number, share in enumerate(shards)
                ],
                at_once=self.workers,
                digest=digest,
            )
            watch.follow(array, self._parameters)
        if not watch.over:
            watch.give_up(self._parameters.rounds, desk.folder)


class _TaskRecord(Record):
    """One task of an array: SLURM's name of it, its file of events, its cases."""

    job: str
    events: str
    cases: tuple[str, ...]


class _ArrayRecord(Record):
    """An array that was submitted, for a driver that comes later."""

    work_sha256: str
    tasks: tuple[_TaskRecord, ...]


@dataclass
class _Task:
    """One task as the driver sees it."""

    job: Any
    events: EventFile
    cases: tuple[str, ...]
    read: int = 0
    ended: bool = False
    state: str = "UNKNOWN"
    preempted: float = field(default_factory=time.monotonic)

    def news(self) -> list[Event]:
        events, self.read = self.events.since(self.read)
        return events

    def has_left(self) -> bool:
        """Say whether SLURM will not run this task again; asks nobody, the watcher was asked."""
        self.state = self.job.watcher.get_state(self.job.job_id, mode="cache")
        if self.state != "PREEMPTED":
            self.preempted = time.monotonic()
        gone = time.monotonic() - self.preempted > _PREEMPTED_S
        done: bool = self.job.watcher.is_done(self.job.job_id, mode="cache")
        done &= self.state not in _PAUSED
        return done or gone or self.job.paths.result_pickle.exists()


@dataclass(frozen=True)
class _Array:
    """The tasks of one submission, with submitit's files and ours in one folder."""

    submitit: ModuleType
    folder: Path
    tasks: tuple[_Task, ...]

    def ask(self) -> None:
        """Ask sacct once about all tasks."""
        # Cleared, as submitit never asks again for a task that it takes for ended.
        self.submitit.SlurmJob.watcher.clear()
        self.submitit.SlurmJob.watcher.update()

    def cancel(self) -> None:
        """Take the array from SLURM."""
        number = self.tasks[0].job.job_id.split("_")[0]
        try:
            self.submitit.helpers.CommandFunction(["scancel", number], verbose=False)()
        except (RuntimeError, OSError) as error:
            logger.warning("Could not cancel job %s (%s); use: scancel %s", number, error, number)


class _Desk:
    """Submits arrays, and finds those that an earlier driver has submitted."""

    def __init__(self, submitit: ModuleType, folder: Path, parameters: SlurmParameters) -> None:
        self.folder = folder
        self._submitit = submitit
        self._parameters = parameters

    def submit(self, shards: Sequence[Shard], *, at_once: int, digest: str) -> _Array:
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        folder = self.folder / name
        make_folder(folder)
        shards = [_placed(shard, folder) for shard in shards]
        failed = self._submitit.core.utils
        try:
            executor = self._submitit.SlurmExecutor(folder, max_num_timeout=_TIMEOUTS)
            executor.update_parameters(**self._parameters.sbatch(at_once=at_once))
            jobs = executor.submit_array(shards)
        except (failed.FailedJobError, failed.FailedSubmissionError, FileNotFoundError) as error:
            said = " ".join(str(error).split())
            msg = f"SLURM refused the array: {said}. Look at the partition, account and limits."
            raise RefusedInputError(msg) from error
        except RuntimeError as error:
            msg = f"{error} Run this on a node from which jobs are submitted."
            raise RefusedInputError(msg) from error
        tasks = tuple(
            _TaskRecord(
                job=job.job_id,
                events=shard.events.name,
                cases=tuple(case.id for case in shard.cases),
            )
            for job, shard in zip(jobs, shards, strict=True)
        )
        record = _ArrayRecord(work_sha256=digest, tasks=tasks)
        atomic_write_bytes(folder / _NAME, record.model_dump_json(indent=1).encode())
        return self._array(folder, record)

    def standing(self, digest: str) -> Iterator[_Array]:
        """Yield the arrays of this work of which a task waits or runs."""
        for path in sorted(self.folder.glob(f"*/{_NAME}")):
            with storage_errors(path, doing="read"):
                record = read_record(_ArrayRecord, path.read_bytes(), source=str(path))
            if record.work_sha256 != digest or self._is_over(path.parent, record):
                continue
            array = self._array(path.parent, record)
            array.ask()
            if not all(task.has_left() for task in array.tasks):
                yield array

    def _is_over(self, folder: Path, record: _ArrayRecord) -> bool:
        paths = (self._submitit.core.utils.JobPaths(folder, task.job) for task in record.tasks)
        return all(path.result_pickle.exists() for path in paths)

    def _array(self, folder: Path, record: _ArrayRecord) -> _Array:
        tasks = (
            _Task(
                self._submitit.SlurmJob(folder, task.job),
                EventFile(folder / task.events),
                task.cases,
            )
            for task in record.tasks
        )
        return _Array(self._submitit, folder, tuple(tasks))


class _Watch:
    """What the driver knows of the cases while arrays run."""

    def __init__(
        self, cases: Sequence[Case], *, folder: Path, report: Report, limits: Limits
    ) -> None:
        self._left = {case.id: case for case in cases}
        self._folder = folder
        self._report = report
        self._limits = limits
        self._stopped = False

    @property
    def over(self) -> bool:
        return self._stopped or not self._left

    @property
    def left(self) -> list[Case]:
        return list(self._left.values())

    def follow(self, array: _Array, parameters: SlurmParameters, *, past: bool = False) -> None:
        """Report what the tasks of an array say until none of them will run again.

        An error here, and Ctrl-C, take the array from SLURM. With ``past`` what they have said
        until now is passed over: it was for another driver, and what is done is found done, and
        verified, by the next array.
        """
        if past:
            for task in array.tasks:
                task.news()
        try:
            self._follow(array, parameters)
        except BaseException:
            array.cancel()
            raise

    def _follow(self, array: _Array, parameters: SlurmParameters) -> None:
        asked = time.monotonic()
        running = list(array.tasks)
        while running and not self._stopped:
            running = [task for task in running if not self._hear(task)]
            if not running:
                return
            time.sleep(parameters.poll_s)
            if time.monotonic() - asked > parameters.sacct_s:
                array.ask()
                asked = time.monotonic()

    def give_up(self, rounds: int, folder: Path) -> None:
        said = (
            f"{len(self._left)} cases are not done after {rounds} arrays; what the tasks wrote is "
            f"in {folder}. Give them more time or memory, then run the same command again."
        )
        case = next(iter(self._left))
        self._take(Event(kind="stopped", case=case, reason="failed", sentence=said, exit_code=1))

    def _hear(self, task: _Task) -> bool:
        """Report the news of a task; return whether it is over."""
        # Asked before its file is read: what it wrote before it left is then in there. A network
        # disk may show it later, so that a task that has left is heard once more.
        left_before, task.ended = task.ended, task.has_left()
        for event in task.news():
            self._take(event)
        if not any(case in self._left for case in task.cases):
            return True
        if not (task.ended and left_before):
            return False
        for case in begun(task.events.since(0)[0]):
            if case in self._left:
                said = (
                    f"SLURM ended the task {task.job.job_id} ({task.state}) that was busy with it."
                )
                self._take(lost(self._left[case], self._folder, self._limits, sentence=said))
        return True

    def _take(self, event: Event) -> None:
        if event.case not in self._left or self._stopped:
            return
        if event.ended:
            del self._left[event.case]
        self._stopped = event.kind == "stopped"
        self._report(event)


def _placed(shard: Shard, folder: Path) -> Shard:
    return Shard(**{**vars(shard), "events": folder / shard.events})
