"""A stand-in for SLURM: its commands, answering from a folder named by ``FAKE_SLURM_ROOT``.

`sbatch` starts one controller for each job (``controller.py``), which runs the tasks as processes
of this machine and alone writes their states; the other commands read the states or leave a
request. One minute of SLURM lasts ``FAKE_SLURM_MINUTE`` seconds; scontrol takes
``FAKE_SLURM_LINGER`` seconds after its request is known. Standard library only.
"""

import fcntl
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

__all__ = ["Job", "minute", "put", "root", "sacct", "sbatch", "scancel", "scontrol", "srun"]

NODE = "node1"


def root() -> Path:
    """Return the folder of the states."""
    return Path(os.environ["FAKE_SLURM_ROOT"])


def minute() -> float:
    """Return how long a minute of SLURM lasts here [s]."""
    return float(os.environ.get("FAKE_SLURM_MINUTE", "60"))


def put(path: Path, value: object) -> None:
    """Write JSON so that a reader sees the old value or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(value))
    temporary.replace(path)


@dataclass(frozen=True)
class Job:
    """The folder of one job: script, options, states, requests, ids of the steps."""

    folder: Path

    @classmethod
    def of(cls, number: str) -> "Job":
        """Return the job of this number."""
        return cls(root() / "jobs" / number)

    @property
    def number(self) -> int:
        """The job's number; that of the array."""
        return int(self.folder.name)

    @property
    def script(self) -> Path:
        """The batch script, as it was when it was submitted."""
        return self.folder / "script.sh"

    @property
    def options(self) -> dict[str, str]:
        """The ``#SBATCH`` options of the script; one without a value holds an empty string."""
        found = re.findall(r"^#SBATCH --([\w-]+)(?:=(.*))?$", self.script.read_text(), re.MULTILINE)
        return {name: "".join(shlex.split(value)) for name, value in found}

    @property
    def is_array(self) -> bool:
        """Whether its tasks carry an index."""
        return "array" in self.options

    @property
    def tasks(self) -> list[int]:
        """Indices of the tasks; a job that is no array has the task 0."""
        first, last = re.match(r"(\d+)-(\d+)", self.options.get("array", "0-0")).groups()  # type: ignore[union-attr]  # the default fits
        return list(range(int(first), int(last) + 1))

    def states(self) -> dict[int, str]:
        """Return the state of every task."""
        path = self.folder / "states.json"
        return {int(task): state for task, state in json.loads(path.read_text()).items()}

    def named(self, task: int) -> str:
        """Return what SLURM calls a task."""
        return f"{self.number}_{task}" if self.is_array else f"{self.number}"

    def step(self, task: int) -> Path:
        """Return the file that holds the process id of a task's running step."""
        return self.folder / "steps" / f"{task}"

    def ask(self, **request: object) -> None:
        """Leave a request to the controller."""
        put(self.folder / "requests" / f"{time.time_ns()}-{os.getpid()}.json", request)


def filled(pattern: str) -> str:
    """Return a file name with SLURM's patterns replaced, as inside of a task."""
    job = os.environ.get("SLURM_ARRAY_JOB_ID", os.environ["SLURM_JOB_ID"])
    values = {"%A": job, "%a": os.environ.get("SLURM_ARRAY_TASK_ID", "0"), "%t": "0"}
    values["%j"] = os.environ["SLURM_JOB_ID"]
    return re.sub(r"%[Aajt]", lambda match: values[match.group()], pattern)


def _next_number(n_tasks: int) -> int:
    """Reserve a number for a job and one for each of its tasks."""
    root().mkdir(parents=True, exist_ok=True)
    with (root() / "next").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        number = int(file.read() or "100")
        file.truncate(0)
        file.write(f"{number + n_tasks + 1}")
    return number


