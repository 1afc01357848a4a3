"""The controller of one job of the stand-in: runs its tasks and writes their states.

A task that ends by SIGKILL which nobody asked for is a lost node: with ``--requeue`` it waits
again, as in SLURM, else it stays ``NODE_FAIL``. Ends only groups of processes that it started.
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))  # run by path, by any Python

from tests.batch.fake_slurm.cluster import NODE, Job, minute, put

__all__ = ["Controller"]

POLL_S = 0.02
LIVE = ("PENDING", "RUNNING", "SUSPENDED")
KILL_WAIT_S = 0.5  # from the polite signal to the other, 30 s in SLURM
MOST_RESTARTS = int(os.environ.get("FAKE_SLURM_RESTARTS", "20"))


@dataclass
class Run:
    """One task: its state and, while it runs, its batch shell."""

    task: int
    state: str = "PENDING"
    shell: "subprocess.Popen[bytes] | None" = None
    started: float = 0.0
    warned: bool = False
    restarts: int = 0
    ending: str | None = None
    kill_at: float | None = None
    past: list[str] = field(default_factory=list)


class Controller:
    """Runs the tasks of one job, at most as many at once as the array and the machine allow."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.options = job.options
        self.runs = [Run(task) for task in job.tasks]
        percent = self.options.get("array", "").partition("%")[2] or "1"
        self.slots = min(int(percent), int(os.environ.get("FAKE_SLURM_CPUS", "2")))
        self.limit_s = float(self.options.get("time", "1000")) * minute()
        name, _, ahead = self.options.get("signal", "USR2@0").partition("@")
        self.warning = getattr(signal, f"SIG{name}")
        self.ahead_s = float(ahead) * minute() / 60
        self.last_moment = time.monotonic() + float(os.environ.get("FAKE_SLURM_LIFE", "300"))

    def main(self) -> None:
        """Run until no task waits or runs, at most for ``FAKE_SLURM_LIFE`` seconds."""
        while any(run.state in LIVE for run in self.runs):
            self._read_requests()
            for run in self.runs:
                if run.shell is not None:
                    self._look_after(run)
            running = sum(run.shell is not None for run in self.runs)
            for run in [run for run in self.runs if run.state == "PENDING"][: self.slots - running]:
                self._start(run)
            if time.monotonic() > self.last_moment:
                self._everyone("cancel")
            self._write()
            time.sleep(POLL_S)

    def _start(self, run: Run) -> None:
        number = self.job.number
        env = os.environ | {
            "SLURM_JOB_ID": str(number + 1 + run.task if self.job.is_array else number),
            "SLURM_NTASKS": "1",
            "SLURM_JOB_NUM_NODES": "1",
            "SLURM_NODEID": "0",
            "SLURM_PROCID": "0",
            "SLURM_LOCALID": "0",
            "SLURM_JOB_NODELIST": NODE,
            "SLURM_RESTART_COUNT": str(run.restarts),
        }
        if self.job.is_array:
            env |= {"SLURM_ARRAY_JOB_ID": str(number), "SLURM_ARRAY_TASK_ID": str(run.task)}
        self.job.step(run.task).unlink(missing_ok=True)
        run.shell = subprocess.Popen(
            ["bash", self.job.script],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        run.state, run.started, run.warned, run.ending, run.kill_at = (
            "RUNNING",
            time.monotonic(),
            False,
            None,
            None,
        )

    def _look_after(self, run: Run) -> None:
        """Notice the end of a task, or its time limit."""
        assert run.shell is not None
        code = run.shell.poll()
        if code is not None and not self._step_may_stay(run):
            self._read_requests()  # SLURM knows of a requeue before the task that asked has left
            self._ended(run, code)
            return
        ran = time.monotonic() - run.started
        if not run.warned and ran > self.limit_s - self.ahead_s:
            run.warned = True
            self._signal(run, self.warning)
        if run.ending is None and ran > self.limit_s:
            self._end(run, "TIMEOUT")
        if run.kill_at is not None and time.monotonic() > run.kill_at:
            self._signal(run, signal.SIGKILL, batch=True)

    def _step_may_stay(self, run: Run) -> bool:
        """Say whether a step whose batch shell was asked to end still has time for its own end."""
        if run.kill_at is None or time.monotonic() > run.kill_at:
            return False
        try:
            os.killpg(int(self.job.step(run.task).read_text()), 0)
        except (OSError, ValueError):
            return False
        return True

    def _ended(self, run: Run, code: int) -> None:
        # What a step leaves behind ends with it, as in a control group.
        self._signal(run, signal.SIGKILL)
        run.shell = None
        state = run.ending or {0: "COMPLETED", 137: "NODE_FAIL", -9: "NODE_FAIL"}.get(
            code, "FAILED"
        )
        run.past.append(state)
        lost = state == "NODE_FAIL" and "requeue" in self.options
        again = (state == "REQUEUED" or lost) and run.restarts < MOST_RESTARTS
        run.restarts += again
        run.state = "PENDING" if again else state

    def _end(self, run: Run, state: str) -> None:
        run.ending = state
        if run.shell is None:
            run.state = state
            return
        self._signal(run, signal.SIGTERM, batch=True)
        run.kill_at = time.monotonic() + KILL_WAIT_S

    def _signal(self, run: Run, number: signal.Signals, *, batch: bool = False) -> None:
        """Send a signal to the step of a task, or to its batch shell as well."""
        with suppress(OSError, ValueError):
            os.killpg(int(self.job.step(run.task).read_text()), number)
        if batch and run.shell is not None:
            with suppress(ProcessLookupError):
                os.killpg(run.shell.pid, number)

    def _read_requests(self) -> None:
        for path in sorted((self.job.folder / "requests").glob("[!.]*.json")):
            request = json.loads(path.read_text())
            path.unlink()
            self._everyone(request["verb"], request["task"], request.get("signal"))

    def _everyone(self, verb: str, task: int | None = None, name: str | None = None) -> None:
        for run in self.runs:
            if task not in (None, run.task) or run.state not in LIVE:
                continue
            if verb == "signal":
                self._signal(run, getattr(signal, f"SIG{name}"))
            elif verb == "requeue" and run.state == "RUNNING":
                self._end(run, "REQUEUED")
            elif verb in ("suspend", "resume") and run.shell is not None:
                paused = verb == "suspend"
                self._signal(run, signal.SIGSTOP if paused else signal.SIGCONT)
                run.state = "SUSPENDED" if paused else "RUNNING"
            elif verb == "cancel":
                self._end(run, "CANCELLED by 0")

    def _write(self) -> None:
        put(self.job.folder / "states.json", {run.task: run.state for run in self.runs})
        put(self.job.folder / "past.json", {run.task: run.past for run in self.runs})


if __name__ == "__main__":
    Controller(Job.of(sys.argv[1])).main()
