"""The pool: what was put in, from the slides asked for, whole on the disk or not at all."""

import json
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from medconsist.errors import (
    MissingInputError,
    RefusedInputError,
    ShapeError,
    StorageError,
    TruncatedFileError,
)
from medconsist.wsi.simclr.tile_pool import TilePool, build_pool
from tests.wsi.simclr.toy import random_tiles

BATCHES = (("a", 3), ("b", 2), ("a", 1))


def batches() -> Iterator[tuple[str, Tensor]]:
    for seed, (name, count) in enumerate(BATCHES):
        yield name, random_tiles(count, 8, seed)


def uneven() -> TilePool:
    """Return 98 tiles of one slide, and one of each of two others."""
    names = ["big"] * 98 + ["b", "c"]
    return TilePool.from_array(random_tiles(100, 4).numpy(), names, mpp=0.5)


def test_a_built_pool_holds_what_came_and_reads_it_from_the_disk(tmp_path: Path) -> None:
    pool = build_pool(tmp_path, batches(), mpp=0.25)
    wanted = torch.cat([tiles for _, tiles in batches()])
    assert isinstance(pool.pixels, np.memmap)
    assert torch.equal(pool.at(torch.arange(6)).tiles, wanted)
    assert pool.slide.tolist() == [0, 0, 0, 1, 1, 0]
    assert (pool.names, pool.mpp, len(pool)) == (("a", "b"), 0.25, 6)
    in_memory = TilePool.from_array(wanted.numpy(), ["a"] * 3 + ["b"] * 2 + ["a"], mpp=0.25)
    assert in_memory.sha256 == pool.sha256
    assert torch.equal(in_memory.slide, pool.slide)


def test_numpy_alone_can_read_the_tiles(tmp_path: Path) -> None:
    build_pool(tmp_path, batches(), mpp=0.25)
    assert np.load(tmp_path / "tiles.npy").shape == (6, 8, 8, 3)


