"""A bag that is written while a slide is embedded: a kill loses a block of tiles, not the slide."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from io import BufferedIOBase
from pathlib import Path
from types import TracebackType

import torch
from jaxtyping import Float, Float16, Int32
from torch import Tensor

from medconsist._atomic import atomic_write_bytes, make_folder, storage_errors
from medconsist._digests import canonical_json, sha256_of_bytes
from medconsist.errors import CorruptResultError, NoTissueError, RefusedInputError, ShapeError
from medconsist.wsi.bags.bag import half_features
from medconsist.wsi.bags.bag_file import stream_bag
from medconsist.wsi.bags.header import BagHeader

__all__ = ["BagPlan", "BagWriter"]

_PREFIX = ".bag-"
_PART = "features.part"
_JOURNAL = "journal.jsonl"
_HALF_BYTES = 2


@dataclass(frozen=True, eq=False)
class BagPlan:
    """What a bag will hold, known before the first feature: it decides every byte but the features.

    Parameters
    ----------
    header
        Slide, encoder, grid and code version.
    index
        Column and row of each tile, in the order in which its features will come.
    dim
        Length of a feature.

    Raises
    ------
    NoTissueError
        There is no tile.
    RefusedInputError
        A tile is not on the grid.

    Examples
    --------
    >>> from medconsist.wsi.bags.simulate import simulated_bag
    >>> bag = simulated_bag(tiles=3, dim=4)
    >>> len(BagPlan(bag.header, bag.index, dim=4).key)
    64
    """

    header: BagHeader
    index: Int32[Tensor, "tiles 2"]
    dim: int

    def __post_init__(self) -> None:
        if not len(self.index):
            msg = f"No tile of {self.header.slide} is to be embedded. Look at its tissue mask."
            raise NoTissueError(msg)
        if self.dim < 1:
            msg = f"A feature has a length of 1 or more, got dim = {self.dim}."
            raise ShapeError(msg)
        self.header.grid.coords(self.index)

    @property
    def tiles(self) -> int:
        """Number of tiles."""
        return len(self.index)

    @cached_property
    def key(self) -> str:
        """The sha256 of all of it: parts of one key, and of no other, belong together."""
        parts = {
            "bag": self.header.model_dump(mode="json"),
            "dim": self.dim,
            "index_sha256": sha256_of_bytes(self.index.contiguous().numpy().tobytes()),
        }
        return sha256_of_bytes(canonical_json(parts))


@dataclass(frozen=True)
class _Block:
    """One line of the journal: where a block of the part file begins, and its sha256."""

    first: int
    tiles: int
    sha256: str


class BagWriter:
    """Takes features in order, keeps them block by block, and puts the bag together at the end.

    Blocks lie in ``<folder>/.bag-<key>``: first the features, synced, then a line of the journal
    with their sha256. A new writer of the same key goes on behind the last block that verifies;
    what belongs to another key is left alone. Of two writers one is refused, and the lock of a
    dead one is free (``flock``, on one machine and on network disks that carry it).

    Parameters
    ----------
    folder
        Where the hidden work folder lies; on the disk of the final file, e.g. the case folder.
    plan
        What the bag will hold.
    block_tiles
        Tiles that are synced together; at most these are lost. It does not change the bag.

    Raises
    ------
    RefusedInputError
        Another writer of this key is at work.
    StorageError
        The disk is full or not writable.

    Examples
    --------
    >>> import tempfile
    >>> from medconsist.wsi.bags.simulate import simulated_bag
    >>> bag, folder = simulated_bag(tiles=3, dim=4), Path(tempfile.mkdtemp())
    >>> with BagWriter(folder, BagPlan(bag.header, bag.index, dim=4)) as writer:
    ...     writer.append(bag.features[writer.done :])
    ...     writer.finish(folder / "slide-1.safetensors")
    """

    def __init__(self, folder: Path, plan: BagPlan, *, block_tiles: int = 1024) -> None:
        if block_tiles < 1:
            msg = f"block_tiles is 1 or more, got {block_tiles}."
            raise RefusedInputError(msg)
        self.plan = plan
        self.path = folder / f"{_PREFIX}{plan.key}"
        self._block_tiles = block_tiles
        self._waiting: list[Float16[Tensor, "tiles features"]] = []
        self._blocks: list[_Block] = []
        self._lock: int | None = _locked(self.path)
        try:
            self._blocks = self._recover()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "BagWriter":
        """Return the writer itself; leaving the block keeps what was appended."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Store waiting features unless an error came, and let other writers in."""
        try:
            if error is None and self._lock is not None:
                self._store_waiting()
        finally:
            self.close()

    @property
    def done(self) -> int:
        """Number of tiles that need not be embedded again: go on with this one."""
        return self._stored + sum(map(len, self._waiting))

    def append(self, features: Float[Tensor, "tiles features"]) -> None:
        """Add the features of the next tiles.

        Parameters
        ----------
        features
            Any float type; stored as fp16.

        Raises
        ------
        ShapeError
            Another length of the features, or more tiles than planned.
        RefusedInputError
            A feature does not fit fp16.
        StorageError
            The disk is full or not writable; the blocks so far stay.
        """
        self._require_open()
        if features.shape[1] != self.plan.dim or self.done + len(features) > self.plan.tiles:
            msg = (
                f"Got features of shape {tuple(features.shape)} at tile {self.done}; planned are "
                f"{self.plan.tiles} tiles of {self.plan.dim}. Go on from `done`."
            )
            raise ShapeError(msg)
        # A copy: a caller may use its buffer for the next batch.
        self._waiting.append(half_features(features, first_tile=self.done).clone())
        if sum(map(len, self._waiting)) >= self._block_tiles or self.done == self.plan.tiles:
            self._store_waiting()

    def finish(self, path: Path) -> None:
        """Put the bag together under its final name; a reader sees all of it or nothing.

        The blocks stay until :meth:`discard`, so that a caller that is killed between this and the
        sealing of its result does not embed again.

        Parameters
        ----------
        path
            ``*.safetensors``; replaced if it exists.

        Raises
        ------
        RefusedInputError
            Tiles are missing.
        CorruptResultError
            A stored block is not as it was written.
        StorageError
            The disk is full or not writable; ``path`` stays as it was.
        """
        self._require_open()
        if self.done != self.plan.tiles:
            msg = f"{path.name}: {self.done} of {self.plan.tiles} tiles are there. Append the rest."
            raise RefusedInputError(msg)
        self._store_waiting()
        stream_bag(
            path,
            self.plan.header,
            index=self.plan.index,
            dim=self.plan.dim,
            blocks=self._verified_blocks(),
        )

    def discard(self) -> None:
        """Remove the blocks: the bag is sealed where it belongs, or no longer wanted."""
        self._require_open()
        self._waiting = []
        shutil.rmtree(self.path, ignore_errors=True)
        self.close()

    def close(self) -> None:
        """Let other writers in; the stored blocks stay, an empty work folder does not."""
        if self._lock is None:
            return
        if not self._blocks:
            shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)
        self._lock = None

    @property
    def _stored(self) -> int:
        return sum(block.tiles for block in self._blocks)

    @property
    def _row_bytes(self) -> int:
        return self.plan.dim * _HALF_BYTES

    def _require_open(self) -> None:
        if self._lock is None:
            msg = f"The writer of {self.plan.header.slide} is closed. Make a new one."
            raise RefusedInputError(msg)

    def _recover(self) -> list[_Block]:
        """Return the sound blocks, and cut off what lies behind the last of them."""
        sound: list[_Block] = []
        part, journal = self.path / _PART, self.path / _JOURNAL
        with storage_errors(self.path):
            part.touch()
            if journal.exists():
                with part.open("rb") as file:
                    for line in journal.read_bytes().splitlines():
                        block = _parse(line, sum(b.tiles for b in sound), self.plan.tiles)
                        if block is None or _read(file, block, self._row_bytes) is None:
                            break
                        sound.append(block)
            os.truncate(part, sum(block.tiles for block in sound) * self._row_bytes)
        atomic_write_bytes(journal, b"".join(map(_line, sound)))
        return sound

    def _store_waiting(self) -> None:
        if not self._waiting:
            return
        data = torch.cat(self._waiting).numpy().tobytes()
        tiles = len(data) // self._row_bytes
        block = _Block(self._stored, tiles, sha256_of_bytes(data))
        # Features before their line: a line never speaks of bytes that a loss of power may take.
        _append(self.path / _PART, data, at=block.first * self._row_bytes)
        journal = self.path / _JOURNAL
        _append(journal, _line(block), at=sum(len(_line(old)) for old in self._blocks))
        self._blocks.append(block)
        self._waiting = []

    def _verified_blocks(self) -> Iterator[bytes]:
        with (self.path / _PART).open("rb") as file:
            for block in self._blocks:
                data = _read(file, block, self._row_bytes)
                if data is None:
                    msg = (
                        f"{self.path / _PART} changed after it was written, at tile {block.first}. "
                        "Make a new writer and embed from its `done`."
                    )
                    raise CorruptResultError(msg)
                yield data