def sbatch(arguments: list[str]) -> int:
    """Take a script, start its controller, say the number."""
    script = Path(arguments[-1]).read_text()
    if "--partition=nowhere" in script:
        sys.stderr.write("sbatch: error: invalid partition specified: nowhere\n")
        return 1
    array = re.search(r"--array=0-(\d+)", script)
    job = Job.of(str(_next_number(int(array[1]) + 1 if array else 1)))
    for name in ("requests", "steps"):
        (job.folder / name).mkdir(parents=True)
    job.script.write_text(script)
    put(job.folder / "states.json", dict.fromkeys(job.tasks, "PENDING"))
    with (job.folder / "controller.log").open("w") as log:
        controller = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("controller.py"), str(job.number)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    (job.folder / "controller.pid").write_text(str(controller.pid))
    sys.stdout.write("" if "--parsable" in arguments else "Submitted batch job ")
    sys.stdout.write(f"{job.number}\n")
    return 0


def srun(arguments: list[str]) -> int:
    """Become the command, in a process group of its own, with its streams in the named files."""
    streams = {"--output": 1, "--error": 2}
    while arguments and arguments[0].startswith("--"):
        name, _, value = arguments.pop(0).partition("=")
        if name in streams:
            path = filled(value or arguments.pop(0))
            target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.dup2(target, streams[name])
    # Not a process that leads its group already: bash may have become this one.
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
    job = Job.of(os.environ.get("SLURM_ARRAY_JOB_ID", os.environ["SLURM_JOB_ID"]))
    put(job.step(int(os.environ.get("SLURM_ARRAY_TASK_ID", "0"))), os.getpid())
    os.execvp(arguments[0], arguments)  # noqa: S606  it is the program's own command


def sacct(arguments: list[str]) -> int:
    """Say states in the form of ``sacct -o JobID,State,... --parsable2``."""
    fields = arguments[arguments.index("-o") + 1].split(",")
    asked = [value for flag, value in pairwise(arguments) if flag == "-j"]
    with (root() / "calls").open("a") as calls:
        calls.write("sacct\n")
    lines = ["|".join(fields)]
    for number in asked:
        if Job.of(number).folder.exists():
            lines += ["|".join(row.get(name, "") for name in fields) for row in _rows(number)]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _rows(number: str) -> Iterator[dict[str, str]]:
    """Yield a row for every task that started, its batch and step; one for all that wait."""
    job = Job.of(number)
    waiting = []
    for task, state in job.states().items():
        if state == "PENDING" and job.is_array:
            waiting.append(str(task))
            continue
        for part in ("", ".batch", ".0"):
            yield {"JobID": job.named(task) + part, "State": state, "NodeList": NODE}
    if waiting:
        listed = f"{number}_[{','.join(waiting)}]"
        yield {"JobID": listed, "State": "PENDING", "NodeList": "None assigned"}


def _each(name: str) -> tuple[Job, int | None]:
    number, _, task = name.partition("_")
    return Job.of(number), int(task) if task else None


def scancel(arguments: list[str]) -> int:
    """End tasks, or with ``--signal`` send one to their steps."""
    signal_name = None
    if "--signal" in arguments:
        at = arguments.index("--signal")
        _, signal_name = arguments.pop(at), arguments.pop(at)
    for name in arguments:
        job, task = _each(name)
        if signal_name is None:
            job.ask(verb="cancel", task=task)
        else:
            job.ask(verb="signal", task=task, signal=signal_name.removeprefix("SIG"))
    return 0


def scontrol(arguments: list[str]) -> int:
    """Put tasks back into the queue, running ones are ended first; or halt and wake them."""
    if arguments[0] not in ("requeue", "suspend", "resume"):
        sys.stderr.write(f"invalid keyword: {arguments[:1]}\n")
        return 1
    job, task = _each(arguments[1])
    if not job.folder.exists():
        sys.stderr.write("Invalid job id specified\n")
        return 1
    job.ask(verb=arguments[0], task=task)
    time.sleep(float(os.environ.get("FAKE_SLURM_LINGER", "0")))
    return 0


def main(command: Any) -> None:
    """Run one command with this process's arguments."""
    raise SystemExit(command(sys.argv[1:]))
