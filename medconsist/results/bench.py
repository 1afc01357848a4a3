"""The one JSON object that every ``medconsist bench`` command prints."""

import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field, model_validator

from medconsist._records import Record
from medconsist.results.environment import library_versions

__all__ = [
    "BenchReport",
    "BenchRow",
    "BenchTable",
    "Machine",
    "Target",
    "machine",
    "real_data",
    "versions",
]


class Machine(Record):
    """What a bench ran on.

    Parameters
    ----------
    cpu, threads, gpu
        Name of the processor, number of threads in use, name of the first GPU or None.

    Examples
    --------
    >>> machine().threads >= 1
    True
    """

    cpu: str
    threads: int = Field(ge=1)
    gpu: str | None = None


class BenchRow(Record):
    """One measured number, with its baseline and interval.

    Parameters
    ----------
    case, metric, value, unit
        What was measured.
    baseline, ratio
        The number it is compared with, and value over baseline; None without.
    n, unit_of_analysis
        How many of what: 25 of ``"site"``.
    ci_low, ci_high
        Confidence interval; both or neither.
    seed
        None if nothing was drawn.

    Examples
    --------
    >>> BenchRow(case="r4", metric="nrmse", value=0.1, unit="1", n=1, unit_of_analysis="scan").n
    1
    """

    case: str
    metric: str
    value: float
    unit: str
    baseline: float | None = None
    ratio: float | None = None
    n: int = Field(ge=1)
    unit_of_analysis: str
    ci_low: float | None = None
    ci_high: float | None = None
    seed: int | None = None

    @model_validator(mode="after")
    def _interval_is_whole(self) -> "BenchRow":
        if (self.ci_low is None) != (self.ci_high is None):
            msg = f"row {self.case}/{self.metric}: give both ends of the interval or none"
            raise ValueError(msg)
        return self


class Target(Record):
    """A number that was asked for beforehand, and what was seen.

    Parameters
    ----------
    name, wanted, seen, met
        E.g. ``"nrmse ratio at r4"``, ``"<= 1.05"``, 1.02, True.

    Examples
    --------
    >>> Target(name="start", wanted="< 0.5 s", seen=0.3, met=True).met
    True
    """

    name: str
    wanted: str
    seen: float | str
    met: bool


@dataclass(frozen=True)
class BenchTable:
    """Measured rows, and the targets that were set for some of them beforehand.

    Examples
    --------
    >>> BenchTable().joined(BenchTable()).rows
    ()
    """

    rows: tuple[BenchRow, ...] = ()
    targets: tuple[Target, ...] = ()

    def joined(self, other: "BenchTable") -> "BenchTable":
        """Return both, in order."""
        return BenchTable(self.rows + other.rows, self.targets + other.targets)


class BenchReport(Record):
    """One bench run; ``to_json`` is what the command prints with ``--json``.

    Examples
    --------
    >>> BenchReport(command="medconsist bench mri", rows=(), targets=()).to_json(indent=None)[:12]
    '{"schema":1,'
    """

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    schema_: Literal[1] = Field(default=1, alias="schema")
    command: str
    versions: dict[str, str] = Field(default_factory=library_versions)
    machine: Machine = Field(default_factory=lambda: machine())
    rows: tuple[BenchRow, ...]
    targets: tuple[Target, ...] = ()

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return the report as JSON text."""
        return self.model_dump_json(by_alias=True, indent=indent)


def real_data(folder: Path | None) -> Path:
    """Return the folder of real data: as given, else that of MEDCONSIST_TEST_DATA, else ``data``.

    Examples
    --------
    >>> real_data(Path("here")).name
    'here'
    """
    return folder or Path(os.environ.get("MEDCONSIST_TEST_DATA", "data"))


def versions() -> dict[str, str]:
    """Return the installed versions of medconsist and of every library that it names."""
    return library_versions()


def machine() -> Machine:
    """Return the machine; torch is asked for threads and GPU only if it is loaded already."""
    torch = sys.modules.get("torch")
    if torch is None:
        return Machine(cpu=_cpu(), threads=len(os.sched_getaffinity(0)))
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return Machine(cpu=_cpu(), threads=torch.get_num_threads(), gpu=gpu)


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
