"""A bag as one uncompressed safetensors file: whole or not there, sealed, read where it lies."""

import hashlib
import math
import mmap as memory_map
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase, BufferedReader
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int32
from torch import Tensor

from medconsist._atomic import atomic_replace, storage_errors
from medconsist._digests import canonical_json, sha256_of_bytes
from medconsist._records import read_record
from medconsist.errors import CorruptResultError, NoTissueError, RefusedInputError
from medconsist.results.safetensors_file import (
    FileKind,
    Head,
    Place,
    head_bytes,
    read_head,
    require_regular,
)
from medconsist.wsi.bags.bag import Bag, half_features
from medconsist.wsi.bags.header import BagHeader

__all__ = ["FORMAT", "BagFacts", "read_bag", "read_bag_facts", "stream_bag", "write_bag"]

FORMAT = "medconsist-bag-1"
_REMEDY = "Import a foreign bag first (CLAM, TRIDENT)."
_KIND = FileKind(FORMAT, "bags", "its slide", _REMEDY)
_TYPES = {"F16": torch.float16, "I32": torch.int32}
_PIECE = 1 << 20
_BLOCK_ROWS = 1024


@dataclass(frozen=True)
class BagFacts:
    """What the head of a bag file says.

    Parameters
    ----------
    header
        Of the bag.
    tiles, dim
        Shape of the features.
    data_sha256
        Of all bytes behind the head.

    Examples
    --------
    >>> BagFacts.__dataclass_params__.frozen
    True
    """

    header: BagHeader
    tiles: int
    dim: int
    data_sha256: str


def write_bag(path: Path, bag: Bag, *, allow_empty: bool = False) -> None:
    """Write a bag beside, sync it, rename it; the same bag gives the same bytes.

    Parameters
    ----------
    path
        ``*.safetensors``; replaced if it exists.
    bag
        Its coordinates must be those of its index.
    allow_empty
        Write a bag without tiles.

    Raises
    ------
    NoTissueError
        The bag is empty and that was not asked for.
    RefusedInputError
        Features are not finite, or coordinates not those of the grid.
    StorageError
        The disk is full or not writable; ``path`` stays as it was.

    Examples
    --------
    >>> import tempfile
    >>> from medconsist.wsi.bags.simulate import simulated_bag
    >>> path = Path(tempfile.mkdtemp()) / "a.safetensors"
    >>> write_bag(path, simulated_bag(tiles=3, dim=4))
    >>> read_bag(path).features.shape
    torch.Size([3, 4])
    """
    _require_tiles(bag.header, len(bag), allow_empty=allow_empty)
    bag.require_coords_of_grid()
    stream_bag(path, bag.header, index=bag.index, dim=bag.dim, blocks=_blocks(bag))


def stream_bag(
    path: Path,
    header: BagHeader,
    *,
    index: Int32[Tensor, "tiles 2"],
    dim: int,
    blocks: Iterable[bytes],
) -> None:
    """Write a bag whose features come as blocks of bytes; no more than one is held.

    Parameters
    ----------
    path
        Replaced if it exists.
    header
        Of the bag.
    index
        Column and row of each tile.
    dim
        Length of a feature.
    blocks
        Rows of fp16 features in order, as bytes.

    Raises
    ------
    RefusedInputError
        The blocks do not give one row for each tile.
    StorageError
        The disk is full or not writable; ``path`` stays as it was.
    """
    tiles = len(index)
    digest = hashlib.sha256()
    with atomic_replace(path) as temporary, temporary.open("xb") as file:
        file.write(_head(BagFacts(header, tiles, dim, "0" * 64)))
        start = file.tell()
        for piece in _pieces(header, index, blocks):
            file.write(piece)
            digest.update(piece)
        wanted = sum(place.offsets[1] - place.offsets[0] for place in _layout(tiles, dim).values())
        if file.tell() - start != wanted:
            msg = f"{path.name} got {file.tell() - start} bytes, not {wanted} for {tiles} tiles."
            raise RefusedInputError(msg)
        # The digest has a fixed length, so that the head is written again over itself.
        file.seek(0)
        file.write(_head(BagFacts(header, tiles, dim, digest.hexdigest())))


def read_bag(path: Path, *, mmap: bool = True, verify: bool = True) -> Bag:
    """Read a bag file that medconsist wrote, and nothing else.

    Parameters
    ----------
    path
        ``*.safetensors``.
    mmap
        Leave the tensors in the file: a row is read when it is used. A file that is renamed over
        it or removed meanwhile changes nothing here; one that is cut where it lies ends the
        process, so the bytes themselves must stay.
    verify
        Compare every byte with the sha256 that was written with it, in one pass of 1 MiB pieces.
        False checks the head alone: for a file that was verified before, as one of a result.

    Raises
    ------
    MissingInputError
        There is no such file.
    UnsafeFileError
        It holds pickled content.
    TruncatedFileError
        It ends before its own claim.
    CorruptResultError
        A byte differs from what was written.
    RefusedInputError
        Another kind of file, or a header that does not fit; names the key.
    """
    # One open file from the first check to the last row: its path may name another one meanwhile.
    with _opened(path) as file:
        facts, start = _checked(path, file, verify=verify)
        data: bytearray | memory_map.mmap
        if mmap:
            data = memory_map.mmap(file.fileno(), 0, access=memory_map.ACCESS_COPY)
        else:
            file.seek(0)
            data = bytearray(file.read())
    tensors = {
        name: _tensor(data, place, start) for name, place in _layout(facts.tiles, facts.dim).items()
    }
    bag = Bag(tensors["features"], tensors["coords"], tensors["index"], facts.header)
    if verify:
        bag.require_coords_of_grid()
    return bag