def _line(block: _Block) -> bytes:
    return canonical_json(asdict(block)) + b"\n"


def _parse(line: bytes, first: int, planned: int) -> _Block | None:
    """Return the block of a line, None if it is torn or does not follow the one before."""
    try:
        values = json.loads(line)
        block = _Block(int(values["first"]), int(values["tiles"]), str(values["sha256"]))
    except (ArithmeticError, KeyError, RecursionError, TypeError, ValueError):
        return None
    return block if block.first == first and 0 < block.tiles <= planned - first else None


def _read(file: BufferedIOBase, block: _Block, row_bytes: int) -> bytes | None:
    data = file.read(block.tiles * row_bytes)
    return data if sha256_of_bytes(data) == block.sha256 else None


def _append(path: Path, data: bytes, *, at: int) -> None:
    """Write behind byte ``at``, flushed to the disk; if that fails, cut the file there."""
    with storage_errors(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
        try:
            rest = memoryview(data)
            where = at
            while rest:  # a nearly full disk takes a part, then raises
                written = os.pwrite(descriptor, rest, where)
                where, rest = where + written, rest[written:]
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, at)
            raise
        finally:
            os.close(descriptor)


def _locked(folder: Path) -> int:
    """Return the descriptor of the work folder, locked; the lock ends with it or its process."""
    while True:
        make_folder(folder)
        with storage_errors(folder):
            try:
                descriptor = os.open(folder, os.O_RDONLY)
            except FileNotFoundError:
                continue  # the other writer finished and removed it in between
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(descriptor, folder):
                    return descriptor
            except BlockingIOError as error:
                os.close(descriptor)
                msg = (
                    f"Another process writes this bag in {folder}. Wait for it, or choose another "
                    "folder."
                )
                raise RefusedInputError(msg) from error
            except OSError:
                os.close(descriptor)
                raise
            os.close(descriptor)


def _is_at(descriptor: int, folder: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), folder.stat())
    except FileNotFoundError:
        return False
