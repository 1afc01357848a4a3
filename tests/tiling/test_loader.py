"""The loader: order and content of the plain loop, errors in their place, no thread left behind."""

import threading
import time
from collections.abc import Iterator
from functools import partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
import torch

from medconsist.errors import CorruptInputError, RefusedInputError
from medconsist.tiling.device import batches_on, normalised
from medconsist.tiling.loader import TileLoader
from medconsist.tiling.source import Job, Place, Source

CPU = torch.device("cpu")


class Numbers(Source):
    """Item i is filled with i; some fail, some take longer."""

    dtype = np.dtype(np.uint8)
    shape = (4, 5, 3)

    def __init__(self, count: int, *, broken: tuple[int, ...] = (), delay: float = 0.0) -> None:
        self.count, self.broken, self.delay = count, broken, delay

    def __len__(self) -> int:
        return self.count

    def read(self, position: int, out: npt.NDArray[np.uint8]) -> None:
        if self.delay:
            time.sleep(self.delay * (position % 3))
        if position in self.broken:
            msg = f"item {position} is broken"
            raise CorruptInputError(msg)
        out[:] = position % 251


class Halves(Numbers):
    """Each item is written by two jobs far apart, gathered at double size; delivered backwards."""

    canvas = (8, 5, 3)

    @property
    def order(self) -> npt.NDArray[np.int64]:
        return np.arange(self.count)[::-1].astype(np.int64)

    def jobs(self) -> Iterator[Job]:
        order = self.order
        for start in range(0, self.count, 7):
            ranks = np.arange(start, min(start + 7, self.count))
            for half in (0, 1):
                complete = start if half == 0 else int(ranks[-1]) + 1
                yield Job(
                    ranks=ranks,
                    complete=complete,
                    fetch=partial(order.__getitem__, ranks),
                    decode=partial(self.write, ranks.tolist(), slice(4 * half, 4 * half + 4)),
                )

    def write(
        self, ranks: list[int], part: slice, positions: npt.NDArray[np.int64], place: Place
    ) -> None:
        for rank, position in zip(ranks, positions, strict=True):
            place(rank)[part] = position

    def finish(self, rank: int, canvas: npt.NDArray[np.uint8], out: npt.NDArray[np.uint8]) -> None:
        assert (canvas == self.order[rank]).all()
        out[:] = canvas[::2]


@pytest.mark.parametrize("kind", [Numbers, Halves])
@pytest.mark.parametrize("batch", [1, 7, 64])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_loader_equals_the_plain_loop(kind: type[Numbers], batch: int, threads: int) -> None:
    source = kind(50)
    batches = list(TileLoader(source, batch=batch, threads=threads))
    positions = np.concatenate([one.positions for one in batches])
    assert (positions == source.order).all()
    tiles = torch.cat([one.tiles for one in batches]).numpy()
    assert (tiles == source.all()[positions]).all()
    assert all(len(one) == batch for one in batches[:-1])


def test_an_empty_source_gives_no_batch() -> None:
    assert list(TileLoader(Numbers(0))) == []


def test_a_held_batch_is_never_written_again() -> None:
    loader = TileLoader(Numbers(40), batch=4)
    for _ in range(2):
        kept = [batch.tiles[1:2].numpy() for batch in loader]
        assert [int(one.max()) for one in kept] == list(range(1, 41, 4))


def test_memory_that_is_let_go_is_used_again() -> None:
    loader = TileLoader(Numbers(400), batch=4, threads=1)
    places = {batch.tiles.data_ptr() for batch in loader}
    # two ahead, four of the job being decoded, one held, one handed over, and one to spare
    assert len(places) <= 9


def test_an_error_comes_after_all_batches_before_it() -> None:
    batches = TileLoader(Numbers(64, broken=(41, 22, 60)), batch=4, threads=3)
    seen: list[int] = []
    with pytest.raises(CorruptInputError, match="item 22 is broken"):
        seen.extend(len(batch) for batch in batches)
    # The default source reads groups of 16: the batches of group 16..31 fail together.
    assert sum(seen) == 16


