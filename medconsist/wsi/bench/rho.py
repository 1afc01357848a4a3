"""Tiles per core-second of a loader over those of the decoder alone, on the same bytes."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np

from medconsist._extras import require
from medconsist.errors import RefusedInputError
from medconsist.tiling.huge_pages import huge
from medconsist.tiling.loader import TileLoader
from medconsist.wsi.readers.direct import DirectSlide
from medconsist.wsi.readers.stored_bytes import Reads

__all__ = [
    "Pace",
    "Rho",
    "SlowReads",
    "compared",
    "core_seconds",
    "loader_pass",
    "raw_pass",
    "streams_of",
]

_LEAST = 500  # stored tiles of a round


@dataclass(frozen=True, kw_only=True)
class Pace:
    """What one pass took.

    Parameters
    ----------
    items
        Tiles that were delivered.
    decoded
        Stored tiles that were needed, each once; 0 where that is not known.
    core_seconds
        Processor time of the process, summed over its threads.
    seconds
        Wall-clock time.

    Examples
    --------
    >>> Pace(items=10, decoded=40, core_seconds=2.0, seconds=1.0).per_core_second
    20.0
    """

    items: int
    decoded: int
    core_seconds: float
    seconds: float

    @property
    def work(self) -> int:
        """Stored tiles if they are known, else tiles."""
        return self.decoded or self.items

    @property
    def per_core_second(self) -> float:
        """`work` per second of one core."""
        return self.work / self.core_seconds


@dataclass(frozen=True, kw_only=True)
class Rho:
    """A loader against the decoder, both measured in turn in one process.

    Parameters
    ----------
    rounds
        Of each round: the loader's pace over the decoder's.
    loader, limit
        Of the round whose ratio is the median.

    Examples
    --------
    >>> pace = Pace(items=1, decoded=1, core_seconds=1.0, seconds=1.0)
    >>> Rho(rounds=(0.9, 0.8, 1.0), loader=pace, limit=pace).value
    0.9
    """

    rounds: tuple[float, ...]
    loader: Pace
    limit: Pace

    @property
    def value(self) -> float:
        """The median ratio."""
        return statistics.median(self.rounds)


class SlowReads(Reads):
    """Reads that each wait first, as those from a network do.

    Parameters
    ----------
    reads
        Of the file.
    latency
        [s] before each read.

    Examples
    --------
    >>> from pathlib import Path
    >>> bytes(SlowReads(Reads(Path(__file__)), latency=0.001).pread(0, 3))
    b'\"\"\"'
    """

    def __init__(self, reads: Reads, *, latency: float) -> None:
        super().__init__(reads.path)
        self._latency = latency

    def read_into(self, offset: int, out: memoryview) -> int:
        """Wait, then read."""
        time.sleep(self._latency)
        return super().read_into(offset, out)


def core_seconds(run: Callable[[], object]) -> tuple[float, float]:
    """Return the processor time and the wall-clock time of a call [s]."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.process_time() - cpu, time.perf_counter() - wall


def raw_pass(streams: Sequence[bytes], *, shrink: int = 1, buffers: int = 1) -> Pace:
    """Decode streams from memory into one buffer that is used again: the limit.

    libjpeg-turbo through simplejpeg, with the exact transform, at 1/shrink; the buffer is of the
    fastest kind (`huge`), without which the limit itself would be 10 % slower.

    Parameters
    ----------
    streams
        Standalone JPEG streams of equal size.
    shrink
        1, 2, 4 or 8.
    buffers
        So many in turn, as a batch has them: more than one leaves the cache nearest to the core.

    Raises
    ------
    RefusedInputError
        There are no streams.
    """
    if not streams:
        msg = "the limit is measured on stored tiles; none was given."
        raise RefusedInputError(msg)
    codec = require("simplejpeg", extra="wsi")
    height, width = codec.decode_jpeg_header(streams[0])[:2]
    batch = list(huge((buffers, height, width, 3), np.dtype(np.uint8)))
    options: dict[str, Any] = {"fastdct": False, "fastupsample": False, "strict": True}
    if shrink > 1:
        small = {"min_height": height // shrink, "min_width": width // shrink}
        options |= {**small, "min_factor": float(shrink)}
    decode = codec.decode_jpeg

    def run() -> None:
        for stream, buffer in zip(streams, cycle(batch), strict=False):
            decode(stream, buffer=buffer, **options)

    cpu, wall = core_seconds(run)
    return Pace(items=len(streams), decoded=len(streams), core_seconds=cpu, seconds=wall)


def loader_pass(loader: TileLoader, *, times: int = 1) -> Pace:
    """Go through a loader and drop every batch.

    Parameters
    ----------
    loader
        Of any source; where that knows which stored tiles it needs (``sweep``), so does the pace.
        One that is decoded for two strips counts once.
    times
        Passes, one after the other.
    """
    sweep, items = getattr(loader.source, "sweep", None), 0
    stored = 0 if sweep is None else sweep.stored

    def run() -> None:
        nonlocal items
        for _ in range(times):
            for batch in loader:
                items += len(batch)

    cpu, wall = core_seconds(run)
    return Pace(items=items, decoded=stored * times, core_seconds=cpu, seconds=wall)


def compared(
    loader: TileLoader, streams: Sequence[bytes], *, shrink: int = 1, rounds: int = 3
) -> Rho:
    """Return rho: passes of the loader, each between two of the decoder on the same bytes.

    A first pass, which is not counted, brings the file into memory and the batches into being.
    Alternating keeps what else runs on the machine from favouring one side. A small slide is gone
    through several times a round: a pass of a few hundredths of a second tells nothing.

    Parameters
    ----------
    loader
        Of a direct slide.
    streams
        Stored tiles of the same level.
    shrink
        Of the decoder: 2 for 40x to 20x.
    rounds
        Counted passes.
    """
    times = -(-_LEAST // max(1, loader_pass(loader).work))
    found: list[tuple[float, Pace, Pace]] = []
    for _ in range(rounds):
        first = raw_pass(streams, shrink=shrink)
        pace = loader_pass(loader, times=times)
        last = raw_pass(streams, shrink=shrink)
        limit = Pace(
            items=first.items + last.items,
            decoded=first.decoded + last.decoded,
            core_seconds=first.core_seconds + last.core_seconds,
            seconds=first.seconds + last.seconds,
        )
        found.append((pace.per_core_second / limit.per_core_second, pace, limit))
    middle = sorted(found, key=lambda one: one[0])[len(found) // 2]
    return Rho(rounds=tuple(one[0] for one in found), loader=middle[1], limit=middle[2])


def streams_of(slide: DirectSlide, *, level: int = 0, most: int = 1000) -> list[bytes]:
    """Return stored tiles of a level as standalone streams, evenly taken from all over it.

    Parameters
    ----------
    slide
        Read directly.
    level
        0 is the finest.
    most
        So many at most.
    """
    rows, columns = slide.stored[level].shape
    numbers = np.unique(np.linspace(0, rows * columns - 1, most).astype(np.int64))
    found = (slide.stream(level, *divmod(int(number), columns)) for number in numbers)
    return [stream for stream in found if stream is not None]
