"""Batches of a source on a device, decoded ahead by threads; equal to the plain loop."""

import time
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.tiling.buffers import Buffers
from medconsist.tiling.device import batches_on
from medconsist.tiling.pipeline import Pipeline, Times
from medconsist.tiling.source import Source

__all__ = ["LoaderReport", "TileBatch", "TileLoader"]


@dataclass(frozen=True, eq=False)
class TileBatch:
    """Items as they were decoded, and which they are.

    Parameters
    ----------
    tiles
        uint8 ``items rows columns channels`` (or whatever the source holds) on the device.
    positions
        Position of each in the source, int64.

    Examples
    --------
    >>> len(TileBatch(torch.zeros(2, 4, 4, 3, dtype=torch.uint8), np.array([5, 6])))
    2
    """

    tiles: Tensor
    positions: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.positions)


@dataclass(frozen=True, kw_only=True)
class LoaderReport:
    """Where the time of one pass went.

    Parameters
    ----------
    items
        Handed over.
    seconds
        Of the whole pass.
    wait
        The consumer waited for a batch [s]: the loader was too slow.
    consumer
        Between a batch and the next call for one [s]: the encoder.
    threads
        Seconds of the decoding threads.

    Examples
    --------
    >>> LoaderReport(items=512, seconds=2.0, wait=0.5, consumer=1.5, threads=Times()).per_second
    256.0
    """

    items: int
    seconds: float
    wait: float
    consumer: float
    threads: Times

    @property
    def per_second(self) -> float:
        """Items per second of wall-clock time."""
        return self.items / self.seconds if self.seconds else 0.0


class TileLoader:
    """Iterates over a source in batches; each pass starts its threads and ends them.

    Threads, not processes: the decoders release the interpreter, so one process shares the file
    and the batches, and nothing is copied between processes. Batches come in `Source.order`; they
    are uint8 until they are on the device (see `medconsist.tiling.device.normalised`). A batch is
    valid for as long as it is held; its memory is used again after that.

    An error of an item is raised in place of the first batch that it belongs to, after all batches
    before it. Leaving the loop early, by ``break`` or an error, ends every thread.

    Parameters
    ----------
    source
        What is read.
    batch
        Items of a batch; the last one may hold fewer.
    threads
        That decode.
    device
        Where batches go; on CUDA through page-locked memory on a stream of its own.
    readers
        Reads that may be waiting for the disk or the network at once.
    ahead
        Batches that may lie ready.

    Raises
    ------
    RefusedInputError
        A number is below 1.

    Examples
    --------
    >>> class Squares(Source):
    ...     shape, dtype = (1,), np.dtype(np.uint8)
    ...     def __len__(self): return 5
    ...     def read(self, position, out): out[:] = position**2
    >>> [batch.tiles.flatten().tolist() for batch in TileLoader(Squares(), batch=2)]
    [[0, 1], [4, 9], [16]]
    """

    def __init__(
        self,
        source: Source,
        *,
        batch: int = 64,
        threads: int = 2,
        device: str | torch.device = "cpu",
        readers: int = 8,
        ahead: int = 2,
    ) -> None:
        if min(batch, threads, readers, ahead) < 1:
            msg = f"batch, threads, readers and ahead must be 1 or more, got {batch}, {threads}, "
            msg += f"{readers} and {ahead}."
            raise RefusedInputError(msg)
        self.source, self.batch, self.device = source, batch, torch.device(device)
        self._threads, self._readers, self._ahead = threads, readers, ahead
        kind = "pinned" if self.device.type == "cuda" else "plain"
        self._buffers = Buffers(batch, source.shape, source.dtype, kind=kind)
        self.report: LoaderReport | None = None

    def __len__(self) -> int:
        """Return the number of batches."""
        return -(-len(self.source) // self.batch)

    def __iter__(self) -> Generator[TileBatch]:
        """Yield every batch; `report` describes the pass once it has ended."""
        order, start, wait, given = self.source.order, time.perf_counter(), 0.0, 0
        pipeline = Pipeline(
            self.source,
            self._buffers,
            threads=self._threads,
            readers=self._readers,
            ahead=self._ahead,
        )
        try:
            blocks = (self._block(pipeline, number) for number in range(len(self)))
            tensors = batches_on(self.device, blocks)
            for number in range(len(self)):
                begin = time.perf_counter()
                tiles = next(tensors)
                wait += time.perf_counter() - begin
                positions = order[number * self.batch : (number + 1) * self.batch]
                given += len(positions)
                made = TileBatch(tiles, positions)
                del tiles
                yield made
                del made
        finally:
            pipeline.close()
            seconds = time.perf_counter() - start
            self.report = LoaderReport(
                items=given,
                seconds=seconds,
                wait=wait,
                consumer=seconds - wait,
                threads=pipeline.times,
            )

    def _block(self, pipeline: Pipeline, number: int) -> Tensor:
        items = min(self.batch, len(self.source) - number * self.batch)
        return self._buffers.tensor(pipeline.batch(number), items)
