"""``medconsist bench batch``: what an engine costs, and whether two workers do twice the work.

Start, time per empty case, size on disk, and scaling on work that only computes, for local
processes and Ray. About two minutes on 2 idle cores; other programs spoil the scaling. SLURM is
not timed: its costs are the queue's.
"""

import hashlib
import logging
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from medconsist.batch.engine import Engine, Event, Limits
from medconsist.batch.inline import InlineEngine
from medconsist.batch.local import LocalEngine
from medconsist.batch.ray_cluster import ray_cluster
from medconsist.batch.ray_engine import RayEngine
from medconsist.batch.work import Case, Finished, Work, Worker
from medconsist.errors import MissingExtraError
from medconsist.results.bench import BenchReport, BenchRow, Target

__all__ = ["Sizes", "run_bench"]

SCALING = 1.8
_BLOCK = bytes(1 << 20)
_MB = 1e6

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How large the bench is.

    Parameters
    ----------
    empty
        Cases without work, for the time that an engine adds to each.
    busy, busy_s
        Cases that compute, and for how long each on one idle core [s].

    Examples
    --------
    >>> Sizes().busy
    40
    """

    empty: int = 400
    busy: int = 40
    busy_s: float = 0.5


@dataclass(frozen=True)
class _Hashing(Work):
    """Hashes the same block so many times; 0 is an empty case."""

    blocks: int = 0

    def find(self, case: Case) -> None:
        """Nothing is ever found."""

    def open(self, device: str) -> "_Hasher":
        logger.debug("opened on %s", device)
        return _Hasher(self.blocks)


@dataclass(frozen=True)
class _Hasher(Worker):
    blocks: int

    def run(self, case: Case) -> Finished:
        digest = hashlib.sha256(case.id.encode())
        for _ in range(self.blocks):
            digest.update(_BLOCK)
        return Finished(digest.hexdigest())


@dataclass
class _Clock:
    """Notes when the first and the last case of a run were heard of."""

    begin: float = field(default_factory=time.perf_counter)
    started: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        (self.started if event.kind == "started" else self.ended).append(time.perf_counter())

    @property
    def until_first(self) -> float:
        return self.ended[0] - self.begin

    @property
    def per_case(self) -> float:
        return (self.ended[-1] - self.ended[0]) / (len(self.ended) - 1)

    @property
    def busy(self) -> float:
        return self.ended[-1] - self.started[0]


def run_bench(*, sizes: Sizes | None = None) -> BenchReport:
    """Measure the engines that are installed here.

    Parameters
    ----------
    sizes
        By default 400 empty cases, and 40 of half a second.
    """
    sizes = sizes or Sizes()
    rows: list[BenchRow] = []
    targets: list[Target] = []
    plain = _clocked(InlineEngine(), sizes.empty).per_case
    for name in ("local", "ray"):
        try:
            found, target = _measured(name, sizes, plain)
        except MissingExtraError as error:
            logger.warning("%s is left out: %s", name, error)
            continue
        rows += found
        targets.append(target)
    rows += _installed()
    return BenchReport(command="medconsist bench batch", rows=tuple(rows), targets=tuple(targets))


def _measured(name: str, sizes: Sizes, plain: float) -> tuple[list[BenchRow], Target]:
    with ExitStack() as stack:
        logger.info("%s: start, and %d empty cases ...", name, sizes.empty)
        begin = time.perf_counter()
        stack.enter_context(_place(name))
        ready = time.perf_counter() - begin
        clock = _clocked(_engine(name, 1), sizes.empty)
        rows = [
            _row(name, ("start to first case", "s"), ready + clock.until_first, n=1),
            _row(
                name,
                ("engine per case", "ms"),
                1e3 * clock.per_case,
                n=sizes.empty,
                baseline=1e3 * plain,
            ),
        ]
        if name == "ray":
            rows.insert(0, _row(name, ("ray.init", "s"), ready, n=1))
        logger.info(
            "%s: %d cases of %g s, one worker, then two ...", name, sizes.busy, sizes.busy_s
        )
        blocks = _blocks(sizes.busy_s)
        one, two = (_clocked(_engine(name, workers), sizes.busy, blocks).busy for workers in (1, 2))
    rows.append(_row(name, ("two workers", "s"), two, n=sizes.busy, baseline=one))
    seen = one / two
    target = Target(
        name=f"{name}: scaling from 1 to 2 workers",
        wanted=f">= {SCALING:g} x",
        seen=seen,
        met=seen >= SCALING,
    )
    return rows, target


def _place(name: str) -> AbstractContextManager[object]:
    return ray_cluster(workers=2) if name == "ray" else nullcontext()


def _engine(name: str, workers: int) -> Engine:
    return RayEngine(workers=workers) if name == "ray" else LocalEngine(workers=workers)


def _clocked(engine: Engine, count: int, blocks: int = 0) -> _Clock:
    cases = [Case(id=f"case-{number}") for number in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        clock = _Clock()
        engine.run(_Hashing(blocks), cases, folder=Path(folder), report=clock, limits=Limits())
    return clock


def _blocks(seconds: float) -> int:
    """Return how many blocks this core hashes in so many seconds of its own time."""
    begin, count = time.process_time(), 0
    while time.process_time() - begin < seconds:
        hashlib.sha256(_BLOCK)
        count += 1
    return count


def _row(
    name: str, what: tuple[str, str], value: float, *, n: int, baseline: float | None = None
) -> BenchRow:
    metric, unit = what
    return BenchRow(
        case=name,
        metric=metric,
        value=value,
        unit=unit,
        baseline=baseline,
        ratio=None if baseline is None else value / baseline,
        n=n,
        unit_of_analysis="case" if n > 1 else "run",
    )


def _installed() -> Iterator[BenchRow]:
    """Yield the size of what each engine needs beyond medconsist without extras."""
    core = _needed("medconsist")
    yield _row("local", ("install size", "MB"), 0.0, n=1)
    for name, package in (("ray", "ray"), ("slurm", "submitit")):
        added = _needed(package) - core
        if added:
            size = sum(map(_bytes_of, added)) / _MB
            yield _row(name, ("install size", "MB"), size, n=1)


def _needed(package: str) -> set[str]:
    """Return the installed distributions that a package needs, itself included; no extras."""
    found: set[str] = set()
    waiting = [package]
    while waiting:
        name = waiting.pop()
        try:
            requirements = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        if name in found:
            continue
        found.add(name)
        for text in requirements:
            match = re.match(r"[A-Za-z0-9._-]+", text)
            if match is not None and "extra ==" not in text:
                waiting.append(re.sub(r"[._-]+", "-", match[0]).lower())
    return found


def _bytes_of(package: str) -> int:
    """Return the sum of the sizes of a distribution's files, links not followed [bytes]."""
    files = metadata.files(package) or []
    paths = (Path(str(file.locate())) for file in files)
    return sum(path.stat().st_size for path in paths if path.is_file())
