"""Tiles of many slides in one file, memory-mapped: what an encoder is trained on.

::

    POOL/tiles.npy   uint8, tiles rows columns 3
    POOL/slide.npy   int32, the slide of each tile, counted in pool.json
    POOL/pool.json   names of the slides, mpp, sha256 of the tiles; written last
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Literal, get_args

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Generator, Tensor

from medconsist._atomic import (
    atomic_replace,
    atomic_write_bytes,
    make_folder,
    storage_errors,
)
from medconsist._digests import canonical_json
from medconsist.errors import (
    MissingInputError,
    RefusedInputError,
    ShapeError,
    TruncatedFileError,
)

__all__ = ["DrawnTiles", "TilePool", "Weight", "build_pool"]

Weight = Literal["slide", "tile"]
FORMAT = "medconsist-tiles-1"
_TILES, _SLIDE, _ABOUT = "tiles.npy", "slide.npy", "pool.json"


@dataclass(frozen=True, eq=False)
class DrawnTiles:
    """Tiles of a pool and where they are from.

    Parameters
    ----------
    tiles
        A copy, in memory.
    tile, slide
        Number of each tile in the file of the pool, and of its slide.

    Examples
    --------
    >>> DrawnTiles(torch.zeros(1, 2, 2, 3).byte(), torch.tensor([7]), torch.tensor([0])).tile
    tensor([7])
    """

    tiles: UInt8[Tensor, "tiles rows columns 3"]
    tile: Int64[Tensor, " tiles"]
    slide: Int64[Tensor, " tiles"]


@dataclass(frozen=True, eq=False)
class TilePool:
    """Tiles of several slides; a part of them is a pool too, over the same file.

    Which tiles are worth training on (tissue, in focus) is the caller's choice.

    Parameters
    ----------
    pixels
        uint8, ``tiles rows columns 3``; an array or a memory map, never copied as a whole.
    tile
        The tiles of this pool, as rows of ``pixels``.
    slide
        For each of them, which of ``names`` it is from.
    names
        The slides of the file.
    mpp
        Microns per pixel of all tiles.
    sha256
        Of all of ``pixels``.

    Examples
    --------
    >>> tiles = np.zeros((4, 8, 8, 3), np.uint8)
    >>> pool = TilePool.from_array(tiles, ["a", "a", "a", "b"], mpp=0.5)
    >>> pool.draw(2, torch.Generator().manual_seed(0)).tiles.shape
    torch.Size([2, 8, 8, 3])
    >>> len(pool.of_slides(["a"]))
    3
    """

    pixels: np.ndarray
    tile: Int64[Tensor, " tiles"]
    slide: Int64[Tensor, " tiles"]
    names: tuple[str, ...]
    mpp: float
    sha256: str

    def __len__(self) -> int:
        return len(self.tile)

    @classmethod
    def from_array(
        cls, pixels: np.ndarray, slides: Sequence[str], *, mpp: float | int
    ) -> "TilePool":
        """Return a pool over an array that is in memory already.

        Parameters
        ----------
        pixels
            uint8, ``tiles rows columns 3``.
        slides
            The slide of each tile.
        mpp
            Microns per pixel, positive.

        Raises
        ------
        RefusedInputError
            Not uint8, no tile, another number of slides than of tiles, or no true mpp.
        ShapeError
            Not ``tiles rows columns 3``.
        """
        _refuse_tiles(pixels)
        _refuse_mpp(mpp)
        if not len(pixels) or len(slides) != len(pixels):
            msg = f"got {len(pixels)} tiles and {len(slides)} slides; give one slide to each tile."
            raise RefusedInputError(msg)
        names = tuple(dict.fromkeys(slides))
        number = {name: index for index, name in enumerate(names)}
        slide = torch.tensor([number[name] for name in slides])
        digest = hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()
        return cls(pixels, torch.arange(len(pixels)), slide, names, float(mpp), digest)

    @classmethod
    def open(cls, folder: Path) -> "TilePool":
        """Return the pool that `build_pool` left in ``folder``; tiles stay on the disk.

        Raises
        ------
        MissingInputError
            There is none, or its making was interrupted.
        TruncatedFileError
            Its files do not belong together, or are damaged.
        """
        for name in (_ABOUT, _TILES, _SLIDE):
            if not (folder / name).is_file():
                msg = f"{folder} holds no finished pool of tiles ({name} is missing); "
                msg += "build it again."
                raise MissingInputError(msg)
        try:
            with storage_errors(folder, doing="read"):
                about = json.loads((folder / _ABOUT).read_bytes())
                # arrays alone: np.load would take an archive too, and leave it open
                pixels = np.lib.format.open_memmap(folder / _TILES, mode="r")
                with (folder / _SLIDE).open("rb") as file:
                    slide = np.lib.format.read_array(file).astype(np.int64)
            names = tuple(about["slides"])
            sound = about["format"] == FORMAT and len(pixels) == len(slide) == about["tiles"]
            sound &= slide.min() >= 0 and slide.max() < len(names)
            _refuse_tiles(pixels)
            _refuse_mpp(mpp := float(about["mpp"]))
            digest = str(about["sha256"])
        except (AttributeError, EOFError, KeyError, TypeError, ValueError) as error:
            msg = f"{folder} holds a damaged pool ({error}); delete it and build it again."
            raise TruncatedFileError(msg) from error
        if not sound:
            msg = f"{folder}: the files of this pool do not belong together; build it again."
            raise TruncatedFileError(msg)
        index = torch.arange(len(pixels))
        return cls(pixels, index, torch.from_numpy(slide), names, mpp, digest)

    def of_slides(self, names: Iterable[str]) -> "TilePool":
        """Return the pool of these slides alone.

        Raises
        ------
        RefusedInputError
            No slide, or one that is not in the pool.
        """
        wanted = list(names)
        held = {self.names[number]: number for number in torch.unique(self.slide).tolist()}
        unknown = [name for name in wanted if name not in held]
        if unknown or not wanted:
            msg = f"slides got {unknown or wanted}; this pool has {', '.join(held)}."
            raise RefusedInputError(msg)
        chosen = torch.isin(self.slide, torch.tensor([held[name] for name in wanted]))
        return TilePool(
            self.pixels, self.tile[chosen], self.slide[chosen], self.names, self.mpp, self.sha256
        )

    @property
    def slides(self) -> tuple[str, ...]:
        """Names of the slides that have tiles in this pool."""
        return tuple(self.names[number] for number in torch.unique(self.slide).tolist())

    def at(self, index: Int64[Tensor, " draws"]) -> DrawnTiles:
        """Return tiles by their place in this pool, 0 to ``len - 1``."""
        tile = self.tile[index]
        # advanced indexing of a memory map reads these tiles and no others, into memory
        tiles = torch.from_numpy(np.asarray(self.pixels[tile.numpy()]))
        return DrawnTiles(tiles, tile, self.slide[index])

    def draw(self, n_tiles: int, generator: Generator, *, weight: Weight = "slide") -> DrawnTiles:
        """Return tiles drawn with replacement.

        Parameters
        ----------
        n_tiles
            At least 1.
        generator
            On the CPU.
        weight
            ``"slide"``: every slide is as likely as any other, so that a large one does not rule;
            ``"tile"``: every tile is.

        Raises
        ------
        RefusedInputError
            Fewer than one tile, or an unknown weight.
        """
        if n_tiles < 1 or weight not in get_args(Weight):
            msg = (
                f"n_tiles got {n_tiles} and weight {weight!r}; allowed: 1 or more, "
                f"{', '.join(get_args(Weight))}."
            )
            raise RefusedInputError(msg)
        if weight == "tile":
            return self.at(torch.randint(len(self), (n_tiles,), generator=generator))
        by_slide, first, count = self._by_slide
        chosen = torch.randint(len(count), (n_tiles,), generator=generator)
        share = torch.rand(n_tiles, dtype=torch.float64, generator=generator)
        return self.at(by_slide[first[chosen] + (share * count[chosen]).long()])

    def require(self, *, tiles: int) -> None:
        """Refuse a pool that is too small to learn from.

        Raises
        ------
        RefusedInputError
            Fewer than two slides, or fewer than ``tiles`` tiles.
        """
        if len(self.slides) < 2 or len(self) < tiles:
            msg = (
                f"the pool has {len(self)} tiles of {len(self.slides)} slides; needed are at least "
                f"{tiles} tiles (one batch) of 2 slides. Add slides or lower the batch."
            )
            raise RefusedInputError(msg)

    @cached_property
    def _by_slide(self) -> tuple[Tensor, Tensor, Tensor]:
        """Places in order of slide, the first of each slide among them, and their number."""
        _, slide, count = torch.unique(self.slide, return_inverse=True, return_counts=True)
        return slide.argsort(stable=True), count.cumsum(0) - count, count


def build_pool(
    folder: Path,
    batches: Iterable[tuple[str, UInt8[Tensor, "tiles rows columns 3"]]],
    *,
    mpp: float | int,
) -> TilePool:
    """Write tiles to one file as they come, and open it; one batch is in memory at a time.

    Parameters
    ----------
    folder
        The pool's own; a pool that is there is replaced.
    batches
        Name of the slide and tiles of it, in any order; all tiles have one size.
    mpp
        Microns per pixel of all tiles, positive.

    Raises
    ------
    RefusedInputError
        No tile at all, no true mpp, or another process is building this pool.
    ShapeError
        Tiles of another size than the first.
    StorageError
        The disk is full or not writable; no half-written pool can be opened.
    """
    _refuse_mpp(mpp)
    make_folder(folder)
    with _alone(folder):
        with storage_errors(folder):
            # from here on there is no pool until there is a whole one
            (folder / _ABOUT).unlink(missing_ok=True)
        number: dict[str, int] = {}
        slide: list[int] = []
        with atomic_replace(folder / _TILES) as partial, partial.open("xb") as file:
            digest = _write_tiles(file, batches, number, slide)
        with atomic_replace(folder / _SLIDE) as partial, partial.open("xb") as file:
            np.save(file, np.asarray(slide, np.int32), allow_pickle=False)
        about = {
            "format": FORMAT,
            "mpp": float(mpp),
            "sha256": digest,
            "slides": list(number),
            "tiles": len(slide),
        }
        atomic_write_bytes(folder / _ABOUT, canonical_json(about))
        return TilePool.open(folder)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other builders out: tiles of one and slides of another would pass for a pool."""
    with storage_errors(folder):
        descriptor = os.open(folder, os.O_RDONLY)
    try:
        with storage_errors(folder):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                msg = f"Another process builds a pool in {folder}. Wait for it, or choose another "
                msg += "folder."
                raise RefusedInputError(msg) from error
        yield
    finally:
        os.close(descriptor)