def test_the_same_generator_draws_the_same_tiles() -> None:
    first, again = (uneven().draw(5, Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first.tile, again.tile)
    assert torch.equal(first.tiles, again.tiles)


def test_every_slide_or_every_tile_is_as_likely_as_any_other() -> None:
    pool, n_draws = uneven(), 6000
    shares = {
        weight: torch.bincount(pool.draw(n_draws, Generator(), weight=weight).slide) / n_draws
        for weight in ("slide", "tile")
    }
    assert torch.allclose(shares["slide"], torch.full((3,), 1 / 3), atol=0.03)
    assert torch.allclose(shares["tile"], torch.tensor([0.98, 0.01, 0.01]), atol=0.01)
    drawn = pool.draw(n_draws, Generator()).tile
    assert len(torch.unique(drawn)) == 100  # all of the large slide too


def test_the_pool_of_some_slides_draws_from_no_other_and_keeps_the_numbers() -> None:
    pool = uneven().of_slides(["c", "b"])
    drawn = pool.draw(50, Generator())
    assert set(drawn.tile.tolist()) == {98, 99}
    assert set(drawn.slide.tolist()) == {1, 2}
    assert pool.slides == ("b", "c")
    assert torch.equal(drawn.tiles, torch.from_numpy(pool.pixels[drawn.tile.numpy()]))


def test_what_is_drawn_is_a_copy() -> None:
    pool = uneven()
    before = pool.pixels.copy()
    pool.draw(10, Generator()).tiles.zero_()
    assert np.array_equal(pool.pixels, before)


def test_building_holds_one_batch_in_memory_at_a_time(tmp_path: Path) -> None:
    def many() -> Iterator[tuple[str, Tensor]]:
        for number in range(64):
            yield f"slide-{number % 4}", torch.full((16, 64, 64, 3), number, dtype=torch.uint8)

    one = 16 * 64 * 64 * 3
    tracemalloc.start()
    try:
        pool = build_pool(tmp_path, many(), mpp=0.5)
        pool.draw(16, Generator())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (tmp_path / "tiles.npy").stat().st_size > 64 * one
    assert peak < 4 * one


def test_an_interrupted_pool_cannot_be_opened(tmp_path: Path) -> None:
    build_pool(tmp_path, batches(), mpp=0.25)

    def failing() -> Iterator[tuple[str, Tensor]]:
        yield from batches()
        msg = "the reader broke"
        raise OSError(msg)

    with pytest.raises(StorageError, match="the reader broke"):
        build_pool(tmp_path, failing(), mpp=0.25)
    with pytest.raises(MissingInputError, match="no finished pool"):
        TilePool.open(tmp_path)


def test_two_builders_of_one_pool_do_not_mix(tmp_path: Path) -> None:
    def meddling() -> Iterator[tuple[str, Tensor]]:
        yield from batches()
        with pytest.raises(RefusedInputError, match="Another process builds a pool in"):
            build_pool(tmp_path, [("z", random_tiles(6, 8))], mpp=1)

    assert build_pool(tmp_path, meddling(), mpp=0.25).slides == ("a", "b")
    assert build_pool(tmp_path, batches(), mpp=0.5).mpp == 0.5


def test_a_killed_builder_leaves_no_pool_and_no_lock(tmp_path: Path) -> None:
    build_pool(tmp_path, batches(), mpp=0.25)
    code = (
        "import os, signal, sys, torch; from pathlib import Path\n"
        "from medconsist.wsi.simclr.tile_pool import build_pool\n"
        "def dying():\n"
        "    yield 'a', torch.zeros(9, 8, 8, 3, dtype=torch.uint8)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "build_pool(Path(sys.argv[1]), dying(), mpp=1)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    with pytest.raises(MissingInputError, match=r"pool\.json is missing"):
        TilePool.open(tmp_path)
    assert len(build_pool(tmp_path, batches(), mpp=0.5)) == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "pool.json",
        "slide.npy",
        "tiles.npy",
    ]


def test_a_pool_without_one_of_its_files_or_with_an_archive_is_refused(tmp_path: Path) -> None:
    build_pool(tmp_path, batches(), mpp=0.25)
    with (tmp_path / "tiles.npy").open("wb") as file:
        np.savez(file, a=np.zeros(6))
    with pytest.raises(TruncatedFileError, match="build it again"):
        TilePool.open(tmp_path)
    (tmp_path / "tiles.npy").unlink()
    with pytest.raises(MissingInputError, match=r"tiles\.npy is missing"):
        TilePool.open(tmp_path)


def test_a_pool_can_be_built_again_over_an_old_one(tmp_path: Path) -> None:
    build_pool(tmp_path, batches(), mpp=0.25)
    pool = build_pool(tmp_path, [("z", random_tiles(2, 4))], mpp=1)
    assert (pool.slides, pool.pixels.shape) == (("z",), (2, 4, 4, 3))


@pytest.mark.parametrize("name", ["tiles.npy", "slide.npy", "pool.json"])
@pytest.mark.parametrize("keep", [0, 10, -1])
def test_a_truncated_pool_is_refused(tmp_path: Path, name: str, keep: int) -> None:
    build_pool(tmp_path, batches(), mpp=0.25)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(TruncatedFileError, match="build it again"):
        TilePool.open(tmp_path)


@pytest.mark.parametrize(
    "change", [{"tiles": 7}, {"slides": ["a"]}, {"mpp": 0}, {"mpp": "x"}, {"format": "other"}]
)
def test_a_pool_whose_files_do_not_belong_together_is_refused(
    tmp_path: Path, change: dict[str, object]
) -> None:
    build_pool(tmp_path, batches(), mpp=0.25)
    path = tmp_path / "pool.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(TruncatedFileError, match="build it again"):
        TilePool.open(tmp_path)


def test_one_slide_or_less_than_a_batch_is_too_little() -> None:
    pool = uneven()
    with pytest.raises(RefusedInputError, match="98 tiles of 1 slides; needed are at least 2"):
        pool.of_slides(["big"]).require(tiles=2)
    with pytest.raises(RefusedInputError, match="at least 101 tiles"):
        pool.require(tiles=101)
    pool.require(tiles=100)


def test_wrong_tiles_are_refused_in_words(tmp_path: Path) -> None:
    tiles = random_tiles(2, 4).numpy()
    with pytest.raises(RefusedInputError, match="allowed: uint8"):
        TilePool.from_array(tiles.astype(np.float32), ["a", "b"], mpp=0.5)
    with pytest.raises(ShapeError, match="rows, columns, 3"):
        TilePool.from_array(tiles[..., :2], ["a", "b"], mpp=0.5)
    with pytest.raises(RefusedInputError, match="one slide to each tile"):
        TilePool.from_array(tiles, ["a"], mpp=0.5)
    with pytest.raises(RefusedInputError, match="there is no tile"):
        build_pool(tmp_path, [], mpp=0.5)
    mixed = [("a", random_tiles(1, 4)), ("b", random_tiles(1, 8))]
    with pytest.raises(ShapeError, match="tiles of b are"):
        build_pool(tmp_path, mixed, mpp=0.5)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mpp", [0, -1.0, float("nan"), float("inf")])
def test_no_true_mpp_is_refused(mpp: float) -> None:
    with pytest.raises(RefusedInputError, match="mpp got"):
        TilePool.from_array(random_tiles(1, 4).numpy(), ["a"], mpp=mpp)


def test_unknown_slides_and_draws_of_nothing_are_refused() -> None:
    with pytest.raises(RefusedInputError, match=r"\['d'\]; this pool has big, b, c"):
        uneven().of_slides(["d"])
    with pytest.raises(RefusedInputError, match="n_tiles got 0"):
        uneven().draw(0, Generator())
