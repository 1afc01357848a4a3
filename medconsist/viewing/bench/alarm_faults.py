"""``medconsist bench alarm-faults``: how often each alarm is raised on clean and on faulty cases.

Every case is made and looked at by the code that a site runs: files are written and read by their
readers, jobs make results of them, and the result is asked as the trust panel asks it. The
kinds of case are those of `medconsist.viewing.alarm_fault_rows`; limits of the alarms were set
elsewhere, on other cases. Planned for about 4 minutes on 2 idle cores.
"""

import logging
import shutil
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from medconsist.batch.worker_pool import worker_pool
from medconsist.errors import RefusedInputError
from medconsist.metrics.report import exact_binomial_interval
from medconsist.results.bench import BenchReport, BenchRow
from medconsist.viewing.alarm_fault_rows import FAULT_BENCH, FAULT_CASES, RAISED
from medconsist.viewing.bench.faults.entry import Entry, Spot
from medconsist.viewing.bench.faults.scans import SCANS
from medconsist.viewing.bench.faults.signals import SIGNALS
from medconsist.viewing.bench.faults.slides import SLIDES
from medconsist.viewing.bench.faults.stored import STORED

__all__ = ["ENTRIES", "run_bench", "seed_of"]

ENTRIES: Mapping[str, Entry] = MappingProxyType({**STORED, **SCANS, **SIGNALS, **SLIDES})
"""Alarm to how its cases are made; the cases are those of `FAULT_CASES`, in its order."""

_CHUNK = 5

logger = logging.getLogger(__name__)


class _Part(NamedTuple):
    """Some cases of one kind."""

    alarm: str
    case: str
    first: int
    size: int


@dataclass(frozen=True)
class _Counted:
    """How many cases of a part were of its kind, and how many of them raised the alarm."""

    n: int
    raised: int


def run_bench(
    *,
    seed: int = 0,
    draws: int | None = None,
    alarms: Sequence[str] | None = None,
    workers: int = 2,
) -> BenchReport:
    """Make the cases of every alarm and count how often it is raised.

    Parameters
    ----------
    seed
        Of every case.
    draws
        Cases of each kind; None takes as many as each entry says.
    alarms
        Which; None takes all.
    workers
        Processes, each of one thread.

    Raises
    ------
    RefusedInputError
        Fewer than one draw or worker, or an alarm that the bench does not try.
    """
    if min(workers, 1 if draws is None else draws) < 1:
        msg = f"got {draws} draws and {workers} workers; allowed: 1 or more of each."
        raise RefusedInputError(msg)
    unknown = sorted(set(alarms or ()) - FAULT_CASES.keys())
    if unknown:
        msg = f"the bench tries no {', '.join(unknown)}; allowed: {', '.join(FAULT_CASES)}."
        raise RefusedInputError(msg)
    parts = [part for alarm in alarms or FAULT_CASES for part in _parts(alarm, draws)]
    with tempfile.TemporaryDirectory(prefix="alarm-faults-") as folder:
        shared = Path(folder) / "shared"
        _make_shared(shared, {part.alarm for part in parts})
        count = partial(_counted, folder=Path(folder), seed=seed)
        with worker_pool(workers) as run:
            found = run("parts of five cases", count, parts)
    rows = _rows(parts, found, seed)
    return BenchReport(command=f"medconsist bench {FAULT_BENCH}", rows=tuple(rows))


def seed_of(alarm: str, case: str, number: int, *, seed: int) -> int:
    """Return the seed of one case: no two kinds share their draws."""
    return zlib.crc32(f"{seed} {alarm} {case} {number}".encode())


def _parts(alarm: str, draws: int | None) -> list[_Part]:
    most = ENTRIES[alarm].n if draws is None else draws
    return [
        _Part(alarm, case.name, first, min(_CHUNK, most - first))
        for case in FAULT_CASES[alarm]
        for first in range(0, most, _CHUNK)
    ]


def _make_shared(shared: Path, alarms: set[str]) -> None:
    needs = {need.__name__: need for alarm in sorted(alarms) for need in ENTRIES[alarm].needs}
    for name, need in needs.items():
        logger.info("%s ...", name.strip("_").replace("_", " "))
        (shared / name).mkdir(parents=True)
        need(shared / name)


def _counted(part: _Part, *, folder: Path, seed: int) -> _Counted:
    entry, made, raised = ENTRIES[part.alarm], 0, 0
    for number in range(part.first, part.first + part.size):
        room = folder / f"{part.alarm}-{part.case}-{number}"
        room.mkdir()
        here = seed_of(part.alarm, part.case, number, seed=seed)
        subject = entry.make[part.case](Spot(room=room, shared=folder / "shared", seed=here))
        if subject is not None:
            made += 1
            raised += entry.raised(subject)
        shutil.rmtree(room)
    return _Counted(made, raised)


def _rows(parts: Sequence[_Part], found: Sequence[_Counted], seed: int) -> list[BenchRow]:
    rows = []
    for alarm in dict.fromkeys(part.alarm for part in parts):
        for case in FAULT_CASES[alarm]:
            mine = [
                one
                for part, one in zip(parts, found, strict=True)
                if (part.alarm, part.case) == (alarm, case.name)
            ]
            n, unit = sum(one.n for one in mine), ENTRIES[alarm].unit
            if not n:
                continue
            share = exact_binomial_interval(sum(one.raised for one in mine), n, unit=unit)
            rows.append(
                BenchRow(
                    case=case.row_name(alarm),
                    metric=RAISED,
                    value=share.proportion,
                    unit="1",
                    n=n,
                    unit_of_analysis=unit,
                    ci_low=share.ci_low,
                    ci_high=share.ci_high,
                    seed=seed,
                )
            )
    return rows