def _write_tiles(
    file: BinaryIO,
    batches: Iterable[tuple[str, Tensor]],
    number: dict[str, int],
    slide: list[int],
) -> str:
    """Write all tiles behind a header; fill in the slides, return the sha256 of the tiles."""
    digest = hashlib.sha256()
    size: tuple[int, ...] | None = None
    for name, tiles in batches:
        _refuse_tiles(pixels := tiles.numpy())
        if size is None:
            size = pixels.shape[1:]
            _write_header(file, (0, *size))
        if pixels.shape[1:] != size:
            msg = f"tiles of {name} are {pixels.shape[1:]}, those before {size}; cut one size."
            raise ShapeError(msg)
        written = pixels.tobytes()
        file.write(written)
        digest.update(written)
        slide += [number.setdefault(name, len(number))] * len(pixels)
    if size is None or not slide:
        msg = "there is no tile for the pool. Check that the slides hold tissue at this mpp."
        raise RefusedInputError(msg)
    # numpy leaves room in the header for the number of rows to grow in place
    file.seek(0)
    _write_header(file, (len(slide), *size))
    return digest.hexdigest()


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _refuse_tiles(pixels: np.ndarray) -> None:
    if pixels.ndim != 4 or pixels.shape[-1] != 3:
        msg = f"tiles are {pixels.shape}; allowed: tiles, rows, columns, 3 (RGB)."
        raise ShapeError(msg)
    if pixels.dtype != np.uint8:
        msg = f"tiles are {pixels.dtype}; allowed: uint8, as read from the slide."
        raise RefusedInputError(msg)


def _refuse_mpp(mpp: float | int) -> None:
    if not 0 < mpp < float("inf"):
        msg = f"mpp got {mpp}; allowed: microns per pixel of the tiles, positive and finite."
        raise RefusedInputError(msg)
