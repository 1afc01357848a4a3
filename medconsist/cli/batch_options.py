"""Flags of the commands that run over many cases, and the batch that they ask for."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import arg

import medconsist
from medconsist.cli.options import Computing
from medconsist.errors import RefusedInputError

if TYPE_CHECKING:  # the room imports nothing heavy
    from medconsist.batch.engine import Engine
    from medconsist.batch.work import Case, Work

__all__ = ["Batching"]

_MOST_WORKERS = 8  # without --workers; each holds a model and an input in memory
_SLURM_TASKS = 64  # likewise with SLURM: at once
_PREFETCH_GIB = 64.0
# Flags that go with one engine alone.
_OF_ENGINE = {
    "prefetch": "local",
    "prefetch_gib": "local",
    "gpu_share": "ray",
    "ray_address": "ray",
    "slurm": "slurm",
}


@dataclass(frozen=True, kw_only=True)
class Batching(Computing):
    """Flags of a command that can run over many cases."""

    engine: Literal["local", "ray", "slurm"] | None = None
    """Run as a batch: on processes of this machine, a Ray cluster, or arrays of SLURM."""
    workers: int | None = None
    """Workers of the batch, with --engine slurm tasks at once; by default one a GPU, or one a core
    (8 at most), 64 tasks of SLURM. --ray-address needs it."""
    case_seconds: float | None = None
    """A case that takes longer is ended and tried once more; loading the model counts."""
    max_failures: int | None = None
    """Stop the batch when more cases than this were set aside."""
    retry: Annotated[bool, arg(help="Also run what an earlier batch has set aside.")] = False
    prefetch: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """Copy the next inputs into this folder of a fast disk; with --engine local."""
    prefetch_gib: float = _PREFETCH_GIB
    """Most that these copies may take [GiB]."""
    gpu_share: float = 1.0
    """Share of a GPU for each worker of --engine ray --device cuda; 0.5 puts two on one."""
    ray_address: Annotated[str | None, arg(metavar="HOST:PORT")] = None
    """Ray cluster to join, or auto for that of this node; by default one is started here."""
    slurm: Annotated[tuple[str, ...], arg(metavar="KEY=VALUE")] = ()
    """What is asked of SLURM: partition=gpu account=lab time_min=600 gpus=1 ..., and any other
    option of sbatch."""

    def set_up(self) -> None:
        """As `Computing`; also refuse flags that would not be used, or cannot be guessed."""
        super().set_up()
        for one in fields(Batching):
            if one in fields(Computing) or one.name == "engine":
                continue
            needed = _OF_ENGINE.get(one.name, self.engine or "local|ray|slurm")
            if getattr(self, one.name) != one.default and self.engine != needed:
                flag = f"--{one.name.replace('_', '-')}"
                msg = f"{flag} goes with --engine {needed}; add that, or leave it out."
                raise RefusedInputError(msg)
        self._refuse_halves()

    def _refuse_halves(self) -> None:
        """Refuse a flag without the one that gives it a meaning."""
        halves = {
            "--prefetch-gib goes with --prefetch FOLDER; add that, or leave it out.": (
                self.prefetch_gib != _PREFETCH_GIB and self.prefetch is None
            ),
            "--gpu-share goes with --device cuda; add that, or leave it out.": (
                self.gpu_share != 1 and self.device == "cpu"
            ),
            "--ray-address needs --workers: how many the batch may take of that cluster; see: "
            "ray status.": self.ray_address is not None and self.workers is None,
        }
        for msg, is_half in halves.items():
            if is_half:
                raise RefusedInputError(msg)

    def _refuse_device(self) -> None:
        """As `Computing`; where a GPU is on another machine, that one is asked."""
        if self.engine in ("ray", "slurm") and self.device.startswith("cuda:"):
            msg = f"--device {self.device}: {self.engine} chooses the GPU; say --device cuda."
            raise RefusedInputError(msg)
        elsewhere = self.engine == "slurm" or self.ray_address is not None
        if not (elsewhere and self.device == "cuda"):
            super()._refuse_device()

    def run_cases(
        self, work: "Work", cases: "Sequence[Case]", *, out: Path, study: str, engine: str
    ) -> int:
        """Run the batch, print what became of it, and return the exit code."""
        from medconsist.batch.engine import Limits
        from medconsist.batch.progress import ProgressLine
        from medconsist.batch.run import run_batch
        from medconsist.batch.states import batch_folder

        folder = batch_folder(out.absolute(), study)
        report = run_batch(
            work,
            cases,
            engine=self._engine(engine),
            folder=folder,
            limits=Limits(case_seconds=self.case_seconds, max_failures=self.max_failures),
            retry_quarantined=self.retry,
            line=ProgressLine(),
        )
        paths = {"html": str(folder / "report.html"), "report": str(folder / "report.json")}
        said = report.model_dump(mode="json") | {"counts": report.counts, **paths}
        text = "\n".join((medconsist.RESEARCH_USE_ONLY, "", report.text, "", *paths.values()))
        sys.stdout.write((json.dumps(said) if self.json else text) + "\n")
        return report.exit_code

    def _engine(self, name: str) -> "Engine":
        if name == "ray":
            from medconsist.batch.ray_cluster import RayPlace
            from medconsist.batch.ray_engine import RayEngine

            share = self.gpu_share if self.device != "cpu" else 0
            place = RayPlace(address=self.ray_address)
            return RayEngine(workers=self._workers(), gpus=share, place=place, threads=self.threads)
        if name == "slurm":
            from medconsist.batch.slurm import SlurmEngine

            return SlurmEngine(
                workers=_SLURM_TASKS if self.workers is None else self.workers,
                parameters=self._slurm_parameters(),
                threads=self.threads,
            )
        from medconsist.batch.local import LocalEngine
        from medconsist.batch.prefetch import Prefetch

        fast = None
        if self.prefetch is not None:
            fast = Prefetch(self.prefetch, budget_bytes=self.prefetch_gib * 2**30)
        return LocalEngine(
            workers=self._workers(), device=self.device, prefetch=fast, threads=self.threads
        )

    def _workers(self) -> int:
        if self.workers is not None:
            return self.workers
        if self.device == "cuda":
            import torch

            return torch.cuda.device_count()
        return 1 if self.device != "cpu" else min(_MOST_WORKERS, len(os.sched_getaffinity(0)))

    def _slurm_parameters(self) -> Any:  # noqa: ANN401  SlurmParameters, which is not imported yet
        from medconsist.batch.slurm import SlurmParameters

        known = {one.name: one.default for one in fields(SlurmParameters) if one.name != "extra"}
        asked: dict[str, Any] = {} if self.device == "cpu" else {"gpus": 1}
        extra = dict[str, str]()
        for word in self.slurm:
            name, is_pair, value = word.partition("=")
            if not is_pair or not name:
                msg = f"--slurm takes KEY=VALUE, e.g. partition=gpu, got {word!r}."
                raise RefusedInputError(msg)
            if name in known:
                asked[name] = _number(name, value) if _is_number(known[name], name) else value
            else:
                extra[name] = value
        parameters = SlurmParameters(**asked, extra=extra)
        if self.threads is None or "cpus" in asked:
            return parameters
        return replace(parameters, cpus=max(parameters.cpus, self.threads * parameters.workers))


def _is_number(default: object, name: str) -> bool:
    return isinstance(default, int | float) or name == "mem_gb"


def _number(name: str, value: str) -> int | float:
    try:
        return int(value)
    except ValueError:
        pass
    try:
        return float(value)
    except ValueError as error:
        msg = f"--slurm {name} must be a number, got {value!r}."
        raise RefusedInputError(msg) from error