def read_bag_facts(path: Path, *, verify: bool = False) -> BagFacts:
    """Return what the head of a bag file says; ``verify`` compares all other bytes with it.

    Raises
    ------
    MissingInputError, UnsafeFileError, TruncatedFileError, CorruptResultError, RefusedInputError
        As :func:`read_bag`.
    """
    with _opened(path) as file:
        return _checked(path, file, verify=verify)[0]


@contextmanager
def _opened(path: Path) -> Iterator[BufferedReader]:
    require_regular(path, what="bag")
    with storage_errors(path, doing="read"), path.open("rb") as file:
        yield file


def _checked(path: Path, file: BufferedReader, *, verify: bool) -> tuple[BagFacts, int]:
    """Return what the head says, and where the tensors begin."""
    head = read_head(path, file, kind=_KIND)
    facts = _facts(path, head)
    size = file.seek(0, 2) - head.size
    if head.tensors != _layout(facts.tiles, facts.dim) or size != _data_size(facts):
        raise _altered(path)
    file.seek(head.size)
    if verify and _digest(file) != facts.data_sha256:
        raise _altered(path)
    return facts, head.size


def _tensor(data: bytearray | memory_map.mmap, place: Place, start: int) -> Tensor:
    count = math.prod(place.shape)
    dtype = _TYPES[place.dtype]
    if not count:  # torch refuses a buffer of nothing
        return torch.empty(place.shape, dtype=dtype)
    at = start + place.offsets[0]
    return torch.frombuffer(data, dtype=dtype, count=count, offset=at).reshape(place.shape)


def _require_tiles(header: BagHeader, tiles: int, *, allow_empty: bool) -> None:
    if tiles == 0 and not allow_empty:
        msg = (
            f"The bag of {header.slide} has no tile. Look at its tissue mask, or write it with "
            "allow_empty=True."
        )
        raise NoTissueError(msg)


def _blocks(bag: Bag) -> Iterator[bytes]:
    for first in range(0, len(bag), _BLOCK_ROWS):
        block = half_features(bag.features[first : first + _BLOCK_ROWS], first_tile=first)
        yield block.numpy().tobytes()


def _pieces(
    header: BagHeader, index: Int32[Tensor, "tiles 2"], blocks: Iterable[bytes]
) -> Iterator[bytes]:
    yield header.grid.coords(index).numpy().tobytes()
    yield index.contiguous().numpy().tobytes()
    yield from blocks


def _layout(tiles: int, dim: int) -> dict[str, Place]:
    """Return the tensors in the order in which safetensors puts them."""
    sizes = {"coords": ("I32", (tiles, 2), 8), "index": ("I32", (tiles, 2), 8)}
    sizes["features"] = ("F16", (tiles, dim), 2 * dim)
    places, at = {}, 0
    for name, (dtype, shape, row_bytes) in sizes.items():
        end = at + tiles * row_bytes
        places[name] = Place(dtype, shape, (at, end))
        at = end
    return places


def _data_size(facts: BagFacts) -> int:
    return _layout(facts.tiles, facts.dim)["features"].offsets[1]


def _head(facts: BagFacts) -> bytes:
    values = {
        "bag": facts.header.model_dump(mode="json"),
        "data_sha256": facts.data_sha256,
        "dim": facts.dim,
        "format": FORMAT,
        "tiles": facts.tiles,
    }
    return head_bytes(_layout(facts.tiles, facts.dim), values | {"head_sha256": _seal(values)})


def _seal(values: Mapping[str, Any]) -> str:
    return sha256_of_bytes(canonical_json(values))


def _facts(path: Path, head: Head) -> BagFacts:
    values = dict(head.metadata)
    seal = values.pop("head_sha256", None)
    missing = {"bag", "data_sha256", "dim", "tiles"} - values.keys()
    counts = [values.get("tiles"), values.get("dim")]
    if missing or any(type(count) is not int or count < 0 for count in counts):
        raise _KIND.refusal(path)
    try:
        sealed = _seal(values)
    except RefusedInputError as error:  # NaN, which json reads and never writes
        raise _altered(path) from error
    # The record first: of a header of a newer version the key is named, not only its seal.
    header = read_record(BagHeader, canonical_json(values["bag"]), source=str(path))
    if sealed != seal:
        raise _altered(path)
    return BagFacts(header, values["tiles"], values["dim"], values["data_sha256"])


def _digest(file: BufferedIOBase) -> str:
    digest = hashlib.sha256()
    while piece := file.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest()


def _altered(path: Path) -> CorruptResultError:
    msg = (
        f"{path} is not as it was written: its bytes differ from its own sha256. Copy it again, or "
        "embed the slide again."
    )
    return CorruptResultError(msg)
