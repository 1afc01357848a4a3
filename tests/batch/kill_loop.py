"""Kill workers of a batch with SIGKILL, then its driver, then run it again; run by path.

Usage: ``python kill_loop.py --folder F [--engine local] [--work toy|slides|scans] [--cases N]
[--every SECONDS] [--seed N] [--kills N] [--drivers N]``. Prints one JSON object: kills, what is
left, and whether keys and array hashes are those of an undisturbed run. With ``--kills`` the
results are removed and made again until so many workers were killed, and no more are.
"""

import argparse
import contextlib
import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from medconsist.batch.engine import Engine  # noqa: E402
from medconsist.batch.run import run_batch  # noqa: E402
from medconsist.batch.states import batch_folder  # noqa: E402
from medconsist.manifests.build import build_manifest  # noqa: E402
from medconsist.results.store import ResultStore  # noqa: E402
from tests.batch.toy import STUDY, Toy, cases_in  # noqa: E402

WORKERS = 2
TOY_S = 0.15  # of each case
AT_WORK = 0.9  # share of kills that spare workers which only start, so that the batch gets on
TASKS = 0.2  # share of kills that end a whole task of SLURM, as a node that fails does
TAG = "MEDCONSIST_KILL_LOOP"
PROGRAM = (sys.executable, "-m", "medconsist")
STUDIES = {"toy": STUDY, "slides": "wsi", "scans": "mri"}
VERBS = {
    "slides": ("wsi", "embed", "--tile-mpp", "1.0"),
    "scans": ("mri", "reconstruct", "--method", "cgsense"),
}
# What the command line of a process that does cases holds; an agent of Ray, which takes its whole
# node with it, and a task of SLURM, which starts such processes, are others.
WORKER = {"local": "spawn_main", "ray": "ray::Station", "slurm": "spawn_main"}
TASK = "submitit.core._submit"
FAKE_SLURM = Path(__file__).with_name("fake_slurm")
FAKE_LIFE_S = 1800
SLURM_WORDS = ("--slurm", "shards=8", "rounds=20", "poll_s=0.2", "sacct_s=1")


def main() -> int:
    asked = arguments()
    folder: Path = asked.folder
    if asked.drive:
        return drive_toy(folder, folder / asked.drive, asked.engine, asked.cases)
    prepare(asked.work, folder, asked.cases)
    kills = {"workers": 0, "drivers": 0, "runs": 0}
    dice = random.Random(asked.seed)  # noqa: S311  no secret
    code = until_done(asked, dice, kills)
    while kills["workers"] < asked.kills:
        shutil.rmtree(folder / "out")
        code = until_done(asked, dice, kills)
    left = remaining(asked.engine)
    start(asked, "whole", engine="local").wait()
    study = STUDIES[asked.work]
    out, whole = hashes(folder / "out", study), hashes(folder / "whole", study)
    said = {
        "engine": asked.engine,
        "work": asked.work,
        "kills_of_workers": kills["workers"],
        "kills_of_drivers": kills["drivers"],
        "runs": kills["runs"],
        "exit_code": code,
        "left_workers": left,
        "results": len(out),
        "remembered": remembered(folder / "out", study),
        "equal": out == whole,
    }
    sys.stdout.write(json.dumps(said) + "\n")
    return 0