def test_no_thread_outlives_a_pass_a_break_or_an_error() -> None:
    before = set(threading.enumerate())
    for source in (Numbers(64, delay=0.0005), Numbers(64, broken=(5,)), Halves(64)):
        try:
            for number, _ in enumerate(TileLoader(source, batch=4, threads=3)):
                if number == 2:
                    break
        except CorruptInputError:
            pass
        assert set(threading.enumerate()) == before


def test_a_consumer_that_raises_ends_the_threads() -> None:
    before = set(threading.enumerate())
    with pytest.raises(ZeroDivisionError, match="division"):
        sum(len(batch) / 0 for batch in TileLoader(Numbers(500), batch=4))
    assert set(threading.enumerate()) == before


def test_decoding_pauses_when_enough_batches_lie_ready() -> None:
    read = []

    class Noted(Numbers):
        def read(self, position: int, out: npt.NDArray[np.uint8]) -> None:
            read.append(position)
            super().read(position, out)

    batches = iter(TileLoader(Noted(1000), batch=16, threads=2, ahead=2))
    next(batches)
    time.sleep(0.1)
    assert len(read) <= (1 + 2 + 2) * 16  # handed over, ahead, in the hands of two threads
    batches.close()


def test_slow_reads_overlap() -> None:
    lock = threading.Lock()
    waiting = [0, 0]  # now, and at most

    class Slow(Numbers):
        def jobs(self) -> Iterator[Job]:
            for job in super().jobs():
                yield Job(
                    ranks=job.ranks, complete=job.complete, decode=job.decode, fetch=self.wait
                )

        def wait(self) -> None:
            with lock:
                waiting[:] = [waiting[0] + 1, max(waiting[1], waiting[0] + 1)]
            time.sleep(0.01)
            with lock:
                waiting[0] -= 1

    assert sum(len(batch) for batch in TileLoader(Slow(960), threads=1, readers=8)) == 960
    assert waiting[0] == 0
    assert 2 < waiting[1] <= 8


def test_a_source_that_plans_too_little_is_refused() -> None:
    class Short(Numbers):
        def jobs(self) -> Iterator[Job]:
            yield next(super().jobs())

    with pytest.raises(RefusedInputError, match="planned 16 of its 40"):
        list(TileLoader(Short(40), batch=4))


def test_numbers_below_one_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="must be 1 or more"):
        TileLoader(Numbers(4), threads=0)


def test_the_report_adds_up() -> None:
    loader = TileLoader(Numbers(64), batch=8)
    for _ in loader:
        time.sleep(0.002)
    report = loader.report
    assert report is not None
    assert report.items == 64
    assert report.consumer >= 0.016
    assert report.wait + report.consumer == pytest.approx(report.seconds)


def test_normalised_is_the_formula_and_channels_last(generator: torch.Generator) -> None:
    tiles = torch.randint(0, 256, (2, 4, 5, 3), dtype=torch.uint8, generator=generator)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    wanted = (tiles.double() / 255 - torch.tensor(mean)) / torch.tensor(std)
    made = normalised(tiles, mean=mean, std=std, dtype=torch.float32)
    # float32 constants, one multiplication and one addition
    torch.testing.assert_close(made.double(), wanted.permute(0, 3, 1, 2), atol=1e-6, rtol=1e-6)
    assert made.is_contiguous(memory_format=torch.channels_last)


def test_blocks_arrive_in_order_on_the_cpu() -> None:
    blocks = [torch.tensor([value]) for value in range(5)]
    assert all(a < b for a, b in pairwise(batches_on(CPU, blocks)))


@pytest.mark.gpu
def test_loader_equals_the_plain_loop_on_the_gpu() -> None:
    source = Numbers(200)
    batches = list(TileLoader(source, batch=16, device="cuda"))
    assert (torch.cat([one.tiles for one in batches]).cpu().numpy() == source.all()).all()