def arguments() -> Any:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--engine", choices=WORKER, default="local")
    parser.add_argument("--work", choices=STUDIES, default="toy")
    parser.add_argument("--cases", type=int, default=30)
    parser.add_argument("--every", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--drivers", type=int, default=1)
    parser.add_argument("--drive", default="")
    return parser.parse_args()


def prepare(work: str, folder: Path, cases: int) -> None:
    """Write the inputs, and a manifest for all but the toy."""
    inputs = folder / "in"
    inputs.mkdir(parents=True, exist_ok=True)
    if work == "toy":
        return
    if work == "slides":
        from medconsist.wsi.simulate import SlideConfig
        from medconsist.wsi.slide_series import write_slides

        write_slides(SlideConfig(width=768, height=768, mpp=0.5), inputs, slides=cases)
    else:
        from tests.cli.small_scan import small_kspace

        for number in range(cases):
            np.save(inputs / f"scan-{number:03d}.npy", small_kspace(seed=number).numpy())
    build_manifest(
        [inputs],
        patterns=("*.svs", "*.npy"),
        out=folder / "cases.csv",
        patient_from=r"(?P<patient>(?P<case>[^/]+))\.\w+$",
    )


def until_done(asked: Any, dice: random.Random, kills: dict[str, int]) -> int:
    """Run, kill and run again until a driver comes to its end with every case done."""
    while True:
        code = disturbed(asked, dice, kills)
        if code == 0:
            return code


def disturbed(asked: Any, dice: random.Random, kills: dict[str, int]) -> int | None:
    """Run one driver and kill its workers; None if it was killed too."""
    kills["runs"] += 1
    driver = start(asked, "out", engine=asked.engine)
    killed = 0
    while True:
        end = time.monotonic() + asked.every * dice.uniform(0.5, 1.5)
        while time.monotonic() < end:
            if driver.poll() is not None:
                return driver.returncode
            time.sleep(0.02)
        if kills["drivers"] < asked.drivers and killed >= 2:
            driver.kill()
            driver.wait()
            kills["drivers"] += 1
            return None
        if 0 < asked.kills <= kills["workers"]:
            continue  # enough: this driver comes to its end
        victims = workers(WORKER[asked.engine])
        if asked.engine == "slurm" and dice.random() < TASKS:
            victims = workers(TASK)
        elif asked.work == "toy" and dice.random() < AT_WORK:
            victims = [one for one in victims if one in begun(asked.folder / "out")]
        if victims:
            kill(dice.choice(victims))
            killed += 1
            kills["workers"] += 1


def begun(out: Path) -> set[int]:
    """Return the processes that have begun with a case."""
    log = out / "runs.log"
    return (
        {int(line.split()[1]) for line in log.read_text().splitlines()} if log.exists() else set()
    )


def start(asked: Any, out: str, *, engine: str) -> "subprocess.Popen[bytes]":
    """Start a driver; what it says goes to a file."""
    folder: Path = asked.folder
    if asked.work == "toy":
        words = [sys.executable, __file__, "--folder", str(folder), "--drive", out]
        words += ["--engine", engine, "--cases", str(asked.cases)]
    else:
        words = [*PROGRAM, *VERBS[asked.work], str(folder / "cases.csv"), "--out"]
        words += [str(folder / out), "--engine", engine, "--workers", str(WORKERS), "--retry"]
        words += SLURM_WORDS if engine == "slurm" else ()
    tagged = os.environ | {TAG: str(os.getpid()), "OMP_NUM_THREADS": "1"}
    if engine == "slurm":
        tagged["PATH"] = f"{FAKE_SLURM}{os.pathsep}{tagged['PATH']}"
        tagged["FAKE_SLURM_ROOT"] = str(folder / "fake_slurm")
        tagged["FAKE_SLURM_LIFE"] = str(FAKE_LIFE_S)
    with (folder / "drivers.log").open("ab") as log:
        return subprocess.Popen(words, stdout=log, stderr=log, env=tagged, cwd=ROOT)


def drive_toy(folder: Path, out: Path, engine: str, cases: int) -> int:
    logging.basicConfig(level=logging.INFO)
    out.mkdir(exist_ok=True)
    report = run_batch(
        Toy(out, seconds=TOY_S),
        cases_in(folder / "in", cases),
        engine=made(engine),
        folder=batch_folder(out, STUDY),
        retry_quarantined=True,
    )
    return report.exit_code


def made(engine: str) -> Engine:
    if engine == "ray":
        from medconsist.batch.ray_engine import RayEngine

        return RayEngine(workers=WORKERS)
    if engine == "slurm":
        from medconsist.batch.slurm import SlurmEngine, SlurmParameters

        return SlurmEngine(
            workers=WORKERS, parameters=SlurmParameters(shards=4, rounds=20, poll_s=0.2, sacct_s=1)
        )
    from medconsist.batch.local import LocalEngine

    return LocalEngine(workers=WORKERS)


def workers(sign: str) -> list[int]:
    """Return the processes of this loop with such a command line, also without a driver."""
    found = list[int]()
    tag = f"{TAG}={os.getpid()}".encode()
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if sign.encode() in (path / "cmdline").read_bytes() and tag in (
                path / "environ"
            ).read_bytes().split(b"\0"):
                found.append(int(path.name))
    return found


def kill(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def remaining(engine: str) -> int:
    """Return how many workers are there some seconds after the last driver has ended."""
    end = time.monotonic() + 10
    while workers(WORKER[engine]) and time.monotonic() < end:
        time.sleep(0.1)
    return len(workers(WORKER[engine]))


def hashes(root: Path, study: str) -> dict[str, dict[str, str]]:
    """Return case/key to the sha256 of each array of every result that verifies."""
    store = ResultStore(root, study)
    return {
        f"{case}/{key}": {a.role: a.sha256 for a in store.read(case, key).result.arrays}
        for case in store.cases()
        for key in store.keys(case)
        if not store.verify(case, key)
    }


def remembered(root: Path, study: str) -> int:
    """Return how many lines the history has; one a result where the task keeps one."""
    return len(ResultStore(root, study).history.read().lines)


if __name__ == "__main__":
    sys.exit(main())
